// SPDX-License-Identifier: Apache-2.0
#include "perf/micro/rte_peers.h"

#include <rte_acl.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_hash.h>
#include <rte_hash_crc.h>
#include <rte_lpm.h>
#include <sched.h>

#include <cstddef>

#include "dataplane/packet/headers.h"

namespace sluice::perf {

namespace {

constexpr int rules = 10'000;
constexpr u32 vip = 0xc000020a;  // 192.0.2.10
constexpr u32 drop_data = 1;
constexpr u32 allow_data = 2;

// The networks of perf/engine's rules: 10.<i / 250 % 250>.<i % 250>.0/24.
u32 network_of(int i) {
    return 10u << 24 | static_cast<u32>(i / 250 % 250) << 16 | static_cast<u32>(i % 250) << 8;
}

RTE_ACL_RULE_DEF(acl_rule, 5);

const char* eal_words[] = {"micro-bench", "--no-pci", "--no-huge", "--no-shconf", "--no-telemetry",
                           "--log-level", "error",    "-m",        "256",         "-l"};

}  // namespace

Result<std::unique_ptr<RtePeers>> RtePeers::create() {
    std::string core = std::to_string(sched_getcpu());
    std::vector<char*> arguments;
    for (const char* word : eal_words) arguments.push_back(const_cast<char*>(word));
    arguments.push_back(core.data());
    if (rte_eal_init(static_cast<int>(arguments.size()), arguments.data()) < 0)
        return make_error("rte_eal_init: {}", rte_strerror(rte_errno));
    std::unique_ptr<RtePeers> peers(new RtePeers);
    for (u32 i = 0; i < Stages::packets; i++) {
        const u32 client = (11u << 24) + i * (Stages::flows / Stages::packets);
        peers->packets_.push_back(
            {6, {}, to_be32(client).raw, to_be32(vip).raw, to_be16(1024).raw, to_be16(80).raw});
    }
    for (Status (RtePeers::*make)() : {&RtePeers::make_hash, &RtePeers::make_lpm, &RtePeers::make_acl})
        if (Status status = (peers.get()->*make)(); !status) return status.error();
    return peers;
}

RtePeers::~RtePeers() {
    rte_hash_free(hash_);
    rte_lpm_free(lpm_);
    rte_acl_free(acl_);
}

Status RtePeers::make_hash() {
    rte_hash_parameters parameters{};
    parameters.name = "flows";
    parameters.entries = 2048;
    parameters.key_len = sizeof(Packet);
    parameters.hash_func = rte_hash_crc;
    hash_ = rte_hash_create(&parameters);
    if (hash_ == nullptr) return make_error("rte_hash: {}", rte_strerror(rte_errno));
    for (u32 i = 0; i < Stages::flows; i++) {
        const Packet key{
            6, {}, to_be32((11u << 24) + i).raw, to_be32(vip).raw, to_be16(1024).raw, to_be16(80).raw};
        if (rte_hash_add_key(hash_, &key) < 0) return make_error("rte_hash: flow {} refused", i);
    }
    return {};
}

Status RtePeers::make_lpm() {
    rte_lpm_config config{};
    config.max_rules = 2 * rules;
    config.number_tbl8s = 1 << 8;
    lpm_ = rte_lpm_create("sources", SOCKET_ID_ANY, &config);
    if (lpm_ == nullptr) return make_error("rte_lpm: {}", rte_strerror(rte_errno));
    for (int i = 1; i < rules; i++)
        if (rte_lpm_add(lpm_, network_of(i), 24, static_cast<u32>(i)) != 0)
            return make_error("rte_lpm: prefix {} refused", i);
    return {};
}

Status RtePeers::make_acl() {
    const rte_acl_field_def fields[] = {
        {RTE_ACL_FIELD_TYPE_BITMASK, 1, 0, 0, offsetof(Packet, protocol)},
        {RTE_ACL_FIELD_TYPE_MASK, 4, 1, 1, offsetof(Packet, source)},
        {RTE_ACL_FIELD_TYPE_MASK, 4, 2, 2, offsetof(Packet, destination)},
        {RTE_ACL_FIELD_TYPE_RANGE, 2, 3, 3, offsetof(Packet, source_port)},
        {RTE_ACL_FIELD_TYPE_RANGE, 2, 4, 3, offsetof(Packet, destination_port)},
    };
    rte_acl_param parameters{"rules", SOCKET_ID_ANY, RTE_ACL_RULE_SZ(5), rules + 1};
    acl_ = rte_acl_create(&parameters);
    if (acl_ == nullptr) return make_error("rte_acl: {}", rte_strerror(rte_errno));
    for (int i = 1; i <= rules; i++) {
        acl_rule rule{};
        const bool last = i == rules;
        const u16 port = static_cast<u16>(last ? 80 : 1000 + i % 30000);
        rule.data = {1, rules + 1 - i, last ? allow_data : drop_data};
        rule.field[0].value.u8 = 6;
        rule.field[0].mask_range.u8 = 0xff;
        rule.field[1].value.u32 = last ? 0 : network_of(i);
        rule.field[1].mask_range.u32 = last ? 0 : 24;
        rule.field[2].value.u32 = last ? 0xc0000200 : 0;
        rule.field[2].mask_range.u32 = last ? 24 : 0;
        rule.field[3].mask_range.u16 = 0xffff;
        rule.field[4].value.u16 = port;
        rule.field[4].mask_range.u16 = port;
        if (rte_acl_add_rules(acl_, reinterpret_cast<rte_acl_rule*>(&rule), 1) != 0)
            return make_error("rte_acl: rule {} refused", i);
    }
    rte_acl_config config{};
    config.num_categories = 1;
    config.num_fields = 5;
    std::copy(std::begin(fields), std::end(fields), config.defs);
    if (const int status = rte_acl_build(acl_, &config); status != 0)
        return make_error("rte_acl_build: {}", rte_strerror(-status));
    return {};
}

std::vector<Operation> RtePeers::operations() {
    const u32 count = Stages::packets;
    const auto hash = [this] {
        u32 wrong = 0;
        for (const Packet& packet : packets_) wrong += rte_hash_lookup(hash_, &packet) < 0;
        return wrong;
    };
    const auto lpm = [this] {
        u32 found = 0;
        for (const Packet& packet : packets_) {
            u32 next = 0;
            asm volatile("" : : : "memory");
            found += rte_lpm_lookup(lpm_, __builtin_bswap32(packet.source), &next) == 0;
        }
        return found;  // the clients are in none of the networks
    };
    const auto acl = [this](u32 at_once) {
        u32 wrong = 0;
        for (u32 i = 0; i < packets_.size(); i += at_once) {
            const u8* data[32];
            u32 results[32];
            for (u32 j = 0; j < at_once; j++) data[j] = reinterpret_cast<const u8*>(&packets_[i + j]);
            rte_acl_classify(acl_, data, results, at_once, 1);
            for (u32 j = 0; j < at_once; j++) wrong += results[j] != allow_data;
        }
        return wrong;
    };
    return {{"rte_hash look-up, 1,000 flows", count, hash},
            {"rte_lpm of 10,000 prefixes", count, lpm},
            {"rte_acl of 10,000 rules, one by one", count, [acl] { return acl(1); }},
            {"rte_acl of 10,000 rules, 32 at once", count, [acl] { return acl(32); }}};
}

}  // namespace sluice::perf
