// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// Stages options, policy and meter: IPv4 options that the configuration refuses, the first rule that matches,
// and its rate. tables/image.h has how rules are compiled.
#ifndef SLUICE_PIPELINE_POLICY_H
#define SLUICE_PIPELINE_POLICY_H

#include "dataplane/pipeline/claim.h"

SHARED_BEGIN

SHARED u32 policy_protocol_row(const struct pipeline* s, const struct image_policy* policy) {
    const struct pipeline_context* c = s->context;
    u32 index = c->h.protocol;
    if (c->h.protocol == PROTOCOL_TCP)
        index = 256 + (c->flags & CONTEXT_REVALIDATE ? (u32)TCP_SYN
                                                     : c->h.tcp_flags);  // a connection was judged by its SYN
    else if (c->h.protocol == PROTOCOL_ICMP)
        index = 512 + c->h.icmp_type;
    else if (c->h.protocol == PROTOCOL_ICMPV6)
        index = 768 + c->h.icmp_type;
    return image_u16(&s->tables, policy->protocols, index);
}

SHARED u32 policy_port_row(const struct pipeline* s, const struct image_policy* policy, u32 table, u16 port) {
    if (!table) return 0;
    if (!(s->context->h.flags & HEADER_PORTS)) return policy->no_ports_row;
    return image_u16(&s->tables, table, port);
}

// Row of the sets that the destination is in, as DNS answers told.
SHARED u32 policy_fqdn_row(struct pipeline* s) {
    const struct image_policy* policy = image_policy_of(&s->tables);
    if (!policy) return 0;
    u32 table = policy->fqdn;
    u32 sets = learned_sets(s->tables.node->learned, &s->context->h.destination, s->context->now);
    return image_u16(&s->tables, table, sets & ((1 << FQDN_SETS) - 1));
}

STAGE_APART(policy_fqdn_row)

// One more row to AND; row 0, every bit set, need not be.
SHARED void policy_add_row(struct pipeline_context* c, const struct image_policy* policy, u32 row) {
    u32 count = *(volatile u32*)&c
                     ->policy_row_count;  // by memory: how many there are must not split the verifier's view
    if (!row) return;
    c->policy_rows[count & (POLICY_ROW_SLOTS - 1)] = policy->rows + row * policy->row_lines;
    c->policy_row_count = count + 1;
}

SHARED void policy_rows_of(struct pipeline* s, const struct image_policy* policy) {
    struct pipeline_context* c = s->context;
    const struct image_lpm* sources = image_lpm_of(&s->tables, LPM_SOURCE);
    c->policy_rows[0] = policy->rows;
    c->policy_row_count = 0;
    policy_add_row(c, policy, sources ? image_lpm_find(&s->tables, sources, &c->h.source) : 0);
    policy_add_row(c, policy, c->policy_destination_row);
    policy_add_row(c, policy, policy_protocol_row(s, policy));
    policy_add_row(c, policy, policy_port_row(s, policy, policy->destination_ports, c->h.destination_port));
    policy_add_row(c, policy, policy_port_row(s, policy, policy->source_ports, c->h.source_port));
    policy_add_row(c, policy, policy->dscp ? image_u16(&s->tables, policy->dscp, c->h.tos >> 2) : 0);
    policy_add_row(c, policy, policy->ports ? image_u16(&s->tables, policy->ports, c->port) : 0);
    policy_add_row(c, policy, c->policy_service_row);
    policy_add_row(c, policy, policy->fqdn ? policy_fqdn_row_apart(s) : 0);
    if (!c->policy_row_count) c->policy_row_count = 1;
}

// Word INDEX (summary words first) of the row that the context has as number NUMBER.
SHARED u64 policy_row_word(const struct pipeline* s, u32 number, u32 index) {
    const struct image_line* line = image_line_at(&s->tables, s->context->policy_rows[number] + index / 8);
    if (!line) return 0;
    OPAQUE(index);  // or the mask goes, and kernels before 6.8 have lost the bound of what was spilled
    return line->word[index & 7];
}

// AND over all rows, of which there is one at least, of their word INDEX.
SHARED u64 policy_and(const struct pipeline* s, u32 index) {
    index = (u32)forget(&s->tables, index);
    u64 all = policy_row_word(s, 0, index);
    for (u32 i = 1; i < POLICY_ROWS; i++) {
        if (i >= *(const volatile u32*)&s->context->policy_row_count) break;
        all &= policy_row_word(s, i, index);
    }
    return all;
}

// Position + 1 of the first rule that matches among those of summary word c->policy_group; 0: none does.
SHARED u32 policy_match_group(struct pipeline* s) {
    u32 first = s->context->policy_group * 64;
    u64 candidates = policy_and(s, s->context->policy_group);
    for (u32 step = 0; step < 64; step++) {
        if (!candidates) return 0;
        u32 word = first + lowest_bit(candidates);
        u64 bits = policy_and(s, POLICY_SUMMARY_WORDS + word);
        if (bits) return word * 64 + lowest_bit(bits) + 1;
        candidates = forget(&s->tables, candidates & (candidates - 1));
    }
    return 0;
}

STAGE_APART(policy_match_group)

// Position + 1 of the first rule that matches; 0: none does.
SHARED u32 policy_match(struct pipeline* s, const struct image_policy* policy) {
    u32 words = policy->words;
    for (u32 group = 0; group < POLICY_SUMMARY_WORDS; group++) {
        if (group * 64 >= words) return 0;
        s->context->policy_group = group;
        u32 rule = policy_match_group_apart(s);
        if (rule) return rule;
    }
    return 0;
}

SHARED const struct image_rule* rule_record(const struct pipeline* s, u32 position) {
    const struct image_policy* policy = image_policy_of(&s->tables);
    if (!policy || !position || position > policy->rule_count) return NULL;
    return (const struct image_rule*)image_record(&s->tables, policy->rules, position - 1,
                                                  sizeof(struct image_rule));
}

// What an evaluate rule says: the epoll tier's verdict, or the rule's fallback where it cannot be asked.
SHARED u32 policy_evaluate(struct pipeline* s, const struct image_rule* rule) {
    if (may_punt(s, PUNT_EVALUATE)) return punt(PUNT_EVALUATE);
    u32 word = evaluation_of(&s->tables, s->context, rule);
    if (word != VERDICT_EVALUATE) return word;
    struct worker_counters* counters = worker_counters_of(&s->tables);
    if (counters) counters->evaluations_unasked++;
    return rule->flags & RULE_FALLBACK_ALLOW ? 0 : drop(REASON_EVALUATION_OVERLOAD);
}

// Counts the packet under RULE.
SHARED void policy_count(struct pipeline* s, const struct image_rule* rule) {
    struct pair_counters* counters = rule ? rule_counters_at(&s->tables, rule->id) : NULL;
    if (!counters) return;
    counters->packets++;
    counters->bytes += s->context->length;
}

SHARED u32 policy_apply(struct pipeline* s, const struct image_rule* rule) {
    struct pipeline_context* c = s->context;
    c->rule_flags = rule->flags;
    c->dscp = rule->dscp;
    u32 word = rule->action == ACTION_EVALUATE ? policy_evaluate(s, rule) : 0;
    if (verdict_of(word) == VERDICT_PUNT || verdict_of(word) == VERDICT_WAIT) return word;  // not decided
    policy_count(s, rule);
    if (word) return word;
    if (rule->action == ACTION_DROP) return drop(REASON_POLICY);
    if (rule->action == ACTION_REJECT) return reject(ANSWER_POLICY);
    if (rule->flags & RULE_METER) c->meter = c->rule;
    if (rule->flags & RULE_STATELESS) c->flags |= CONTEXT_STATELESS;
    return 0;
}

SHARED u32 stage_options(struct pipeline* s) {
    if (LIKELY(!(s->context->h.flags & HEADER_IP_OPTIONS))) return 0;
    const struct image_header* header = image_header_of(&s->tables);
    return header && (header->flags & IMAGE_DROP_IP_OPTIONS) ? drop(REASON_IP_OPTIONS) : 0;
}

// Sets c->rule, and c->dry_run where a rule in dry run comes before it: then the others are asked once more.
SHARED void policy_find(struct pipeline* s, const struct image_policy* policy) {
    struct pipeline_context* c = s->context;
    policy_rows_of(s, policy);
    for (u32 pass = 0; pass < 2; pass++) {
        c->rule = policy_match(s, policy);
        const struct image_rule* rule = rule_record(s, c->rule);
        if (!rule || !(rule->flags & RULE_DRY_RUN) || pass) return;
        c->dry_run = c->rule;
        policy_add_row(c, policy, policy->enforced_row);
    }
}

SHARED u32 policy_decide(struct pipeline* s) {
    const struct image_header* header = image_header_of(&s->tables);
    if (s->context->rule) {
        const struct image_rule* rule = rule_record(s, s->context->rule);
        return rule ? policy_apply(s, rule) : drop(REASON_POLICY);
    }
    return !header || header->flags & IMAGE_DEFAULT_DROP ? drop(REASON_POLICY) : 0;
}

SHARED u32 stage_policy(struct pipeline* s) {
    struct pipeline_context* c = s->context;
    const struct image_policy* policy = image_policy_of(&s->tables);
    if (!policy) return VERDICT_PASS;
    c->rule_flags = 0;
    c->rule = 0;
    c->dry_run = 0;
    if (c->direction) return 0;  // a stateless service's reply
    if (policy->words) policy_find(s, policy);
    u32 word = policy_decide(s);
    if (c->dry_run && verdict_of(word) != VERDICT_PUNT && verdict_of(word) != VERDICT_WAIT)
        policy_count(s, rule_record(s, c->dry_run));
    return word;
}

STAGE_APART(stage_policy)

// One step of the generic cell rate algorithm on *TIME (virtual scheduling, ITU-T I.371 Annex A): true when
// the packet conforms. Several CPUs may step one meter: each step is one compare-and-swap, tried a few times,
// then let through.
SHARED bool meter_step(u64* time, u64 now, u64 cost, u64 burst) {
    for (u32 attempt = 0; attempt < 4; attempt++) {
        u64 old = *(volatile u64*)time;
        u64 next = (old > now && old - now < (1ULL << 62) ? old : now) + cost;
        if (next - now > burst) return false;
        if (__sync_val_compare_and_swap(time, old, next) == old) return true;
    }
    return true;
}

// The meter of SOURCE under rule ID; the one that would be full again soonest gives way to a new source.
SHARED u64* meter_of_source(struct pipeline* s, const struct address* source, u32 id) {
    u64 key = image_hash(source, id) | 1;
    struct source_meter_bucket* bucket =
        source_meters_at(&s->tables, (u32)(key >> 32) & s->tables.node->source_mask);
    if (!bucket) return NULL;
    u32 victim = 0;
    u64 oldest = ~0ULL;
    for (u32 i = 0; i < METER_BUCKET_SIZE; i++) {
        if (bucket->meter[i].key == key) return &bucket->meter[i].time;
        if (bucket->meter[i].time < oldest) {
            oldest = bucket->meter[i].time;
            victim = i;
        }
    }
    struct source_meter* meter = &bucket->meter[victim & (METER_BUCKET_SIZE - 1)];
    meter->key = key;
    meter->time = 0;
    return &meter->time;
}

SHARED u64* meter_of(struct pipeline* s, const struct image_rule* rule) {
    return rule->flags & RULE_METER_SOURCE ? meter_of_source(s, &s->context->h.source, rule->id)
                                           : meter_at(&s->tables, rule->id);
}

SHARED u64 meter_cost(const struct pipeline* s, const struct image_rule* rule) {
    return rule->cost * (rule->flags & RULE_METER_BYTES ? s->context->length : 1) >> 8;
}

SHARED u32 stage_meter(struct pipeline* s) {
    struct pipeline_context* c = s->context;
    if (LIKELY(!c->meter)) return 0;
    const struct image_rule* rule = rule_record(s, c->meter);
    if (!rule || !(rule->flags & RULE_METER)) return 0;
    u64 cost = meter_cost(s, rule);
    u64 burst = rule->burst;
    u64* time = meter_of(s, rule);
    if (time && !meter_step(time, clock_ns(&s->tables), cost, burst)) return drop(REASON_RATE_LIMITED);
    c->flags |= CONTEXT_METERED;
    return 0;
}

// Gives back what stage_meter() took from a packet that will go through it once more: one that is punted, or
// waits.
SHARED u32 meter_refund(struct pipeline* s) {
    const struct image_rule* rule = rule_record(s, s->context->meter);
    if (!rule || !(rule->flags & RULE_METER)) return 0;
    u64* time = meter_of(s, rule);
    if (time) __sync_fetch_and_sub(time, meter_cost(s, rule));
    return 0;
}

STAGE_APART(meter_refund)

SHARED_END

#endif
