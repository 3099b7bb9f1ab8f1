// SPDX-License-Identifier: Apache-2.0
//
// Stages of the pipeline one by one, and DPDK's tables where they do the same work.
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include "perf/micro/stages.h"
#if SLUICE_DPDK
#include "perf/micro/rte_peers.h"
#endif

namespace sluice::perf {
namespace {

void time_it(benchmark::State& state, const Operation& operation) {
    u32 wrong = 0;
    for (auto _ : state) {
        if (operation.before) {
            state.PauseTiming();
            operation.before();
            state.ResumeTiming();
        }
        wrong += operation.run();
    }
    state.SetItemsProcessed(state.iterations() * operation.items);
    if (wrong) state.SkipWithError(fmt::format("{} packets went wrong", wrong).c_str());
}

Status run() {
    Result<std::unique_ptr<Stages>> stages = Stages::create();
    if (!stages) return stages.error();
    std::vector<Operation> all = (*stages)->operations();
#if SLUICE_DPDK
    Result<std::unique_ptr<RtePeers>> peers = RtePeers::create();
    if (!peers) return peers.error();
    for (Operation& operation : (*peers)->operations()) all.push_back(std::move(operation));
#endif
    for (const Operation& operation : all)
        benchmark::RegisterBenchmark(operation.name.c_str(), time_it, operation);
    benchmark::RunSpecifiedBenchmarks();
    return {};
}

}  // namespace
}  // namespace sluice::perf

int main(int argc, char** argv) {
    benchmark::Initialize(&argc, argv);
    if (const sluice::Status status = sluice::perf::run(); !status) {
        fmt::print(stderr, "micro-bench: {}\n", status.error().message);
        return 1;
    }
    return 0;
}
