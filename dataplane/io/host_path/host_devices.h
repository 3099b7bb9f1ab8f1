// SPDX-License-Identifier: Apache-2.0
//
// The kernel devices that a way back to the host consists of; for host_path.cc.
#pragma once

#include <linux/rtnetlink.h>
#include <netlink/socket.h>

#include <memory>
#include <string>

#include "dataplane/base/fd.h"
#include "dataplane/base/result.h"
#include "dataplane/packet/target.h"

namespace sluice::host_devices {

struct FreeSocket {
    void operator()(nl_sock* socket) const { nl_socket_free(socket); }
};
using NetlinkSocket = std::unique_ptr<nl_sock, FreeSocket>;

Error netlink_error(int code, std::string_view what);
Result<NetlinkSocket> connect_netlink();

Result<UniqueFd> create_tap(const std::string& name);

// A pair of veth devices in place of what is called `start`.
Status create_pair(const std::string& start, const std::string& end);
// With the other device of its pair. One that is not there is fine.
Status remove_device(nl_sock* socket, const std::string& name);
// A socket that sends by `interface`, with `mark`.
Result<UniqueFd> marked_socket(const std::string& interface, u32 mark);

// A device with addresses of its own would speak up (router solicitations, multicast reports).
void silence_ipv6(const std::string& name);
// With the same MAC the stack knows which frames are the host's.
Status copy_mac(const std::string& from, const std::string& to);
Status set_mac(const std::string& name, const u8* mac);
// All that enters by device `name` enters by `ifindex` instead.
Status redirect_to(const std::string& name, u32 ifindex);
Status bring_up(const std::string& name, u32 mtu);

}  // namespace sluice::host_devices
