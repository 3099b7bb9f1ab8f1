// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <atomic>
#include <random>
#include <thread>
#include <unordered_map>

#include "dataplane/tables/flow_table.h"
#include "dataplane/worker/table_memory.h"

namespace sluice {
namespace {

class Table {
public:
    explicit Table(u32 flows)
        : memory_(std::move(*TableMemory::create({flows, 4, 1, 1}))),
          counters_(std::move(*WorkerCounters::create(1, 1))) {
        memory_.fill(view);
        counters_.fill(view);
        for (u32& timeout : memory_.node().timeout) timeout = 100;
    }

    u32 capacity() const { return memory_.node().flow_capacity; }
    const worker_counters& counters() const { return counters_.worker(); }

    struct tables view {};

private:
    TableMemory memory_;
    WorkerCounters counters_;
};

// Two endpoints: IPv4, or IPv6 whose folds say little.
struct Pair {
    struct address one, other;
    u16 one_port, other_port;
    u8 family;
};

Pair pair_of(u32 number, u8 family) {
    Pair p{};
    p.family = family;
    p.one_port = static_cast<u16>(number);
    p.other_port = 80;
    p.one = address_from_ipv4(to_be32(0x0a000000 + (number >> 16)));
    p.other = address_from_ipv4(to_be32(0xc0000201));
    if (family == 6) {
        p.one = {{0xb80d0120, u64{number} << 32}};
        p.other = {{0xb80d0120, 1}};
    }
    return p;
}

flow_query query_of(const Table& table, const Pair& p, bool reversed) {
    flow_query q{};
    q.source_address = reversed ? p.other : p.one;
    q.destination_address = reversed ? p.one : p.other;
    q.source =
        flow_endpoint_word(&q.source_address, reversed ? p.other_port : p.one_port, PROTOCOL_UDP, p.family);
    q.destination = flow_endpoint_word(&q.destination_address, reversed ? p.one_port : p.other_port,
                                       PROTOCOL_UDP, p.family);
    q.hash = flow_hash(q.source, q.destination, table.view.node->flow_seed);
    return q;
}

bool insert(Table& table, const flow_query& q, u32 value, u32 now) {
    flow_place place{}, scratch{};
    flow_ref ref{nullptr, &place};
    if (!flow_claim(&table.view, q.hash, now, &ref)) return false;
    flow_word_store(&ref.flow->initiator, q.source);
    flow_word_store(&ref.flow->responder, q.destination);
    ref.flow->target = value;
    ref.flow->last_seen = now;
    ref.flow->state = STATE_UDP;
    flow_addresses* full = flow_addresses_at(&table.view, place.index);
    full->initiator = q.source_address;
    full->responder = q.destination_address;
    return flow_publish_unique(&table.view, &q, &ref, &scratch);
}

struct Found {
    bool any;
    u32 value;
    u32 direction;
};

Found find(Table& table, const flow_query& q, bool remove = false) {
    flow_place place{};
    flow_ref ref{nullptr, &place};
    if (!flow_find(&table.view, &q, &ref)) return {false, 0, 0};
    const Found found{true, ref.flow->target, place.direction};
    if (remove) flow_remove(&table.view, &ref);
    return found;
}

class FlowTableOfFamily : public testing::TestWithParam<u8> {};

// Random operations against a map, in a table that never fills.
TEST_P(FlowTableOfFamily, AgreesWithAMap) {
    Table table(4096);
    std::unordered_map<u32, u32> model;
    std::mt19937 random(GetParam());
    for (u32 step = 0; step < 60000; step++) {
        const u32 number = random() % 3000;
        const Pair pair = pair_of(number, GetParam());
        const flow_query q = query_of(table, pair, random() % 2);
        const Found found = find(table, q, false);
        const auto known = model.find(number);
        ASSERT_EQ(found.any, known != model.end()) << "step " << step;
        if (found.any) {
            ASSERT_EQ(found.value, known->second);
            if (random() % 3 == 0) {
                find(table, q, true);
                model.erase(known);
            }
        } else if (model.size() < 2000) {
            ASSERT_TRUE(insert(table, q, step, 1));
            model[number] = step;
        }
    }
    EXPECT_EQ(table.counters().flows_evicted, 0u);
    EXPECT_GT(model.size(), 1000u);
}

TEST_P(FlowTableOfFamily, BothDirectionsFindOneEntry) {
    Table table(64);
    const Pair pair = pair_of(5, GetParam());
    ASSERT_TRUE(insert(table, query_of(table, pair, false), 42, 1));
    const Found forth = find(table, query_of(table, pair, false));
    const Found back = find(table, query_of(table, pair, true));
    EXPECT_TRUE(forth.any && back.any);
    EXPECT_EQ(forth.direction, 0u);
    EXPECT_EQ(back.direction, 1u);
    EXPECT_EQ(back.value, 42u);
}

INSTANTIATE_TEST_SUITE_P(Families, FlowTableOfFamily, testing::Values(u8{4}, u8{6}));

TEST(FlowTable, TellsIpv6FlowsWithEqualFoldsApart) {
    Table table(64);
    Pair pair = pair_of(1, 6);
    const flow_query q = query_of(table, pair, false);
    ASSERT_TRUE(insert(table, q, 1, 1));
    flow_query other = q;
    other.source_address.word[1] ^= 1;  // the words of the key stay, as if the fold were the same
    EXPECT_FALSE(find(table, other).any);
}

TEST(FlowTable, FillsToThreeFifthsAtLeastBeforeAnythingIsEvicted) {
    Table table(1024);
    u32 inserted = 0;
    while (table.counters().flows_evicted == 0)
        ASSERT_TRUE(insert(table, query_of(table, pair_of(inserted++, 4), false), 0, 1));
    EXPECT_GT(inserted, table.capacity() * 6 / 10);
}

TEST(FlowTable, AFullTableGivesUpExpiredEntriesFirst) {
    Table table(64);
    for (u32 i = 0; i < 300; i++) insert(table, query_of(table, pair_of(i, 4), false), i, 1);
    const u64 evicted = table.counters().flows_evicted;
    for (u32 i = 300; i < 308; i++)
        ASSERT_TRUE(insert(table, query_of(table, pair_of(i, 4), false), i, 1000));
    EXPECT_EQ(table.counters().flows_evicted, evicted);
    EXPECT_EQ(table.counters().flows_reclaimed, 8u);
    for (u32 i = 300; i < 308; i++) EXPECT_TRUE(find(table, query_of(table, pair_of(i, 4), false)).any);
}

TEST(FlowTable, AFullTableGivesUpTheLongestIdleOfABucket) {
    Table table(8);  // one bucket
    for (u32 i = 0; i < 8; i++)
        ASSERT_TRUE(insert(table, query_of(table, pair_of(i, 4), false), i, 50 + (i + 5) % 8));
    ASSERT_TRUE(insert(table, query_of(table, pair_of(100, 4), false), 100, 60));
    for (u32 i = 0; i < 8; i++)
        EXPECT_EQ(find(table, query_of(table, pair_of(i, 4), false)).any, i != 3) << i;
    EXPECT_EQ(table.counters().flows_evicted, 1u);
}

TEST(FlowTable, AReplacedEntryIsNoticedByItsReader) {
    Table table(8);
    const flow_query q = query_of(table, pair_of(1, 4), false);
    ASSERT_TRUE(insert(table, q, 1, 1));
    flow_place place{};
    flow_ref ref{nullptr, &place};
    ASSERT_TRUE(flow_find(&table.view, &q, &ref));
    EXPECT_TRUE(flow_unchanged(&ref));
    find(table, q, true);
    EXPECT_FALSE(flow_unchanged(&ref));
    flow_ref stale = ref;
    ASSERT_TRUE(insert(table, query_of(table, pair_of(2, 4), false), 2, 1));
    flow_remove(&table.view, &stale);  // must not take the new entry with it
    EXPECT_TRUE(find(table, query_of(table, pair_of(2, 4), false)).any);
}

TEST(FlowTable, AKeyInsertedTwiceIsThereOnce) {
    Table table(64);
    const flow_query q = query_of(table, pair_of(1, 4), false);
    ASSERT_TRUE(insert(table, q, 1, 1));
    insert(table, q, 2, 1);
    ASSERT_TRUE(find(table, q, true).any);
    EXPECT_FALSE(find(table, q).any);
}

// Two writers and a reader over few keys: a match that is unchanged afterwards is whole, and keys can be
// removed.
TEST(FlowTable, ConcurrentWritersLeaveWholeEntries) {
    Table table(64);
    std::atomic<bool> stop{false};
    std::atomic<u64> torn{0}, seen{0};
    const auto write = [&](u32 seed) {
        std::mt19937 random(seed);
        for (int i = 0; i < 200000; i++) {
            const u32 number = random() % 40;
            const flow_query q = query_of(table, pair_of(number, 4), false);
            if (random() % 2)
                insert(table, q, number * 7 + 1, 1);
            else
                find(table, q, true);
        }
    };
    std::thread reader([&] {
        std::mt19937 random(9);
        while (!stop) {
            const u32 number = random() % 40;
            const flow_query q = query_of(table, pair_of(number, 4), random() % 2);
            flow_place place{};
            flow_ref ref{nullptr, &place};
            if (!flow_find(&table.view, &q, &ref)) continue;
            const u32 value = *static_cast<volatile u32*>(&ref.flow->target);
            COMPILER_BARRIER();
            if (!flow_unchanged(&ref)) continue;
            seen++;
            torn += value != number * 7 + 1;
        }
    });
    std::thread one(write, 1), other(write, 2);
    one.join();
    other.join();
    stop = true;
    reader.join();
    EXPECT_EQ(torn, 0u);
    EXPECT_GT(seen, 0u);
    // A writer that published behind the other one's back may leave its entry hidden behind the first. What
    // is hidden is found, and removed, once the one before it has gone.
    for (u32 number = 0; number < 40; number++) {
        const flow_query q = query_of(table, pair_of(number, 4), false);
        for (int i = 0; i < 2 * FLOW_BUCKET_SLOTS; i++) find(table, q, true);
        EXPECT_FALSE(find(table, q).any) << "key " << number;
    }
}

}  // namespace
}  // namespace sluice
