// SPDX-License-Identifier: Apache-2.0
#include "dataplane/worker/worker_thread.h"

#include <pthread.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cerrno>

namespace sluice {

Status WorkerThread::start(const std::string& name, std::optional<u32> core, std::function<void()> body) {
    if (thread_.joinable()) return make_error("{}: runs already", name);
    stopping_.store(false, std::memory_order_relaxed);
    wake_.reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!wake_) return system_error(errno, "{}: eventfd", name);
    cpu_set_t cores;
    CPU_ZERO(&cores);
    if (core && *core < CPU_SETSIZE) CPU_SET(*core, &cores);
    if (core && CPU_COUNT(&cores) == 0)
        return make_error("{}: core {}: expected 0 to {}", name, *core, CPU_SETSIZE - 1);
    // A nap ends when it is due: the kernel's slack (50 us) would come on top of it.
    thread_ = std::thread([body = std::move(body)] {
        prctl(PR_SET_TIMERSLACK, 1UL);
        body();
    });
    pthread_setname_np(thread_.native_handle(), name.substr(0, 15).c_str());
    if (!core) return {};
    const int code = pthread_setaffinity_np(thread_.native_handle(), sizeof cores, &cores);
    if (code == 0) return {};
    stop();
    return system_error(code, "{}: core {}: expected one of the {} cores this process may use", name, *core,
                        std::thread::hardware_concurrency());
}

void WorkerThread::stop() {
    if (!thread_.joinable()) return;
    stopping_.store(true, std::memory_order_relaxed);
    const u64 one = 1;
    if (write(wake_.get(), &one, sizeof one) != sizeof one)
        return thread_.join();  // it wakes by itself in 100 ms
    thread_.join();
}

}  // namespace sluice
