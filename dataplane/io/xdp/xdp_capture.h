// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "bpf/capture.h"
#include "dataplane/base/result.h"
#include "dataplane/io/captured.h"

struct perf_buffer;

namespace sluice {

class XdpMaps;

// Takes what the program shows while node_state.capture is set. The buffers, one per CPU, are there as long
// as this object; what finds no room in them is lost, and counted.
class XdpCapture {
public:
    using Callback = std::function<void(const Captured&, std::span<const u8>)>;

    static Result<std::unique_ptr<XdpCapture>> open(const XdpMaps& maps, Callback callback);
    ~XdpCapture();

    // Calls back for every packet that waits: as it came, then, if it is forwarded, as it leaves. Does not
    // block.
    Status drain();
    u64 lost() const { return lost_; }  // packets, or at worst events of a packet

    // The kernel's record of one event, for the buffer's callback.
    void take(int cpu, const void* record);

private:
    // A packet whose verdict has not come yet.
    struct Arrival {
        bool waits = false;
        capture_arrived event{};
        std::vector<u8> bytes;
    };

    XdpCapture() = default;
    void arrived(Arrival& arrival, std::span<const u8> event);
    void decided(Arrival& arrival, std::span<const u8> event);

    Callback callback_;
    std::vector<Arrival> arrivals_;  // by CPU
    u64 lost_ = 0;
    perf_buffer* buffers_ = nullptr;
};

}  // namespace sluice
