// SPDX-License-Identifier: Apache-2.0
//
// Blocks of a capture file (draft-ietf-opsawg-pcapng), in this machine's byte order.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "dataplane/packet/target.h"

namespace sluice::capture {

struct PacketBlock {
    u32 interface = 0;  // by the order of interface blocks
    u64 time_ns = 0;    // since 1970
    u32 length = 0;     // of the packet, of which `bytes` are there
    bool outbound = false;
    std::string_view comment;
    std::span<const u8> bytes;
};

enum BlockType : u32 { SECTION_BLOCK = 0x0a0d0d0a, INTERFACE_BLOCK = 1, PACKET_BLOCK = 6 };

void add_section(std::string& file, std::string_view program);
void add_interface(std::string& file, std::string_view name, std::string_view description, u32 snap);
void add_packet(std::string& file, const PacketBlock& packet);

// The block that `blocks` starts with: its type, and its length or 0 where it is not whole.
struct BlockHead {
    u32 type = 0;
    u32 length = 0;
};
BlockHead block_head(std::string_view blocks);

// Of whole blocks.
PacketBlock packet_of(std::string_view block);
std::string interface_name_of(std::string_view block);         // "eth0"
std::string interface_description_of(std::string_view block);  // its tier

}  // namespace sluice::capture
