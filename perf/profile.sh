#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Flame graph of a tier under load, as SVG. Needs root and Debian's linux-perf (any version: it samples the CPU's clock, for
# which the machine need not have counters).
#
#     perf/profile.sh xdp|af_xdp OUT.svg      sluice between veth devices, 65,536 clients
#     perf/profile.sh engine OUT.svg          the native engine in memory
#     perf/profile.sh --pid PID OUT.svg       whatever runs already
#     perf/profile.sh --cpu CORE OUT.svg
#     SECONDS_LONG=N  how long (default 5)     BUILD=DIRECTORY  build directory (default build-perf)
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
build=${BUILD:-$here/../build-perf}
long=${SECONDS_LONG:-5}
command -v perf >/dev/null || { echo "profile.sh: perf is not installed: apt-get install linux-perf" >&2; exit 1; }
work=$(mktemp -d)
load=
finish() {
    [ -z "$load" ] || { kill "$load" 2>/dev/null || true; wait "$load" 2>/dev/null || true; }
    rm -rf "$work"
}
trap finish EXIT

case "${1:-}" in
    --pid | --cpu) [ $# = 3 ] || { echo "profile.sh: $1 VALUE OUT.svg" >&2; exit 2; }
        of=("$1" "$2") out=$3 ;;
    xdp | af_xdp) [ $# = 2 ] || { echo "profile.sh: $1 OUT.svg" >&2; exit 2; }
        of=(--cpu 1) out=$2
        PYTHONPATH=$here /usr/bin/python3 "$here/live/under_load.py" --sluiced "$build/control/sluiced/sluiced" --tools "$build/perf" \
            --tier "$1" --seconds $((long + 60)) --ready "$work/ready" &
        load=$!
        until [ -e "$work/ready" ]; do kill -0 "$load" 2>/dev/null || { echo "profile.sh: no load" >&2; exit 1; }; sleep 0.1; done ;;
    engine) [ $# = 2 ] || { echo "profile.sh: engine OUT.svg" >&2; exit 2; }
        taskset -c 1 "$build/perf/engine/engine-bench" --only "nat IPv4 known, 65,536 flows" --rounds 1000000 >/dev/null &
        load=$!
        of=(--pid "$load") out=$2
        sleep 10 ;; # until its flows are entered
    *) sed -n '3,12s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
perf record -q -e cpu-clock -F 997 -g "${of[@]}" -o "$work/samples" -- sleep "$long" >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }
perf script -i "$work/samples" -F comm,ip,sym,dso 2>/dev/null | PYTHONPATH=$here /usr/bin/python3 -m suite.flames >"$out"
echo "written: $out"
