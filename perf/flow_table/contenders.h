// SPDX-License-Identifier: Apache-2.0
//
// Flow tables that do the same work: a TCP/IPv4 connection's key to its 64-byte record. Flow n is the n-th
// client's connection. Every look-up answers a word of the record, so that the record is fetched, too.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <memory>
#include <unordered_map>

#include "dataplane/tables/flow_table.h"
#include "dataplane/worker/table_memory.h"

namespace sluice::perf {

constexpr u32 batch = 32;

struct Key {
    u64 addresses;
    u64 ports;  // and protocol

    bool operator==(const Key&) const = default;
    template <typename H>
    friend H AbslHashValue(H state, const Key& key) {
        return H::combine(std::move(state), key.addresses, key.ports);
    }
};

inline Key key_of(u64 flow) {
    return {((11ull << 24) + flow) | 192ull << 56, 80ull << 16 | 6ull << 32 | 40000};
}

struct Record {
    u64 word[6];
};

// Ours, as the engine uses it.
class SluiceTable {
public:
    static constexpr const char* name = "sluice";

    static Result<std::unique_ptr<SluiceTable>> create(u32 slots);
    bool insert(u64 flow);
    // A new flow in a full table: the table itself chooses who gives way.
    bool replace(u64, u64 flow) { return insert(flow); }
    u64 find(u64 flow);
    void find_batch(const u64* flows, u64* words);

private:
    SluiceTable() = default;
    flow_query query(u64 flow) const;

    std::unique_ptr<TableMemory> memory_;
    std::unique_ptr<WorkerCounters> counters_;
    struct tables view_ {};
};

class AbslTable {
public:
    static constexpr const char* name = "absl::flat_hash_map";

    static Result<std::unique_ptr<AbslTable>> create(u32 slots);
    bool insert(u64 flow) { return map_.try_emplace(key_of(flow), Record{{flow + 1}}).second; }
    bool replace(u64 old, u64 flow) { return map_.erase(key_of(old)) == 1 && insert(flow); }
    u64 find(u64 flow) const;
    void find_batch(const u64* flows, u64* words) const;

private:
    absl::flat_hash_map<Key, Record> map_;
};

struct KeyHash {
    size_t operator()(const Key& key) const { return flow_hash(key.addresses, key.ports, 0x5eed); }
};

class StdTable {
public:
    static constexpr const char* name = "std::unordered_map";

    static Result<std::unique_ptr<StdTable>> create(u32 slots);
    bool insert(u64 flow) { return map_.try_emplace(key_of(flow), Record{{flow + 1}}).second; }
    bool replace(u64 old, u64 flow) { return map_.erase(key_of(old)) == 1 && insert(flow); }
    u64 find(u64 flow) const;
    void find_batch(const u64* flows, u64* words) const;  // one after the other: it cannot prefetch

private:
    std::unordered_map<Key, Record, KeyHash> map_;
};

#if SLUICE_DPDK
// DPDK's cuckoo hash, with CRC32C and records beside it by position, as its users do.
class RteTable {
public:
    static constexpr const char* name = "rte_hash";

    // Once per process. What kind of pages it got.
    static Result<std::string> initialize();

    static Result<std::unique_ptr<RteTable>> create(u32 slots);
    ~RteTable();
    bool insert(u64 flow);
    bool replace(u64 old, u64 flow);
    u64 find(u64 flow) const;
    void find_batch(const u64* flows, u64* words) const;

private:
    RteTable() = default;

    struct rte_hash* hash_ = nullptr;
    Mapping records_;
};
#endif

}  // namespace sluice::perf
