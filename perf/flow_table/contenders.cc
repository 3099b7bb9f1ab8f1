// SPDX-License-Identifier: Apache-2.0
#include "perf/flow_table/contenders.h"

namespace sluice::perf {

Result<std::unique_ptr<SluiceTable>> SluiceTable::create(u32 slots) {
    std::unique_ptr<SluiceTable> table(new SluiceTable);
    Result<TableMemory> memory =
        TableMemory::create({.flows = slots, .sources = 8, .backends = 1, .rules = 1});
    if (!memory) return memory.error();
    Result<WorkerCounters> counters = WorkerCounters::create(1, 1);
    if (!counters) return counters.error();
    table->memory_ = std::make_unique<TableMemory>(std::move(*memory));
    table->counters_ = std::make_unique<WorkerCounters>(std::move(*counters));
    table->memory_->fill(table->view_);
    table->counters_->fill(table->view_);
    for (u32& timeout : table->memory_->node().timeout) timeout = 1u << 30;
    return table;
}

flow_query SluiceTable::query(u64 flow) const {
    const Key key = key_of(flow);
    flow_query q;
    q.source_address = address_from_ipv4_word(static_cast<u32>(key.addresses));
    q.destination_address = address_from_ipv4_word(static_cast<u32>(key.addresses >> 32));
    q.source = flow_endpoint_word(&q.source_address, static_cast<u16>(key.ports), 6, 4);
    q.destination = flow_endpoint_word(&q.destination_address, static_cast<u16>(key.ports >> 16), 6, 4);
    q.hash = flow_hash(q.source, q.destination, view_.node->flow_seed);
    return q;
}

bool SluiceTable::insert(u64 flow) {
    const flow_query q = query(flow);
    flow_place place;
    flow_place scratch;
    flow_ref ref = {nullptr, &place};
    if (!flow_claim(&view_, q.hash, 1, &ref)) return false;
    flow_word_store(&ref.flow->initiator, q.source);
    flow_word_store(&ref.flow->responder, q.destination);
    ref.flow->last_seen = 1;
    ref.flow->target = static_cast<u32>(flow) + 1;
    ref.flow->state = STATE_TCP_ESTABLISHED;
    return flow_publish_unique(&view_, &q, &ref, &scratch);
}

u64 SluiceTable::find(u64 flow) {
    const flow_query q = query(flow);
    flow_place place;
    flow_ref ref = {nullptr, &place};
    return flow_find(&view_, &q, &ref) ? ref.flow->target : 0;
}

void SluiceTable::find_batch(const u64* flows, u64* words) {
    flow_query q[batch];
    const u32 mask = view_.node->flow_bucket_mask;
    for (u32 i = 0; i < batch; i++) {
        q[i] = query(flows[i]);
        __builtin_prefetch(flow_tags_at(&view_, flow_bucket_first(q[i].hash, mask)));
        __builtin_prefetch(flow_tags_at(&view_, flow_bucket_second(q[i].hash, mask)));
    }
    for (u32 i = 0; i < batch; i++) {
        const u8 tag = flow_tag(q[i].hash);
        u32 bucket = flow_bucket_first(q[i].hash, mask);
        u64 match = bytes_equal(*flow_tags_at(&view_, bucket), tag);
        if (match == 0) {
            bucket = flow_bucket_second(q[i].hash, mask);
            match = bytes_equal(*flow_tags_at(&view_, bucket), tag);
        }
        if (match != 0) __builtin_prefetch(flow_at(&view_, bucket * FLOW_BUCKET_SLOTS + first_byte(match)));
    }
    for (u32 i = 0; i < batch; i++) {
        flow_place place;
        flow_ref ref = {nullptr, &place};
        words[i] = flow_find(&view_, &q[i], &ref) ? ref.flow->target : 0;
    }
}

Result<std::unique_ptr<AbslTable>> AbslTable::create(u32 slots) {
    auto table = std::make_unique<AbslTable>();
    table->map_.reserve(slots / 8 * 6);
    return table;
}

u64 AbslTable::find(u64 flow) const {
    const auto at = map_.find(key_of(flow));
    return at == map_.end() ? 0 : at->second.word[0];
}

void AbslTable::find_batch(const u64* flows, u64* words) const {
    for (u32 i = 0; i < batch; i++) map_.prefetch(key_of(flows[i]));
    for (u32 i = 0; i < batch; i++) words[i] = find(flows[i]);
}

Result<std::unique_ptr<StdTable>> StdTable::create(u32 slots) {
    auto table = std::make_unique<StdTable>();
    table->map_.reserve(slots);
    return table;
}

u64 StdTable::find(u64 flow) const {
    const auto at = map_.find(key_of(flow));
    return at == map_.end() ? 0 : at->second.word[0];
}

void StdTable::find_batch(const u64* flows, u64* words) const {
    for (u32 i = 0; i < batch; i++) words[i] = find(flows[i]);
}

}  // namespace sluice::perf
