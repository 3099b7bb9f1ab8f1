// SPDX-License-Identifier: Apache-2.0
#include "dataplane/io/xdp/xdp_counters.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "dataplane/io/xdp/xdp_maps.h"

namespace sluice {
namespace {

// Adds up the first `count` entries of a per-CPU array whose values are structs of u64s. A batched look-up
// asks the kernel once per some hundred entries instead of once per entry.
template <typename Value>
Result<std::vector<Value>> read_sums(const XdpMaps& maps, const char* name, u32 count) {
    static_assert(sizeof(Value) % sizeof(u64) == 0);
    constexpr size_t words = sizeof(Value) / sizeof(u64);
    constexpr u32 most = 256;
    const int cpus = libbpf_num_possible_cpus();
    if (cpus < 0) return system_error(cpus, "number of possible CPUs");
    std::vector<Value> sums(count);
    std::vector<u64> values(size_t{most} * static_cast<size_t>(cpus) * words);
    std::vector<u32> keys(most);
    u32 position = 0;
    for (u32 done = 0; done < count;) {
        u32 batch = std::min(most, count - done);
        u32 next = 0;
        if (bpf_map_lookup_batch(maps.fd(name), done == 0 ? nullptr : &position, &next, keys.data(),
                                 values.data(), &batch, nullptr) != 0 &&
            errno != ENOENT) {
            return system_error(errno, "map {}: entries {} to {}", name, done, done + batch);
        }
        if (batch == 0) break;
        for (u32 i = 0; i < batch; ++i) {
            if (keys[i] >= count) continue;
            u64* sum = reinterpret_cast<u64*>(&sums[keys[i]]);
            for (int cpu = 0; cpu < cpus; ++cpu) {
                const u64* value =
                    &values[(size_t{i} * static_cast<size_t>(cpus) + static_cast<size_t>(cpu)) * words];
                for (size_t word = 0; word < words; ++word) sum[word] += value[word];
            }
        }
        done += batch;
        position = next;
    }
    return sums;
}

}  // namespace

Result<std::vector<port_counters>> read_port_counters(const XdpMaps& maps) {
    return read_sums<port_counters>(maps, "port_counters", NODE_PORTS);
}

Result<std::vector<backend_counters>> read_backend_counters(const XdpMaps& maps, u32 count) {
    return read_sums<backend_counters>(maps, "backend_counters", std::min(count, maps.sizes().backends));
}

Result<std::vector<pair_counters>> read_rule_counters(const XdpMaps& maps, u32 count) {
    return read_sums<pair_counters>(maps, "rule_counters", std::min(count, maps.sizes().rules));
}

Result<worker_counters> read_cpu_counters(const XdpMaps& maps) {
    auto sums = read_sums<worker_counters>(maps, "cpu_counters", 1);
    if (!sums) return sums.error();
    return sums->front();
}

}  // namespace sluice
