// SPDX-License-Identifier: Apache-2.0
//
// The short way (pipeline/settled.h) of a batch, in its three passes. The pipeline that they are given is the
// caller's own copy, which nothing else sees, so that the compiler keeps the tables' addresses in registers:
// hence all is inlined by force.
#pragma once

#include <array>

#include "dataplane/pipeline/pipeline.h"
#include "dataplane/worker/engine.h"
#include "dataplane/worker/engine_prefetch.h"

namespace sluice {

class SettledBatch {
public:
    static constexpr size_t size = Engine::batch_size;

    void begin() { device_ = 0; }

    // Whether frame `i` may go the short way.
    [[gnu::always_inline]] inline bool read(pipeline& s, size_t i, const Frame& frame) {
        if (frame.ifindex != device_) [[unlikely]] {
            device_ = frame.ifindex;
            port_ = node_port_find(s.tables.node, frame.ifindex, 0);
        }
        s.packet = {frame.data, frame.end, nullptr};
        s.context = &context_;
        on_[i] = settled_read(&s, port_, &slots_[i]) == VERDICT_FORWARD;
        if (on_[i]) prefetch_tags(s.tables, slots_[i].hash);
        return on_[i];
    }

    // Of one that may: whether a flow's tag says so, too.
    [[gnu::always_inline]] inline bool find(const pipeline& s, size_t i) {
        settled& k = slots_[i];
        on_[i] = settled_find(&s.tables, &k);
        if (!on_[i]) return false;
        __builtin_prefetch(flow_at(&s.tables, k.index));
        prefetch_counters(s.tables, k.index);
        if (settled_family(&k) == 6) prefetch_addresses(s.tables, k.index);
        return true;
    }

    bool on(size_t i) const { return on_[i]; }

    // Of one that still may: whether it went, and how. False: nothing has changed, the long way, please.
    [[gnu::always_inline]] inline bool forward(pipeline& s, size_t i, Frame& frame, Decision& decision) {
        const settled& k = slots_[i];
        const pipeline_context& c = context_;
        const u32 length = static_cast<u32>(frame.end - frame.data);
        s.packet = {frame.data, frame.end, static_cast<struct frame*>(&frame)};
        s.context = &context_;
        // Each family's code by itself: nothing in it asks which.
        const u32 word = settled_family(&k) == 4 ? settled_forward(&s, &k, 4, s.tables.now)
                                                 : settled_forward(&s, &k, 6, s.tables.now);
        if (word == 0) return false;
        frame.data = s.packet.data;
        if (k.port != counted_port_) [[unlikely]] {
            count(s.tables);
            counted_port_ = k.port;
        }
        if (word == VERDICT_FORWARD) [[likely]] {
            packets_++;
            bytes_ += length;
        } else {
            struct port_counters* counters = port_counters_at(&s.tables, k.port % NODE_PORTS);
            count_received(counters, length);
            count_verdict(counters, word, length);
        }
        decision = {word, k.port, c.hop.port, c.service, c.backend, c.rule, length, 0};
        return true;
    }

    // Into the port's counters what has been forwarded since the last time.
    [[gnu::always_inline]] inline void count(const tables& t) {
        struct port_counters* counters = port_counters_at(&t, counted_port_ % NODE_PORTS);
        counters->received_packets += packets_;
        counters->received_bytes += bytes_;
        counters->packets[VERDICT_FORWARD] += packets_;
        counters->bytes[VERDICT_FORWARD] += bytes_;
        total_ += packets_;
        packets_ = bytes_ = 0;
    }

    u64 total() const { return total_; }  // packets, since the start

private:
    std::array<settled, size> slots_;
    std::array<bool, size> on_{};
    pipeline_context context_;
    u32 device_ = 0;  // of the frame before, and its port
    u32 port_ = 0;
    u32 counted_port_ = 0;  // that those below came by
    u64 packets_ = 0;
    u64 bytes_ = 0;
    u64 total_ = 0;
};

}  // namespace sluice
