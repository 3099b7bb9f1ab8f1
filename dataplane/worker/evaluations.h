// SPDX-License-Identifier: Apache-2.0
//
// The engine's side of evaluation: which flows are undecided, and the frames that wait for their verdicts.
// All of fixed size, made at construction.
#pragma once

#include <array>
#include <memory>
#include <vector>

#include "dataplane/pipeline/stage.h"
#include "dataplane/worker/engine_waiting.h"
#include "dataplane/worker/evaluation_link.h"

namespace sluice {

class Evaluations {
public:
    static constexpr u32 frames_per_flow = 4;
    static constexpr u64 answer_lasts_ns = 100'000'000;  // for the packets that came before it

    // `link` may be null: then nobody can be asked. `frames` may wait at a time, each for `wait_ns` at most.
    Evaluations(std::shared_ptr<EvaluationLink> link, u32 frames, u64 wait_ns);

    // As Surroundings::evaluate(), for the snapshot `generation`. With VERDICT_WAIT last_key() is what hold()
    // is to be told.
    u32 ask(pipeline_context& context, const image_rule& rule, u32 generation, u64 now_ns);
    u64 last_key() const { return last_key_; }

    // Keeps a frame whose flow, waiting.key, is undecided. False: no room for it.
    bool hold(const WaitingFrame& waiting);

    // Once per batch: verdicts that have come, and the notice that there are questions.
    void read_answers(u64 now_ns);
    void send_questions();
    bool answered() const { return link_ && !link_->answers.empty(); }

    // Up to `most` of the frames whose flow has its verdict, or that have waited too long (`all`: however
    // long). How many.
    size_t take_decided(WaitingFrame* out, size_t most);
    size_t take_late(WaitingFrame* out, size_t most, u64 now_ns, bool all);

    size_t held() const { return held_; }
    EvaluationLink* link() const { return link_.get(); }

private:
    enum class State : u8 { empty, asked, decided };
    static constexpr u32 sets = 1024;
    static constexpr u32 ways = 4;
    static constexpr u32 none = ~0U;
    static constexpr u64 late_check_ns = 10'000'000;

    struct Slot {
        u64 source = 0;  // endpoint words of the flow
        u64 destination = 0;
        struct address source_address {};
        struct address destination_address {};
        u64 since_ns = 0;    // asked, or decided
        u32 generation = 0;  // snapshot that it was asked under: for another one it is no verdict
        u32 sequence = 0;    // tells this question from earlier ones of the slot
        u32 word = 0;        // decided
        u32 first = none;    // frames that wait, a list
        u32 last = none;
        u16 rule = 0;
        u8 frames = 0;
        State state = State::empty;
    };
    struct Held {
        WaitingFrame frame;
        u32 next = none;
    };

    bool is_for(const Slot& slot, const flow_query& q, u16 rule, u32 generation) const;
    bool is_free(const Slot& slot, u64 now_ns) const;
    Slot* find(const flow_query& q, u16 rule, u32 generation, u64 now_ns);
    Slot* place(const flow_query& q, u64 now_ns);
    bool put_question(const pipeline_context& context, u16 rule, u64 ticket, u64 now_ns);
    u32 ask_anew(const pipeline_context& context, u16 rule, u32 generation, u64 now_ns);
    size_t take_from(Slot& slot, WaitingFrame* out, size_t most);
    u32 number_of(const Slot& slot) const { return static_cast<u32>(&slot - slots_.data()); }

    std::shared_ptr<EvaluationLink> link_;
    u64 wait_ns_;
    std::vector<Slot> slots_;  // sets * ways
    std::vector<Held> frames_;
    std::vector<u32> free_frames_;
    std::vector<u32> due_;  // slots that are decided and hold frames
    size_t held_ = 0;
    u64 last_key_ = 0;
    u64 checked_ns_ = 0;  // for late ones
    bool questions_ = false;
};

}  // namespace sluice
