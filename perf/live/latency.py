#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Round trips through a node under load: sluice's XDP and AF_XDP tiers, nftables DNAT, the kernel's own forwarding.

    latency.py --sluiced PATH --tools PATH [--rounds N] [--seconds S] [--json FILE]

Each contender's own maximum is measured first. Then, per round, every contender carries 10, 50 and 90 % of its own
maximum, and half of kernel forwarding's, while a client beside the generator asks 1,000 times a second, open loop, and an XDP program
at the other end of the path answers: from application to application and back through the node twice.
"""

import argparse
import json
import pathlib
import sys
import time

from lab import PORT, VIP, Lab, Path, Sluiced, inside, run
from live_bench import forwards, nftables
from suite import figures

SHARES = (0.1, 0.5, 0.9)
FLOWS, PROBES = 65536, 1000
EQUAL = "half of kernel forwarding's load"
PERCENTILES = ("min", "p50", "p95", "p99", "p999", "max")


class Contenders:
    def __init__(self, lab, sluiced):
        self.paths = {"kernel forwarding": Path(lab, "lk"), "nftables DNAT": Path(lab, "ln"), "sluice nat in XDP": Path(lab, "lx"),
                      "sluice nat in AF_XDP": Path(lab, "la", threaded=False)}
        forwards(self.paths["kernel forwarding"])
        nftables(self.paths["nftables DNAT"])
        self.paths["sluice nat in AF_XDP"].poll_busily()
        self.daemons = [Sluiced(self.paths["sluice nat in XDP"], sluiced, "[xdp]"),
                        Sluiced(self.paths["sluice nat in AF_XDP"], sluiced, "[af_xdp]", poll="busy", port=18084)]
        # Not before all else, as in live_bench.py: it never sleeps, and the kernel takes 50 ms of a second from such a task.
        for task in pathlib.Path(f"/proc/{self.daemons[1].process.pid}/task").iterdir():
            run("renice", "-n", "-20", "-p", task.name)

    def stop(self):
        for daemon in self.daemons:
            daemon.stop()


def ask(path, seconds):
    told = run("taskset", "-c", "0", "chrt", "-f", "7", *inside("sl-perf-gen", f"{path.lab.tools}/round_trip/round-trip", "ask", VIP, PORT, "--rate", PROBES,
                                                              "--seconds", seconds))
    return json.loads(told)


def round_trips(path, rate, seconds):
    """What the client found while RATE packets per second went through PATH."""
    path.lead_client()
    traffic = path.start_traffic(FLOWS, rate)
    try:
        time.sleep(0.7)
        before = path.arrived()
        found = ask(path, seconds)
        after = path.arrived()
        found["carried"] = (after[1] - before[1]) * 1e9 / (after[0] - before[0])
    finally:
        path.lab.stop(traffic, 2)
    if not found["answered"]:
        raise RuntimeError(f"{path.name}: none of {found['sent']} requests answered")
    return found


def loads_of(maxima):
    """{(load's name, contender): packets per second}."""
    loads = {(f"{share:.0%} of its own maximum", name): share * most for name, most in maxima.items() for share in SHARES}
    loads |= {(EQUAL, name): 0.5 * maxima["kernel forwarding"] for name in maxima}
    return loads


def series_of(load, name, found):
    label = f"round trip, {load}: {name}"
    rows = [figures.series(f"{label}, {key}", [one[key] for one in found]) for key in PERCENTILES]
    rows.append(figures.series(f"{label}, lost %", [100 * one["lost"] / one["sent"] for one in found]))
    rows.append(figures.series(f"{label}, Mpps carried", [one["carried"] / 1e6 for one in found]))
    middle = sorted(found, key=lambda one: one["p50"])[len(found) // 2]
    rows[1] |= {"distribution": middle["curve"], "load": f"round trip, {load}", "contender": name}
    return rows


def ratios(found):
    rows = []
    for name in ("sluice nat in XDP", "sluice nat in AF_XDP", "nftables DNAT"):
        for key in ("p50", "p99", "p999"):
            pairs = zip(found[EQUAL, name], found[EQUAL, "kernel forwarding"], strict=True)
            rows.append(figures.series(f"round trip, {EQUAL}: {name} / kernel forwarding, {key}", [a[key] / b[key] for a, b in pairs]))
    return rows


def measure(arguments):
    with Lab(arguments.tools) as lab:
        contenders = Contenders(lab, arguments.sluiced)
        try:
            maxima = {name: path.measure(FLOWS, arguments.seconds, [])[0] for name, path in contenders.paths.items()}
            loads = loads_of(maxima)
            first = next(iter(loads))
            loads[first[0] + figures.TWIN, first[1]] = loads[first]
            found = {key: [] for key in loads}
            for _ in range(arguments.rounds):
                for (load, name), rate in loads.items():
                    found[load, name].append(round_trips(contenders.paths[name], rate, arguments.seconds))
        finally:
            contenders.stop()
    rows = [figures.series(f"maximum: {name}, packets/s", [most]) for name, most in maxima.items()]
    for (load, name), trips in found.items():
        rows += series_of(load, name, trips)
    return rows + ratios(found)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sluiced", required=True)
    parser.add_argument("--tools", required=True, help="the build's perf/")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--json")
    arguments = parser.parse_args()
    figures.show(measure(arguments), "µs", arguments.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
