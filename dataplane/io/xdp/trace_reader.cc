// SPDX-License-Identifier: Apache-2.0
#include "dataplane/io/xdp/trace_reader.h"

#include <bpf/libbpf.h>

#include <cerrno>
#include <cstring>

#include "dataplane/io/xdp/xdp_maps.h"

namespace sluice {

Result<std::unique_ptr<TraceReader>> TraceReader::open(const XdpMaps& maps, Callback callback) {
    std::unique_ptr<TraceReader> reader(new TraceReader);
    reader->callback_ = std::move(callback);
    const auto take = [](void* context, void* data, size_t size) {
        trace_event event;
        if (size != sizeof event) return 0;
        std::memcpy(&event, data, sizeof event);
        static_cast<TraceReader*>(context)->callback_(event);
        return 0;
    };
    reader->ring_ = ring_buffer__new(maps.fd("trace"), take, reader.get(), nullptr);
    if (reader->ring_ == nullptr) return system_error(errno, "map trace: cannot be read as a ring buffer");
    return reader;
}

TraceReader::~TraceReader() { ring_buffer__free(ring_); }

int TraceReader::descriptor() const { return ring_buffer__epoll_fd(ring_); }

Result<u32> TraceReader::drain() {
    const int events = ring_buffer__consume(ring_);
    if (events < 0) return system_error(events, "map trace");
    return static_cast<u32>(events);
}

}  // namespace sluice
