// SPDX-License-Identifier: Apache-2.0
//
// Captures of what the tiers show: each with its filter and its own bounded store of packets, from which its
// reader fetches them as blocks of a pcapng file. A capture whose reader stays away ends. While there is none
// the tiers show nothing, and the thread sleeps.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "control/capture/filter.h"
#include "dataplane/io/captured.h"
#include "dataplane/io/xdp/xdp_capture.h"
#include "dataplane/worker/capture_tap.h"

namespace sluice {
class XdpDataplane;
}

namespace sluice::capture {

struct Wish {
    std::string interface, tier;  // empty: any
    bool coming = true;           // packets as they come
    bool leaving = false;         // and as they leave
    u32 bytes = CapturedFrame::longest;
    PacketFilter filter;
};

struct Summary {
    u64 packets = 0;  // that the reader has got, or can get
    u64 lost = 0;     // that found no room on the way, before any filter
};

struct Totals {
    u32 running = 0;
    u64 packets = 0;
    u64 lost = 0;
};

struct Description {
    std::string interface, comment;
};
using Describe = std::function<Description(const Captured&, const std::string& tier)>;

class Captures {
public:
    static constexpr size_t most = 4;                 // at once
    static constexpr size_t store = 16 << 20;         // bytes of packets that nobody has fetched yet
    static constexpr std::chrono::seconds lease{10};  // without a read

    // `describe` is called on this object's thread.
    Captures(std::string program, Describe describe);
    ~Captures();
    Captures(const Captures&) = delete;
    Captures& operator=(const Captures&) = delete;

    // The XDP program's side, or null once it goes.
    void set_program(XdpDataplane* xdp);
    // For a new engine.
    std::shared_ptr<CaptureTap> tap(const std::string& tier);

    // Any thread. Once it has returned, packets are captured.
    Result<u64> start(Wish wish);
    // Blocks since the read before; the first ones describe file and interfaces.
    Result<std::string> read(u64 id);
    Result<Summary> stop(u64 id);
    Totals totals() const;

private:
    using Clock = std::chrono::steady_clock;

    struct Session {
        Wish wish;
        Summary summary;
        std::string blocks;
        std::map<std::pair<std::string, std::string>, u32> interfaces;  // by name and tier
        Clock::time_point last_read;
    };
    struct Tap {
        std::weak_ptr<CaptureTap> tap;
        u64 lost = 0;  // as last seen
    };

    // All with the mutex held
    Status adjust();
    Status adjust_program(u32 bytes);
    u32 wanted_bytes(const std::string& tier) const;
    void collect();
    void count_lost(u64 now, u64& before);
    void take(const Captured& packet, std::span<const u8> bytes, const std::string& tier);
    void store_packet(Session& session, const Captured& packet, std::span<const u8> bytes,
                      const Description& description, const std::string& tier);
    void end_abandoned();
    void run();

    const std::string program_;
    const Describe describe_;
    mutable std::mutex mutex_;
    std::condition_variable wake_;
    bool ending_ = false;
    std::map<u64, Session> sessions_;
    u64 next_id_ = 1;
    Totals totals_;
    u64 wall_offset_ = 0;  // from CLOCK_MONOTONIC to the time since 1970
    std::vector<Tap> taps_;
    XdpDataplane* xdp_ = nullptr;
    std::unique_ptr<XdpCapture> buffers_;
    u64 buffers_lost_ = 0;  // as last seen
    std::thread thread_;
};

}  // namespace sluice::capture
