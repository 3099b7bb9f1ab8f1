#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Builds the benchmarks and runs what is named, or all: xdp engine flow_table live dpdk. Writes perf/results/<date>.json
# and <date>.md. Live ones need root, as does the XDP one.
#
#     BUILD=DIRECTORY  build directory (default build-perf)
#     CORE=N           where the benchmarks without a network run (default 1)
#     QUICK=1          few rounds: to see that it runs
set -euo pipefail
cd "$(dirname "$0")/.."

build=${BUILD:-build-perf}
core=${CORE:-1}
scenarios=("$@")
[ ${#scenarios[@]} -gt 0 ] || scenarios=(xdp engine flow_table live dpdk)
[ -d "$build" ] || meson setup "$build" >/dev/null
work=$(mktemp -d)
pages=$(cat /proc/sys/vm/nr_hugepages)
trap 'rm -rf "$work"; [ "$(id -u)" != 0 ] || echo "$pages" >/proc/sys/vm/nr_hugepages' EXIT

# Before all else on that core, where allowed.
alone() { if [ "$(id -u)" = 0 ]; then chrt -f 5 taskset -c "$core" "$@"; else taskset -c "$core" "$@"; fi; }
rounds() { if [ -n "${QUICK:-}" ]; then echo 2; else echo "$1"; fi; }

xdp() {
    ninja -C "$build" perf/xdp/xdp-program bpf/sluice.bpf.o perf/xdp/front.bpf.o
    alone "$build/perf/xdp/xdp-program" --program "$build/bpf/sluice.bpf.o" --front "$build/perf/xdp/front.bpf.o" \
        --rounds "$(rounds 15)" | tee "$work/xdp.txt"
}

engine() {
    ninja -C "$build" perf/engine/engine-bench
    alone "$build/perf/engine/engine-bench" --rounds "$(rounds 11)" --json "$work/engine.json"
}

flow_table() {
    ninja -C "$build" perf/flow_table/flow-table-bench
    [ "$(id -u)" != 0 ] || echo 1300 >/proc/sys/vm/nr_hugepages # for rte_hash
    alone "$build/perf/flow_table/flow-table-bench" --rounds "$(rounds 9)" --json "$work/flow_table.json"
    [ "$(id -u)" != 0 ] || echo "$pages" >/proc/sys/vm/nr_hugepages
}

live() {
    ninja -C "$build" control/sluiced/sluiced perf/generator/live-frames perf/generator/generator.bpf.o
    python3 perf/live/live_bench.py --sluiced "$build/control/sluiced/sluiced" --tools "$build/perf/generator" \
        --rounds "$(rounds 7)" --json "$work/live.json"
}

dpdk() {
    ninja -C "$build" control/sluiced/sluiced perf/dpdk/dpdk-bench
    python3 perf/dpdk/dpdk_bench.py --bench "$build/perf/dpdk/dpdk-bench" --sluiced "$build/control/sluiced/sluiced" \
        --rounds "$(rounds 5)" --json "$work/dpdk.json"
}

for scenario in "${scenarios[@]}"; do
    case $scenario in
        xdp | engine | flow_table | live | dpdk) "$scenario" ;;
        *) echo "run.sh: $scenario: expected xdp, engine, flow_table, live or dpdk" >&2 && exit 2 ;;
    esac
done
python3 perf/collect.py "$work" perf/results
