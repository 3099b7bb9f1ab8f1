// SPDX-License-Identifier: Apache-2.0
#include "dataplane/io/xdp/xdp_dataplane.h"

#include <bpf/bpf.h>
#include <fcntl.h>
#include <sys/file.h>

#include <cerrno>

#include "dataplane/base/log.h"

namespace sluice {
namespace {

Status update(const XdpMaps& maps, const char* name, u32 key, u32 value, const std::string& what) {
    if (bpf_map_update_elem(maps.fd(name), &key, &value, BPF_ANY) != 0)
        return system_error(errno, "{}: cannot be put into map {}", what, name);
    return {};
}

Status erase(const XdpMaps& maps, const char* name, u32 key, const std::string& what) {
    if (bpf_map_delete_elem(maps.fd(name), &key) != 0 && errno != ENOENT)
        return system_error(errno, "{}: cannot be taken out of map {}", what, name);
    return {};
}

// By the kernel's advisory lock on the directory itself, which goes with its holder.
Result<UniqueFd> lock_directory(const std::string& directory) {
    UniqueFd fd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!fd) return system_error(errno, "state.bpffs: {}", directory);
    if (flock(fd.get(), LOCK_EX | LOCK_NB) == 0) return fd;
    if (errno == EWOULDBLOCK)
        return make_error("state.bpffs: {}: another daemon uses it: expected a directory of this one's own",
                          directory);
    return system_error(errno, "state.bpffs: {}: cannot be locked", directory);
}

u32 socket_key(u8 device, u32 queue) { return device * XdpDataplane::queues_per_device + queue; }

}  // namespace

Result<std::unique_ptr<XdpDataplane>> XdpDataplane::open(const XdpOptions& options) {
    if (auto ready = ensure_bpffs(options.bpffs, options.may_mount); !ready) return ready.error();
    auto lock = lock_directory(options.bpffs);
    if (!lock) return lock.error();
    auto maps = XdpMaps::open(options.bpffs, options.sizes);
    if (!maps) return maps.error();
    spdlog::info("{}: {}", options.bpffs, (*maps)->adoption_note());
    return std::unique_ptr<XdpDataplane>(new XdpDataplane(*std::move(lock), *std::move(maps)));
}

Status XdpDataplane::set_port(u8 number, const node_port& port) {
    if (auto set = ports_.set(number, port); !set) return set;
    if (port.ifindex >= NODE_MADE_UP) return erase(*maps_, "egress", number, fmt::format("port {}", number));
    return update(*maps_, "egress", number, port.ifindex,
                  fmt::format("port {} (device {})", number, port.ifindex));
}

Status XdpDataplane::clear_port(u8 number) {
    ports_.clear(number);
    return erase(*maps_, "egress", number, fmt::format("port {}", number));
}

Result<std::shared_ptr<const Image>> XdpDataplane::publish(std::span<const image_line> lines, u32 generation,
                                                           const interest& destination,
                                                           const interest& source,
                                                           const std::function<void(const Image&)>& follow) {
    return maps_->publish(lines, generation, destination, source, follow);
}

Status XdpDataplane::set_socket(u8 device, u32 queue, int descriptor) {
    if (queue >= queues_per_device)
        return make_error("queue {}: expected 0 to {}", queue, queues_per_device - 1);
    return update(*maps_, "sockets", socket_key(device, queue), static_cast<u32>(descriptor),
                  fmt::format("XDP socket of port {} queue {}", device, queue));
}

Status XdpDataplane::clear_socket(u8 device, u32 queue) {
    return erase(*maps_, "sockets", socket_key(device, queue),
                 fmt::format("XDP socket of port {} queue {}", device, queue));
}

Status XdpDataplane::detach_all() {
    auto detached = attacher_.detach_everywhere();
    auto removed = maps_->unpin();
    remove_empty_dispatcher_directory();
    if (removed) removed = remove_directory(maps_->directory());
    return detached ? removed : detached;
}

Result<XdpRunStatisticsSwitch> XdpRunStatisticsSwitch::turn_on() {
    UniqueFd fd(bpf_enable_stats(BPF_STATS_RUN_TIME));
    if (!fd) return system_error(errno, "BPF run statistics cannot be turned on (expected CAP_SYS_ADMIN)");
    return XdpRunStatisticsSwitch(std::move(fd));
}

}  // namespace sluice
