#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs micro-bench, repetitions interleaved at random by Google Benchmark, and writes its figures as the others do."""

import argparse
import json
import subprocess
import sys

from suite import figures


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bench", required=True)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--json", required=True)
    arguments = parser.parse_args()
    words = [arguments.bench, f"--benchmark_repetitions={arguments.rounds}", "--benchmark_enable_random_interleaving=true",
             "--benchmark_min_time=0.05", "--benchmark_format=json"]
    document = json.loads(subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True).stdout)
    values = {}
    for one in document["benchmarks"]:
        if one["run_type"] == "iteration":
            if one.get("error_occurred"):
                raise SystemExit(f"{one['name']}: {one['error_message']}")
            values.setdefault(one["run_name"], []).append(1e9 / one["items_per_second"])
    rows = [figures.series(name, found) for name, found in values.items()]
    figures.show(rows, "ns per packet", arguments.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
