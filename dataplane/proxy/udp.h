// SPDX-License-Identifier: Apache-2.0
//
// UDP sessions of one loop: a client's datagrams go to the backend of its session, any number of replies come
// back, silence ends it. A reply tells its session by the port it comes to: a session has a connected socket
// of its own, as long as there are descriptors to spare, else one of SharedSockets. Trains of datagrams stay
// together: received with UDP_GRO, sent with UDP_SEGMENT.
#pragma once

#include <functional>
#include <memory>
#include <unordered_map>
#include <vector>

#include "dataplane/proxy/admission.h"
#include "dataplane/proxy/listeners.h"
#include "dataplane/proxy/poller.h"
#include "dataplane/proxy/record.h"
#include "dataplane/proxy/reply_sockets.h"
#include "dataplane/proxy/shared_sockets.h"
#include "dataplane/proxy/timer_wheel.h"

namespace sluice::proxy {

struct alignas(8) UdpSession {
    TimerNode timer;
    int fd = -1;                     // towards the backend
    SharedSocket* shared = nullptr;  // whose fd it is; null: its own
    int reply_fd = -1;               // answers leave by it; the listener's, or one of ReplySockets
    const Listener* listener = nullptr;
    Endpoint client;
    Endpoint vip;
    Endpoint backend;
    u16 backend_id = 0;
    u16 service_id = 0;
    u32 idle_timeout_ms = 0;
    u32 rule = 0;
    u32 dry_run = 0;
    bool dead = false;
    const char* service = "";
    ServiceCounters* counters = nullptr;
    BackendCounters* backend_counters = nullptr;
    u64 id = 0;
    u64 start_ns = 0;
    u64 first_byte_ns = 0;
    u64 last_active_ms = 0;
    u64 bytes[2] = {};  // from the client, from the backend
    u64 datagrams[2] = {};
};

// What the sessions need of their loop.
class UdpHost {
public:
    virtual ~UdpHost() = default;
    virtual u64 now_ns() const = 0;
    virtual u64 next_id() = 0;
    virtual bool few_descriptors_left(int newest) const = 0;
    virtual bool own_socket() const = 0;   // may a new session have one?
    virtual bool take_session_slot() = 0;  // false: as many as may be
    virtual void give_session_slot() = 0;
    virtual ServiceCounters* service_counters(u16 id) = 0;
    virtual BackendCounters* backend_counters(const char* service, const Backend& backend) = 0;
    virtual void opened(UdpSession& session) = 0;
    virtual void ended(UdpSession& session, Record record, Ending ending) = 0;
};

class UdpSessions {
public:
    UdpSessions(UdpHost& host, Poller& poller, Admission& admission, TimerWheel& wheel)
        : host_(host), poller_(poller), admission_(admission), wheel_(wheel), shared_(poller) {}
    ~UdpSessions();
    UdpSessions(const UdpSessions&) = delete;
    UdpSessions& operator=(const UdpSessions&) = delete;

    void from_clients(Listener& listener);
    void from_backend(UdpSession& session, u32 events);
    void from_backends(SharedSocket& socket);
    void due(UdpSession& session);
    // Ends those whose listener, service or backend is gone or that the policy now denies.
    void recheck(const std::function<bool(const Listener*)>& listener_stays);
    void end_all(Ending ending);
    void flush_dead() { dead_.clear(); }

    void collect(std::vector<Record>& out) const;
    size_t count() const { return sessions_.size(); }
    u64 bytes() const {
        return sessions_.size() * (sizeof(UdpSession) + sizeof(Key) + 48) + shared_.bytes() + memory_.size();
    }

private:
    struct Key {
        Endpoint client;
        Endpoint vip;
        bool operator==(const Key&) const = default;
    };
    struct KeyHash {
        size_t operator()(const Key& key) const;
    };
    struct Batch;

    UdpSession* find(Listener& listener, const Key& key);
    UdpSession* open(Listener& listener, const Key& key);
    UdpSession* refuse(const ServiceSettings& service, Ending why);
    Ending choose_backend(const ServiceSettings& service, Backend& backend);
    Ending open_sockets(UdpSession& session);
    Ending open_towards_backend(UdpSession& session);
    void close_sockets(UdpSession& session);
    void forward(UdpSession& session, const u8* data, u32 length, u16 segment);
    void end(UdpSession& session, Ending ending);
    void pass_on(Batch& batch, u32 count);
    void count_answers(Batch& batch, u32 first, u32 last, int sent);
    Record record_of(const UdpSession& session) const;
    Batch& batch();

    UdpHost& host_;
    Poller& poller_;
    Admission& admission_;
    TimerWheel& wheel_;
    std::unordered_map<Key, std::unique_ptr<UdpSession>, KeyHash> sessions_;
    std::vector<std::unique_ptr<UdpSession>> dead_;
    ReplySockets reply_sockets_;
    SharedSockets shared_;
    u64 warned_ns_ = 0;       // of descriptors
    std::vector<u8> memory_;  // the batch's buffers; none until there is UDP
    std::shared_ptr<Batch> batch_;
};

}  // namespace sluice::proxy
