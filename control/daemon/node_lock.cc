// SPDX-License-Identifier: Apache-2.0
#include "control/daemon/node_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <filesystem>

namespace sluice::control {

namespace {

std::string holder(int fd) {
    std::array<char, 32> text{};
    const ssize_t length = pread(fd, text.data(), text.size() - 1, 0);
    std::string pid(text.data(), length > 0 ? static_cast<size_t>(length) : 0);
    while (!pid.empty() && pid.back() == '\n') pid.pop_back();
    return pid.empty() ? "unknown" : pid;
}

}  // namespace

Result<NodeLock> NodeLock::take(const std::string& path) {
    std::error_code ignored;
    const auto folder = std::filesystem::path(path).parent_path();
    if (!folder.empty()) std::filesystem::create_directories(folder, ignored);
    UniqueFd fd(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!fd) return system_error(errno, "{}", path);
    if (flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK) return system_error(errno, "{}: cannot be locked", path);
        return make_error("{}: another sluiced runs on this node (pid {}): stop it first", path,
                          holder(fd.get()));
    }
    return share(std::move(fd), path);
}

Result<NodeLock> NodeLock::share(UniqueFd fd, const std::string& path) {
    NodeLock lock(std::move(fd), path);
    if (Status status = lock.sign(); !status) return status.error();
    return lock;
}

Status NodeLock::sign() const {
    const std::string pid = fmt::format("{}\n", getpid());
    if (ftruncate(fd_.get(), 0) != 0 || pwrite(fd_.get(), pid.data(), pid.size(), 0) < 0)
        return system_error(errno, "{}", path_);
    return {};
}

}  // namespace sluice::control
