// SPDX-License-Identifier: Apache-2.0
#include "control/daemon/capture_words.h"

#include <net/if.h>

#include "control/api/json.h"

namespace sluice::control {

namespace {

// The second half of a verdict word; empty where it says nothing.
std::string detail_name(u32 word) {
    const u32 detail = detail_of(word);
    switch (verdict_of(word)) {
        case VERDICT_DROP: return api::reason_name(detail);
        case VERDICT_REJECT: return api::answer_name(detail);
        case VERDICT_PUNT: return api::punt_name(detail);
        case VERDICT_WAIT: return detail == 0 ? "fragment" : api::reason_name(detail);
        default: return "";
    }
}

// Of a port, or of a device that is none.
std::string interface_of(const Captured& packet, const Naming& naming) {
    if (packet.port != 0) return naming.port(packet.port);
    char name[IF_NAMESIZE] = "";
    return if_indextoname(packet.ifindex, name) != nullptr ? name : fmt::format("device-{}", packet.ifindex);
}

}  // namespace

std::string capture_comment(const Captured& packet, const std::string& tier, const std::string& interface,
                            const Naming& naming) {
    const u32 verdict = verdict_of(packet.word);
    std::string text = fmt::format("verdict={}", api::verdict_name(verdict));
    const auto add = [&text](const char* key, const std::string& value) {
        if (!value.empty()) text += fmt::format(" {}={}", key, value);
    };
    add("reason", detail_name(packet.word));
    if (packet.rule != 0) add("rule", naming.rule(packet.rule));
    add("service", naming.service(packet.service));
    add("backend", naming.backend(packet.backend));
    add("interface", interface);
    if (verdict == VERDICT_FORWARD) add("egress", naming.port(packet.egress));
    add("tier", tier);
    return text;
}

void CaptureWords::set(std::shared_ptr<const Naming> naming) {
    const std::lock_guard lock(mutex_);
    naming_ = std::move(naming);
}

capture::Description CaptureWords::describe(const Captured& packet, const std::string& tier) const {
    const std::lock_guard lock(mutex_);
    const std::string interface = interface_of(packet, *naming_);
    return {interface, capture_comment(packet, tier, interface, *naming_)};
}

}  // namespace sluice::control
