// SPDX-License-Identifier: Apache-2.0
#include "dataplane/proxy/pipe_pool.h"

#include <fcntl.h>
#include <unistd.h>

namespace sluice::proxy {

PipePool::~PipePool() {
    for (Pipe& pipe : spare_) close(pipe);
}

Pipe PipePool::get() {
    if (!spare_.empty()) {
        const Pipe pipe = spare_.back();
        spare_.pop_back();
        return pipe;
    }
    int ends[2];
    if (pipe2(ends, O_NONBLOCK | O_CLOEXEC) != 0) return {};
    // Refused over fs.pipe-user-pages-soft: the pipe then has the size that the kernel gave it.
    fcntl(ends[1], F_SETPIPE_SZ, static_cast<int>(pipe_bytes));
    ++open_;
    return {ends[0], ends[1], 0};
}

void PipePool::put(Pipe& pipe) {
    if (!pipe.valid()) return;
    if (pipe.length == 0 && spare_.size() < most_spare)
        spare_.push_back(pipe);
    else
        close(pipe);
    pipe = {};
}

void PipePool::close(Pipe& pipe) {
    ::close(pipe.read_end);
    ::close(pipe.write_end);
    --open_;
}

}  // namespace sluice::proxy
