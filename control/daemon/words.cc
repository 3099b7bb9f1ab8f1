// SPDX-License-Identifier: Apache-2.0
#include "control/daemon/words.h"

#include <fmt/format.h>

namespace sluice::control {

std::string word(config::Protocol protocol) {
    switch (protocol) {
        case config::Protocol::tcp: return "tcp";
        case config::Protocol::udp: return "udp";
        case config::Protocol::sctp: return "sctp";
    }
    return "";
}

std::string word(config::Mode mode) {
    switch (mode) {
        case config::Mode::nat: return "nat";
        case config::Mode::fullnat: return "fullnat";
        case config::Mode::dsr_l2: return "dsr_l2";
        case config::Mode::dsr_ipip: return "dsr_ipip";
        case config::Mode::dsr_gre: return "dsr_gre";
        case config::Mode::dsr_gue: return "dsr_gue";
        case config::Mode::proxy: return "proxy";
    }
    return "";
}

std::string word(config::Action action) {
    switch (action) {
        case config::Action::allow: return "allow";
        case config::Action::drop: return "drop";
        case config::Action::reject: return "reject";
        case config::Action::rate_limit: return "rate_limit";
        case config::Action::evaluate: return "evaluate";
    }
    return "";
}

std::string word(config::BackendState state) {
    switch (state) {
        case config::BackendState::active: return "active";
        case config::BackendState::draining: return "draining";
        case config::BackendState::disabled: return "disabled";
    }
    return "";
}

std::string ports_text(const config::ServicePorts& ports) {
    if (ports.any) return "any";
    std::string text;
    for (const config::PortRange& range : ports.ranges) {
        if (!text.empty()) text += ',';
        text += range.lo == range.hi ? fmt::to_string(range.lo) : fmt::format("{}-{}", range.lo, range.hi);
    }
    return text;
}

}  // namespace sluice::control
