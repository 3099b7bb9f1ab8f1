// SPDX-License-Identifier: Apache-2.0
//
// What drained backends, and those that go down and up, do to the snapshot.
#include "control/compile/backend_patch.h"
#include "control/daemon/on_loop.h"
#include "dataplane/base/log.h"
#include "dataplane/io/xdp/pinned_text.h"

namespace sluice::control {

namespace {

using namespace std::chrono_literals;

constexpr auto republish_delay = 20ms;  // backends that go down together make one snapshot
constexpr auto patience = 30s;

}  // namespace

compile::Environment Daemon::environment_of(const config::Config& config,
                                            const std::vector<PortSetting>& ports) const {
    compile::Environment environment = compile_environment(ports, generation_ + 1);
    environment.backend_states = backend_states_->differing(config);
    if (rings_.image) environment.rings = {&rings_.lines, rings_.image->data()};
    return environment;
}

// Drained backends stay drained, and those that were down stay so until their probes say otherwise.
void Daemon::adopt_backend_states() {
    if (tiers_->xdp() == nullptr || !tiers_->xdp()->maps().adopted()) return;
    const auto text = read_pinned_text(tiers_->xdp()->maps().directory(), kept_states_pin);
    if (text && !text->has_value()) return;
    const Status status = text ? backend_states_->restore(**text) : Status{text.error()};
    if (!status) spdlog::warn("which backends were drained or down is lost: {}", status.error().message);
}

// Once a snapshot is in force. Flows of backends that get nothing any more end: their next packet finds
// another.
void Daemon::follow_backend_states() {
    const std::set<compile::BackendKey> off = backend_states_->off(config_);
    if (sweeper_ && !off.empty()) {
        std::vector<bool> ends(naming_->identities.backends.bound());
        for (const compile::BackendKey& key : off) ends[naming_->identities.backends.at(key)] = true;
        const u64 ended = sweeper_->remove_backends([&](u16 id) { return id < ends.size() && ends[id]; });
        if (ended > 0) spdlog::info("{} flows of backends that are down or disabled were ended", ended);
    }
    backend_states_->follow(config_);
    if (tiers_->xdp() == nullptr) return;
    const Status kept =
        write_pinned_text(tiers_->xdp()->maps().directory(), kept_states_pin, backend_states_->kept());
    if (!kept) spdlog::warn("which backends are drained or down will be lost: {}", kept.error().message);
}

void Daemon::backend_states_changed() {
    if (republish_is_due_) return;
    republish_is_due_ = true;
    auto id = loop_->after(republish_delay, [this] {
        republish_is_due_ = false;
        if (Status status = put_states_in_force(); !status)
            spdlog::error("backends went up or down, which is not in force: {}", status.error().message);
    });
    if (!id) spdlog::error("backends went up or down: {}", id.error().message);
}

// By the least that does it.
Status Daemon::put_states_in_force() {
    if (!patch_states()) return republish();
    follow_backend_states();
    return {};
}

// In the image in force; the proxy has one of its own.
bool Daemon::patch_states() {
    if (!rings_.image || !tiers_->is_open() || tiers_->tables().image() != rings_.image || proxy_.running())
        return false;
    const auto patches = compile::patch_backends(config_, environment_of(config_, ports_),
                                                 naming_->identities, rings_.image->data());
    if (!patches) return false;
    for (const compile::ServicePatch& patch : *patches) {
        compile::write_patch(patch, rings_.image->writable());
        rings_.lines.erase(patch.before);
        rings_.lines.insert_or_assign(patch.after, patch.ring);
    }
    return true;
}

Status Daemon::set_drained(const std::string& service, const std::string& backend, bool drained) {
    Result<Status> status = on_loop<Status>(
        [this, service, backend, drained]() -> Status {
            Status set = backend_states_->set_drained(config_, service, backend, drained);
            if (set) set = put_states_in_force();
            if (set)
                spdlog::info("service {}: backend {} is {}drained", service, backend, drained ? "" : "not ");
            return set;
        },
        patience);
    return status ? *status : Status{status.error()};
}

}  // namespace sluice::control
