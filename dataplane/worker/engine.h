// SPDX-License-Identifier: Apache-2.0
//
// The engine: the shared pipeline over batches of frames, with what the XDP program leaves to user space:
// answers (RST, ICMP errors), fragments that wait for their first one, packets that wait for a neighbour,
// tunnels.
//
// One engine belongs to one worker thread. Frames are the worker's; the engine keeps the descriptor of a
// frame that waits, and gives it back by finish() like any other. A batch goes through in three passes (parse
// and hash, match tags, the rest), each asking memory for what the next one reads.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <memory>
#include <span>

#include "dataplane/io/frame.h"
#include "dataplane/pipeline/pipeline.h"
#include "dataplane/worker/evaluation_link.h"

namespace sluice {

struct Decision {
    u32 word = 0;     // verdict word: FORWARD, PASS, DROP(reason) or REJECT(answer)
    u32 port = 0;     // ingress, index into node_state.ports; 0: none of ours
    u32 egress = 0;   // FORWARD and REJECT: the port it leaves by
    u32 service = 0;  // id + 1; 0: none
    u32 backend = 0;  // id + 1; 0: none
    u32 rule = 0;     // position + 1; 0: the default
    u32 length = 0;   // bytes as received
    u32 split = 0;    // FORWARD: the MTU that its IP packet must be cut to (split.h); 0: it fits
};

// Next hops by the kernel's routes and neighbours.
struct Router {
    virtual ~Router() = default;
    // 0 with `hop` filled in, PASS where the host is to route the packet as it is, or drop(REASON_NO_ROUTE),
    // or drop(REASON_NO_NEIGHBOR) once resolution has been asked for. Called on the packet path: must not
    // block. node_state.route_epoch grows when the answer may have changed.
    virtual u32 route(const pipeline_context& context, const address& to, next_hop& hop) = 0;
};

class CaptureTap;

struct EngineOptions {
    u32 fragments = 16384;        // datagrams whose ports are remembered
    u32 waiting_fragments = 256;  // frames that may wait for their first fragment
    u32 waiting_neighbors = 256;  // frames that may wait for a neighbour; 0: such frames are dropped at once
    u64 wait_ns = 1'000'000'000;  // how long either waits
    u64 fragment_ns = 30'000'000'000;  // how long a datagram's ports are remembered
    u32 answers_per_second = 1000;
    u32 answers_burst = 1000;
    std::shared_ptr<EvaluationLink> evaluation{};  // who decides for evaluate rules; null: nobody
    u32 waiting_evaluations = 1024;                // frames that may wait for him
    u64 evaluation_ns = 6'000'000'000;             // how long
    std::shared_ptr<CaptureTap> capture{};         // who may want to see the packets; null: nobody
};

// `out` in the templates below is the owner's: out.finish(Frame&, const Decision&) is called once per frame.
//   FORWARD  the frame is rewritten and leaves by `egress`
//   REJECT   the frame holds the answer, which leaves by `egress`, the port the packet came by
//   PASS     the frame is byte for byte what came in
//   DROP     the frame's bytes mean nothing
class Engine {
public:
    static constexpr size_t batch_size = 32;

    // `view`: the tables, with this worker's counters and scratch slot (table_memory.h); `image` in it may be
    // null until set_image(). What it points at and `router` outlive the engine.
    Engine(const struct tables& view, Router& router, const EngineOptions& options = {});
    ~Engine();
    Engine(const Engine&) = delete;
    Engine& operator=(const Engine&) = delete;

    // Any number of frames, received at `now_ns` (CLOCK_MONOTONIC, never going back). Frames for which
    // finish() has not been called on return wait: their memory stays the engine's until then.
    template <typename Out>
    void run(std::span<Frame> frames, u64 now_ns, Out& out) {
        enter(now_ns);
        settle_waiting(out);
        while (!frames.empty()) {
            const std::span<Frame> batch = frames.first(std::min(frames.size(), batch_size));
            finish_batch(batch, out);
            if (released_) settle_waiting(out);
            frames = frames.subspan(batch.size());
        }
        leave();
    }

    // Finishes what has waited long enough, or need not wait any more. To be called when there is nothing to
    // run, at least every 100 ms while waiting() is not 0.
    template <typename Out>
    void expire(u64 now_ns, Out& out) {
        enter(now_ns);
        settle_waiting(out);
        leave();
    }

    // Finishes all that waits, each frame with the reason it would have got in the end.
    template <typename Out>
    void flush(u64 now_ns, Out& out) {
        enter(now_ns);
        flush_ = true;
        settle_waiting(out);
        flush_ = false;
        leave();
    }

    u64 settled_packets() const;  // packets forwarded the short way (pipeline/settled.h), since the start
    size_t waiting() const;       // frames received and not finished

    // Verdicts of evaluate rules that expire() or run() would take up. Whoever sleeps although frames wait
    // wakes at link()->to_worker.
    bool answered() const;
    EvaluationLink* link() const;  // null: none

    // Any thread. The engine uses `image` from its next batch on; `lines` must be its header's count. Until
    // passed(epoch()) the batch under way may use the one before. Write node_state.generation only after
    // that, and free the old image only after that.
    void set_image(const image_line* image) { image_.store(image, std::memory_order_seq_cst); }
    u64 epoch() const { return epoch_.load(std::memory_order_seq_cst); }  // odd while a batch is under way
    bool passed(u64 epoch) const { return (epoch & 1) == 0 || this->epoch() != epoch; }

private:
    struct State;

    void enter(u64 now_ns);
    void leave();
    void process(std::span<Frame> batch);  // fills decisions_
    void decide(std::span<Frame> batch);
    CaptureTap* capture() const;  // that runs; null: none
    void process_one(size_t i, Frame& frame);
    // Takes up to a batch of frames whose wait is over out of the waiting rooms, processes them. Returns how
    // many lie in due() with their decisions.
    size_t process_due();
    size_t give_up();  // the same for what has waited too long
    void show_due(size_t count, bool leave);
    std::span<Frame> due();

    template <typename Out>
    void finish_batch(std::span<Frame> batch, Out& out) {
        process(batch);
        deliver(batch, out);
    }

    template <typename Out>
    void deliver(std::span<Frame> batch, Out& out) {
        for (size_t i = 0; i < batch.size(); i++) {
            if (verdict_of(decisions_[i].word) != VERDICT_WAIT) out.finish(batch[i], decisions_[i]);
        }
    }

    template <typename Out>
    void settle_waiting(Out& out) {
        while (const size_t count = process_due()) deliver(due().first(count), out);
    }

    std::atomic<const image_line*> image_;
    std::atomic<u64> epoch_{0};
    bool released_ = false;  // a first fragment came for which others wait
    bool flush_ = false;
    std::array<Decision, batch_size> decisions_;
    std::unique_ptr<State> state_;
};

}  // namespace sluice
