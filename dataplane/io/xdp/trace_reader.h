// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>

#include "bpf/trace.h"
#include "dataplane/base/result.h"

struct ring_buffer;

namespace sluice {

class XdpMaps;

// Takes the program's sampled trace events (node_state.trace_every) from its ring buffer. What found no room
// there is counted in worker_counters.trace_lost.
class TraceReader {
public:
    using Callback = std::function<void(const trace_event&)>;

    static Result<std::unique_ptr<TraceReader>> open(const XdpMaps& maps, Callback callback);
    ~TraceReader();

    // Readable when events wait: for an event loop, which then calls drain().
    int descriptor() const;
    // Calls back for every event that waits. Does not block. The number of events.
    Result<u32> drain();

private:
    TraceReader() = default;

    Callback callback_;
    ring_buffer* ring_ = nullptr;
};

}  // namespace sluice
