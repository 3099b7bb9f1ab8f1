// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// The packet pipeline: every stage, in order. Each tier wraps this one function and has one switch over its
// verdict.
//
//   settled    nothing left to decide: forwarded at once                 pipeline/settled.h
//   parse      malformed: drop; not IP: pass                             packet/parse.h
//   receive    ingress port; frames for others: pass                     pipeline/receive.h
//   interest   no address that concerns us: pass                         pipeline/receive.h
//   tunnel     to a tunnel endpoint: the engine unwraps it               pipeline/receive.h
//   fragment   ports of a fragment: the engine knows them                pipeline/receive.h
//   flow       the connection's entry                                    pipeline/flow_stage.h
//   claim      no entry: a service's, managed traffic, or the host's     pipeline/claim.h
//   options    IPv4 options that the configuration refuses               pipeline/policy.h
//   policy     no entry: first matching rule                             pipeline/policy.h
//   meter      the rule's rate                                           pipeline/policy.h
//   echo       ping to a VIP: answered                                   pipeline/rewrite.h
//   backend    no entry: Maglev                                          pipeline/backend.h
//   admit      no entry: write one                                       pipeline/admit.h
//   route      TTL, next hop, MTU                                        pipeline/route.h
//   rewrite    addresses, ports, checksums, outer headers, link header   pipeline/rewrite.h
//   track      TCP state, time stamp, counters                           pipeline/track.h
#ifndef SLUICE_PIPELINE_PIPELINE_H
#define SLUICE_PIPELINE_PIPELINE_H

#include "dataplane/pipeline/settled.h"

// What one stage answers, through the hands of whoever wants to be told: who explains a packet defines this
// before the header is included (control/daemon/explainer.cc); elsewhere it is nothing but the call.
#ifndef PIPELINE_STAGE
#define PIPELINE_STAGE(pipeline, name, call) (call)
#endif

SHARED_BEGIN

// Sets what every packet starts with. IFINDEX: the device it came from. FLAGS: CONTEXT_DECAPSULATED or 0.
SHARED void pipeline_begin(struct pipeline* s, u32 ifindex, u32 flags) {
    struct pipeline_context* c = s->context;
    c->now = clock_ticks(&s->tables);
    c->length = packet_length(&s->packet);
    c->ifindex = ifindex;
    c->flags = flags;
    c->port = 0;
    c->direction = 0;
    c->service = 0;
    c->backend = 0;
    c->rule = 0;
    c->dry_run = 0;
    c->meter = 0;
    c->rule_flags = 0;
    c->service_flags = 0;
    c->dscp = 0;
    c->hop.port = 0;
    s->ref.at = &c->place;
    flow_forget(&s->ref);
}

// From the frame to what its flow is looked up by.
SHARED u32 pipeline_parse(struct pipeline* s) {
    struct headers* h = &s->context->h;
    u32 word = PIPELINE_STAGE(s, "parse", parse_link(&s->packet, h));
    COMPILER_BARRIER();  // what one step knows reaches the next through memory, where the verifier forgets
                         // the paths to it
    if (!word) word = PIPELINE_STAGE(s, "receive", stage_receive(s));
    packet_reload(&s->packet);
    if (!word) word = PIPELINE_STAGE(s, "parse", parse_network(&s->packet, h));
    COMPILER_BARRIER();
    if (!word) word = PIPELINE_STAGE(s, "parse", parse_transport(&s->packet, h));
    COMPILER_BARRIER();
    if (!word) word = PIPELINE_STAGE(s, "interest", stage_interest(s));
    packet_reload(&s->packet);
    return word;
}

// For packets without an entry, and those whose entry must be confirmed.
SHARED u32 pipeline_decide(struct pipeline* s) {
    u32 word = PIPELINE_STAGE(s, "claim", stage_claim_apart(s));
    if (!word) word = PIPELINE_STAGE(s, "options", stage_options(s));
    if (!word) word = PIPELINE_STAGE(s, "policy", stage_policy_apart(s));
    return word;
}

SHARED u32 pipeline_admit(struct pipeline* s) {
    u32 word = PIPELINE_STAGE(s, "echo", stage_echo_apart(s));
    if (!word && !(s->context->flags & CONTEXT_KNOWN)) word = PIPELINE_STAGE(s, "backend", stage_backend(s));
    if (!word) word = PIPELINE_STAGE(s, "admit", stage_admit_apart(s));
    return word;
}

SHARED u32 pipeline_rest(struct pipeline* s) {
    struct pipeline_context* c = s->context;
    bool settled = (c->flags & (CONTEXT_KNOWN | CONTEXT_REVALIDATE)) == CONTEXT_KNOWN;
    u32 word = settled ? PIPELINE_STAGE(s, "options", stage_options(s)) : pipeline_decide(s);
    if (!word) word = PIPELINE_STAGE(s, "meter", stage_meter(s));
    if (UNLIKELY(!word && !settled)) word = pipeline_admit(s);
    if (!word && !s->ref.flow) word = drop(REASON_FLOW_TABLE_FULL);
    if (!word) word = PIPELINE_STAGE(s, "route", stage_route(s));
    if (!word) word = PIPELINE_STAGE(s, "rewrite", stage_rewrite(s));
    if (!word) word = PIPELINE_STAGE(s, "track", stage_track(s));
    if (!word && UNLIKELY(!flow_unchanged(&s->ref))) word = drop(REASON_FLOW_REPLACED);
    return word ? word : (u32)VERDICT_FORWARD;
}

// In two halves: the engine does the first for a whole batch, so that memory has answered when the second
// looks flows up.
SHARED u32 pipeline_first(struct pipeline* s) {
    u32 word = pipeline_parse(s);
    if (!word) word = PIPELINE_STAGE(s, "tunnel", stage_tunnel(s));
    if (!word) word = PIPELINE_STAGE(s, "fragment", stage_fragment(s));
    if (!word) query_begin(s);
    return word;
}

SHARED u32 pipeline_second(struct pipeline* s) {
    u32 word = PIPELINE_STAGE(s, "flow", stage_flow(s));
    if (!word) word = pipeline_rest(s);
    return word;
}

SHARED u32 pipeline_run(struct pipeline* s) {
    u32 word = stage_settled(s);
    if (LIKELY(word)) return word;
    word = pipeline_first(s);
    if (!word) word = pipeline_second(s);
    return word;
}

// Counts a packet where it leaves, by its verdict word. VERDICT_PUNT is counted as handed over.
SHARED void count_verdict(struct port_counters* counters, u32 word, u32 length) {
    u32 verdict = verdict_of(word) & (VERDICT_ROWS - 1);
    counters->packets[verdict]++;
    counters->bytes[verdict] += length;
    if (verdict == VERDICT_DROP) counters->drops[detail_of(word) & (REASON_ROWS - 1)]++;
    if (verdict == VERDICT_PUNT) counters->punts[detail_of(word) & (PUNT_ROWS - 1)]++;
}

SHARED void count_received(struct port_counters* counters, u32 length) {
    counters->received_packets++;
    counters->received_bytes += length;
}

SHARED void pipeline_count(struct pipeline* s, u32 word) {
    const struct pipeline_context* c = s->context;
    struct port_counters* counters = port_counters_at(&s->tables, c->port & (NODE_PORTS - 1));
    if (!counters) return;
    count_received(counters, c->length);
    count_verdict(counters, word, c->length);
}

SHARED_END

#endif
