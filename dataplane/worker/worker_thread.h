// SPDX-License-Identifier: Apache-2.0
//
// The part of a worker that does not depend on its ports.
#pragma once

#include <atomic>
#include <functional>
#include <optional>
#include <string>
#include <thread>

#include "dataplane/base/counter.h"
#include "dataplane/base/fd.h"
#include "dataplane/base/result.h"
#include "dataplane/packet/target.h"

namespace sluice {

// A named thread on a core of its own, and the word that ends it.
class WorkerThread {
public:
    ~WorkerThread() { stop(); }

    // Runs `body`, which returns soon after stopping() has become true. Fails when the core does not exist or
    // is not ours to use.
    Status start(const std::string& name, std::optional<u32> core, std::function<void()> body);
    void stop();

    bool stopping() const { return stopping_.load(std::memory_order_relaxed); }
    // Becomes readable with stopping().
    int wake_descriptor() const { return wake_.get(); }

private:
    std::thread thread_;
    std::atomic<bool> stopping_{false};
    UniqueFd wake_;
};

}  // namespace sluice
