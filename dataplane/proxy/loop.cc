// SPDX-License-Identifier: Apache-2.0
#include "dataplane/proxy/loop.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "dataplane/base/clock.h"
#include "dataplane/base/log.h"

namespace sluice::proxy {

namespace {

constexpr int events_per_turn = 256;
constexpr u32 log_records = 8192;
constexpr u64 accept_pause_ms = 100;
constexpr u64 descriptors_for_others = 16;  // scrapes, the control socket, files that they read
constexpr u64 spin_gap_ns = 150'000;        // mean time between wakes below which waiting awake pays
constexpr u64 longest_gap_ns = 10'000'000;

}  // namespace

Result<std::unique_ptr<Loop>> Loop::create(Shared& shared, u32 number, int cpu) {
    Result<Poller> poller = Poller::create();
    if (!poller) return poller.error();
    UniqueFd wake(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
    if (!wake) return system_error(errno, "eventfd");
    std::unique_ptr<Loop> loop(new Loop(shared, number, cpu, std::move(*poller), std::move(wake)));
    if (const int error = loop->poller_.add(loop->wake_.get(), EPOLLIN, loop.get(), Watched::wake);
        error != 0)
        return system_error(error, "epoll: add eventfd");
    return loop;
}

Loop::Loop(Shared& shared, u32 number, int cpu, Poller poller, UniqueFd wake)
    : shared_(shared),
      number_(number),
      cpu_(cpu),
      poller_(std::move(poller)),
      wake_(std::move(wake)),
      log_queue_(shared.options.access_log.empty() ? 0 : log_records),
      admission_(shared.meters, shared.open_connections),
      buffers_(shared.bound),
      relay_(buffers_, pipes_, shared.bound, counters_),
      now_ns_(monotonic_ns()),
      wheel_(to_ms(now_ns_)),
      udp_(*this, poller_, admission_, wheel_),
      closed_(shared.options.closed_records) {}

Loop::~Loop() { stop(); }

void Loop::start() {
    thread_ = std::thread([this] { run(); });
}

void Loop::stop() {
    if (!thread_.joinable()) return;
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    post([] {});
    thread_.join();
}

void Loop::post(std::function<void()> work) {
    {
        const std::lock_guard lock(mutex_);
        posted_.push_back(std::move(work));
    }
    // Fails only when the counter is full, and then the loop is being woken already.
    const u64 one = 1;
    [[maybe_unused]] const ssize_t written = write(wake_.get(), &one, sizeof one);
}

u64 Loop::cpu_ns() const {
    clockid_t clock{};
    if (!thread_.joinable()) return 0;
    const pthread_t handle = const_cast<std::thread&>(thread_).native_handle();
    return pthread_getcpuclockid(handle, &clock) == 0 ? clock_ns(clock) : 0;
}

void Loop::run() {
    const std::string name = fmt::format("proxy-{}", number_);
    pthread_setname_np(pthread_self(), name.c_str());
    if (cpu_ >= 0) {
        cpu_set_t set;
        CPU_ZERO(&set);
        CPU_SET(cpu_, &set);
        if (sched_setaffinity(0, sizeof set, &set) != 0)
            spdlog::debug("{}: not pinned to CPU {}", name, cpu_);
    }
    for (;;) {
        {
            const std::lock_guard lock(mutex_);
            if (stopping_) break;
        }
        turn();
    }
    tell_time();
    close_all(Ending::drained);
    flush_dead();
}

void Loop::tell_time() { now_ns_ = monotonic_ns(); }

int Loop::timeout() const {
    if (!queue_.empty()) return 0;
    int wait = wheel_.wait_ms(to_ms(now_ns_));
    if (paused_) {
        const int resume =
            static_cast<int>(resume_at_ms_ > to_ms(now_ns_) ? resume_at_ms_ - to_ms(now_ns_) : 0);
        wait = wait < 0 ? resume : std::min(wait, resume);
    }
    return wait;
}

// While small messages come in quick succession the next one is looked for a moment longer before the thread
// sleeps: waking from idle costs more than the wait. Bulk and rare events do not spin.
int Loop::wait(epoll_event* events, int count) {
    int patience = timeout();
    int ready = 0;
    if (patience != 0 && gap_ns_ < spin_gap_ns && shared_.options.spin_ns > 0 && !bulk_) {
        const u64 begun = monotonic_ns();
        do {
            ready = poller_.wait(events, count, 0);
            tell_time();
        } while (ready == 0 && now_ns_ - begun < shared_.options.spin_ns);
        if (ready == 0) patience = timeout();
    }
    if (ready == 0) {
        ready = poller_.wait(events, count, patience);
        tell_time();
    }
    const u64 gap = std::min(now_ns_ - last_wake_ns_, longest_gap_ns);
    gap_ns_ = (gap_ns_ * 15 + gap) / 16;
    last_wake_ns_ = now_ns_;
    const u64 splices = counters_.splices.get();
    bulk_ = splices != last_splices_;
    last_splices_ = splices;
    return ready;
}

void Loop::turn() {
    std::array<epoll_event, events_per_turn> events;
    const int ready = wait(events.data(), events_per_turn);
    counters_.wakes.add(1);
    if (ready > 0) counters_.events.add(static_cast<u64>(ready));
    for (int i = 0; i < ready; ++i) handle(events[static_cast<size_t>(i)]);
    std::vector<Connection*> again;
    again.swap(queue_);
    for (Connection* c : again) {
        c->queued = false;
        if (!c->dead) advance(*c);
    }
    wheel_.advance(to_ms(now_ns_), [this](TimerNode& node) {
        if (node.datagrams) {
            udp_.due(
                *reinterpret_cast<UdpSession*>(reinterpret_cast<char*>(&node) - offsetof(UdpSession, timer)));
            return;
        }
        auto* c = reinterpret_cast<Connection*>(reinterpret_cast<char*>(&node) - offsetof(Connection, timer));
        due(*c);
    });
    if (paused_ && to_ms(now_ns_) >= resume_at_ms_) resume_accepting();
    if (std::exchange(woken_, false))
        run_posted();  // last: no event of this turn is about what it takes away
    flush_dead();
}

void Loop::handle(const epoll_event& event) {
    switch (Poller::kind(event)) {
        case Watched::client: {
            auto* c = Poller::object<Connection>(event);
            if (!c->dead) client_event(*c, event.events);
            break;
        }
        case Watched::backend: {
            auto* c = Poller::object<Connection>(event);
            if (!c->dead) backend_event(*c, event.events);
            break;
        }
        case Watched::listener: accept_from(*Poller::object<Listener>(event)); break;
        case Watched::wake: woken_ = true; break;
        case Watched::udp_listener: udp_.from_clients(*Poller::object<Listener>(event)); break;
        case Watched::udp_session: udp_.from_backend(*Poller::object<UdpSession>(event), event.events); break;
        case Watched::udp_shared: udp_.from_backends(*Poller::object<SharedSocket>(event)); break;
    }
}

void Loop::run_posted() {
    u64 count = 0;
    [[maybe_unused]] const ssize_t drained = read(wake_.get(), &count, sizeof count);
    std::vector<std::function<void()>> ready;
    {
        const std::lock_guard lock(mutex_);
        ready.swap(posted_);
    }
    for (const auto& work : ready) work();
}

void Loop::flush_dead() {
    for (Connection* c : dead_) slab_.put(c);
    dead_.clear();
    udp_.flush_dead();
}

bool Loop::take_session_slot() {
    if (shared_.sessions.fetch_add(1, std::memory_order_relaxed) < shared_.options.udp_sessions) return true;
    give_session_slot();
    return false;
}

void Loop::opened(UdpSession& session) {
    session.counters->opened.add(1);
    session.counters->open.add(1);
    session.backend_counters->connections.add(1);
    shared_.open_connections[session.backend_id].fetch_add(1, std::memory_order_relaxed);
    live_count_.add(1);
}

void Loop::ended(UdpSession& session, Record record, Ending ending) {
    record.state = ConnectionState::closed;
    record.ending = ending;
    record.thread = number_;
    record.closed_at_ns = now_ns_;
    if (closed_.add(record, u64{shared_.options.closed_seconds} * 1'000'000'000))
        counters_.closed_forgotten.add(1);
    log_queue_.push(record);
    session.counters->ended[static_cast<size_t>(ending)].add(1);
    session.counters->open.sub(1);
    shared_.open_connections[session.backend_id].fetch_sub(1, std::memory_order_relaxed);
    live_count_.sub(1);
}

// The kernel gives out the lowest: one near the limit says that the rest of the daemon needs what is left.
bool Loop::few_descriptors_left(int newest) const {
    rlimit limit{};
    if (newest < 0 || getrlimit(RLIMIT_NOFILE, &limit) != 0) return true;
    return static_cast<u64>(newest) + descriptors_for_others >= limit.rlim_cur;
}

// Descriptors are used up: the listeners leave the set, or their readiness would spin.
void Loop::pause_accepting() {
    counters_.accept_pauses.add(1);
    paused_ = true;
    resume_at_ms_ = to_ms(now_ns_) + accept_pause_ms;
    for (Listener& listener : listeners_) {
        if (listener.point.protocol == IPPROTO_TCP) poller_.remove(listener.fd.get());
    }
}

void Loop::resume_accepting() {
    const UniqueFd newest(listeners_.empty() ? -1 : fcntl(listeners_.front().fd.get(), F_DUPFD_CLOEXEC, 0));
    if (!listeners_.empty() && few_descriptors_left(newest.get())) {
        resume_at_ms_ = to_ms(now_ns_) + accept_pause_ms;
        return;
    }
    paused_ = false;
    for (Listener& listener : listeners_) {
        if (listener.point.protocol == IPPROTO_TCP)
            poller_.add(listener.fd.get(), EPOLLIN, &listener, Watched::listener);
    }
}

void Loop::apply(std::shared_ptr<const Snapshot> snapshot, std::vector<Listener> add,
                 const std::vector<ListenPoint>& keep) {
    admission_.set_snapshot(snapshot);
    backend_counters_.assign(snapshot->backend_ids + 1U, {});
    service_counters_.clear();
    const auto count = [this](const ServiceSettings& service) {
        if (service_counters_.size() <= service.id) service_counters_.resize(service.id + 1U);
        service_counters_[service.id] = &table_.service(service.label);
    };
    for (const ServiceSettings& service : snapshot->services) count(service);
    if (snapshot->inbound) count(*snapshot->inbound);
    if (snapshot->outbound) count(*snapshot->outbound);
    udp_.recheck([&](const Listener* listener) {
        return std::find(keep.begin(), keep.end(), listener->point) != keep.end();
    });
    for (auto at = listeners_.begin(); at != listeners_.end();) {
        if (std::find(keep.begin(), keep.end(), at->point) != keep.end()) {
            ++at;
            continue;
        }
        poller_.remove(at->fd.get());  // it may have other owners
        at = listeners_.erase(at);
    }
    recheck_all();
    for (Listener& listener : add) {
        listeners_.push_back(std::move(listener));
        Listener& added = listeners_.back();
        const Watched kind = added.point.protocol == IPPROTO_UDP ? Watched::udp_listener : Watched::listener;
        if (const int error = poller_.add(added.fd.get(), EPOLLIN, &added, kind); error != 0)
            spdlog::error("listener {}: {}", added.point.at.text(), system_error(error, "epoll").message);
    }
}

void Loop::stop_listening() {
    udp_.end_all(Ending::drained);
    for (const Listener& listener : listeners_) poller_.remove(listener.fd.get());
    listeners_.clear();
    paused_ = false;
}

void Loop::close_all(Ending ending) {
    while (live_ != nullptr) close(*live_, ending, true);
    udp_.end_all(ending);
}

void Loop::collect(std::vector<Record>& live, std::vector<Record>& closed) const {
    for (const Connection* c = live_; c != nullptr; c = c->next) live.push_back(record_of(*c));
    udp_.collect(live);
    const u64 keep = u64{shared_.options.closed_seconds} * 1'000'000'000;
    closed_.copy(now_ns_ > keep ? now_ns_ - keep : 0, closed);
}

u64 Loop::memory_bytes() const {
    return slab_.bytes() + buffers_.in_use() + buffers_.spare() + closed_.bytes() + udp_.bytes();
}

}  // namespace sluice::proxy
