// SPDX-License-Identifier: Apache-2.0
#include "dataplane/worker/engine.h"

#include "dataplane/worker/answers.h"
#include "dataplane/worker/capture_tap.h"
#include "dataplane/worker/decapsulate.h"
#include "dataplane/worker/dns_tap.h"
#include "dataplane/worker/engine_settled.h"
#include "dataplane/worker/engine_waiting.h"
#include "dataplane/worker/evaluations.h"
#include "dataplane/worker/fragments.h"

namespace sluice {

namespace {

constexpr u32 waits = VERDICT_WAIT;
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
          evaluations(chosen.evaluation, chosen.waiting_evaluations, chosen.evaluation_ns),
          dns(chosen.evaluation),
          answers(chosen.answers_per_second, chosen.answers_burst) {
        s.tables = view;
        s.tables.surroundings = this;
        s.tables.punts = 0;
    }

    u32 route(const pipeline_context& context, const address& to, next_hop& hop) override;
    u32 fragment(pipeline_context& context) override;
    u32 evaluate(pipeline_context& context, const image_rule& rule) override;

    [[gnu::noinline]] void first_pass(Slot& slot, Frame& frame);
    u32 first_pass_inside(Slot& slot, const Frame& frame);
    void third_pass(Slot& slot, Frame& frame);
    void hold(Slot& slot, const Frame& frame, const WaitingFrame* before);
    u32 wait(const WaitingFrame& waiting, u32 why, u32 word);
    void uncount_rule() const;
    void count(const Slot& slot, const WaitingFrame* before) const;
    bool show(const Slot& slot, const Frame& frame, const Decision& decision);

    struct pipeline s {};
    std::array<Slot, batch_size> slots;
    SettledBatch settled;
    Router& router;
    EngineOptions options;
    FragmentTable fragments;
    WaitingRoom fragment_room;
    WaitingRoom neighbor_room;
    Evaluations evaluations;
    DnsTap dns;
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

u32 Engine::State::evaluate(pipeline_context& context, const image_rule& rule) {
    return evaluations.ask(context, rule, s.tables.node->generation, s.tables.now_ns);
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
    if (word == drop(REASON_EVALUATION) && (slot.context.flags & CONTEXT_EVALUATED)) [[unlikely]]
        admit_denied(&s);
    if (word == verdict_word(VERDICT_WAIT, REASON_EVALUATION)) [[unlikely]]
        slot.key = evaluations.last_key();
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
    for (const u32 position : {c.rule, c.dry_run}) {
        const image_rule* rule = rule_record(&s, position);
        if (rule == nullptr) continue;
        pair_counters* counters = rule_counters_at(&s.tables, rule->id);
        counters->packets--;
        counters->bytes -= c.length;
    }
}

// Into the room for what waits because of `why`: `word`, or a drop where it is full.
u32 Engine::State::wait(const WaitingFrame& waiting, u32 why, u32 word) {
    if (why == REASON_EVALUATION) return evaluations.hold(waiting) ? word : drop(REASON_EVALUATION_WAIT);
    if (why == REASON_NO_NEIGHBOR) return neighbor_room.add(waiting) ? word : drop(REASON_WAIT_FULL);
    return fragment_room.add(waiting) ? word : drop(REASON_FRAGMENT_TABLE_FULL);
}

// Puts the frame of a packet that must wait into its room; no room is a drop. `before`: its first wait, if
// this is not it.
void Engine::State::hold(Slot& slot, const Frame& frame, const WaitingFrame* before) {
    const u32 why = detail_of(slot.word);
    const bool neighbor = why == REASON_NO_NEIGHBOR;
    if (neighbor && neighbor_room.empty()) route_epoch = current_epoch;
    WaitingFrame waiting{frame, slot.key, s.tables.now_ns, slot.context.port, slot.context.length, false};
    if (before != nullptr) {
        waiting = *before;
        waiting.frame = frame;
        waiting.key = slot.key;
        waiting.due = false;
    }
    if (why == 0 && fragments.knows(slot.key, s.tables.now))
        released = waiting.due = true;  // came in the same batch
    slot.word = wait(waiting, why, slot.word);
    if (verdict_of(slot.word) == VERDICT_DROP) return;
    if (before == nullptr) count_received(port_counters_at(&s.tables, waiting.port), waiting.length);
}

void Engine::State::count(const Slot& slot, const WaitingFrame* before) const {
    const u32 port = before != nullptr ? before->port : slot.context.port;
    const u32 length = before != nullptr ? before->length : slot.context.length;
    struct port_counters* counters = port_counters_at(&s.tables, port % NODE_PORTS);
    if (before == nullptr) count_received(counters, length);
    count_verdict(counters, slot.word, length);
}

// Whether the packet is a DNS answer that the evaluator is to see first. It waits, and is counted as
// received.
bool Engine::State::show(const Slot& slot, const Frame& frame, const Decision& decision) {
    const headers& h = slot.context.h;
    const struct flow* const flow = s.ref.flow;
    if (slot.word != VERDICT_FORWARD || slot.context.direction == 0 || h.protocol != PROTOCOL_UDP)
        return false;
    if (flow == nullptr || (flow->flags & FLOW_OBSERVED) == 0) return false;
    const u32 payload = h.l4 + static_cast<u32>(sizeof(udp_header));
    if (h.end < payload) return false;
    return dns.show(frame, decision, slot.packet.data + payload, h.end - payload, s.tables.now_ns);
}

Engine::Engine(const struct tables& view, Router& router, const EngineOptions& options)
    : image_(view.image), state_(std::make_unique<State>(view, router, options)) {}

Engine::~Engine() = default;

size_t Engine::waiting() const {
    return state_->fragment_room.size() + state_->neighbor_room.size() + state_->evaluations.held() +
           state_->dns.held();
}

bool Engine::answered() const { return state_->evaluations.answered() || state_->dns.ready(); }

EvaluationLink* Engine::link() const { return state_->evaluations.link(); }

u64 Engine::settled_packets() const { return state_->settled.total(); }

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
    state_->evaluations.read_answers(now_ns);
}

void Engine::leave() {
    if (state_->dns.take_news()) link()->to_decider->wake();
    state_->evaluations.send_questions();
    epoch_.store(epoch_.load(std::memory_order_relaxed) + 1, std::memory_order_release);
}

CaptureTap* Engine::capture() const {
    CaptureTap* const tap = state_->options.capture.get();
    return tap != nullptr && tap->on() ? tap : nullptr;
}

void Engine::process(std::span<Frame> batch) {
    CaptureTap* const tap = capture();
    if (tap != nullptr) [[unlikely]]
        tap->begin(batch, state_->s.tables.now_ns);
    decide(batch);
    if (tap != nullptr) [[unlikely]]
        tap->end(batch, decisions_.data());
}

void Engine::decide(std::span<Frame> batch) {
    State& state = *state_;
    const size_t count = batch.size();
    const bool settle = !state.again && state.s.tables.node->long_way == 0;
    pipeline own = state.s;  // see engine_settled.h
    state.settled.begin();
    for (size_t i = 0; i < std::min(count, headers_ahead); i++) __builtin_prefetch(batch[i].data);
    for (size_t i = 0; i < count; i++) {
        if (i + headers_ahead < count) __builtin_prefetch(batch[i + headers_ahead].data);
        if (settle && state.settled.read(own, i, batch[i])) continue;
        state.first_pass(state.slots[i], batch[i]);
        if (state.slots[i].word == 0) prefetch_tags(own.tables, state.slots[i].context.q.hash);
    }
    for (size_t i = 0; i < count; i++) {
        const Slot& slot = state.slots[i];
        if (settle && state.settled.on(i)) {
            if (state.settled.find(own, i)) continue;
            state.first_pass(state.slots[i], batch[i]);
        }
        if (slot.word == 0) prefetch_flow(own.tables, slot.context.q.hash, slot.context.h.family == 6);
    }
    for (size_t i = 0; i < count; i++) {
        if (settle && state.settled.on(i)) {
            if (state.settled.forward(own, i, batch[i], decisions_[i])) continue;
            state.first_pass(state.slots[i], batch[i]);
        }
        process_one(i, batch[i]);
    }
    state.settled.count(own.tables);
    released_ = state.released;
}

void Engine::process_one(size_t i, Frame& frame) {
    State& state = *state_;
    Slot& slot = state.slots[i];
    const WaitingFrame* before = state.again ? &state.taken[i] : nullptr;
    state.third_pass(slot, frame);
    if (verdict_of(slot.word) == VERDICT_WAIT) [[unlikely]]
        state.hold(slot, frame, before);
    const pipeline_context& c = slot.context;
    const u32 length = before != nullptr ? before->length : c.length;
    const u32 split = c.flags & CONTEXT_SPLIT ? port_of(&state.s, c.hop.port)->mtu : 0;
    decisions_[i] = {slot.word, c.port, c.hop.port, c.service, c.backend, c.rule, length, split};
    if (state.show(slot, frame, decisions_[i])) [[unlikely]] {
        decisions_[i].word = VERDICT_WAIT;
        if (before == nullptr) count_received(port_counters_at(&state.s.tables, c.port % NODE_PORTS), length);
    } else if (verdict_of(slot.word) != VERDICT_WAIT) {
        state.count(slot, before);
    }
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
    if (count == 0) count = state.evaluations.take_decided(state.taken.data(), batch_size);
    if (count != 0) {
        for (size_t i = 0; i < count; i++) state.due_frames[i] = state.taken[i].frame;
        state.again = true;
        process(due().first(count));
        state.again = false;
        return count;
    }
    count =
        state.dns.take(state.due_frames.data(), decisions_.data(), batch_size, state.s.tables.now_ns, flush_);
    for (size_t i = 0; i < count; i++) {
        const Decision& d = decisions_[i];
        count_verdict(port_counters_at(&state.s.tables, d.port % NODE_PORTS), d.word, d.length);
    }
    show_due(count, true);
    return count != 0 ? count : give_up();
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
    if (count == 0) {
        word = drop(REASON_EVALUATION_TIMEOUT);
        count = state.evaluations.take_late(state.taken.data(), batch_size, now, flush_);
    }
    for (size_t i = 0; i < count; i++) {
        const WaitingFrame& frame = state.taken[i];
        state.due_frames[i] = frame.frame;
        decisions_[i] = {word, frame.port, 0, 0, 0, 0, frame.length, 0};
        count_verdict(port_counters_at(&state.s.tables, frame.port % NODE_PORTS), word, frame.length);
    }
    show_due(count, false);
    return count;
}

// To a capture: the first of due(), which are not processed again.
void Engine::show_due(size_t count, bool leave) {
    CaptureTap* const tap = count != 0 ? capture() : nullptr;
    if (tap != nullptr) [[unlikely]]
        tap->show(due().first(count), decisions_.data(), leave, state_->s.tables.now_ns);
}

std::span<Frame> Engine::due() { return state_->due_frames; }

}  // namespace sluice
