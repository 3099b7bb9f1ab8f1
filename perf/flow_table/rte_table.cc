// SPDX-License-Identifier: Apache-2.0
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_hash.h>
#include <rte_hash_crc.h>
#include <sched.h>

#include <fstream>

#include "perf/flow_table/contenders.h"

namespace sluice::perf {

namespace {

constexpr long pages_wanted = 1200;  // of 2 MB: 16 M entries

long free_huge_pages() {
    std::ifstream file("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages");
    long pages = 0;
    file >> pages;
    return pages;
}

}  // namespace

Result<std::string> RteTable::initialize() {
    const bool huge = free_huge_pages() >= pages_wanted;
    const std::string core = std::to_string(sched_getcpu());
    std::vector<std::string> text = {"flow-table-bench", "-l",          core,    "--no-pci", "--in-memory",
                                     "--no-telemetry",   "--log-level", "error", "-m",       "2400"};
    if (!huge) text.emplace_back("--no-huge");
    std::vector<char*> arguments;
    for (std::string& one : text) arguments.push_back(one.data());
    if (rte_eal_init(static_cast<int>(arguments.size()), arguments.data()) < 0)
        return make_error("rte_eal_init: {}", rte_strerror(rte_errno));
    return std::string(huge ? "2 MB pages" : "4 KB pages: fewer than 1,200 huge pages are free");
}

Result<std::unique_ptr<RteTable>> RteTable::create(u32 slots) {
    std::unique_ptr<RteTable> table(new RteTable);
    static u32 count = 0;
    const std::string label = "table" + std::to_string(count++);
    rte_hash_parameters parameters{};
    parameters.name = label.c_str();
    parameters.entries = slots;
    parameters.key_len = sizeof(Key);
    parameters.hash_func = rte_hash_crc;
    table->hash_ = rte_hash_create(&parameters);
    if (table->hash_ == nullptr)
        return make_error("rte_hash of {} entries: {}", slots, rte_strerror(rte_errno));
    Result<Mapping> records = Mapping::anonymous((slots + 1ull) * 64, true);
    if (!records) return records.error();
    table->records_ = std::move(*records);
    return table;
}

RteTable::~RteTable() { rte_hash_free(hash_); }

bool RteTable::insert(u64 flow) {
    const Key key = key_of(flow);
    const int at = rte_hash_add_key(hash_, &key);
    if (at < 0) return false;
    records_.as<u64>()[static_cast<size_t>(at) * 8] = flow + 1;
    return true;
}

bool RteTable::replace(u64 old, u64 flow) {
    const Key key = key_of(old);
    return rte_hash_del_key(hash_, &key) >= 0 && insert(flow);
}

u64 RteTable::find(u64 flow) const {
    const Key key = key_of(flow);
    const int at = rte_hash_lookup(hash_, &key);
    return at < 0 ? 0 : records_.as<u64>()[static_cast<size_t>(at) * 8];
}

void RteTable::find_batch(const u64* flows, u64* words) const {
    Key keys[batch];
    const void* pointers[batch];
    int32_t positions[batch];
    for (u32 i = 0; i < batch; i++) {
        keys[i] = key_of(flows[i]);
        pointers[i] = &keys[i];
    }
    rte_hash_lookup_bulk(hash_, pointers, batch, positions);
    for (u32 i = 0; i < batch; i++)
        if (positions[i] >= 0) __builtin_prefetch(records_.as<u64>() + static_cast<size_t>(positions[i]) * 8);
    for (u32 i = 0; i < batch; i++)
        words[i] = positions[i] < 0 ? 0 : records_.as<u64>()[static_cast<size_t>(positions[i]) * 8];
}

}  // namespace sluice::perf
