// SPDX-License-Identifier: Apache-2.0
//
// What an interface receives, out of a ring that the kernel fills (PACKET_RX_RING, TPACKET_V3; packet(7) and
// the kernel's networking/packet_mmap): blocks of frames of any length, ours when a block is full or a
// millisecond old. Several rings of an interface share its frames by flow (PACKET_FANOUT_HASH).
//
// The kernel shows a packet here and handles it as well: IngressGuard keeps it from that.
#pragma once

#include <linux/if_packet.h>

#include <memory>
#include <string>

#include "dataplane/base/counter.h"
#include "dataplane/base/fd.h"
#include "dataplane/base/mapping.h"
#include "dataplane/base/result.h"
#include "dataplane/io/packet_socket/packet_ring_statistics.h"
#include "dataplane/io/packet_socket/wire_frames.h"

namespace sluice {

struct PacketRingOptions {
    u32 blocks = 64;
    u32 block_bytes = 128 << 10;  // longer than any packet that the kernel joins from segments
    u32 retire_ms = 1;            // the least there is
    bool shared = false;          // with other rings of the interface, by flow
    u32 ignored_mark = 0;         // packets with one of these bits in their mark are not shown
};

class PacketRing {
public:
    // Nothing is shown before begin(). `group`: a ring of the group that this one joins, where
    // `options.shared`; null: it is the first.
    static Result<std::unique_ptr<PacketRing>> open(const std::string& interface, u32 ifindex,
                                                    const PacketRingOptions& options,
                                                    const PacketRing* group = nullptr);

    Status begin();
    // Nothing more is shown; what is in the ring can still be taken.
    Status pause();

    // The next packet, whose bytes stay until the next call. False: there is none.
    bool next(KernelPacket& packet);

    u32 ifindex() const { return ifindex_; }
    const std::string& interface() const { return interface_; }
    int descriptor() const { return socket_.get(); }
    u16 group() const { return group_; }
    // A device that went down leaves an error, at which poll() returns for ever.
    void clear_error();

    // The reader's own counts.
    struct {
        Counter packets, frames, joined, checksums, tagged, unreadable, too_long;
    } count;
    // One thread; it asks the kernel.
    PacketRingStatistics statistics();

private:
    PacketRing(std::string interface, u32 ifindex, const PacketRingOptions& options)
        : interface_(std::move(interface)), ifindex_(ifindex), options_(options) {}

    Status prepare();
    Status map();
    Status bind_to_interface();
    Status join(const PacketRing* group);
    Status set(int option, const void* value, u32 length, const char* name);
    Status attach(bool open);
    tpacket_block_desc& block(u32 number) const;
    bool read(const tpacket3_hdr& header, KernelPacket& packet);

    std::string interface_;
    u32 ifindex_;
    PacketRingOptions options_;
    UniqueFd socket_;
    Mapping memory_;
    u16 group_ = 0;
    u32 at_ = 0;                            // number of the block being read, or to be read next
    u32 left_ = 0;                          // packets of it that have not been returned
    bool held_ = false;                     // the block is ours
    const tpacket3_hdr* header_ = nullptr;  // of the next packet in it
    u64 lost_ = 0;
};

}  // namespace sluice
