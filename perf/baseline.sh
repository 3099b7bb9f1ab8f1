#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Keeps a run's figures, or fails when a run falls behind kept ones by more than the noise that both measured.
#
#     perf/baseline.sh save NAME [RESULTS.json]       default: the newest of perf/results
#     perf/baseline.sh compare NAME [RESULTS.json]    exit 1: worse; 2: cannot be compared
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
PYTHONPATH=$here exec /usr/bin/python3 -m suite.baseline "$@"
