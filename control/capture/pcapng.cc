// SPDX-License-Identifier: Apache-2.0
#include "control/capture/pcapng.h"

#include <algorithm>
#include <cstring>

namespace sluice::capture {

namespace {

enum Option : u16 {
    END_OF_OPTIONS = 0,
    COMMENT = 1,
    INTERFACE_NAME = 2,
    INTERFACE_DESCRIPTION = 3,
    SECTION_PROGRAM = 4,
    INTERFACE_RESOLUTION = 9,
    PACKET_FLAGS = 2
};

constexpr u16 ethernet = 1;       // LINKTYPE_ETHERNET
constexpr size_t head_bytes = 8;  // type and length
constexpr size_t interface_bytes = head_bytes + 8;
constexpr size_t packet_bytes = head_bytes + 20;
constexpr u32 inbound = 1;
constexpr u32 outbound = 2;

size_t padded(size_t length) { return (length + 3) & ~size_t{3}; }

template <typename T>
void put(std::string& out, T value) {
    char bytes[sizeof value];
    std::memcpy(bytes, &value, sizeof value);
    out.append(bytes, sizeof value);
}

template <typename T>
T get(std::string_view from, size_t at) {
    T value{};
    if (at + sizeof value <= from.size()) std::memcpy(&value, from.data() + at, sizeof value);
    return value;
}

void put_padded(std::string& out, std::string_view bytes) {
    out.append(bytes);
    out.append(padded(bytes.size()) - bytes.size(), '\0');
}

void put_option(std::string& out, Option code, std::string_view value) {
    const size_t length = std::min<size_t>(value.size(), 0xffff);
    put<u16>(out, code);
    put<u16>(out, static_cast<u16>(length));
    put_padded(out, value.substr(0, length));
}

void add_block(std::string& file, u32 type, std::string_view body) {
    const auto length = static_cast<u32>(body.size() + head_bytes + 4);
    put(file, type);
    put(file, length);
    file.append(body);
    put(file, length);
}

std::string_view option_of(std::string_view block, size_t at, u16 wanted) {
    while (at + 4 <= block.size()) {
        const u16 code = get<u16>(block, at);
        const u16 length = get<u16>(block, at + 2);
        if (code == END_OF_OPTIONS || at + 4 + length > block.size()) break;
        if (code == wanted) return block.substr(at + 4, length);
        at += 4 + padded(length);
    }
    return {};
}

}  // namespace

void add_section(std::string& file, std::string_view program) {
    std::string body;
    put<u32>(body, 0x1a2b3c4d);
    put<u16>(body, 1);
    put<u16>(body, 0);
    put<u64>(body, ~u64{0});  // length: not known
    put_option(body, SECTION_PROGRAM, program);
    put_option(body, END_OF_OPTIONS, {});
    add_block(file, SECTION_BLOCK, body);
}

void add_interface(std::string& file, std::string_view name, std::string_view description, u32 snap) {
    std::string body;
    put<u16>(body, ethernet);
    put<u16>(body, 0);
    put<u32>(body, snap);
    put_option(body, INTERFACE_NAME, name);
    put_option(body, INTERFACE_DESCRIPTION, description);
    put_option(body, INTERFACE_RESOLUTION, "\x09");  // nanoseconds
    put_option(body, END_OF_OPTIONS, {});
    add_block(file, INTERFACE_BLOCK, body);
}

void add_packet(std::string& file, const PacketBlock& packet) {
    std::string body;
    put<u32>(body, packet.interface);
    put<u32>(body, static_cast<u32>(packet.time_ns >> 32));
    put<u32>(body, static_cast<u32>(packet.time_ns));
    put<u32>(body, static_cast<u32>(packet.bytes.size()));
    put<u32>(body, packet.length);
    put_padded(body, {reinterpret_cast<const char*>(packet.bytes.data()), packet.bytes.size()});
    put_option(body, COMMENT, packet.comment);
    std::string flags;
    put<u32>(flags, packet.outbound ? outbound : inbound);
    put_option(body, PACKET_FLAGS, flags);
    put_option(body, END_OF_OPTIONS, {});
    add_block(file, PACKET_BLOCK, body);
}

BlockHead block_head(std::string_view blocks) {
    const u32 length = get<u32>(blocks, 4);
    const bool whole = length >= head_bytes + 4 && length <= blocks.size();
    return {get<u32>(blocks, 0), whole ? length : 0};
}

PacketBlock packet_of(std::string_view block) {
    PacketBlock packet;
    packet.interface = get<u32>(block, head_bytes);
    packet.time_ns = u64{get<u32>(block, head_bytes + 4)} << 32 | get<u32>(block, head_bytes + 8);
    const size_t captured = get<u32>(block, head_bytes + 12);
    packet.length = get<u32>(block, head_bytes + 16);
    if (packet_bytes + captured > block.size()) return packet;
    packet.bytes = {reinterpret_cast<const u8*>(block.data()) + packet_bytes, captured};
    const size_t options = packet_bytes + padded(captured);
    packet.comment = option_of(block, options, COMMENT);
    packet.outbound = get<u32>(option_of(block, options, PACKET_FLAGS), 0) == outbound;
    return packet;
}

std::string interface_name_of(std::string_view block) {
    return std::string(option_of(block, interface_bytes, INTERFACE_NAME));
}

std::string interface_description_of(std::string_view block) {
    return std::string(option_of(block, interface_bytes, INTERFACE_DESCRIPTION));
}

}  // namespace sluice::capture
