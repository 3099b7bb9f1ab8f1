// SPDX-License-Identifier: Apache-2.0
//
// Shows DNS answers to the evaluator before they leave: whoever asked cannot use an address before the FQDN
// sets know it.
#pragma once

#include <vector>

#include "dataplane/io/frame.h"
#include "dataplane/worker/engine.h"
#include "dataplane/worker/evaluation_link.h"

namespace sluice {

class DnsTap {
public:
    static constexpr u64 patience_ns = 50'000'000;  // an answer leaves after this, seen or not

    explicit DnsTap(std::shared_ptr<EvaluationLink> link)
        : link_(std::move(link)), held_(link_ ? EvaluationLink::messages_capacity : 0) {}

    // Keeps a frame that is ready to leave, and shows its payload. False: it cannot be, and leaves unseen.
    bool show(const Frame& frame, const Decision& decision, const u8* payload, size_t length, u64 now_ns) {
        if (!link_) return false;
        DnsMessage* const out = shown_ - released_ < held_.size() ? link_->messages.reserve() : nullptr;
        if (out == nullptr || length > out->bytes.size()) {
            link_->unobserved.add(1);
            return false;
        }
        out->length = static_cast<u16>(length);
        std::copy_n(payload, length, out->bytes.begin());
        link_->messages.commit();
        held_[shown_++ % held_.size()] = {frame, decision, now_ns};
        news_ = true;
        return true;
    }

    // Up to `most` of those that have been seen, or have waited too long (`all`: however long), oldest first.
    size_t take(Frame* frames, Decision* decisions, size_t most, u64 now_ns, bool all) {
        size_t taken = 0;
        while (released_ != shown_ && taken < most) {
            const Held& held = held_[released_ % held_.size()];
            if (!ready() && !all && now_ns - held.since_ns < patience_ns) break;
            frames[taken] = held.frame;
            decisions[taken++] = held.decision;
            released_++;
        }
        return taken;
    }

    // Whether one has been seen. The evaluator takes a message off the ring when it has.
    bool ready() const { return released_ != shown_ && shown_ - link_->messages.size() > released_; }
    size_t held() const { return static_cast<size_t>(shown_ - released_); }
    bool take_news() { return std::exchange(news_, false); }

private:
    struct Held {
        Frame frame;
        Decision decision;
        u64 since_ns = 0;
    };

    std::shared_ptr<EvaluationLink> link_;
    std::vector<Held> held_;
    u64 shown_ = 0;  // ever
    u64 released_ = 0;
    bool news_ = false;
};

}  // namespace sluice
