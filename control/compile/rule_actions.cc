// SPDX-License-Identifier: Apache-2.0
#include "control/compile/rule_actions.h"

#include <algorithm>
#include <cmath>

namespace sluice::compile {

namespace {

// A rate limit lets through what keeps to a rate (generic cell rate algorithm): every packet or byte costs
// `cost`, and `burst` is how far ahead of time one may be.
void set_meter(const config::Rate& rate, image_rule& out) {
    const double per_second = rate.bytes ? *rate.bytes : rate.packets.value_or(0);
    const double cost = 256e9 / std::max(per_second, 1e-6);
    const double burst = rate.burst ? static_cast<double>(*rate.burst) * cost / 256 : 1e9;
    constexpr double longest = 9e18;  // ns; fits 64 bits, and 285 years
    out.cost = std::max<u64>(1, static_cast<u64>(std::llround(std::min(cost, longest))));
    out.burst = static_cast<u64>(std::llround(std::min(burst, longest)));
    out.flags |= RULE_METER;
    if (rate.bytes) out.flags |= RULE_METER_BYTES;
    if (rate.per == config::RatePer::source) out.flags |= RULE_METER_SOURCE;
}

}  // namespace

Result<image_rule> compile_rule(const config::Rule& rule, u16 id) {
    image_rule out{};
    out.id = id;
    switch (rule.action) {
        case config::Action::allow: out.action = ACTION_ALLOW; break;
        case config::Action::drop: out.action = ACTION_DROP; break;
        case config::Action::reject: out.action = ACTION_REJECT; break;
        case config::Action::rate_limit: out.action = ACTION_ALLOW; break;
        case config::Action::evaluate: out.action = ACTION_EVALUATE; break;
    }
    if (rule.action == config::Action::rate_limit) {
        if (!rule.rate) return make_error("{}: action rate_limit: expected a rate", rule.where.text());
        set_meter(*rule.rate, out);
        if (rule.tcp_flags) out.flags |= RULE_FIRST_ONLY;
    }
    if (rule.action == config::Action::evaluate && rule.when &&
        rule.when->overload == config::DefaultAction::allow)
        out.flags |= RULE_FALLBACK_ALLOW;
    if (!rule.stateful) out.flags |= RULE_STATELESS;
    if (rule.dry_run) out.flags |= RULE_DRY_RUN;
    if (rule.set_dscp) {
        out.flags |= RULE_SET_DSCP;
        out.dscp = *rule.set_dscp;
    }
    return out;
}

}  // namespace sluice::compile
