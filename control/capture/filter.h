// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "dataplane/base/result.h"
#include "dataplane/packet/target.h"

struct bpf_insn;

namespace sluice::capture {

// An instruction of classic BPF, as `tcpdump -ddd` writes it: code, jump if true, jump if false, operand.
using Instruction = std::array<u32, 4>;

// An expression in libpcap's syntax, over Ethernet. Where names of hosts stand in it they are looked up.
Result<std::vector<Instruction>> compile_filter(const std::string& expression);

// A filter program, checked as the kernel would check it. Without instructions it takes every packet.
class PacketFilter {
public:
    PacketFilter();
    ~PacketFilter();
    PacketFilter(PacketFilter&&) noexcept;
    PacketFilter& operator=(PacketFilter&&) noexcept;

    static Result<PacketFilter> from(const std::vector<Instruction>& program);

    // `length`: of the packet, of which `bytes` are there.
    bool takes(std::span<const u8> bytes, u32 length) const;

private:
    std::vector<bpf_insn> program_;
};

}  // namespace sluice::capture
