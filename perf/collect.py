#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Joins the benchmarks' figures into one JSON file and one Markdown table, each against its bar.

    collect.py FIGURES RESULTS    FIGURES: folder of <benchmark>.json and xdp.txt; RESULTS: where to write <date>.*
"""

import datetime
import json
import pathlib
import platform
import re
import subprocess
import sys

# Beginning of a series' name: the least or most that its median should be.
BARS = {
    "engine": {
        "nat IPv4 known, 1,000 flows": ("at most", 1000 / 30), "nat IPv4 known, 1 M flows": ("at most", 1000 / 16),
        "nat IPv4 known, 10 M flows": ("at most", 1000 / 12), "nat IPv4 new, table of 1 M full": ("at most", 500),
    },
    "xdp": {
        "nat known, 1 flow": ("at most", 55), "dsr_ipip known, 1 flow": ("at most", 55),
        "nat known, 65,536 flows": ("at most", 200), "dsr_ipip known, 65,536 flows": ("at most", 200),
        "nat new flow, table full": ("at most", 1300), "dsr_ipip new flow, table full": ("at most", 870),
        "foreign, pass": ("at most", 35),
    },
    "live": {
        "veth to veth, 1 clients: sluice nat in XDP / nftables DNAT, packets/s": ("at least", 3),
        "veth to veth, 65536 clients: sluice nat in XDP / nftables DNAT, packets/s": ("at least", 3),
        "AF_XDP on veth, 65536 clients: sluice AF_XDP nat / testpmd macswap, packets/s": ("at least", 0.9),
        "resident memory, UMEM excluded, MB": ("at most", 32),
    },
}


def figures_of(path):
    """(unit, [{"name", "median", ...}]) of a benchmark's output, JSON or table."""
    if path.suffix == ".json":
        document = json.loads(path.read_text())
        return document["unit"], document["series"]
    found = []
    for line in path.read_text().splitlines()[1:]:
        row = re.match(r"(.*?)\s+(-?[\d.]+)\s+(-?[\d.]+)\s+(-?[\d.]+)$", line)
        if row:
            found.append({"name": row[1], "median": float(row[2]), "values": [float(row[3]), float(row[4])]})
    return "net ns per packet", found


def verdict(bar, median):
    if bar is None:
        return "", ""
    direction, value = bar
    met = median <= value if direction == "at most" else median >= value
    return f"{direction} {value:.3g}", "met" if met else f"**missed** ({median / value:.2f} of it)"


def main():
    source, target = map(pathlib.Path, sys.argv[1:])
    now = datetime.datetime.now(datetime.timezone.utc)
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False).stdout.strip()
    model = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text())
    machine = {"date": f"{now:%Y-%m-%d %H:%M} UTC", "commit": commit, "kernel": platform.release(),
               "processor": model[1] if model else platform.machine()}
    document = {**machine, "benchmarks": {}}
    lines = ["# Measured figures", "", ", ".join(f"{key} {value}" for key, value in machine.items()), ""]
    for path in sorted([*source.glob("*.json"), *source.glob("*.txt")]):
        unit, series = figures_of(path)
        document["benchmarks"][path.stem] = {"unit": unit, "series": series}
        lines += [f"## {path.stem}", "", f"| {unit or 'figure'} | median | least | most | bar | |", "|---|---|---|---|---|---|"]
        for one in series:
            bar, met = verdict(BARS.get(path.stem, {}).get(one["name"]), one["median"])
            lines.append(f"| {one['name']} | {one['median']:.5g} | {min(one['values']):.5g} | {max(one['values']):.5g} | {bar} | {met} |")
        lines.append("")
    target.mkdir(parents=True, exist_ok=True)
    stem = f"{now:%Y-%m-%dT%H%M}"
    (target / f"{stem}.json").write_text(json.dumps(document, indent=1))
    (target / f"{stem}.md").write_text("\n".join(lines))
    print("\n".join(lines))
    print(f"written: {target / stem}.json, .md")
    return 0


if __name__ == "__main__":
    sys.exit(main())
