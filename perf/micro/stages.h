// SPDX-License-Identifier: Apache-2.0
//
// Single stages of the pipeline over packets that have been brought as far as the stage needs: what the
// micro-benchmarks time and the instruction counts count.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "perf/engine/subject.h"

namespace sluice::perf {

struct Operation {
    std::string name;
    u32 items;                       // packets, or look-ups, per run()
    std::function<u32()> run;        // how many of them went wrong; 0
    std::function<void()> before{};  // each run, neither timed nor counted
};

class Stages {
public:
    static constexpr u32 packets = 256;
    static constexpr u32 flows = 1000;

    static Result<std::unique_ptr<Stages>> create();

    // Valid as long as this is.
    std::vector<Operation> operations();

private:
    // Packets of one node, each with a context of its own, after parse and key.
    struct Prepared {
        std::unique_ptr<Subject> subject;
        std::vector<pipeline_context> contexts;
        std::vector<pipeline> packets;

        Status prepare();
        void rewind(size_t i);  // the packet as it came
    };

    Stages() = default;
    void add_parsing(std::vector<Operation>& list);
    void add_look_ups(std::vector<Operation>& list);
    void add_rewriting(std::vector<Operation>& list);
    void add_engine(std::vector<Operation>& list);

    Prepared nat_;         // 10 rules
    Prepared many_rules_;  // 10,000
    Prepared rewritten_;   // apart, since its frames change
    Prepared ipip_;
    std::unique_ptr<Subject> known_;
    std::unique_ptr<Subject> fresh_;
    std::vector<u8> payload_;
};

}  // namespace sluice::perf
