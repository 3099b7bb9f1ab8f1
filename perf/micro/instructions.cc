// SPDX-License-Identifier: Apache-2.0
//
// To be run by callgrind: counts each stage's instructions by itself, in a dump of its own that is named
// after it. perf/micro/instructions.py reads them.
#include <fmt/format.h>
#include <valgrind/callgrind.h>

#include "perf/micro/stages.h"

int main() {
    using namespace sluice::perf;
    auto stages = Stages::create();
    if (!stages) {
        fmt::print(stderr, "instructions: {}\n", stages.error().message);
        return 1;
    }
    for (const Operation& operation : (*stages)->operations()) {
        unsigned wrong = 0;
        for (const bool counted : {false, true}) {
            if (operation.before) operation.before();
            if (counted) CALLGRIND_ZERO_STATS;
            if (counted) CALLGRIND_TOGGLE_COLLECT;
            wrong += operation.run();
            if (counted) CALLGRIND_TOGGLE_COLLECT;
        }
        const std::string label = fmt::format("{}|{}", operation.items, operation.name);
        CALLGRIND_DUMP_STATS_AT(label.c_str());
        if (wrong != 0) {
            fmt::print(stderr, "instructions: {}: {} went wrong\n", operation.name, wrong);
            return 1;
        }
    }
    return 0;
}
