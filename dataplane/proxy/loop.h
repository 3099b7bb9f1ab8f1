// SPDX-License-Identifier: Apache-2.0
//
// One thread of the proxy: an epoll set, its connections and sessions, its share of the listeners. Everything
// but post() and what says otherwise is for that thread.
#pragma once

#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <thread>

#include "dataplane/proxy/admission.h"
#include "dataplane/proxy/header.h"
#include "dataplane/proxy/listeners.h"
#include "dataplane/proxy/poller.h"
#include "dataplane/proxy/record_queue.h"
#include "dataplane/proxy/relay.h"
#include "dataplane/proxy/udp.h"

namespace sluice::proxy {

// What loops have in common.
struct Shared {
    explicit Shared(const Options& given)
        : options(given), bound(given.buffer_bytes), open_connections(65536), service_open(65536) {}

    Options options;
    MemoryBound bound;
    Meters meters;
    OpenConnections open_connections;                          // by backend id
    OpenConnections service_open;                              // by service id
    std::vector<u64> service_rates = std::vector<u64>(65536);  // by service id: meter_step()'s time
    std::atomic<u64> next_id{1};
    std::atomic<u64> sessions{0};
    u64 own_sockets = 0;  // UDP sessions that have a socket towards the backend for themselves; others share
};

// Counters by service and backend, found by name: ids are given anew when something leaves the configuration.
class CounterTable {
public:
    struct BackendKey {
        const char* service;
        Endpoint endpoint;
        bool operator<(const BackendKey& other) const;
    };

    ServiceCounters& service(const char* label);
    BackendCounters& backend(const char* label, const Endpoint& endpoint);

    // Any thread; the functions are called under the table's lock.
    void each_service(const std::function<void(const char*, const ServiceCounters&)>& take) const;
    void each_backend(const std::function<void(const BackendKey&, const BackendCounters&)>& take) const;

private:
    mutable std::mutex mutex_;
    std::map<const char*, std::unique_ptr<ServiceCounters>> services_;
    std::map<BackendKey, std::unique_ptr<BackendCounters>> backends_;
};

class Loop final : private UdpHost {
public:
    // `shared` outlives the loop.
    static Result<std::unique_ptr<Loop>> create(Shared& shared, u32 number, int cpu);
    ~Loop() override;
    Loop(const Loop&) = delete;
    Loop& operator=(const Loop&) = delete;

    void start();
    void stop();  // and joins; connections are reset

    // Runs `work` on the loop's thread. Any thread.
    void post(std::function<void()> work);

    // A new snapshot and the listeners for it: sockets are in the order of the points. Connections whose
    // service or backend is gone, or that the policy now denies, are reset.
    void apply(std::shared_ptr<const Snapshot> snapshot, std::vector<Listener> add,
               const std::vector<ListenPoint>& keep);
    void stop_listening();
    void close_all(Ending ending);

    void collect(std::vector<Record>& live, std::vector<Record>& closed) const;
    u64 memory_bytes() const;  // user memory of connections and buffers, spare ones included

    // Any thread.
    const LoopCounters& counters() const { return counters_; }
    const CounterTable& table() const { return table_; }
    RecordQueue& log_queue() { return log_queue_; }
    const Admission& admission() const { return admission_; }
    u64 connections() const { return live_count_.get(); }
    u64 cpu_ns() const;

private:
    Loop(Shared& shared, u32 number, int cpu, Poller poller, UniqueFd wake);

    void run();
    void turn();
    int timeout() const;
    int wait(epoll_event* events, int count);
    void handle(const epoll_event& event);
    void run_posted();
    void tell_time();
    void flush_dead();
    void pause_accepting();
    void resume_accepting();

    // UdpHost
    u64 now_ns() const override { return now_ns_; }
    u64 next_id() override { return shared_.next_id.fetch_add(1, std::memory_order_relaxed); }
    bool few_descriptors_left(int newest) const override;
    bool own_socket() const override {
        return shared_.sessions.load(std::memory_order_relaxed) <= shared_.own_sockets;
    }
    bool take_session_slot() override;
    void give_session_slot() override { shared_.sessions.fetch_sub(1, std::memory_order_relaxed); }
    ServiceCounters* service_counters(u16 id) override { return service_counters_[id]; }
    BackendCounters* backend_counters(const char* service, const Backend& backend) override {
        return counters_of(service, backend);
    }
    void opened(UdpSession& session) override;
    void ended(UdpSession& session, Record record, Ending ending) override;

    // tcp_accept.cc
    void accept_from(Listener& listener);
    bool take(Listener& listener, int fd, const SocketAddress& from);
    bool admit(Connection& c);
    void begin(Connection& c);
    void read_header(Connection& c);
    void take_header(Connection& c, const Header& header, u32 length);
    // tcp_connect.cc
    bool choose_and_connect(Connection& c);
    BackendCounters* counters_of(const char* service, const Backend& backend);
    int connect(Connection& c);
    void connect_failed(Connection& c, int error);
    void connected(Connection& c);
    // tcp.cc
    void client_event(Connection& c, u32 events);
    void backend_event(Connection& c, u32 events);
    void advance(Connection& c);
    void watch(Connection& c, u32 which);
    void due(Connection& c);
    void close(Connection& c, Ending ending, bool reset);
    void refuse(Connection& c, Ending ending);
    Record record_of(const Connection& c) const;
    Arrival arrival_of(const Connection& c) const;
    void recheck_all();

    Shared& shared_;
    const u32 number_;
    const int cpu_;
    Poller poller_;
    UniqueFd wake_;
    std::mutex mutex_;  // guards the two below
    std::vector<std::function<void()>> posted_;
    bool stopping_ = false;

    LoopCounters counters_;
    Counter live_count_;
    CounterTable table_;
    struct BackendSlot {
        BackendCounters* counters = nullptr;
        Endpoint endpoint;
    };
    std::vector<ServiceCounters*> service_counters_;  // by the snapshot's ids
    std::vector<BackendSlot> backend_counters_;
    RecordQueue log_queue_;
    Admission admission_;
    BufferPool buffers_;
    PipePool pipes_;
    Relay relay_;
    ConnectionSlab slab_;
    u64 now_ns_;
    u64 last_wake_ns_ = 0;
    u64 gap_ns_ = 10'000'000;  // between wakes, a running mean
    u64 last_splices_ = 0;
    bool bulk_ = false;
    TimerWheel wheel_;
    UdpSessions udp_;
    ClosedRecords closed_;
    std::list<Listener> listeners_;
    bool woken_ = false;  // work was posted
    bool paused_ = false;
    u64 resume_at_ms_ = 0;
    Connection* live_ = nullptr;
    std::vector<Connection*> queue_;  // have more to do
    std::vector<Connection*> dead_;   // freed once this turn's events are done
    std::thread thread_;
    std::atomic<pid_t> tid_{0};
};

}  // namespace sluice::proxy
