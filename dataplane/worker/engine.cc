// SPDX-License-Identifier: Apache-2.0
#include "dataplane/worker/engine.h"

#include "dataplane/worker/answers.h"
#include "dataplane/worker/decapsulate.h"
#include "dataplane/worker/engine_waiting.h"
#include "dataplane/worker/fragments.h"

namespace sluice {

namespace {

constexpr u32 waits = VERDICT_WAIT;
constexpr size_t cache_line = 64;
constexpr size_t headers_ahead = 12;  // frames whose first line is asked for before they are parsed

u32 ticks_of(u64 ns) { return static_cast<u32>(ns >> 20); }

// One packet of the batch between two passes.
struct Slot {
    pipeline_context context;
    struct packet packet;
    u32 word;
    u64 key;  // with VERDICT_WAIT: what it waits for
    Decapsulation undo;
};

}  // namespace

struct Engine::State final : Surroundings {
    State(const struct tables& view, Router& to, const EngineOptions& chosen)
        : router(to),
          options(chosen),
          fragments(chosen.fragments, ticks_of(chosen.fragment_ns), view.node->flow_seed),
          fragment_room(chosen.waiting_fragments),
          neighbor_room(chosen.waiting_neighbors),
          answers(chosen.answers_per_second, chosen.answers_burst) {
        s.tables = view;
        s.tables.surroundings = this;
        s.tables.punts = 0;
    }

    u32 route(const pipeline_context& context, const address& to, next_hop& hop) override;
    u32 fragment(pipeline_context& context) override;

    // The short way (pipeline/settled.h), in the same three passes; false: the long way, please.
    [[gnu::always_inline]] inline bool read_settled(pipeline& p, size_t i, const Frame& frame);
    [[gnu::always_inline]] inline bool find_settled(const pipeline& p, size_t i);
    [[gnu::always_inline]] inline bool forward_settled(pipeline& p, size_t i, Frame& frame,
                                                       Decision& decision);
    void settle_tally();
    void first_pass(Slot& slot, Frame& frame);
    u32 first_pass_inside(Slot& slot, const Frame& frame);
    // Inlined by force: GCC 12 takes a function that only prefetches for one without effect and drops its
    // calls.
    [[gnu::always_inline]] inline void prefetch_tags(u64 hash) const;
    [[gnu::always_inline]] inline void prefetch_flow(const Slot& slot) const;
    [[gnu::always_inline]] inline void prefetch_claim(u64 hash) const;
    [[gnu::always_inline]] inline void prefetch_counters(u32 index) const;
    [[gnu::always_inline]] inline void prefetch_addresses(u32 index) const;
    void third_pass(Slot& slot, Frame& frame);
    void hold(Slot& slot, const Frame& frame, const WaitingFrame* before);
    void uncount_rule() const;
    void count(const Slot& slot, const WaitingFrame* before) const;

    struct pipeline s {};
    std::array<Slot, batch_size> slots;
    std::array<settled, batch_size> settled_slots;
    std::array<bool, batch_size> is_settled;
    pipeline_context settled_context;
    u64 settled_packets = 0;
    u32 settled_device = 0;  // of the frame before, and its port
    u32 settled_port = 0;
    struct {
        u32 port;
        u64 packets;
        u64 bytes;
    } tally{};  // forwarded by the short way, from one port, and not yet in its counters
    Router& router;
    EngineOptions options;
    FragmentTable fragments;
    WaitingRoom fragment_room;
    WaitingRoom neighbor_room;
    Answers answers;
    u64 key = 0;            // of the last packet that asked for a route or its fragment's ports
    u32 route_epoch = 0;    // that those in neighbor_room have been tried under
    u32 current_epoch = 0;  // as the batch began
    bool released = false;

    std::array<WaitingFrame, batch_size> taken;  // out of a room
    std::array<Frame, batch_size> due_frames;
    bool again = false;  // the batch under way is `taken`
};

u32 Engine::State::route(const pipeline_context& context, const address& to, next_hop& hop) {
    const u32 word = router.route(context, to, hop);
    if (word == drop(REASON_NO_NEIGHBOR)) {
        key = image_hash(&to, 0);
        s.tables.counters->neighbors_missing++;
    }
    return word;
}

u32 Engine::State::fragment(pipeline_context& context) {
    key = fragments.key(context.h);
    if (context.h.flags & HEADER_FIRST_FRAGMENT) {
        fragments.remember(key, context.h, context.now);
        released |= fragment_room.release(key);
        return 0;
    }
    return fragments.recall(key, context.h, context.now) ? 0 : waits;
}

void Engine::State::first_pass(Slot& slot, Frame& frame) {
    s.packet = {frame.data, frame.end, static_cast<struct frame*>(&frame)};
    s.context = &slot.context;
    slot.undo.data = nullptr;
    pipeline_begin(&s, frame.ifindex, 0);
    u32 word = pipeline_first(&s);
    if (word == punt(PUNT_TUNNEL)) [[unlikely]]
        word = first_pass_inside(slot, frame);
    slot.key = key;
    slot.packet = s.packet;
    slot.word = word;
}

// Of the packet inside a tunnel's. Counted as it was received, outer headers included.
__attribute__((noinline)) u32 Engine::State::first_pass_inside(Slot& slot, const Frame& frame) {
    const u32 length = slot.context.length;
    const u32 word = decapsulate(s, slot.undo);
    if (word != 0) return word;
    pipeline_begin(&s, frame.ifindex, CONTEXT_DECAPSULATED);
    slot.context.length = length;
    return pipeline_first(&s);
}

void Engine::State::prefetch_tags(u64 hash) const {
    const u32 mask = s.tables.node->flow_bucket_mask;
    __builtin_prefetch(flow_tags_at(&s.tables, flow_bucket_first(hash, mask)));
    __builtin_prefetch(flow_tags_at(&s.tables, flow_bucket_second(hash, mask)));
}

bool Engine::State::read_settled(pipeline& p, size_t i, const Frame& frame) {
    if (frame.ifindex != settled_device) [[unlikely]] {
        settled_device = frame.ifindex;
        settled_port = node_port_find(s.tables.node, frame.ifindex, 0);
    }
    p.packet = {frame.data, frame.end, nullptr};
    p.context = &settled_context;
    return settled_read(&p, settled_port, &settled_slots[i]) == VERDICT_FORWARD;
}

bool Engine::State::find_settled(const pipeline& p, size_t i) {
    settled& k = settled_slots[i];
    if (!settled_find(&p.tables, &k)) return false;
    __builtin_prefetch(flow_at(&p.tables, k.index));
    prefetch_counters(k.index);
    return true;
}

bool Engine::State::forward_settled(pipeline& p, size_t i, Frame& frame, Decision& decision) {
    const settled& k = settled_slots[i];
    const pipeline_context& c = settled_context;
    const u32 length = static_cast<u32>(frame.end - frame.data);
    p.packet = {frame.data, frame.end, static_cast<struct frame*>(&frame)};
    p.context = &settled_context;
    const u32 word = settled_forward(&p, &k, p.tables.now);
    if (word == 0) return false;
    frame.data = p.packet.data;
    if (word != VERDICT_FORWARD || k.port != tally.port) [[unlikely]] {
        settle_tally();
        tally.port = k.port;
    }
    if (word == VERDICT_FORWARD) [[likely]] {
        tally.packets++;
        tally.bytes += length;
    } else {
        struct port_counters* counters = port_counters_at(&p.tables, k.port % NODE_PORTS);
        count_received(counters, length);
        count_verdict(counters, word, length);
    }
    decision = {word, k.port, c.hop.port, c.service, c.backend, c.rule, length, 0};
    return true;
}

void Engine::State::settle_tally() {
    struct port_counters* counters = port_counters_at(&s.tables, tally.port % NODE_PORTS);
    counters->received_packets += tally.packets;
    counters->received_bytes += tally.bytes;
    counters->packets[VERDICT_FORWARD] += tally.packets;
    counters->bytes[VERDICT_FORWARD] += tally.bytes;
    settled_packets += tally.packets;
    tally = {tally.port, 0, 0};
}

// Every fourth entry lies across two lines.
void Engine::State::prefetch_counters(u32 index) const {
    const flow_counters* counters = flow_counters_at(&s.tables, index);
    __builtin_prefetch(counters, 1);
    __builtin_prefetch(reinterpret_cast<const u8*>(counters + 1) - 1, 1);
}

// Every second one does.
void Engine::State::prefetch_addresses(u32 index) const {
    const flow_addresses* addresses = flow_addresses_at(&s.tables, index);
    __builtin_prefetch(addresses);
    __builtin_prefetch(reinterpret_cast<const u8*>(addresses + 1) - 1);
}

// What flow_claim() will read for a new flow: the free slot, or all of a full bucket to choose from.
void Engine::State::prefetch_claim(u64 hash) const {
    const u32 mask = s.tables.node->flow_bucket_mask;
    u32 bucket = flow_bucket_first(hash, mask);
    const u32 second = flow_bucket_second(hash, mask);
    u64 empty = flow_tag_match(*flow_tags_at(&s.tables, bucket), 0);
    const u64 second_empty = flow_tag_match(*flow_tags_at(&s.tables, second), 0);
    if (flow_match_count(second_empty) > flow_match_count(empty)) {
        bucket = second;
        empty = second_empty;
    }
    const u32 first = bucket * FLOW_BUCKET_SLOTS;
    if (empty != 0) {
        const u32 index = first + flow_match_slot(empty);
        __builtin_prefetch(flow_at(&s.tables, index), 1);
        prefetch_counters(index);
        return;
    }
    for (u32 i = 0; i < FLOW_BUCKET_SLOTS; i++) __builtin_prefetch(flow_at(&s.tables, first + i), 1);
    const auto* counters = reinterpret_cast<const u8*>(flow_counters_at(&s.tables, first));
    for (size_t at = 0; at < FLOW_BUCKET_SLOTS * sizeof(flow_counters); at += cache_line)
        __builtin_prefetch(counters + at, 1);
}

void Engine::State::prefetch_flow(const Slot& slot) const {
    const u64 hash = slot.context.q.hash;
    const u32 mask = s.tables.node->flow_bucket_mask;
    u32 bucket = flow_bucket_first(hash, mask);
    u64 match = flow_tag_match(*flow_tags_at(&s.tables, bucket), flow_tag(hash));
    if (match == 0) {
        bucket = flow_bucket_second(hash, mask);
        match = flow_tag_match(*flow_tags_at(&s.tables, bucket), flow_tag(hash));
        if (match == 0) return prefetch_claim(hash);
    }
    const u32 index = bucket * FLOW_BUCKET_SLOTS + flow_match_slot(match);
    __builtin_prefetch(flow_at(&s.tables, index));
    prefetch_counters(index);
    if (slot.context.h.family == 6) prefetch_addresses(index);
}

void Engine::State::third_pass(Slot& slot, Frame& frame) {
    s.packet = slot.packet;
    s.context = &slot.context;
    s.ref = {nullptr, &slot.context.place};
    u32 word = slot.word;
    if (word == 0) word = pipeline_second(&s);
    if (verdict_of(word) == VERDICT_REJECT) [[unlikely]] {
        word = answers.compose(s, word);
        slot.context.hop.port = static_cast<u16>(slot.context.port);
    }
    if (word == drop(REASON_NO_NEIGHBOR) && neighbor_room.capacity() != 0) [[unlikely]] {
        uncount_rule();
        if (slot.context.flags & CONTEXT_METERED) meter_refund(&s);
        slot.key = key;
        word = verdict_word(VERDICT_WAIT, REASON_NO_NEIGHBOR);
    }
    if (slot.undo.data != nullptr && (word == VERDICT_PASS || verdict_of(word) == VERDICT_WAIT)) [[unlikely]]
        encapsulate_again(s.packet, slot.undo);
    slot.word = word;
    frame.data = s.packet.data;
    frame.end = s.packet.end;
}

// The policy will be asked again about a packet that waits where no flow keeps its answer.
void Engine::State::uncount_rule() const {
    const pipeline_context& c = *s.context;
    if (!(c.flags & (CONTEXT_STATELESS | CONTEXT_REVALIDATE)) || c.direction != 0) return;
    const image_rule* rule = rule_record(&s, c.rule);
    if (rule == nullptr) return;
    pair_counters* counters = rule_counters_at(&s.tables, rule->id);
    counters->packets--;
    counters->bytes -= c.length;
}

// Puts the frame of a packet that must wait into its room; no room is a drop. `before`: its first wait, if
// this is not it.
void Engine::State::hold(Slot& slot, const Frame& frame, const WaitingFrame* before) {
    const bool neighbor = detail_of(slot.word) == REASON_NO_NEIGHBOR;
    WaitingRoom& room = neighbor ? neighbor_room : fragment_room;
    if (neighbor && room.empty()) route_epoch = current_epoch;
    WaitingFrame waiting{frame, slot.key, s.tables.now_ns, slot.context.port, slot.context.length, false};
    if (before != nullptr) {
        waiting = *before;
        waiting.frame = frame;
        waiting.key = slot.key;
        waiting.due = false;
    }
    if (!neighbor && fragments.knows(slot.key, s.tables.now))
        released = waiting.due = true;  // came in the same batch
    if (!room.add(waiting)) {
        slot.word = drop(neighbor ? REASON_WAIT_FULL : REASON_FRAGMENT_TABLE_FULL);
        return;
    }
    if (before == nullptr) count_received(port_counters_at(&s.tables, waiting.port), waiting.length);
}

void Engine::State::count(const Slot& slot, const WaitingFrame* before) const {
    const u32 port = before != nullptr ? before->port : slot.context.port;
    const u32 length = before != nullptr ? before->length : slot.context.length;
    struct port_counters* counters = port_counters_at(&s.tables, port % NODE_PORTS);
    if (before == nullptr) count_received(counters, length);
    count_verdict(counters, slot.word, length);
}

Engine::Engine(const struct tables& view, Router& router, const EngineOptions& options)
    : image_(view.image), state_(std::make_unique<State>(view, router, options)) {}

Engine::~Engine() = default;

size_t Engine::waiting() const { return state_->fragment_room.size() + state_->neighbor_room.size(); }

u64 Engine::settled_packets() const { return state_->settled_packets; }

void Engine::enter(u64 now_ns) {
    epoch_.store(epoch_.load(std::memory_order_relaxed) + 1, std::memory_order_seq_cst);
    const image_line* image = image_.load(std::memory_order_seq_cst);
    struct tables& tables = state_->s.tables;
    tables.image = image;
    tables.image_lines = image != nullptr ? reinterpret_cast<const image_header*>(image)->lines : 0;
    tables.now_ns = now_ns;
    tables.now = ticks_of(now_ns);
    tables.stamp = route_stamp(tables.node, tables.now);
    state_->current_epoch = LOAD_ACQUIRE(&tables.node->route_epoch);
}

void Engine::leave() { epoch_.store(epoch_.load(std::memory_order_relaxed) + 1, std::memory_order_release); }

void Engine::process(std::span<Frame> batch) {
    State& state = *state_;
    const size_t count = batch.size();
    const bool settle = !state.again && state.s.tables.node->long_way == 0;
    state.settled_device = 0;
    pipeline settling = state.s;  // a copy that nothing else sees, so that the compiler keeps it in registers
    for (size_t i = 0; i < std::min(count, headers_ahead); i++) __builtin_prefetch(batch[i].data);
    for (size_t i = 0; i < count; i++) {
        if (i + headers_ahead < count) __builtin_prefetch(batch[i + headers_ahead].data);
        state.is_settled[i] = settle && state.read_settled(settling, i, batch[i]);
        if (state.is_settled[i]) {
            state.prefetch_tags(state.settled_slots[i].hash);
        } else {
            state.first_pass(state.slots[i], batch[i]);
            if (state.slots[i].word == 0) state.prefetch_tags(state.slots[i].context.q.hash);
        }
    }
    for (size_t i = 0; i < count; i++) {
        if (state.is_settled[i] && !(state.is_settled[i] = state.find_settled(settling, i)))
            state.first_pass(state.slots[i], batch[i]);
        if (!state.is_settled[i] && state.slots[i].word == 0) state.prefetch_flow(state.slots[i]);
    }
    for (size_t i = 0; i < count; i++) {
        if (!state.is_settled[i]) {
            process_one(i, batch[i]);
        } else if (!state.forward_settled(settling, i, batch[i], decisions_[i])) [[unlikely]] {
            state.first_pass(state.slots[i], batch[i]);
            process_one(i, batch[i]);
        }
    }
    state.settle_tally();
    released_ = state.released;
}

void Engine::process_one(size_t i, Frame& frame) {
    State& state = *state_;
    Slot& slot = state.slots[i];
    const WaitingFrame* before = state.again ? &state.taken[i] : nullptr;
    state.third_pass(slot, frame);
    if (verdict_of(slot.word) == VERDICT_WAIT) [[unlikely]]
        state.hold(slot, frame, before);
    if (verdict_of(slot.word) != VERDICT_WAIT) state.count(slot, before);
    const pipeline_context& c = slot.context;
    const u32 length = before != nullptr ? before->length : c.length;
    const u32 split = c.flags & CONTEXT_SPLIT ? port_of(&state.s, c.hop.port)->mtu : 0;
    decisions_[i] = {slot.word, c.port, c.hop.port, c.service, c.backend, c.rule, length, split};
}

size_t Engine::process_due() {
    State& state = *state_;
    state.released = released_ = false;
    if (waiting() == 0) return 0;
    if (state.route_epoch != state.current_epoch) {
        state.neighbor_room.release_all();
        state.route_epoch = state.current_epoch;
    }
    const auto is_due = [](const WaitingFrame& frame) { return frame.due; };
    size_t count = state.fragment_room.take(state.taken.data(), batch_size, is_due);
    if (count == 0) count = state.neighbor_room.take(state.taken.data(), batch_size, is_due);
    if (count != 0) {
        for (size_t i = 0; i < count; i++) state.due_frames[i] = state.taken[i].frame;
        state.again = true;
        process(due().first(count));
        state.again = false;
        return count;
    }
    return give_up();
}

size_t Engine::give_up() {
    State& state = *state_;
    const u64 now = state.s.tables.now_ns;
    const auto is_late = [&](const WaitingFrame& frame) {
        return flush_ || now - frame.since_ns >= state.options.wait_ns;
    };
    u32 word = drop(REASON_FRAGMENT_TIMEOUT);
    size_t count = state.fragment_room.take(state.taken.data(), batch_size, is_late);
    if (count == 0) {
        word = drop(REASON_NO_NEIGHBOR);
        count = state.neighbor_room.take(state.taken.data(), batch_size, is_late);
    }
    for (size_t i = 0; i < count; i++) {
        const WaitingFrame& frame = state.taken[i];
        state.due_frames[i] = frame.frame;
        decisions_[i] = {word, frame.port, 0, 0, 0, 0, frame.length, 0};
        count_verdict(port_counters_at(&state.s.tables, frame.port % NODE_PORTS), word, frame.length);
    }
    return count;
}

std::span<Frame> Engine::due() { return state_->due_frames; }

}  // namespace sluice
