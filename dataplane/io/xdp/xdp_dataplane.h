// SPDX-License-Identifier: Apache-2.0
//
// The XDP tier as the control side sees it: open, ports, snapshots, interfaces, and away with it.
#pragma once

#include <memory>
#include <string>

#include "dataplane/base/fd.h"
#include "dataplane/io/xdp/bpffs.h"
#include "dataplane/io/xdp/xdp_attacher.h"
#include "dataplane/io/xdp/xdp_counters.h"
#include "dataplane/io/xdp/xdp_maps.h"
#include "dataplane/io/xdp/xdp_ports.h"

namespace sluice {

struct XdpOptions {
    std::string bpffs = "/sys/fs/bpf/sluice";  // state.bpffs
    MapSizes sizes;
    bool may_mount = true;
};

// Order of use: open(), time-outs and punts into node(), set_port() for every port, publish(), attach().
// Control thread only.
class XdpDataplane {
public:
    static constexpr u32 queues_per_device = 64;  // XSK_QUEUES of bpf/maps.h

    // One at a time per directory, in any network namespace: the error names the directory in use.
    static Result<std::unique_ptr<XdpDataplane>> open(const XdpOptions& options);

    XdpMaps& maps() { return *maps_; }
    XdpAttacher& attacher() { return attacher_; }

    // Written field by field by the control side only: timeout, punts, trace_every, nat_port_first and
    // nat_port_count, route_epoch. Ports, filters and generation change through set_port() and publish().
    node_state& node() { return maps_->node(); }

    // Port `number` is `port`, and frames may leave by it. Again for a device that came back under another
    // ifindex.
    Status set_port(u8 number, const node_port& port);
    Status clear_port(u8 number);

    // See XdpMaps::publish().
    Result<std::shared_ptr<const Image>> publish(std::span<const image_line> lines, u32 generation,
                                                 const interest& destination, const interest& source,
                                                 const std::function<void(const Image&)>& follow = {});

    // Frames that the program hands over from queue `queue` of the device of port `device` go to the XDP
    // socket `descriptor`.
    Status set_socket(u8 device, u32 queue, int descriptor);
    Status clear_socket(u8 device, u32 queue);

    // --detach: takes the program off every interface and removes all pins. The object is of no use
    // afterwards.
    Status detach_all();

private:
    XdpDataplane(UniqueFd lock, std::unique_ptr<XdpMaps> maps)
        : lock_(std::move(lock)), maps_(std::move(maps)), ports_(maps_->node()), attacher_(*maps_) {}

    UniqueFd lock_;  // of the directory
    std::unique_ptr<XdpMaps> maps_;
    PortTable ports_;
    XdpAttacher attacher_;
};

// BPF run statistics (XdpRunStatistics) are on, for the whole machine, while one of these lives. They cost
// some 20 ns per packet.
class XdpRunStatisticsSwitch {
public:
    static Result<XdpRunStatisticsSwitch> turn_on();

private:
    explicit XdpRunStatisticsSwitch(UniqueFd fd) : fd_(std::move(fd)) {}
    UniqueFd fd_;
};

}  // namespace sluice
