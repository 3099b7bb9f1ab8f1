// SPDX-License-Identifier: Apache-2.0
#include "perf/engine/traffic.h"

#include "dataplane/packet/checksum.h"
#include "dataplane/packet/headers.h"

namespace sluice::perf {

namespace {

constexpr size_t head_room = 256;
constexpr u32 client_network = 11u << 24;  // 11.0.0.0/8; the last 32 bits of 2001:db8:9::/96
constexpr u32 clients_per_port = 1u << 24;
constexpr u16 first_port = 1024;
constexpr u16 port_count = 60000;
constexpr size_t l3 = sizeof(ethernet_header);

std::vector<u8> ipv4_template(const TrafficPlan& plan) {
    std::vector<u8> frame = {2,    0, 0, 0,  0, 1, 2,    0, 0,  0, 0, 9, 8, 0,  //
                             0x45, 0, 0, 50, 0, 1, 0x40, 0, 64, 6, 0, 0};
    if (plan.replies)
        frame.insert(frame.end(), {10, 0, 1, 1, 0, 0, 0, 0, 8080 >> 8, 8080 & 0xff, 0, 0});
    else
        frame.insert(frame.end(), {0, 0, 0, 0, 192, 0, 2, 10, 0, 0, 0, 80});
    return frame;
}

std::vector<u8> ipv6_template() {
    return {2,    0, 0,   0,    0, 1,  2, 0,  0, 0, 0, 9, 0x86, 0xdd,        //
            0x60, 0, 0,   0,    0, 24, 6, 64,                                //
            0x20, 1, 0xd, 0xb8, 0, 9,  0, 0,  0, 0, 0, 0, 0,    0,    0, 0,  //
            0x20, 1, 0xd, 0xb8, 0, 0,  0, 0,  0, 0, 0, 0, 0,    0,    0, 0x10, 0, 0, 0, 80};
}

// Sequence number to urgent pointer, and 4 bytes of payload. Nobody checks the checksum on the way.
void append_rest(std::vector<u8>& frame, u8 flags, size_t length) {
    frame.insert(frame.end(), {0, 0, 0, 1, 0, 0, 0, 1, 0x50, flags, 0x20, 0, 0x12, 0x34});
    frame.resize(length);
}

}  // namespace

Result<Traffic> Traffic::create(const TrafficPlan& plan) {
    Traffic traffic;
    traffic.plan_ = plan;
    traffic.template_ = plan.family == 4 ? ipv4_template(plan) : ipv6_template();
    append_rest(traffic.template_, plan.tcp_flags, plan.family == 4 ? 64 : 78);
    u64 sum = 0;
    for (size_t at = l3; at < l3 + sizeof(ipv4_header); at += 2)
        sum += traffic.template_[at] | static_cast<u32>(traffic.template_[at + 1]) << 8;
    traffic.sum_ = sum_fold(sum);
    Result<Mapping> memory = Mapping::anonymous(frame_size * frame_count, true);
    if (!memory) return memory.error();
    traffic.memory_ = std::move(*memory);
    traffic.frames_.resize(frame_count);
    return traffic;
}

u64 Traffic::next_flow() {
    if (plan_.fresh) return fresh_++;
    random_ = random_ * 6364136223846793005ULL + 1442695040888963407ULL;
    return ((random_ >> 32) * plan_.flows) >> 32;
}

void Traffic::stamp_ipv4(u8* packet, u32 client, u16 port) const {
    auto* ip = reinterpret_cast<ipv4_header*>(packet + l3);
    auto* tcp = reinterpret_cast<tcp_header*>(ip + 1);
    (plan_.replies ? ip->destination : ip->source) = to_be32(client);
    (plan_.replies ? tcp->destination : tcp->source) = to_be16(port);
    ip->checksum = static_cast<u16>(~sum_fold(sum_ + static_cast<u64>(to_be32(client).raw)));
}

void Traffic::stamp_ipv6(u8* packet, u32 client, u16 port) const {
    auto* ip = reinterpret_cast<ipv6_header*>(packet + l3);
    ip->source.word[3] = to_be32(client).raw;
    reinterpret_cast<tcp_header*>(ip + 1)->source = to_be16(port);
}

void Traffic::stamp(std::optional<u64> first) {
    u8* buffer = memory_.as<u8>();
    for (Frame& frame : frames_) {
        const u64 flow = first ? (*first)++ : next_flow();
        const u32 client = client_network + static_cast<u32>(flow % clients_per_port);
        const u16 port = static_cast<u16>(first_port + flow / clients_per_port % port_count);
        frame.buffer = buffer;
        frame.data = buffer + head_room;
        frame.end = frame.data + template_.size();
        frame.ifindex = 1;
        std::memcpy(frame.data, template_.data(), template_.size());
        if (plan_.family == 4)
            stamp_ipv4(frame.data, client, port);
        else
            stamp_ipv6(frame.data, client, port);
        buffer += frame_size;
    }
}

}  // namespace sluice::perf
