// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <deque>

#include "bpf/trace.h"
#include "control/api/model.h"
#include "control/daemon/naming.h"

namespace sluice::control {

// The last sampled packets, named as of when they came.
class TraceLog {
public:
    static constexpr size_t most = 1000;

    void add(const trace_event& event, const Naming& naming);
    std::vector<api::TraceReport> events() const { return {events_.begin(), events_.end()}; }
    void clear() { events_.clear(); }

private:
    std::deque<api::TraceReport> events_;
};

}  // namespace sluice::control
