// SPDX-License-Identifier: Apache-2.0
//
// Asks HTTP servers about new connections, many at a time, without ever waiting: POST of {"input": {...}},
// answered by {"result": true} or {"result": {"allow": true}} (the form of Open Policy Agent's data API).
// Whatever else comes, or nothing in time, is a failure. Of the event loop's thread.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "dataplane/base/event_loop.h"
#include "dataplane/evaluate/rules.h"
#include "dataplane/worker/evaluation_link.h"

namespace sluice::evaluate {

enum class Authorization : u8 { allowed, denied, failed };

// What an answer's body says.
Authorization read_authorization(std::string_view body);

// The question as it is sent.
std::string authorization_request(const std::string& rule, const EvaluationQuestion& question);

class Authorizer {
public:
    using Answered = std::function<void(Authorization)>;
    static constexpr size_t most_requests = 1024;  // under way; one more fails at once
    static constexpr size_t most_bytes = 65536;    // of an answer; a longer one is a failure

    // `loop` outlives the object.
    static Result<std::unique_ptr<Authorizer>> create(EventLoop& loop);
    ~Authorizer();
    Authorizer(const Authorizer&) = delete;
    Authorizer& operator=(const Authorizer&) = delete;

    // Calls `answered` once, within settings.timeout_ms or little more; at once if it cannot be asked.
    void ask(const AuthorizerSettings& settings, std::string body, Answered answered);
    size_t under_way() const;

private:
    struct State;
    explicit Authorizer(std::unique_ptr<State> state);

    std::unique_ptr<State> state_;
};

// Answers that hold for a while. Bounded: when full, any one gives way to a new one.
class AuthorizationCache {
public:
    static constexpr size_t most = 65536;

    // What a verdict holds for: rule, source, destination, port and protocol; not the source port.
    static std::string key_of(const EvaluationQuestion& question);

    // The answer that is known at `now_ns`; null: none.
    const bool* find(const std::string& key, u64 now_ns);
    void put(const std::string& key, bool allowed, u64 until_ns);
    void clear() { entries_.clear(); }
    size_t size() const { return entries_.size(); }

private:
    struct Entry {
        bool allowed;
        u64 until_ns;
    };
    std::unordered_map<std::string, Entry> entries_;
};

}  // namespace sluice::evaluate
