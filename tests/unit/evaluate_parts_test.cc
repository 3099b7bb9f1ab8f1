// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "dataplane/evaluate/authorizer.h"
#include "dataplane/evaluate/connections.h"
#include "dataplane/evaluate/dns_answer.h"
#include "dataplane/evaluate/learned_table.h"
#include "dataplane/worker/table_memory.h"

namespace sluice::evaluate {
namespace {

constexpr u64 second = 1'000'000'000;

struct address v4(u32 last) {
    return address_from_ipv4(to_be32(0x0a000000u + last));
}

flow_query query(u32 source, u16 port, u64 seed) {
    flow_query q{};
    q.source_address = v4(source);
    q.destination_address = v4(999);
    q.source = flow_endpoint_word(&q.source_address, port, PROTOCOL_TCP, 4);
    q.destination = flow_endpoint_word(&q.destination_address, 80, PROTOCOL_TCP, 4);
    q.hash = flow_hash(q.source, q.destination, seed);
    return q;
}

TEST(EvaluateSchedule, HoldsOnItsDaysBetweenItsTimes) {
    const Schedule office{0x1f, 8 * 60, 18 * 60};
    constexpr int64_t monday = 1'700'438'400;  // 2023-11-20 00:00 UTC
    EXPECT_FALSE(office.is_open(monday + 8 * 3600 - 1));
    EXPECT_TRUE(office.is_open(monday + 8 * 3600));
    EXPECT_TRUE(office.is_open(monday + 18 * 3600 - 1));
    EXPECT_FALSE(office.is_open(monday + 18 * 3600));
    EXPECT_TRUE(office.is_open(monday + 4 * 86400 + 9 * 3600));   // Friday
    EXPECT_FALSE(office.is_open(monday + 5 * 86400 + 9 * 3600));  // Saturday
    EXPECT_FALSE(office.is_open(monday - 86400 + 9 * 3600));      // Sunday
    const Schedule all_day{0x40, 0, 1440};
    EXPECT_TRUE(all_day.is_open(monday - 1));
    EXPECT_FALSE(all_day.is_open(monday));
    EXPECT_FALSE(all_day.is_open(0));              // 1970-01-01, a Thursday
    EXPECT_TRUE(all_day.is_open(-4 * 86400 + 1));  // a Sunday before
}

class EvaluateConnections : public testing::Test {
protected:
    EvaluateConnections() : memory(*TableMemory::create({4096, 64, 16, 16})) {
        memory.fill(view);
        memory.node().timeout[STATE_TCP_ESTABLISHED] = 3'600'000;
    }
    void enter(const flow_query& q, u8 state = STATE_TCP_ESTABLISHED) {
        flow_place place{};
        flow_ref ref{nullptr, &place};
        ASSERT_TRUE(flow_claim(&view, q.hash, static_cast<u32>(now >> 20), &ref));
        flow_word_store(&ref.flow->initiator, q.source);
        flow_word_store(&ref.flow->responder, q.destination);
        ref.flow->mode = MODE_NAT;
        ref.flow->state = state;
        ref.flow->last_seen = static_cast<u32>(now >> 20);
        flow_publish(&view, &ref, q.hash);
    }

    TableMemory memory;
    struct tables view {};
    u64 now = 1000 * second;
};

TEST_F(EvaluateConnections, AreCountedBySourceAndEndWithTheirFlows) {
    Connections held(view);
    const flow_query first = query(1, 1001, 0);
    const flow_query second_one = query(1, 1002, 0);
    EXPECT_TRUE(held.admit(7, first, 2, now));
    enter(first);
    EXPECT_TRUE(held.admit(7, second_one, 2, now));
    enter(second_one, STATE_TCP_CLOSING);
    EXPECT_TRUE(held.admit(7, first, 2, now));  // held already
    EXPECT_FALSE(held.admit(7, query(1, 1003, 0), 2, now));
    EXPECT_TRUE(held.admit(7, query(2, 1003, 0), 2, now));  // another source
    EXPECT_TRUE(held.admit(8, query(1, 1003, 0), 2, now));  // another rule
    now += 2 * second;
    EXPECT_TRUE(held.admit(7, query(1, 1003, 0), 2, now));  // the closing one has ended
    EXPECT_FALSE(held.admit(7, query(1, 1004, 0), 2, now));
}

TEST_F(EvaluateConnections, LeaveNothingBehindWhenTheyEnd) {
    Connections held(view);
    for (u32 i = 0; i < 5000; i++) EXPECT_TRUE(held.admit(1, query(i, 1000, 0), 4, now));
    EXPECT_EQ(held.held(), 5000u);
    now += 2 * second;
    for (int i = 0; i < 1000 && held.held() != 0; i++) held.tidy(now);
    EXPECT_EQ(held.held(), 0u);
}

TEST(EvaluateLearned, AnAddressBelongsToASetAsLongAsItWasSaid) {
    auto node = std::make_unique<node_state>();
    LearnedTable table(*node);
    const struct address a = v4(1);
    const u32 start = 0xfffffff0u;  // ticks go round
    table.learn(a, 1, start + 100, start);
    table.learn(a, 4, start + 50, start);
    table.learn(a, 1, start + 20, start);  // shorter than what is known
    EXPECT_EQ(learned_sets(node->learned, &a, start + 49), 5u);
    EXPECT_EQ(learned_sets(node->learned, &a, start + 50), 1u);
    EXPECT_EQ(learned_sets(node->learned, &a, start + 100), 0u);
    const struct address other = v4(2);
    EXPECT_EQ(learned_sets(node->learned, &other, start), 0u);
    table.sweep(start + 60);
    EXPECT_EQ(table.count(), 1u);
    EXPECT_EQ(learned_sets(node->learned, &a, start + 60), 1u);
    table.forget_sets(1);
    EXPECT_EQ(learned_sets(node->learned, &a, start + 60), 0u);
    table.sweep(start + 61);
    EXPECT_EQ(table.count(), 0u);
}

TEST(EvaluateLearned, AFullTableLosesWhatEndsSoonestAndCountsIt) {
    auto node = std::make_unique<node_state>();
    LearnedTable table(*node);
    for (u32 i = 0; i < 3 * LEARNED_SLOTS; i++) table.learn(v4(i), 1, 1000 + i, 1);
    EXPECT_GT(table.replaced(), 0u);
    const struct address last = v4(3 * LEARNED_SLOTS - 1);
    EXPECT_EQ(learned_sets(node->learned, &last, 2), 1u);
    table.sweep(2);
    EXPECT_LE(table.count(), u64{LEARNED_SLOTS});
    EXPECT_GT(table.count(), u64{LEARNED_SLOTS} * 8 / 10);
}

// A message by hand: header, one question, and records given as bytes behind the name pointer.
std::vector<u8> dns(u8 flags, const std::vector<std::vector<u8>>& records) {
    std::vector<u8> out = {0x12, 0x34, flags, 0x80, 0, 1, 0, static_cast<u8>(records.size()), 0, 0, 0, 0};
    for (const char c : std::string("\3API\7example\3com")) out.push_back(static_cast<u8>(c));
    for (const u8 b : {0, 0, 1, 0, 1}) out.push_back(b);
    for (const auto& record : records) out.insert(out.end(), record.begin(), record.end());
    return out;
}

std::vector<u8> record_a(std::vector<u8> owner, u8 ttl, u8 last) {
    for (const u8 b : {0, 1, 0, 1, 0, 0, 0}) owner.push_back(b);
    for (const u8 b : {ttl, u8{0}, u8{4}, u8{10}, u8{0}, u8{0}, last}) owner.push_back(b);
    return owner;
}

const std::vector<u8> asked_name = {0xc0, 12};

FqdnNames sample_names() {
    FqdnNames names;
    names.add("api.Example.com.", 1);
    names.add("*.cdn.example", 2);
    return names;
}

TEST(EvaluateDns, AnAnswerGivesTheAddressesOfItsNames) {
    const auto learned = read_dns_answer(
        dns(0x80, {record_a(asked_name, 60, 1), record_a(asked_name, 30, 2)}), sample_names());
    ASSERT_EQ(learned.size(), 2u);
    EXPECT_TRUE(address_equal(&learned[0].address, std::make_unique<struct address>(v4(1)).get()));
    EXPECT_EQ(learned[0].sets, 1u);
    EXPECT_EQ(learned[0].ttl, 60u);
    EXPECT_EQ(learned[1].ttl, 30u);
}

TEST(EvaluateDns, CnamesLeadToAddressesWithTheLeastTtlOnTheWay) {
    const std::vector<u8> target = {1, 'x', 3, 'c', 'd', 'n', 7, 'e', 'x', 'a', 'm', 'p', 'l', 'e', 0};
    std::vector<u8> cname = asked_name;
    for (const u8 b : {0, 5, 0, 1, 0, 0, 0, 9, 0}) cname.push_back(b);
    cname.push_back(static_cast<u8>(target.size()));
    cname.insert(cname.end(), target.begin(), target.end());
    const auto learned = read_dns_answer(dns(0x80, {record_a(target, 60, 7), cname}), sample_names());
    ASSERT_EQ(learned.size(), 1u);
    EXPECT_EQ(learned[0].sets, 3u);
    EXPECT_EQ(learned[0].ttl, 9u);
}

TEST(EvaluateDns, WhatIsNoAnswerOrAboutOtherNamesGivesNothing) {
    const std::vector<u8> elsewhere = {1, 'y', 0};
    EXPECT_TRUE(
        read_dns_answer(dns(0x00, {record_a(asked_name, 60, 1)}), sample_names()).empty());  // a query
    EXPECT_TRUE(read_dns_answer(dns(0x80, {record_a(elsewhere, 60, 1)}), sample_names()).empty());
    std::vector<u8> refused = dns(0x80, {record_a(asked_name, 60, 1)});
    refused[3] = 5;
    EXPECT_TRUE(read_dns_answer(refused, sample_names()).empty());
    EXPECT_TRUE(read_dns_answer(dns(0x80, {record_a(asked_name, 60, 1)}), FqdnNames()).empty());
}

TEST(EvaluateDns, EveryTruncationAndEveryChangedByteIsSurvived) {
    const std::vector<u8> whole = dns(0x80, {record_a(asked_name, 60, 1), record_a(asked_name, 30, 2)});
    const FqdnNames names = sample_names();
    for (size_t length = 0; length < whole.size(); length++)
        EXPECT_TRUE(read_dns_answer({whole.data(), length}, names).empty()) << length;
    for (size_t at = 0; at < whole.size(); at++) {
        for (u32 value = 0; value < 256; value++) {
            std::vector<u8> bent = whole;
            bent[at] = static_cast<u8>(value);
            EXPECT_LE(read_dns_answer(bent, names).size(), 2u);
        }
    }
}

TEST(EvaluateDns, WildcardsStandForWhatIsBelow) {
    const FqdnNames names = sample_names();
    EXPECT_EQ(names.sets_of("a.cdn.example"), 2u);
    EXPECT_EQ(names.sets_of("a.b.CDN.example."), 2u);
    EXPECT_EQ(names.sets_of("cdn.example"), 0u);
    EXPECT_EQ(names.sets_of("xcdn.example"), 0u);
}

TEST(EvaluateAuthorizer, OnlyAClearAnswerIsOne) {
    EXPECT_EQ(read_authorization(R"({"result": true})"), Authorization::allowed);
    EXPECT_EQ(read_authorization(R"({"result": {"allow": true, "why": "x"}})"), Authorization::allowed);
    EXPECT_EQ(read_authorization(R"({"result": false})"), Authorization::denied);
    EXPECT_EQ(read_authorization(R"({"result": {"allow": false}})"), Authorization::denied);
    for (const char* body :
         {"", "true", "{}", "[]", "null", R"({"result": 1})", R"({"result": "true"})", R"({"result": {}})",
          R"({"result": true)", R"({"result": {"allow": "yes"}})", "\xff\xfe", "{\"result\": true}}"})
        EXPECT_EQ(read_authorization(body), Authorization::failed) << body;
    EXPECT_EQ(read_authorization(std::string(60000, '[')), Authorization::failed);
}

TEST(EvaluateAuthorizer, TheQuestionSaysWhoWantsWhat) {
    EvaluationQuestion question;
    question.flow = query(5, 1234, 0);
    question.source_port = 1234;
    question.destination_port = 80;
    question.protocol = PROTOCOL_TCP;
    EXPECT_EQ(authorization_request("gate", question),
              R"({"input":{"destination":"10.0.3.231","destination_port":80,"protocol":"tcp","rule":"gate",)"
              R"("source":"10.0.0.5","source_port":1234}})");
}

TEST(EvaluateAuthorizer, AnswersAreKeptForTheirTimeAndWithinTheirBound) {
    AuthorizationCache cache;
    cache.put("a", true, 100);
    cache.put("b", false, 200);
    ASSERT_NE(cache.find("a", 99), nullptr);
    EXPECT_TRUE(*cache.find("a", 99));
    EXPECT_EQ(cache.find("a", 100), nullptr);
    EXPECT_FALSE(*cache.find("b", 100));
    for (size_t i = 0; i < 2 * AuthorizationCache::most; i++) cache.put(std::to_string(i), true, 1000);
    EXPECT_EQ(cache.size(), AuthorizationCache::most);
}

}  // namespace
}  // namespace sluice::evaluate
