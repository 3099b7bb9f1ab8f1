// SPDX-License-Identifier: Apache-2.0
#include "control/config/support.h"

#include <algorithm>

#include "control/config/document.h"
#include "control/config/problems.h"

namespace sluice::config {

namespace {

// Takes the first step off a key pattern: "policy.rules[].log" -> "policy" and "rules[].log".
std::string_view take_step(std::string_view& pattern) {
    if (pattern.starts_with("[]")) {
        pattern.remove_prefix(2);
        if (pattern.starts_with('.')) pattern.remove_prefix(1);
        return "[]";
    }
    const size_t end = std::min(pattern.find_first_of(".["), pattern.size());
    const std::string_view step = pattern.substr(0, end);
    pattern.remove_prefix(end);
    if (pattern.starts_with('.')) pattern.remove_prefix(1);
    return step;
}

struct Search {
    const Limitation& limitation;
    Problems& problems;

    bool is_excepted(const Node& entry) const {
        if (limitation.except_mode.empty()) return false;
        for (size_t i = 0; i < entry.keys.size(); ++i) {
            if (entry.keys[i].text == "mode" && entry.items[i].text == limitation.except_mode) return true;
        }
        return false;
    }

    void refuse(const Node& node, const std::string& path) const {
        const auto& built = limitation.built;
        if (node.kind == Node::Kind::scalar &&
            std::find(built.begin(), built.end(), node.text) != built.end())
            return;
        const std::string offer = built.empty() ? "" : fmt::format(" (built: {})", fmt::join(built, ", "));
        problems.add(node.line, node.column, path,
                     fmt::format("value \"{}\": not supported by this release{}", node.quoted(), offer));
    }

    // Refuses what `pattern` leads to below `node`.
    void visit(const Node& node, const std::string& path, std::string_view pattern) const {
        if (pattern.empty()) {
            refuse(node, path);
            return;
        }
        const std::string_view step = take_step(pattern);
        if (step == "[]" && node.kind == Node::Kind::sequence) {
            for (size_t i = 0; i < node.items.size(); ++i) {
                if (!is_excepted(node.items[i]))
                    visit(node.items[i], fmt::format("{}[{}]", path, i), pattern);
            }
        }
        for (size_t i = 0; i < node.keys.size(); ++i) {
            if (step != "*" && step != node.keys[i].text) continue;
            visit(node.items[i], join_path(path, node.keys[i].text), pattern);
        }
    }
};

}  // namespace

const std::vector<Limitation>& limitations() {
    static const std::vector<Limitation> all = {
        {"interfaces[].require[]", {"xdp_native", "af_xdp", "af_xdp_zero_copy", "dpdk"}},
        {"policy.rules[].priority", {}},
        {"policy.rules[].log", {"off"}},
        {"services[].scheduler", {"maglev"}, "proxy"},
        {"services[].hash", {"five_tuple", "source", "source_and_port", "destination_port"}},
        {"services[].mode", {"nat", "fullnat", "dsr_l2", "dsr_ipip", "dsr_gue", "proxy"}},
        {"services[].tier", {"auto", "xdp", "af_xdp", "dpdk", "epoll"}},
        {"services[].syn_cookies", {"off"}},
        {"services[].limits", {}, "proxy"},
        {"tunnels[].type", {"ipip", "gue"}},
        {"qos", {}},
        {"diagnostics.enabled", {"false"}},
    };
    return all;
}

Status check_supported(const Config& config) {
    if (config.document == nullptr) return {};
    Problems problems(config.file ? *config.file : "configuration");
    for (const Limitation& limitation : limitations()) {
        Search{limitation, problems}.visit(*config.document, "", limitation.key);
    }
    return problems.status();
}

}  // namespace sluice::config
