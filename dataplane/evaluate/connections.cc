// SPDX-License-Identifier: Apache-2.0
#include "dataplane/evaluate/connections.h"

#include <algorithm>

namespace sluice::evaluate {

namespace {

bool same_flow(const flow_query& a, const flow_query& b) {
    return a.source == b.source && a.destination == b.destination &&
           address_equal(&a.source_address, &b.source_address) &&
           address_equal(&a.destination_address, &b.destination_address);
}

}  // namespace

bool Connections::is_alive(const Held& held, u64 now_ns) const {
    flow_place place{};
    flow_ref ref{nullptr, &place};
    if (now_ns - held.since_ns < grace_ns) return true;
    if (!flow_find(&view_, &held.flow, &ref)) return false;
    const u8 mode = ref.flow->mode & MODE_MASK;
    if (mode == MODE_ALIAS || mode == MODE_DENIED || ref.flow->state == STATE_TCP_CLOSING) return false;
    return !flow_expired(&view_, ref.flow, static_cast<u32>(now_ns >> 20));
}

// Some of them, going round.
void Connections::check(Holder& holder, u64 now_ns) {
    for (size_t i = 0; i < checks && !holder.flows.empty(); ++i) {
        if (holder.next >= holder.flows.size()) holder.next = 0;
        if (is_alive(holder.flows[holder.next], now_ns)) {
            if (++holder.next >= holder.flows.size()) return;
            continue;
        }
        holder.flows[holder.next] = holder.flows.back();
        holder.flows.pop_back();
        held_--;
    }
}

bool Connections::admit(u16 rule, const flow_query& flow, u32 limit, u64 now_ns) {
    Holder& holder = holders_[{flow.source_address, rule}];
    const auto same = [&](const Held& held) { return same_flow(held.flow, flow); };
    const size_t looked_at = std::min<size_t>(holder.flows.size(), checks);
    const auto end = holder.flows.rbegin() + static_cast<std::ptrdiff_t>(looked_at);
    const auto at = std::find_if(holder.flows.rbegin(), end, same);
    if (at != end) {
        at->since_ns = now_ns;
        return true;
    }
    if (holder.flows.size() >= limit) {
        holder.next = 0;
        check(holder, now_ns);
    }
    if (holder.flows.size() >= limit) return false;
    holder.flows.push_back({flow, now_ns});
    held_++;
    return true;
}

void Connections::tidy(u64 now_ns) {
    for (size_t i = 0; i < checks && !holders_.empty(); ++i) {
        bucket_ = (bucket_ + 1) % holders_.bucket_count();
        for (auto at = holders_.begin(bucket_); at != holders_.end(bucket_); ++at) check(at->second, now_ns);
        const auto empty = std::find_if(holders_.begin(bucket_), holders_.end(bucket_),
                                        [](const auto& holder) { return holder.second.flows.empty(); });
        if (empty != holders_.end(bucket_)) holders_.erase(Key(empty->first));
    }
}

}  // namespace sluice::evaluate
