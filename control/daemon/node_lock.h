// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "dataplane/base/fd.h"
#include "dataplane/base/result.h"

namespace sluice::control {

// One daemon to a node: a lock file beside the control socket, locked as long as the object (or its process)
// lives. A file that a crashed daemon left behind is no obstacle.
class NodeLock {
public:
    // The error names the process that holds the lock.
    static Result<NodeLock> take(const std::string& path);

private:
    explicit NodeLock(UniqueFd fd) : fd_(std::move(fd)) {}
    UniqueFd fd_;
};

}  // namespace sluice::control
