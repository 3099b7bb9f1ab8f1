// SPDX-License-Identifier: Apache-2.0
//
// One proxied TCP connection: two sockets, and for each direction what is under way. Owned by one loop.
#pragma once

#include "dataplane/proxy/buffers.h"
#include "dataplane/proxy/pipe_pool.h"
#include "dataplane/proxy/record.h"
#include "dataplane/proxy/settings.h"
#include "dataplane/proxy/timer_wheel.h"

namespace sluice::proxy {

inline constexpr u32 most_tries = 3;  // backends tried for one connection

// A socket. `readable` and `writable` follow the edges that epoll reports and the calls that would block.
struct Side {
    int fd = -1;
    bool readable = false;
    bool writable = false;
    bool peer_shut = false;    // EPOLLRDHUP: its FIN lies behind the data in the queue
    bool eof = false;          // its FIN was read
    bool shut = false;         // we sent ours
    bool watched = false;      // in the epoll set
    bool watches_out = false;  // for EPOLLOUT, too
    bool settled = false;      // options of a long-lived connection are set
    u8 writes = 0;             // how many, up to 2
    u64 read = 0;
    u64 written = 0;
};

// From one side to the other.
struct Flow {
    Buffer held;
    Pipe pipe;
    u32 charged = 0;     // of the pipe's bytes, what the memory bound knows of
    u32 window = 16384;  // bytes read at once, at most
    u32 high_water = 0;
    u8 full_reads = 0;  // in a row that filled the window
    bool splicing = false;
    bool behind = false;  // the sink takes no more for now
    bool done = false;    // ended, and all of it written
};

struct alignas(64) Connection {
    Side side[2];
    Flow flow[2];  // [CLIENT]: from the client to the backend
    TimerNode timer;
    u64 last_active_ms = 0;
    bool dead = false;
    bool queued = false;  // on the list of those that have more to do
    ConnectionState state = ConnectionState::connecting;
    u8 first_sender = 255;
    u8 tries = 0;
    bool allow_splice = true;
    bool want_splice = false;
    u16 tried[most_tries] = {};  // backend ids
    u16 backend_id = 0;
    u32 idle_timeout_ms = 0;
    u32 rule = 0;
    u32 dry_run = 0;
    u32 ingress = 0;  // port number, as the policy sees it
    HeaderVersion send_header = HeaderVersion::none;
    Arrives arrives = Arrives::as_addressed;
    ServiceCounters* counters = nullptr;
    BackendCounters* backend_counters = nullptr;
    const char* service = "";
    u16 service_id = 0;
    Endpoint client;
    Endpoint vip;      // what the client connected to
    Endpoint peer;     // the client's end of the connection; differs from `client` behind another proxy
    Endpoint backend;  // what we connect to
    u64 id = 0;
    u64 start_wall_ns = 0;
    u64 start_ns = 0;
    u64 connect_started_ns = 0;
    u64 connect_ns = 0;
    u64 first_byte_ns = 0;
    Connection* next = nullptr;  // of all live ones
    Connection* previous = nullptr;
};

// Memory for connections, in blocks that are kept.
class ConnectionSlab {
public:
    ConnectionSlab() = default;
    ~ConnectionSlab();
    ConnectionSlab(const ConnectionSlab&) = delete;
    ConnectionSlab& operator=(const ConnectionSlab&) = delete;

    Connection* get();  // fresh
    void put(Connection* connection);
    size_t bytes() const { return blocks_.size() * block_connections * sizeof(Connection); }

private:
    static constexpr size_t block_connections = 64;

    std::vector<void*> blocks_;
    std::vector<Connection*> free_;
};

}  // namespace sluice::proxy
