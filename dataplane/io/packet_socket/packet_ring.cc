// SPDX-License-Identifier: Apache-2.0
#include "dataplane/io/packet_socket/packet_ring.h"

#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>

namespace sluice {

namespace {

constexpr u32 frame_bytes = 2048;  // the ring is told so; frames of this version are of any length
constexpr u32 longest = 0x40000;   // of a packet that is shown

// Packets on their way out are none of ours, nor are those that we gave back to the host.
template <size_t N>
Status attach_filter(int socket, const std::array<sock_filter, N>& code, const std::string& interface) {
    std::array<sock_filter, N> copy = code;
    const sock_fprog program{N, copy.data()};
    if (setsockopt(socket, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) == 0) return {};
    return system_error(errno, "interface {}: packet socket: SO_ATTACH_FILTER", interface);
}

}  // namespace

Result<std::unique_ptr<PacketRing>> PacketRing::open(const std::string& interface, u32 ifindex,
                                                     const PacketRingOptions& options,
                                                     const PacketRing* group) {
    std::unique_ptr<PacketRing> ring(new PacketRing(interface, ifindex, options));
    // Protocol 0: it receives nothing before it is bound.
    ring->socket_.reset(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!ring->socket_)
        return system_error(errno, "interface {}: packet socket to receive by (expected CAP_NET_RAW)",
                            interface);
    if (Status status = ring->prepare(); !status) return status.error();
    if (Status status = ring->map(); !status) return status.error();
    if (Status status = ring->bind_to_interface(); !status) return status.error();
    if (options.shared) {
        if (Status status = ring->join(group); !status) return status.error();
    }
    return ring;
}

Status PacketRing::set(int option, const void* value, u32 length, const char* name) {
    if (setsockopt(socket_.get(), SOL_PACKET, option, value, length) == 0) return {};
    return system_error(errno, "interface {}: packet socket: {}", interface_, name);
}

Status PacketRing::prepare() {
    const int version = TPACKET_V3;
    const int on = 1;
    if (Status status = set(PACKET_VERSION, &version, sizeof version, "PACKET_VERSION 3"); !status)
        return status;
    if (Status status = set(PACKET_VNET_HDR, &on, sizeof on, "PACKET_VNET_HDR"); !status) return status;
    // Spares the kernel a copy; the filter says the same.
    setsockopt(socket_.get(), SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof on);
    return attach(false);
}

Status PacketRing::map() {
    tpacket_req3 request{};
    request.tp_block_size = options_.block_bytes;
    request.tp_block_nr = options_.blocks;
    request.tp_frame_size = frame_bytes;
    request.tp_frame_nr = options_.block_bytes / frame_bytes * options_.blocks;
    request.tp_retire_blk_tov = options_.retire_ms;
    if (Status status = set(PACKET_RX_RING, &request, sizeof request, "PACKET_RX_RING"); !status)
        return status;
    auto memory = Mapping::of_fd(socket_.get(), size_t{options_.block_bytes} * options_.blocks,
                                 PROT_READ | PROT_WRITE, MAP_SHARED);
    if (!memory) return memory.error().with_context("interface " + interface_ + ": packet ring");
    memory_ = *std::move(memory);
    return {};
}

Status PacketRing::bind_to_interface() {
    sockaddr_ll at{};
    at.sll_family = AF_PACKET;
    at.sll_protocol = htons(ETH_P_ALL);
    at.sll_ifindex = static_cast<int>(ifindex_);
    if (bind(socket_.get(), reinterpret_cast<const sockaddr*>(&at), sizeof at) == 0) return {};
    return system_error(errno, "interface {}: packet socket: bind", interface_);
}

// The number of a new group is the kernel's to find.
Status PacketRing::join(const PacketRing* group) {
    const u32 type = PACKET_FANOUT_HASH | (group == nullptr ? PACKET_FANOUT_FLAG_UNIQUEID : 0U);
    const u32 wanted = (group == nullptr ? 0 : group->group_) | type << 16;
    if (Status status = set(PACKET_FANOUT, &wanted, sizeof wanted, "PACKET_FANOUT"); !status) return status;
    u32 got = 0;
    socklen_t length = sizeof got;
    if (getsockopt(socket_.get(), SOL_PACKET, PACKET_FANOUT, &got, &length) != 0)
        return system_error(errno, "interface {}: packet socket: PACKET_FANOUT", interface_);
    group_ = static_cast<u16>(got);
    return {};
}

Status PacketRing::attach(bool open) {
    constexpr auto ancillary = [](u32 field) { return static_cast<u32>(SKF_AD_OFF) + field; };
    constexpr std::array<sock_filter, 1> nothing = {{{BPF_RET | BPF_K, 0, 0, 0}}};
    if (!open) return attach_filter(socket_.get(), nothing, interface_);
    const std::array<sock_filter, 7> arriving = {{
        {BPF_LD | BPF_W | BPF_ABS, 0, 0, ancillary(SKF_AD_PKTTYPE)},
        {BPF_JMP | BPF_JEQ | BPF_K, 4, 0, PACKET_OUTGOING},
        {BPF_LD | BPF_W | BPF_ABS, 0, 0, ancillary(SKF_AD_MARK)},
        {BPF_ALU | BPF_AND | BPF_K, 0, 0, options_.ignored_mark},
        {BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 0},
        {BPF_RET | BPF_K, 0, 0, longest},
        {BPF_RET | BPF_K, 0, 0, 0},
    }};
    return attach_filter(socket_.get(), arriving, interface_);
}

Status PacketRing::begin() { return attach(true); }
Status PacketRing::pause() { return attach(false); }

tpacket_block_desc& PacketRing::block(u32 number) const {
    return *reinterpret_cast<tpacket_block_desc*>(memory_.as<u8>() + size_t{number} * options_.block_bytes);
}

bool PacketRing::next(KernelPacket& packet) {
    for (;;) {
        if (held_ && left_ == 0) {
            __atomic_store_n(&block(at_).hdr.bh1.block_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
            at_ = (at_ + 1) % options_.blocks;
            held_ = false;
        }
        if (!held_) {
            tpacket_block_desc& next = block(at_);
            if ((__atomic_load_n(&next.hdr.bh1.block_status, __ATOMIC_ACQUIRE) & TP_STATUS_USER) == 0)
                return false;
            held_ = true;
            left_ = next.hdr.bh1.num_pkts;
            header_ = reinterpret_cast<const tpacket3_hdr*>(reinterpret_cast<const u8*>(&next) +
                                                            next.hdr.bh1.offset_to_first_pkt);
            continue;
        }
        const tpacket3_hdr& header = *header_;
        --left_;
        header_ = reinterpret_cast<const tpacket3_hdr*>(reinterpret_cast<const u8*>(header_) +
                                                        header.tp_next_offset);
        count.packets.add(1);
        if (read(header, packet)) return true;
        count.unreadable.add(1);
    }
}

// False: not the whole packet is there.
bool PacketRing::read(const tpacket3_hdr& header, KernelPacket& packet) {
    if (header.tp_snaplen < header.tp_len) return false;
    packet.data = reinterpret_cast<const u8*>(&header) + header.tp_mac;
    packet.length = header.tp_snaplen;
    std::memcpy(&packet.offload, packet.data - sizeof packet.offload, sizeof packet.offload);
    packet.tag_type = 0;
    if ((header.tp_status & TP_STATUS_VLAN_VALID) != 0) {
        const bool typed = (header.tp_status & TP_STATUS_VLAN_TPID_VALID) != 0;
        packet.tag_type = typed ? header.hv1.tp_vlan_tpid : u16{ETH_P_8021Q};
        packet.tag = static_cast<u16>(header.hv1.tp_vlan_tci);
    }
    return true;
}

void PacketRing::clear_error() {
    int error = 0;
    socklen_t length = sizeof error;
    getsockopt(socket_.get(), SOL_SOCKET, SO_ERROR, &error, &length);
}

// The kernel's counts begin anew whenever they are read.
PacketRingStatistics PacketRing::statistics() {
    tpacket_stats_v3 kernel{};
    socklen_t length = sizeof kernel;
    if (getsockopt(socket_.get(), SOL_PACKET, PACKET_STATISTICS, &kernel, &length) == 0)
        lost_ += kernel.tp_drops;
    return {count.packets.get(), count.frames.get(),     count.joined.get(),   count.checksums.get(),
            count.tagged.get(),  count.unreadable.get(), count.too_long.get(), lost_};
}

}  // namespace sluice
