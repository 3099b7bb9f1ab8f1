// SPDX-License-Identifier: Apache-2.0
//
// Pipes for splice(2): bytes go from socket to socket as references to the kernel's pages. Empty pipes are
// kept for the next connection; making one costs two descriptors and some microseconds.
#pragma once

#include <vector>

#include "dataplane/packet/target.h"

namespace sluice::proxy {

struct Pipe {
    int read_end = -1;
    int write_end = -1;
    u32 length = 0;  // bytes in it

    bool valid() const { return read_end >= 0; }
};

// Of one loop; not for other threads.
class PipePool {
public:
    static constexpr u32 pipe_bytes = 1u << 20;

    PipePool() = default;
    ~PipePool();
    PipePool(const PipePool&) = delete;
    PipePool& operator=(const PipePool&) = delete;

    // Not valid when the process has no descriptors left.
    Pipe get();
    void put(Pipe& pipe);  // one with bytes in it is closed

    u32 open() const { return open_; }  // pipes in existence

private:
    static constexpr size_t most_spare = 64;

    void close(Pipe& pipe);

    std::vector<Pipe> spare_;
    u32 open_ = 0;
};

}  // namespace sluice::proxy
