// SPDX-License-Identifier: Apache-2.0
//
// The flow table against the tables one would take instead: look-up of known flows, one by one and in
// batches, insertion, and insertion into a full table.
#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "perf/common/measure.h"
#include "perf/flow_table/contenders.h"

namespace sluice::perf {
namespace {

constexpr u32 lookups = 1 << 18;  // per round

u32 slots_for(u32 flows) {
    u32 slots = 1024;
    while (slots * 0.6 < flows) slots *= 2;
    return slots;
}

std::string text_of(u32 flows) {
    return flows < 1'000'000 ? fmt::format("{}", flows) : fmt::format("{} M", flows / 1'000'000);
}

class RandomFlows {
public:
    explicit RandomFlows(u32 count) : count_(count) {}
    u64 next() {
        state_ = state_ * 6364136223846793005ULL + 1442695040888963407ULL;
        return ((state_ >> 32) * count_) >> 32;
    }

private:
    u64 count_;
    u64 state_ = 1;
};

// ns per look-up; every one must find its flow's record.
template <typename Table>
Result<double> single(Table& table, RandomFlows& random) {
    u32 wrong = 0;
    const u64 begin = thread_ns();
    for (u32 i = 0; i < lookups; i++) {
        const u64 flow = random.next();
        wrong += table.find(flow) != flow + 1;
    }
    const u64 end = thread_ns();
    if (wrong != 0) return make_error("{} of {} look-ups failed", wrong, lookups);
    return static_cast<double>(end - begin) / lookups;
}

template <typename Table>
Result<double> batched(Table& table, RandomFlows& random) {
    u32 wrong = 0;
    u64 flows[batch];
    u64 words[batch];
    const u64 begin = thread_ns();
    for (u32 i = 0; i < lookups; i += batch) {
        for (u64& flow : flows) flow = random.next();
        table.find_batch(flows, words);
        for (u32 j = 0; j < batch; j++) wrong += words[j] != flows[j] + 1;
    }
    const u64 end = thread_ns();
    if (wrong != 0) return make_error("{} of {} look-ups failed", wrong, lookups);
    return static_cast<double>(end - begin) / lookups;
}

// `count` flows into an empty table with room for them at 0.6 full.
template <typename Table>
Result<double> inserted(u32 count) {
    Result<std::unique_ptr<Table>> table = Table::create(slots_for(count));
    if (!table) return table.error();
    u32 refused = 0;
    const u64 begin = thread_ns();
    for (u64 flow = 0; flow < count; flow++) refused += !(*table)->insert(flow);
    const u64 end = thread_ns();
    if (refused != 0) return make_error("{} of {} insertions failed", refused, count);
    return static_cast<double>(end - begin) / count;
}

// A table that is full and stays so: each new flow takes an old one's place.
template <typename Table>
struct Full {
    std::unique_ptr<Table> table;
    u64 flows = 0;
    u64 next = 0;

    Result<double> measure() {
        u32 refused = 0;
        const u64 begin = thread_ns();
        for (u32 i = 0; i < lookups; i++, next++) refused += !table->replace(next - flows, next);
        const u64 end = thread_ns();
        if (refused != 0) return make_error("{} of {} insertions failed", refused, lookups);
        return static_cast<double>(end - begin) / lookups;
    }
};

template <typename Table>
Status add_lookups(u32 flows, std::vector<Scenario>& singles, std::vector<Scenario>& batches) {
    Result<std::unique_ptr<Table>> made = Table::create(slots_for(flows));
    if (!made) return made.error().with_context(Table::name);
    std::shared_ptr<Table> table = std::move(*made);
    for (u64 flow = 0; flow < flows; flow++)
        if (!table->insert(flow)) return make_error("{}: flow {} of {} refused", Table::name, flow, flows);
    auto random = std::make_shared<RandomFlows>(flows);
    const std::string suffix = fmt::format("{} flows, {}", text_of(flows), Table::name);
    singles.push_back({"look-up, " + suffix, [=] { return single(*table, *random); }});
    batches.push_back({"look-up by 32, " + suffix, [=] { return batched(*table, *random); }});
    return {};
}

template <typename Table>
Status add_insertions(u32 flows, std::vector<Scenario>& empty, std::vector<Scenario>& full) {
    const std::string suffix = fmt::format("{} flows, {}", text_of(flows), Table::name);
    empty.push_back({"insert, " + suffix, [flows] { return inserted<Table>(flows); }});
    const u32 slots = slots_for(flows);
    Result<std::unique_ptr<Table>> made = Table::create(slots);
    if (!made) return made.error().with_context(Table::name);
    auto one = std::make_shared<Full<Table>>();
    one->table = std::move(*made);
    one->flows = slots / 8 * 7;  // rte_hash refuses before all its entries are taken
    if (std::is_same_v<Table, SluiceTable>) one->flows = slots * 2ull;
    for (; one->next < one->flows; one->next++)
        if (!one->table->insert(one->next)) return make_error("{}: refused before it is full", Table::name);
    full.push_back({fmt::format("insert into full, {} slots, {}", slots, Table::name),
                    [one] { return one->measure(); }});
    return {};
}

template <typename... Tables>
Status measure_size(u32 flows, int rounds, std::vector<Series>& all) {
    std::vector<Scenario> groups[4];
    Status status;
    ((status = status ? add_lookups<Tables>(flows, groups[0], groups[1]) : status), ...);
    if (flows == 1'000'000)
        ((status = status ? add_insertions<Tables>(flows, groups[2], groups[3]) : status), ...);
    if (!status) return status;
    for (const std::vector<Scenario>& group : groups) {
        Result<std::vector<Series>> series = interleave(group, rounds);
        if (!series) return series.error();
        all.insert(all.end(), series->begin(), series->end());
    }
    return {};
}

Status run(int rounds, const std::string& json) {
#if SLUICE_DPDK
    const Result<std::string> pages = RteTable::initialize();
    if (!pages) return pages.error();
    fmt::print("rte_hash lies on {}\n", *pages);
#endif
    std::vector<Series> all;
    for (const u32 flows : {1'000u, 65'536u, 1'000'000u, 10'000'000u}) {
#if SLUICE_DPDK
        const Status status = measure_size<SluiceTable, RteTable, AbslTable, StdTable>(flows, rounds, all);
#else
        const Status status = measure_size<SluiceTable, AbslTable, StdTable>(flows, rounds, all);
#endif
        if (!status) return status;
    }
    return report("ns per operation", all, json);
}

}  // namespace
}  // namespace sluice::perf

int main(int argc, char** argv) {
    CLI::App app{"The flow table against others"};
    int rounds = 9;
    std::string json;
    app.add_option("--rounds", rounds, "rounds, interleaved");
    app.add_option("--json", json, "file to write the figures to");
    CLI11_PARSE(app, argc, argv);
    if (const sluice::Status status = sluice::perf::run(rounds, json); !status) {
        fmt::print(stderr, "flow-table-bench: {}\n", status.error().message);
        return 1;
    }
    return 0;
}
