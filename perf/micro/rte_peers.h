// SPDX-License-Identifier: Apache-2.0
//
// DPDK's tables with the same contents and questions as perf/micro/stages.h: 1,000 connections in rte_hash,
// 10,000 prefixes in rte_lpm, 10,000 rules in rte_acl.
#pragma once

#include "perf/micro/stages.h"

struct rte_hash;
struct rte_lpm;
struct rte_acl_ctx;

namespace sluice::perf {

class RtePeers {
public:
    // Once per process: initializes EAL, without huge pages.
    static Result<std::unique_ptr<RtePeers>> create();
    ~RtePeers();

    std::vector<Operation> operations();

private:
    RtePeers() = default;
    Status make_hash();
    Status make_lpm();
    Status make_acl();

    // In the order and with the byte order that rte_acl reads: protocol, then addresses, then ports.
    struct Packet {
        u8 protocol;
        u8 reserved[3];
        u32 source;
        u32 destination;
        u16 source_port;
        u16 destination_port;
    };

    ::rte_hash* hash_ = nullptr;
    ::rte_lpm* lpm_ = nullptr;
    ::rte_acl_ctx* acl_ = nullptr;
    std::vector<Packet> packets_;
};

}  // namespace sluice::perf
