// SPDX-License-Identifier: Apache-2.0
#include "dataplane/io/packet_socket/packet_egress.h"

#include <algorithm>
#include <cerrno>

namespace sluice {

PacketEgress::PacketEgress(UniqueFd socket, u32 ifindex, u32 longest)
    : socket_(std::move(socket)), ifindex_(ifindex), longest_(longest), room_(new u8[u64{batch} * longest]) {
    to_.sll_family = AF_PACKET;
    to_.sll_ifindex = static_cast<int>(ifindex);
    for (u32 i = 0; i < batch; ++i) {
        parts_[i].iov_base = room_.get() + u64{i} * longest;
        messages_[i].msg_hdr.msg_name = &to_;
        messages_[i].msg_hdr.msg_namelen = sizeof to_;
        messages_[i].msg_hdr.msg_iov = &parts_[i];
        messages_[i].msg_hdr.msg_iovlen = 1;
    }
}

Result<std::unique_ptr<PacketEgress>> PacketEgress::open(const std::string& interface, u32 ifindex,
                                                         u32 longest) {
    // Protocol 0: it receives nothing.
    UniqueFd fd(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd)
        return system_error(errno, "interface {}: packet socket to send by (expected CAP_NET_RAW)",
                            interface);
    const int on = 1;
    if (setsockopt(fd.get(), SOL_PACKET, PACKET_QDISC_BYPASS, &on, sizeof on) != 0)
        return system_error(errno, "interface {}: packet socket: PACKET_QDISC_BYPASS", interface);
    // A frame counts until the device has sent it, and a batch must not wait for that.
    const int room = 4 << 20;
    setsockopt(fd.get(), SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof room);
    return std::unique_ptr<PacketEgress>(new PacketEgress(std::move(fd), ifindex, longest));
}

bool PacketEgress::send(const Frame& frame) {
    const auto length = static_cast<size_t>(frame.end - frame.data);
    if (full() || length > longest_) return false;
    std::copy(frame.data, frame.end, static_cast<u8*>(parts_[waiting_].iov_base));
    parts_[waiting_].iov_len = length;
    ++waiting_;
    return true;
}

// A frame that the device refuses (its queue is full, it is down) does not hold up those behind it.
void PacketEgress::flush(const std::function<void(u32)>& lost) {
    for (u32 at = 0; at < waiting_;) {
        const int sent = sendmmsg(socket_.get(), &messages_[at], waiting_ - at, MSG_DONTWAIT);
        if (sent > 0) {
            at += static_cast<u32>(sent);
        } else if (errno != EINTR) {
            lost(at++);
        }
    }
    waiting_ = 0;
}

}  // namespace sluice
