#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Builds the benchmarks and runs what is named, or all; perf/README.md says what each shows. Results go to
# perf/results/<date>/.
#
#     perf/run.sh --setup               installs what only this needs: matplotlib for the plots
#     perf/run.sh [NAME ...]            xdp engine micro flow_table live latency topology growth dpdk control proxy
#     BUILD=DIRECTORY  build directory (default build-perf)
#     CORE=N           where the benchmarks without a network run (default 1)
#     QUICK=1          two short rounds of a part: to see that it runs
set -euo pipefail
cd "$(dirname "$0")/.."
if [ "${1:-}" = --setup ]; then
    exec apt-get install -y --no-install-recommends python3-matplotlib
fi
PYTHONPATH=perf exec /usr/bin/python3 -m suite.run "$@"
