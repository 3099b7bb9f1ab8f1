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
    // The lock that another process holds, by a descriptor of its: both hold it then.
    static Result<NodeLock> share(UniqueFd fd, const std::string& path);

    int descriptor() const { return fd_.get(); }
    // Names this process as the holder.
    Status sign() const;

private:
    NodeLock(UniqueFd fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}
    UniqueFd fd_;
    std::string path_;
};

}  // namespace sluice::control
