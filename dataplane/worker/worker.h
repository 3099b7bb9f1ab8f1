// SPDX-License-Identifier: Apache-2.0
//
// A worker: one thread that polls its queues and runs its engine on what they hold.
//
// A template over its ports (dataplane/io/port.h), all of one kind and over the same buffers, so that a frame
// received on one leaves by any other, or by packet sockets where such ports only receive. The loop has no
// virtual call, lock or allocation; system calls only where a port needs the kernel woken.
#pragma once

#include <poll.h>

#include <array>
#include <optional>
#include <thread>
#include <vector>

#include "dataplane/base/clock.h"
#include "dataplane/io/host_path/host_path.h"
#include "dataplane/io/packet_socket/packet_egress.h"
#include "dataplane/io/port.h"
#include "dataplane/worker/engine.h"
#include "dataplane/worker/split.h"
#include "dataplane/worker/worker_thread.h"

namespace sluice {

// How a worker waits for work.
enum class Polling : u8 {
    adaptive,  // busily while there is some, asleep after `idle_ns` without
    busy,      // never asleep
    interrupt  // asleep whenever there is none
};

struct WorkerOptions {
    std::string name = "worker";  // of the thread, 15 characters at most
    std::optional<u32> core;      // to run on; empty: any
    Polling polling = Polling::adaptive;
    u32 batch = 64;        // frames taken from a port at once
    u64 idle_ns = 50'000;  // adaptive: how long to poll in vain before sleeping
};

// Since the start. Written by the worker alone.
struct WorkerStatistics {
    u64 frames = 0;
    u64 batches = 0;  // receptions of one frame or more
    u64 polls = 0;    // rounds over all ports
    u64 sleeps = 0;
    u64 busy_ns = 0;  // in rounds that had frames
    u64 total_ns = 0;
    u64 host_path_refused = 0;  // passed frames that the host path did not take, or that had none
    u64 transmit_refused = 0;   // frames that no port took, or for whose egress this worker has none
    u64 waiting = 0;            // frames that the engine has now; not a sum
    u64 sent_elsewhere = 0;     // frames that left by a packet socket
};

template <Receiver P>
class Worker {
public:
    // `engine`, `counters` (the engine's port_counters, NODE_PORTS of them) and all ports outlive the worker.
    Worker(Engine& engine, const node_state& node, struct port_counters* counters,
           const WorkerOptions& options)
        : engine_(engine), node_(node), counters_(counters), options_(options), frames_(options.batch) {}
    ~Worker() { stop(); }
    Worker(const Worker&) = delete;
    Worker& operator=(const Worker&) = delete;

    // Before start(). `device`: number of the port of the untagged interface that `port` drives a queue of.
    // Several queues of one device may be added; frames leave by the first, if such ports send at all. `host`
    // may be null: then passed frames are dropped as host_path_full.
    void add_port(P& port, u8 device, HostPath* host) {
        ports_.push_back({&port, host});
        if (Port<P> && egress_[device % NODE_PORTS] == nullptr) egress_[device % NODE_PORTS] = &port;
    }

    // Before start(). Frames that leave by the device of port number `device`, of which this worker has no
    // port, leave by `way` instead of being dropped as other_tier. It outlives the worker.
    void add_way(PacketEgress& way, u8 device) {
        elsewhere_.push_back(std::make_unique<Elsewhere>(Elsewhere{&way, {}}));
        ways_[device % NODE_PORTS] = elsewhere_.back().get();
    }

    Status start();
    // One round over all ports as if at `now`, for who has a thread and a clock of his own instead of
    // start(). The number of frames.
    u32 round(u64 now);
    // Lets the round under way end, finishes what waits in the engine, and joins the thread. Idempotent.
    void stop();

    // Any thread.
    WorkerStatistics statistics() const;

    // The engine's; not for others.
    void finish(Frame& frame, const Decision& decision);

private:
    struct Attached {
        P* port;
        HostPath* host;
    };

    // Frames on their way out by a device of another tier, as far as the packet socket has not taken them.
    struct Elsewhere {
        PacketEgress* way;
        // By frame; empty for what is counted already (further fragments of a packet).
        std::array<std::optional<Decision>, PacketEgress::batch> decisions;
    };

    // Ports whose device may not wake a sleeper for certain say how long it may sleep at most.
    static constexpr bool naps = requires(const P& port) { port.longest_nap_ns(); };

    void run();
    void loop();
    void sleep();
    u64 longest_sleep_ns();
    void transmit(Frame& frame, const Decision& decision);
    bool transmit_pieces(P* port, Elsewhere* way, Frame& frame, const Decision& decision);
    bool take(P* port, Elsewhere* way, Frame& frame, const std::optional<Decision>& decision);
    void flush(Elsewhere& elsewhere);
    void flush_ports();
    void pass(Frame& frame, const Decision& decision);
    void drop_after_all(const Decision& decision, u32 reason);
    const Attached& ingress_of(const Frame& frame) const;

    Engine& engine_;
    const node_state& node_;
    struct port_counters* counters_;
    WorkerOptions options_;
    std::vector<Attached> ports_;
    std::array<P*, NODE_PORTS> egress_{};        // by device number
    std::array<Elsewhere*, NODE_PORTS> ways_{};  // by device number
    std::vector<std::unique_ptr<Elsewhere>> elsewhere_;
    std::vector<Frame> frames_;
    std::vector<pollfd> sleepers_;
    u64 expired_at_ = 0;
    u64 nap_ns_ = 0;                                         // the next one's length, 0 after work
    u32 identification_ = static_cast<u32>(monotonic_ns());  // of the next packet cut; begins anywhere
    WorkerThread thread_;
    struct {
        Counter frames, batches, polls, sleeps, busy_ns, total_ns, host_path_refused, transmit_refused,
            waiting, sent_elsewhere;
    } count_;
};

template <Receiver P>
Status Worker<P>::start() {
    if (ports_.empty()) return make_error("{}: expected one port at least", options_.name);
    sleepers_.clear();
    for (const Attached& attached : ports_) {
        if (attached.port->descriptor() >= 0) sleepers_.push_back({attached.port->descriptor(), POLLIN, 0});
    }
    const bool pollable = sleepers_.size() == ports_.size();
    if (!pollable && !naps) options_.polling = Polling::busy;
    return thread_.start(options_.name, options_.core, [this] { run(); });
}

template <Receiver P>
void Worker<P>::stop() {
    thread_.stop();
}

template <Receiver P>
void Worker<P>::run() {
    if constexpr (requires { P::enter_thread(); }) P::enter_thread();
    loop();
    engine_.flush(monotonic_ns(), *this);
    flush_ports();
    for (const auto& each : elsewhere_) flush(*each);
    if constexpr (requires { P::leave_thread(); }) P::leave_thread();
}

template <Receiver P>
void Worker<P>::loop() {
    sleepers_.push_back({thread_.wake_descriptor(), POLLIN, 0});
    if (EvaluationLink* link = engine_.link()) sleepers_.push_back({link->to_worker.descriptor(), POLLIN, 0});
    const u64 started = monotonic_ns();
    u64 last_work = started;
    u64 now = started;
    while (!thread_.stopping()) {
        const u32 received = round(now);
        const u64 after = monotonic_ns();
        count_.total_ns.set(after - started);
        if (received != 0) {
            count_.busy_ns.add(after - now);
            last_work = after;
            nap_ns_ = 0;
        }
        now = after;
        if (received == 0 &&
            (options_.polling == Polling::interrupt ||
             (options_.polling == Polling::adaptive && now - last_work > options_.idle_ns))) {
            sleep();
            now = monotonic_ns();
        }
    }
}

// Every port once. The number of frames.
template <Receiver P>
u32 Worker<P>::round(u64 now) {
    constexpr u64 expiry_ns = 10'000'000;
    u32 sum = 0;
    for (const Attached& attached : ports_) {
        const u32 received = attached.port->receive(frames_);
        if (received == 0) continue;
        sum += received;
        count_.batches.add(1);
        engine_.run(std::span(frames_).first(received), now, *this);
    }
    if (engine_.answered() || (now - expired_at_ > expiry_ns && engine_.waiting() != 0)) {
        engine_.expire(now, *this);
        expired_at_ = now;
    }
    flush_ports();
    for (const auto& each : elsewhere_) {
        if (each->way->waiting() != 0) flush(*each);
    }
    count_.polls.add(1);
    count_.frames.add(sum);
    count_.waiting.set(engine_.waiting());
    return sum;
}

// A port that may not wake the worker is looked after more and more rarely: twice as long each time in vain.
template <Receiver P>
u64 Worker<P>::longest_sleep_ns() {
    constexpr u64 idle_ns = 100'000'000;
    constexpr u64 waiting_ns = 10'000'000;
    const u64 most = engine_.waiting() != 0 ? waiting_ns : idle_ns;
    if constexpr (naps) {
        constexpr u64 shortest_ns = 20'000;
        u64 longest = most;
        for (const Attached& attached : ports_) longest = std::min(longest, attached.port->longest_nap_ns());
        if (longest < most) return nap_ns_ = std::clamp(2 * nap_ns_, shortest_ns, longest);
    }
    return most;
}

// Until a frame arrives, stop() is called, or something may have expired.
template <Receiver P>
void Worker<P>::sleep() {
    for (const Attached& attached : ports_) attached.port->prepare_to_sleep();
    count_.sleeps.add(1);
    EvaluationLink* const link = engine_.link();
    if (link != nullptr) link->to_worker.about_to_sleep();
    const u64 most = engine_.answered() ? 0 : longest_sleep_ns();
    const timespec limit{static_cast<time_t>(most / 1'000'000'000), static_cast<long>(most % 1'000'000'000)};
    ppoll(sleepers_.data(), sleepers_.size(), &limit, nullptr);
    if (link != nullptr) link->to_worker.awake();
    if constexpr (requires(P & port) { port.wake(); }) {
        for (const Attached& attached : ports_) attached.port->wake();
    }
}

template <Receiver P>
const typename Worker<P>::Attached& Worker<P>::ingress_of(const Frame& frame) const {
    for (const Attached& attached : ports_) {
        if (attached.port->ifindex() == frame.ifindex) return attached;
    }
    return ports_.front();
}

// The engine has counted the packet as forwarded, rejected or passed; it ends as a drop instead.
template <Receiver P>
void Worker<P>::drop_after_all(const Decision& decision, u32 reason) {
    struct port_counters& counters = counters_[decision.port % NODE_PORTS];
    const u32 verdict = verdict_of(decision.word) % VERDICT_ROWS;
    counters.packets[verdict]--;
    counters.bytes[verdict] -= decision.length;
    counters.packets[VERDICT_DROP]++;
    counters.bytes[VERDICT_DROP] += decision.length;
    counters.drops[reason]++;
}

template <Receiver P>
void Worker<P>::transmit(Frame& frame, const Decision& decision) {
    const u8 device = node_.ports[decision.egress % NODE_PORTS].device % NODE_PORTS;
    P* const port = egress_[device];
    Elsewhere* const way = port == nullptr ? ways_[device] : nullptr;
    const bool reachable = port != nullptr || way != nullptr;
    if (decision.split != 0 && reachable) [[unlikely]] {
        if (transmit_pieces(port, way, frame, decision)) return;
    } else if (reachable && take(port, way, frame, decision)) {
        return;
    }
    count_.transmit_refused.add(1);
    drop_after_all(decision, reachable ? REASON_TRANSMIT_FULL : REASON_OTHER_TIER);
    ports_.front().port->release(frame);
}

// The frame's buffer is not ours any more, unless the answer is false. `decision`: to be taken back if the
// frame is lost later on.
template <Receiver P>
bool Worker<P>::take(P* port, Elsewhere* way, Frame& frame, const std::optional<Decision>& decision) {
    if constexpr (Port<P>) {
        if (port != nullptr) return port->send(frame);
    }
    if (way->way->full()) flush(*way);
    const u32 number = way->way->waiting();
    if (!way->way->send(frame)) return false;
    way->decisions[number] = decision;
    ports_.front().port->release(frame);
    return true;
}

template <Receiver P>
void Worker<P>::flush_ports() {
    if constexpr (Port<P>) {
        for (const Attached& attached : ports_) attached.port->flush();
    }
}

template <Receiver P>
void Worker<P>::flush(Elsewhere& elsewhere) {
    count_.sent_elsewhere.add(elsewhere.way->waiting());
    elsewhere.way->flush([this, &elsewhere](u32 number) {
        count_.sent_elsewhere.subtract(1);
        count_.transmit_refused.add(1);
        if (elsewhere.decisions[number]) drop_after_all(*elsewhere.decisions[number], REASON_TRANSMIT_FULL);
    });
}

// As fragments. False, with the frame still ours: nothing of it left.
template <Receiver P>
bool Worker<P>::transmit_pieces(P* port, Elsewhere* way, Frame& frame, const Decision& decision) {
    P& source = port != nullptr ? *port : *ports_.front().port;
    if constexpr (requires(Frame & piece) { source.allocate(piece); }) {
        std::array<Frame, Split::most> pieces;
        Split split(frame, decision.split, identification_++);
        if (split.count() == 0) return false;
        for (u32 i = 1; i < split.count(); i++) {
            if (!source.allocate(pieces[i])) {
                while (--i != 0) source.release(pieces[i]);
                return false;
            }
            split.write(i, pieces[i]);
        }
        split.cut(frame);
        const bool begun = take(port, way, frame, decision);
        bool whole = begun;
        for (u32 i = 1; i < split.count(); i++) {
            if (whole && take(port, way, pieces[i], std::nullopt)) continue;
            whole = false;
            source.release(pieces[i]);
        }
        if (begun && !whole) {
            count_.transmit_refused.add(1);
            drop_after_all(decision, REASON_TRANSMIT_FULL);
        }
        return begun;
    } else {
        return false;
    }
}

template <Receiver P>
void Worker<P>::pass(Frame& frame, const Decision& decision) {
    const Attached& ingress = ingress_of(frame);
    if (ingress.host == nullptr || !ingress.host->deliver(frame)) {
        count_.host_path_refused.add(1);
        drop_after_all(decision, REASON_HOST_PATH_FULL);
    }
    ingress.port->release(frame);
}

template <Receiver P>
void Worker<P>::finish(Frame& frame, const Decision& decision) {
    switch (verdict_of(decision.word)) {
        case VERDICT_FORWARD:
        case VERDICT_REJECT: return transmit(frame, decision);
        case VERDICT_PROXY:
        case VERDICT_PASS: return pass(frame, decision);
        default: ports_.front().port->release(frame);
    }
}

template <Receiver P>
WorkerStatistics Worker<P>::statistics() const {
    return {count_.frames.get(),
            count_.batches.get(),
            count_.polls.get(),
            count_.sleeps.get(),
            count_.busy_ns.get(),
            count_.total_ns.get(),
            count_.host_path_refused.get(),
            count_.transmit_refused.get(),
            count_.waiting.get(),
            count_.sent_elsewhere.get()};
}

}  // namespace sluice
