// SPDX-License-Identifier: Apache-2.0
#include "control/capture/filter.h"

#include <pcap/pcap.h>

#include <algorithm>
#include <limits>

namespace sluice::capture {

namespace {

constexpr int longest_packet = 65535;
constexpr size_t most_instructions = 4096;  // the kernel's bound, too

// What `inbound` and `outbound` load: SKF_AD_OFF + SKF_AD_PKTTYPE of <linux/filter.h>, which pcap.h's own BPF
// names rule out here. The kernel knows it of a socket's packet; no packet of a capture has it.
constexpr u32 packet_type = 0xfffff000 + 4;

struct Close {
    void operator()(pcap_t* handle) const { pcap_close(handle); }
};

bool loads_packet_type(const Instruction& instruction) {
    const auto& [code, jt, jf, k] = instruction;
    return BPF_CLASS(code) == BPF_LD && BPF_MODE(code) == BPF_ABS && k == packet_type;
}

}  // namespace

Result<std::vector<Instruction>> compile_filter(const std::string& expression) {
    const std::unique_ptr<pcap_t, Close> handle(pcap_open_dead(DLT_EN10MB, longest_packet));
    if (!handle) return make_error("filter: libpcap has no memory");
    bpf_program program{};
    if (pcap_compile(handle.get(), &program, expression.c_str(), 1, PCAP_NETMASK_UNKNOWN) != 0)
        return make_error("filter \"{}\": {}", expression, pcap_geterr(handle.get()));
    std::vector<Instruction> out;
    for (u32 i = 0; i < program.bf_len; ++i) {
        const bpf_insn& each = program.bf_insns[i];
        out.push_back({each.code, each.jt, each.jf, each.k});
    }
    pcap_freecode(&program);
    if (std::any_of(out.begin(), out.end(), loads_packet_type))
        return make_error(
            "filter \"{}\": inbound and outbound match nothing here: expected --direction in, out or both",
            expression);
    return out;
}

PacketFilter::PacketFilter() = default;
PacketFilter::~PacketFilter() = default;
PacketFilter::PacketFilter(PacketFilter&&) noexcept = default;
PacketFilter& PacketFilter::operator=(PacketFilter&&) noexcept = default;

Result<PacketFilter> PacketFilter::from(const std::vector<Instruction>& program) {
    PacketFilter filter;
    if (program.empty()) return filter;
    if (program.size() > most_instructions)
        return make_error("filter: {} instructions: expected {} at most", program.size(), most_instructions);
    for (const auto& [code, jt, jf, k] : program) {
        if (code > std::numeric_limits<u16>::max() || jt > 0xff || jf > 0xff)
            return make_error("filter: expected numbers of 16, 8, 8 and 32 bits in each instruction");
        filter.program_.push_back(
            {static_cast<u_short>(code), static_cast<u_char>(jt), static_cast<u_char>(jf), k});
    }
    if (bpf_validate(filter.program_.data(), static_cast<int>(filter.program_.size())) == 0)
        return make_error("filter: its program is not a valid one");
    return filter;
}

bool PacketFilter::takes(std::span<const u8> bytes, u32 length) const {
    return program_.empty() ||
           bpf_filter(program_.data(), bytes.data(), length, static_cast<u32>(bytes.size())) != 0;
}

}  // namespace sluice::capture
