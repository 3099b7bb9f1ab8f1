// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <random>
#include <set>

#include "dataplane/proxy/access_log.h"
#include "dataplane/proxy/buffers.h"
#include "dataplane/proxy/connection.h"
#include "dataplane/proxy/timer_wheel.h"

namespace sluice::proxy {
namespace {

TEST(ProxyBuffers, HaveTheLeastSizeThatTakesTheBytes) {
    MemoryBound bound(1 << 20);
    BufferPool pool(bound);
    for (const auto& [bytes, size] :
         {std::pair{1U, 1024U}, {1024U, 1024U}, {1025U, 16384U}, {16385U, 262144U}, {262144U, 262144U}}) {
        Buffer buffer = pool.get(bytes);
        EXPECT_EQ(buffer.size, size);
        EXPECT_TRUE(buffer.empty());
        pool.put(buffer);
        EXPECT_EQ(buffer.data, nullptr);
    }
    EXPECT_EQ(pool.get(262145).data, nullptr);
}

TEST(ProxyBuffers, AreChargedToTheBoundWhileInUseAndNotWhileSpare) {
    MemoryBound bound(1 << 20);
    BufferPool pool(bound);
    Buffer one = pool.get(100);
    Buffer two = pool.get(20'000);
    EXPECT_EQ(bound.used(), 1024U + 262144U);
    EXPECT_EQ(pool.in_use(), bound.used());
    pool.put(two);
    EXPECT_EQ(bound.used(), 1024U);
    EXPECT_EQ(pool.spare(), 262144U);
    pool.put(one);
    EXPECT_EQ(bound.used(), 0U);
}

TEST(ProxyBuffers, KeepABoundedNumberForTheNext) {
    MemoryBound bound(1 << 30);
    BufferPool pool(bound);
    std::vector<Buffer> many(100);
    for (Buffer& buffer : many) buffer = pool.get(262144);
    for (Buffer& buffer : many) pool.put(buffer);
    EXPECT_LE(pool.spare(), 4U << 20);
}

TEST(ProxySlab, GivesFreshConnectionsAndReusesTheirMemory) {
    ConnectionSlab slab;
    std::set<Connection*> seen;
    for (int i = 0; i < 100; ++i) {
        Connection* c = slab.get();
        EXPECT_EQ(c->side[CLIENT].fd, -1);
        EXPECT_EQ(reinterpret_cast<u64>(c) % alignof(Connection), 0U);
        seen.insert(c);
    }
    const size_t bytes = slab.bytes();
    for (Connection* c : seen) {
        c->side[CLIENT].fd = 7;
        slab.put(c);
    }
    for (int i = 0; i < 100; ++i) EXPECT_EQ(slab.get()->side[CLIENT].fd, -1);
    EXPECT_EQ(slab.bytes(), bytes);
    EXPECT_LE(sizeof(Connection), 1024U);
}

// Every timer goes off once, not before its time and within two ticks after it, however time passes.
TEST(ProxyTimers, GoOffAtTheirTime) {
    std::mt19937 random(3);
    u64 now = 1'000'000;
    TimerWheel wheel(now);
    std::vector<TimerNode> nodes(2000);
    std::vector<u64> due(nodes.size());
    std::set<size_t> waiting;
    for (size_t i = 0; i < nodes.size(); ++i) {
        due[i] = now + random() % 60'000;
        wheel.set(nodes[i], due[i]);
        waiting.insert(i);
    }
    for (size_t i = 0; i < nodes.size(); i += 7) {
        wheel.remove(nodes[i]);
        waiting.erase(i);
    }
    u64 last = now;
    while (!waiting.empty() && now < 1'100'000) {
        const int wait = wheel.wait_ms(now);
        ASSERT_GE(wait, 0);
        now += random() % 4 == 0 ? random() % 100 : static_cast<u64>(wait) + random() % 3;
        wheel.advance(now, [&](TimerNode& node) {
            const auto i = static_cast<size_t>(&node - nodes.data());
            EXPECT_EQ(waiting.erase(i), 1U);
            EXPECT_LE(due[i], now);
            EXPECT_GE(due[i] + 2 * TimerWheel::tick_ms, last);
        });
        last = now;
    }
    EXPECT_TRUE(waiting.empty());
    EXPECT_EQ(wheel.wait_ms(now), -1);
}

TEST(ProxyTimers, MayBeSetAnewWhileTheyGoOff) {
    TimerWheel wheel(0);
    TimerNode node;
    int times = 0;
    wheel.set(node, 10);
    for (u64 now = 0; now <= 20'000; now += 16)
        wheel.advance(now, [&](TimerNode& each) {
            ++times;
            wheel.set(each, now + 1000);
        });
    EXPECT_GE(times, 18);
    EXPECT_LE(times, 20);
}

Record closed_at(u64 ns) {
    Record record;
    record.closed_at_ns = ns;
    record.id = ns;
    return record;
}

TEST(ProxyRecords, KeepTheNewestAndSayWhenAYoungOneHadToGo) {
    ClosedRecords records(4);
    EXPECT_FALSE(records.add(closed_at(1), 100));
    for (u64 at = 2; at <= 4; ++at) EXPECT_FALSE(records.add(closed_at(at), 100));
    EXPECT_TRUE(records.add(closed_at(50), 100));
    EXPECT_FALSE(records.add(closed_at(500), 100));
    std::vector<Record> out;
    records.copy(4, out);
    ASSERT_EQ(out.size(), 3U);
    EXPECT_EQ(out[0].id, 4U);
    EXPECT_EQ(out[2].id, 500U);
}

TEST(ProxyRecords, AQueueThatNobodyEmptiesLosesAndCounts) {
    RecordQueue queue(4);
    for (u64 i = 0; i < 10; ++i) queue.push(closed_at(i));
    EXPECT_EQ(queue.dropped(), 6U);
    u64 next = 0;
    EXPECT_EQ(queue.drain([&](const Record& record) { EXPECT_EQ(record.id, next++); }), 4U);
    queue.push(closed_at(99));
    EXPECT_EQ(queue.drain([](const Record& record) { EXPECT_EQ(record.id, 99U); }), 1U);
}

TEST(ProxyRecords, MakeALineOfTextOrJson) {
    Record record;
    record.service = "web";
    record.ending = Ending::client_reset;
    record.side[CLIENT].bytes_read = 42;
    EXPECT_NE(access_line(record, false).find(" service=web "), std::string::npos);
    EXPECT_NE(access_line(record, false).find(" ending=client_reset "), std::string::npos);
    const std::string json = access_line(record, true);
    EXPECT_NE(json.find(R"("bytes_from_client":42)"), std::string::npos);
    EXPECT_EQ(json.front(), '{');
    EXPECT_EQ(json.back(), '}');
}

TEST(ProxyHistogram, PutsEachTimeIntoTheFirstBucketThatHoldsIt) {
    Histogram histogram;
    for (const u64 ns : {1ULL, 1000ULL, 1001ULL, 2000ULL, 2001ULL, 4000ULL, 100'000'000'000ULL})
        histogram.observe(ns);
    EXPECT_EQ(histogram.bucket(0), 2U);
    EXPECT_EQ(histogram.bucket(1), 2U);
    EXPECT_EQ(histogram.bucket(2), 2U);
    EXPECT_EQ(histogram.bucket(Histogram::buckets - 1), 1U);
}

}  // namespace
}  // namespace sluice::proxy
