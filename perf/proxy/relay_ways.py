#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""One bulk stream through a relay that copies, one that splices, and one whose sockets a sockmap program joins.

    relay_ways.py --relay PATH --object PATH [--rounds N] [--seconds S] [--out FILE]

The lab of proxy_bench.py: relay alone on core 1, both ends on core 0. The kernel moves a sockmap's bytes in its own
threads, so CPU time is that of the relay and of all kworkers together, in every way. Ways take turns; medians over rounds,
of the missing bytes the most.
"""

import argparse
import json
import os
import pathlib
import statistics
import time

from proxy_bench import CLIENT_CORE, PROXY_CORE, SERVER, VIP, Lab, cpu_seconds, run

WAYS = ("copy", "splice", "sockmap")
PORT, SINK = 5300, 5301


def kworker_seconds():
    total = 0
    for comm in pathlib.Path("/proc").glob("[0-9]*/comm"):
        try:
            if comm.read_text().startswith("kworker"):
                total += int((comm.parent / "schedstat").read_text().split()[0])
        except OSError:
            continue  # it has just ended
    return total / 1e9


def measure(lab, options, way):
    extra = [options.object] if way == "sockmap" else []
    relay = lab.spawn("node", PROXY_CORE, options.relay, way, PORT, SERVER, SINK, *extra, realtime=False)
    try:
        time.sleep(0.5)
        own, workers = cpu_seconds(relay.pid), kworker_seconds()
        got = json.loads(run(*lab.command("client", CLIENT_CORE, options.relay, "source", VIP, PORT, options.seconds, realtime=False)))
        own, workers = cpu_seconds(relay.pid) - own, kworker_seconds() - workers
        gigabytes = got["sent"] / 1e9
        return {"gbit_per_s": 8 * gigabytes / got["seconds"], "cpu_s_per_gb": (own + workers) / gigabytes,
                "of_it_kworkers": workers / gigabytes,
                "bytes_missing": got["sent"] - got["arrived"]}
    finally:
        lab.end(relay)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--relay", required=True, type=os.path.abspath)
    parser.add_argument("--object", required=True, type=os.path.abspath)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=2)
    parser.add_argument("--out")
    options = parser.parse_args()
    results = {way: [] for way in WAYS}
    with Lab() as lab:
        lab.spawn("server", CLIENT_CORE, options.relay, "sink", SINK, realtime=False)
        time.sleep(0.3)
        for number in range(options.rounds):
            for way in WAYS[number % 3:] + WAYS[:number % 3]:
                results[way].append(measure(lab, options, way))
    medians = {way: {key: (max if key == "bytes_missing" else statistics.median)([one[key] for one in rounds]) for key in rounds[0]}
               for way, rounds in results.items()}
    for way, keys in medians.items():
        print(f"{way:8} " + "  ".join(f"{key} {value:.3f}" for key, value in keys.items()))
    if options.out:
        pathlib.Path(options.out).write_text(json.dumps({"medians": medians, "all": results}, indent=1))


if __name__ == "__main__":
    main()
