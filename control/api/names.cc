// SPDX-License-Identifier: Apache-2.0
//
// The words of metrics, traces and documents.
#include "control/api/json.h"

namespace sluice::api {

namespace {

#define SLUICE_NAME(id, name) name,
constexpr const char* punt_names[] = {SLUICE_PUNTS(SLUICE_NAME)};
constexpr const char* answer_names[] = {SLUICE_ANSWERS(SLUICE_NAME)};
#undef SLUICE_NAME

constexpr const char* state_names[] = {"tcp_syn", "tcp_established", "tcp_closing", "udp", "icmp", "other"};

}  // namespace

const char* punt_name(u32 kind) { return kind < PUNT_COUNT ? punt_names[kind] : "unknown"; }
const char* answer_name(u32 kind) { return kind < ANSWER_COUNT ? answer_names[kind] : "unknown"; }
const char* state_name(u32 state) { return state < std::size(state_names) ? state_names[state] : "unknown"; }

const char* mode_name(u32 mode) {
    switch (mode & MODE_MASK) {
        case MODE_ROUTE: return "route";
        case MODE_NAT: return "nat";
        case MODE_FULLNAT: return "fullnat";
        case MODE_DSR_L2: return "dsr_l2";
        case MODE_DSR_IPIP: return "dsr_ipip";
        case MODE_DSR_GUE: return "dsr_gue";
        case MODE_DENIED: return "denied";
        default: return "unknown";
    }
}

}  // namespace sluice::api
