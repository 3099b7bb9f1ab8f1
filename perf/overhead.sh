#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What sluice costs a workload of one's own: A/A/B rounds without it, without it again, with it.
#
#     perf/overhead.sh --sluice 'sluiced --detach --config FILE' --ready 'curl -fs localhost:8082/readyz' 'WORKLOAD'
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
PYTHONPATH=$here exec /usr/bin/python3 -m suite.overhead "$@"
