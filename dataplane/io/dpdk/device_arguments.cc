// SPDX-License-Identifier: Apache-2.0
#include "dataplane/io/dpdk/device_arguments.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "dataplane/base/fd.h"

namespace sluice {

namespace {

std::string argument_of(const std::string& device, const std::string& key) {
    const std::string start = "," + key + "=";
    const size_t at = device.find(start);
    if (at == std::string::npos) return "";
    const size_t begin = at + start.size();
    return device.substr(begin, device.find(',', begin) - begin);
}

// 0: somebody listens at PATH.
int connect_to(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path) return ENAMETOOLONG;
    std::memcpy(address.sun_path, path.c_str(), path.size());
    const UniqueFd socket(
        ::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));  // as memif has it
    if (!socket) return errno;
    const int code = connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
    return code == 0 ? 0 : errno;
}

Status make_place_for_memif(const std::string& device) {
    const std::string path = argument_of(device, "socket");
    if (path.empty() || argument_of(device, "socket-abstract") != "no") return {};
    const std::string directory = std::filesystem::path(path).parent_path();
    if (access(directory.empty() ? "." : directory.c_str(), W_OK | X_OK) != 0)
        return system_error(errno, "socket={}: expected a path in a directory that can be written", path);
    struct stat found {};
    if (lstat(path.c_str(), &found) != 0) return {};
    if (!S_ISSOCK(found.st_mode))
        return make_error("socket={}: expected a free path: there is something else than a socket", path);
    const int code = connect_to(path);
    if (code == 0 || code == EAGAIN)
        return make_error("socket={}: expected a free path: another process listens there", path);
    if (code != ECONNREFUSED) return system_error(code, "socket={}", path);
    if (unlink(path.c_str()) != 0) return system_error(errno, "socket={}: left by another process", path);
    return {};
}

}  // namespace

Status prepare_device(const std::string& device) {
    if (device.starts_with("net_virtio_user") && argument_of(device, "server") == "1")
        return make_error(
            "server=1: expected server=0: the driver would wait for its peer within the call that makes the "
            "port, and "
            "all ports with it");
    if (device.starts_with("net_memif") && argument_of(device, "role") == "server")
        return make_place_for_memif(device);
    return {};
}

}  // namespace sluice
