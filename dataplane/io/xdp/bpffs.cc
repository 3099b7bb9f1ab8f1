// SPDX-License-Identifier: Apache-2.0
#include "dataplane/io/xdp/bpffs.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "dataplane/base/fd.h"
#include "dataplane/base/log.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;

bool lies_below_root(const std::string& directory) { return (directory + "/").starts_with("/sys/fs/bpf/"); }

Status make_directories(const std::string& path) {
    std::error_code failure;
    fs::create_directories(path, failure);
    if (failure) return system_error(failure.value(), "state.bpffs: cannot create directory {}", path);
    return {};
}

Status mount_bpffs(const std::string& at) {
    if (auto made = make_directories(at); !made) return made;
    std::error_code failure;
    if (!fs::is_empty(at, failure) || failure) {
        return make_error(
            "state.bpffs: no BPF file system at {}, and one mounted there would hide what is in it: expected "
            "an "
            "empty directory",
            at);
    }
    if (mount("bpf", at.c_str(), "bpf", 0, "mode=0700") != 0) {
        return system_error(
            errno,
            "state.bpffs: no BPF file system at {}, and mounting one failed (as root: mount -t bpf bpf {})",
            at, at);
    }
    spdlog::info("mounted a BPF file system on {}", at);
    return {};
}

}  // namespace

bool is_bpffs(const std::string& path) {
    struct statfs about {};
    return statfs(path.c_str(), &about) == 0 && static_cast<u_long>(about.f_type) == BPF_FS_MAGIC;
}

Status ensure_bpffs(const std::string& wanted, bool may_mount) {
    if (!wanted.starts_with('/')) return make_error("state.bpffs: {}: expected an absolute path", wanted);
    // "/sys/fs/bpf/../x" does not lie below /sys/fs/bpf.
    const std::string directory = fs::path(wanted).lexically_normal().string();
    const std::string at = lies_below_root(directory) ? bpffs_root : directory;
    // The nearest directory that exists tells which file system it is.
    fs::path nearest = directory;
    std::error_code ignored;
    while (!fs::exists(nearest, ignored) && nearest.has_relative_path()) nearest = nearest.parent_path();
    if (!is_bpffs(nearest)) {
        if (!may_mount) {
            return make_error("state.bpffs: {}: no BPF file system (as root: mount -t bpf bpf {})", directory,
                              at);
        }
        if (auto mounted = mount_bpffs(at); !mounted) return mounted;
    }
    return make_directories(directory);
}

Status remove_pins(const std::string& directory,
                   const std::function<bool(const std::string& name)>& is_ours) {
    if (access(directory.c_str(), F_OK) != 0) return {};
    if (!is_bpffs(directory)) return make_error("state.bpffs: {}: expected a BPF file system", directory);
    std::error_code failure;
    for (const fs::directory_entry& entry : fs::directory_iterator(directory, failure)) {
        if (!is_ours(entry.path().filename().string())) continue;
        if (unlink(entry.path().c_str()) != 0 && errno != ENOENT)
            return system_error(errno, "{}: cannot remove the pin", entry.path().string());
    }
    if (failure) return system_error(failure.value(), "{}: cannot list the pins", directory);
    return {};
}

Status remove_directory(const std::string& directory) {
    if (rmdir(directory.c_str()) != 0 && errno != EBUSY && errno != ENOENT && errno != ENOTEMPTY)
        return system_error(errno, "{}: cannot remove the directory", directory);
    return {};
}

void remove_empty_dispatcher_directory() {
    const char* const named = std::getenv("LIBXDP_BPFFS");
    const std::string directory = std::string(named != nullptr ? named : bpffs_root) + "/xdp";
    if (!is_bpffs(directory)) return;
    // libxdp locks the directory while it changes what is in it.
    const UniqueFd held(open(directory.c_str(), O_DIRECTORY | O_CLOEXEC));
    if (!held || flock(held.get(), LOCK_EX | LOCK_NB) != 0) return;
    if (rmdir(directory.c_str()) != 0 && errno != ENOTEMPTY)
        spdlog::warn("{}: cannot remove the empty directory: {}", directory, std::strerror(errno));
}

}  // namespace sluice
