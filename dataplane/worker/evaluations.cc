// SPDX-License-Identifier: Apache-2.0
#include "dataplane/worker/evaluations.h"

namespace sluice {

namespace {

constexpr u32 waits = VERDICT_WAIT | REASON_EVALUATION << 8;

}  // namespace

Evaluations::Evaluations(std::shared_ptr<EvaluationLink> link, u32 frames, u64 wait_ns)
    : link_(std::move(link)), wait_ns_(wait_ns) {
    if (!link_) return;
    slots_.resize(size_t{sets} * ways);
    frames_.resize(frames);
    free_frames_.reserve(frames);
    for (u32 i = frames; i-- != 0;) free_frames_.push_back(i);
    due_.reserve(slots_.size());
}

bool Evaluations::is_for(const Slot& slot, const flow_query& q, u16 rule, u32 generation) const {
    return slot.source == q.source && slot.destination == q.destination && slot.rule == rule &&
           slot.generation == generation && address_equal(&slot.source_address, &q.source_address) &&
           address_equal(&slot.destination_address, &q.destination_address);
}

// A question that was never answered must not hold its slot for ever.
bool Evaluations::is_free(const Slot& slot, u64 now_ns) const {
    if (slot.state == State::empty) return true;
    if (slot.frames != 0) return false;
    return now_ns - slot.since_ns > (slot.state == State::decided ? answer_lasts_ns : wait_ns_);
}

Evaluations::Slot* Evaluations::find(const flow_query& q, u16 rule, u32 generation, u64 now_ns) {
    Slot* const set = &slots_[(q.hash & (sets - 1)) * ways];
    for (u32 i = 0; i < ways; ++i) {
        if (set[i].state != State::empty && is_for(set[i], q, rule, generation) && !is_free(set[i], now_ns))
            return &set[i];
    }
    return nullptr;
}

Evaluations::Slot* Evaluations::place(const flow_query& q, u64 now_ns) {
    Slot* const set = &slots_[(q.hash & (sets - 1)) * ways];
    Slot* oldest = nullptr;
    for (u32 i = 0; i < ways; ++i) {
        Slot& slot = set[i];
        if (is_free(slot, now_ns)) return &slot;
        if (slot.state != State::decided || slot.frames != 0) continue;
        if (oldest == nullptr || slot.since_ns < oldest->since_ns) oldest = &slot;
    }
    return oldest;
}

bool Evaluations::put_question(const pipeline_context& c, u16 rule, u64 ticket, u64 now_ns) {
    EvaluationQuestion* const out = link_->questions.reserve();
    if (out == nullptr) return false;
    out->ticket = ticket;
    out->arrived_ns = now_ns;
    out->flow = c.q;
    out->ingress = c.port;
    out->rule = rule;
    out->service = static_cast<u16>(c.service);
    out->source_port = c.h.source_port;
    out->destination_port = c.h.destination_port;
    out->protocol = c.h.protocol;
    out->family = c.h.family;
    out->known = ticket == 0;
    link_->questions.commit();
    questions_ = true;
    return true;
}

u32 Evaluations::ask_anew(const pipeline_context& c, u16 rule, u32 generation, u64 now_ns) {
    Slot* const slot = place(c.q, now_ns);
    if (slot == nullptr) return VERDICT_EVALUATE;
    const u32 sequence = slot->sequence + 1;
    const u64 ticket = number_of(*slot) | u64{sequence} << 32;
    if (sequence == 0 || !put_question(c, rule, ticket, now_ns)) {
        slot->sequence += sequence == 0;  // ticket 0 means nobody waits
        return VERDICT_EVALUATE;
    }
    *slot = {c.q.source,
             c.q.destination,
             c.q.source_address,
             c.q.destination_address,
             now_ns,
             generation,
             sequence,
             0,
             none,
             none,
             rule,
             0,
             State::asked};
    last_key_ = number_of(*slot);
    return waits;
}

u32 Evaluations::ask(pipeline_context& c, const image_rule& rule, u32 generation, u64 now_ns) {
    if (!link_) return VERDICT_EVALUATE;
    if (c.flags &
        CONTEXT_REVALIDATE) {  // goes on meanwhile; without room for the question, its next packet asks
        if (!put_question(c, rule.id, 0, now_ns)) c.flags |= CONTEXT_UNASKED;
        return 0;
    }
    const Slot* const slot = find(c.q, rule.id, generation, now_ns);
    if (slot == nullptr) return ask_anew(c, rule.id, generation, now_ns);
    last_key_ = number_of(*slot);
    if (slot->state == State::asked) return waits;
    c.flags |= CONTEXT_EVALUATED;
    return slot->word;
}

bool Evaluations::hold(const WaitingFrame& waiting) {
    Slot& slot = slots_[waiting.key];
    if (slot.frames >= frames_per_flow || free_frames_.empty()) return false;
    const u32 at = free_frames_.back();
    free_frames_.pop_back();
    frames_[at] = {waiting, none};
    (slot.frames == 0 ? slot.first : frames_[slot.last].next) = at;
    slot.last = at;
    slot.frames++;
    held_++;
    return true;
}

void Evaluations::read_answers(u64 now_ns) {
    if (!link_) return;
    while (const EvaluationAnswer* const answer = link_->answers.front()) {
        Slot& slot = slots_[answer->ticket % slots_.size()];
        if (slot.state == State::asked && slot.sequence == answer->ticket >> 32) {
            slot.state = State::decided;
            slot.word = answer->word;
            if (slot.frames != 0) {
                slot.since_ns = now_ns;
                due_.push_back(number_of(slot));
            }
        }
        link_->answers.pop();
    }
}

void Evaluations::send_questions() {
    if (!questions_) return;
    questions_ = false;
    link_->to_decider->wake();
}

size_t Evaluations::take_from(Slot& slot, WaitingFrame* out, size_t most) {
    size_t taken = 0;
    for (; slot.frames != 0 && taken < most; slot.frames--, held_--) {
        const u32 at = slot.first;
        out[taken++] = frames_[at].frame;
        slot.first = frames_[at].next;
        free_frames_.push_back(at);
    }
    return taken;
}

size_t Evaluations::take_decided(WaitingFrame* out, size_t most) {
    size_t taken = 0;
    while (!due_.empty() && taken < most) {
        Slot& slot = slots_[due_.back()];
        taken += take_from(slot, out + taken, most - taken);
        if (slot.frames == 0) due_.pop_back();
    }
    return taken;
}

size_t Evaluations::take_late(WaitingFrame* out, size_t most, u64 now_ns, bool all) {
    if (held_ == 0 || (!all && now_ns - checked_ns_ < late_check_ns)) return 0;
    size_t taken = 0;
    for (Slot& slot : slots_) {
        if (slot.frames == 0 || taken == most) continue;
        const bool late = slot.state == State::asked && now_ns - slot.since_ns >= wait_ns_;
        if (all || late) taken += take_from(slot, out + taken, most - taken);
    }
    if (taken == 0) checked_ns_ = now_ns;
    if (all) due_.clear();
    return taken;
}

}  // namespace sluice
