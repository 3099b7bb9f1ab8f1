// SPDX-License-Identifier: Apache-2.0
//
// Between one engine and the thread that decides what a header cannot: questions one way, verdicts the other,
// each through a bounded ring. The packet itself stays in its worker's buffers, held by the engine.
#pragma once

#include <array>
#include <memory>

#include "dataplane/base/counter.h"
#include "dataplane/base/spsc_ring.h"
#include "dataplane/base/waker.h"
#include "dataplane/tables/flow.h"

namespace sluice {

struct EvaluationQuestion {
    u64 ticket = 0;      // comes back with the verdict; 0: nobody waits for one
    u64 arrived_ns = 0;  // CLOCK_MONOTONIC, of the batch that the packet came in
    flow_query flow{};   // the connection as its entry's key has it; the packet is the initiator's
    u32 ingress = 0;     // index into node_state.ports
    u16 rule = 0;        // id
    u16 service = 0;     // id + 1; 0: managed traffic
    u16 source_port = 0;
    u16 destination_port = 0;
    u8 protocol = 0;
    u8 family = 4;
    bool known = false;  // the flow was allowed by an older snapshot, and goes on until a verdict ends it
};

struct EvaluationAnswer {
    u64 ticket = 0;
    u32 word = 0;  // verdict word: 0 allowed, or a drop
};

// The payload of a DNS answer that passes.
struct DnsMessage {
    u16 length = 0;
    std::array<u8, 1500> bytes{};
};

struct EvaluationLink {
    static constexpr size_t capacity = 4096;
    static constexpr size_t messages_capacity = 256;

    // `decider` wakes who answers, and is shared by all links to him.
    EvaluationLink(std::shared_ptr<Waker> decider, Waker worker)
        : questions(capacity),
          answers(capacity),
          messages(messages_capacity),
          to_decider(std::move(decider)),
          to_worker(std::move(worker)) {}

    SpscRing<EvaluationQuestion> questions;
    SpscRing<EvaluationAnswer> answers;
    SpscRing<DnsMessage> messages;  // taken off once they have been read
    Counter unobserved;             // DNS answers that left unseen; the engine counts
    std::shared_ptr<Waker> to_decider;
    Waker to_worker;
};

}  // namespace sluice
