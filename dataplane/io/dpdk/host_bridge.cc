// SPDX-License-Identifier: Apache-2.0
#include "dataplane/io/dpdk/host_bridge.h"

#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>

namespace sluice {

Status HostBridge::start(std::vector<Span> spans) {
    stop();
    spans_ = std::move(spans);
    if (spans_.empty()) return {};
    wake_.reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!wake_) return system_error(errno, "host path: eventfd");
    stopping_ = false;
    thread_ = std::thread([this] { run(); });
    pthread_setname_np(thread_.native_handle(), "sluice-host");
    return {};
}

void HostBridge::stop() {
    if (!thread_.joinable()) return;
    stopping_ = true;
    const u64 one = 1;
    while (write(wake_.get(), &one, sizeof one) < 0 && errno == EINTR) {
    }
    thread_.join();
}

void HostBridge::run() {
    constexpr int frames_in_a_row = 32;
    constexpr size_t longest = 65536;
    std::vector<u8> room(longest);
    std::vector<pollfd> waited;
    for (const Span& span : spans_) waited.push_back({span.host->descriptor(), POLLIN, 0});
    waited.push_back({wake_.get(), POLLIN, 0});
    while (!stopping_) {
        if (poll(waited.data(), waited.size(), -1) < 0 && errno != EINTR) return;
        for (size_t i = 0; i < spans_.size(); ++i) {
            // The kernel's end is gone: poll() leaves out what is negative.
            if ((waited[i].revents & (POLLERR | POLLHUP | POLLNVAL)) != 0) waited[i].fd = -1;
            if ((waited[i].revents & POLLIN) == 0) continue;
            for (int n = 0; n < frames_in_a_row; ++n) {
                const size_t length = spans_[i].host->take(room);
                if (length == 0) break;
                spans_[i].device->inject({room.data(), length});
            }
        }
    }
}

}  // namespace sluice
