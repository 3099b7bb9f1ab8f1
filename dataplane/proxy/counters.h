// SPDX-License-Identifier: Apache-2.0
//
// What a loop counts. It alone writes; anybody reads.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <vector>

#include "dataplane/tables/counters.h"

namespace sluice::proxy {

class Counter {
public:
    void add(u64 n) { value_.store(get() + n, std::memory_order_relaxed); }
    void sub(u64 n) { value_.store(get() - n, std::memory_order_relaxed); }
    u64 get() const { return value_.load(std::memory_order_relaxed); }

private:
    std::atomic<u64> value_{0};
};

// ENTRY(identifier, name): why a connection ended. The name is the metric's label and the log's word.
#define SLUICE_ENDINGS(ENTRY)                                                                 \
    ENTRY(open, "open")                       /* it has not */                                \
    ENTRY(done, "done")                       /* both sides ended it */                       \
    ENTRY(client_reset, "client_reset")       /* RST from the client */                       \
    ENTRY(backend_reset, "backend_reset")     /* RST from the backend */                      \
    ENTRY(idle_timeout, "idle_timeout")       /* silent for longer than idle_timeout */       \
    ENTRY(drained, "drained")                 /* the daemon's deadline came */                \
    ENTRY(service_removed, "service_removed") /* service or backend left the configuration */ \
    ENTRY(policy, "policy")                   /* a rule or the default denies it */           \
    ENTRY(connect_refused, "connect_refused") /* the last backend tried refused */            \
    ENTRY(connect_timeout, "connect_timeout") /* ... did not answer in time */                \
    ENTRY(connect_failed, "connect_failed")   /* ... cannot be reached otherwise */           \
    ENTRY(no_port, "no_port")                 /* no local port left towards the backend */    \
    ENTRY(no_backend, "no_backend")           /* none is up */                                \
    ENTRY(no_descriptor, "no_descriptor")     /* the process has no descriptor left */        \
    ENTRY(no_memory, "no_memory")             /* the bound on buffers is reached */           \
    ENTRY(limited, "limited")                 /* over the service's limits */                 \
    ENTRY(bad_header, "bad_header")           /* PROXY header malformed or missing */         \
    ENTRY(loop, "loop")                       /* the proxy would connect to itself */

#define SLUICE_ENUM_ENDING(id, name) id,
enum class Ending : u8 { SLUICE_ENDINGS(SLUICE_ENUM_ENDING) count };
#undef SLUICE_ENUM_ENDING

const char* ending_name(Ending ending);

// Latency by powers of two of microseconds: bucket i counts up to 2^i us; the last one everything above.
class Histogram {
public:
    static constexpr u32 buckets = 26;  // up to 33 s

    void observe(u64 ns) {
        const u64 us = (ns + 999) / 1000;
        const u32 bucket = us <= 1 ? 0 : static_cast<u32>(std::bit_width(us - 1));
        buckets_[bucket < buckets ? bucket : buckets - 1].add(1);
        sum_ns_.add(ns);
    }
    u64 bucket(u32 i) const { return buckets_[i].get(); }
    u64 sum_ns() const { return sum_ns_.get(); }

private:
    std::array<Counter, buckets> buckets_;
    Counter sum_ns_;
};

// Of one service; the slots are the loop's own and stay for the life of the process.
struct ServiceCounters {
    Counter opened;
    Counter open;
    std::array<Counter, static_cast<size_t>(Ending::count)> ended;
    Counter retries;  // backends tried after the first
    Counter bytes_to_backend;
    Counter bytes_to_client;
    Counter datagrams_to_backend;
    Counter datagrams_to_client;
    Counter datagrams_lost;  // not sent: no session, no room, refused
    std::array<Counter, static_cast<size_t>(Ending::count)>
        without_session;  // of these, by why there is none
    Histogram connect;
    Histogram first_byte;
};

struct BackendCounters {
    Counter connections;
    Counter bytes_to;
    Counter bytes_from;
    Counter failures;  // connects that failed
};

struct LoopCounters {
    Counter wakes;
    Counter events;
    Counter accept_pauses;  // accepting stopped for want of descriptors
    Counter held_bytes;     // in buffers and pipes of this loop's connections
    Counter high_water;     // times that a receiver fell behind and its sender was held back
    Counter starved;        // times that reading waited for the bound on buffers
    Counter splices;
    Counter copies;
    Counter closed_forgotten;  // closed connections dropped from the table before their time
};

}  // namespace sluice::proxy
