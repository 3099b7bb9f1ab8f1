# SPDX-License-Identifier: Apache-2.0
"""Results of a run as a document: JSON with every round, and Markdown."""

import json
import pathlib

from suite import figures

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
    "latency": {
        "round trip, half of kernel forwarding's load: sluice nat in XDP / kernel forwarding, p99": ("at most", 1.3),
        "round trip, half of kernel forwarding's load: sluice nat in AF_XDP / kernel forwarding, p99": ("at most", 1.3),
    },
    "control": {
        "start to forwarding by XDP and AF_XDP on two interfaces, ms": ("at most", 500),
        "reload of 10,000 rules and 1,000 services to effect on packets, ms": ("at most", 1000),
        "scrape with 1,000 services x 10 backends, ms": ("at most", 50),
        "kill -9, 5 s, restart: faults on 1,000 connections": ("at most", 0),
        "kill -9, 5 s, restart: of these, failed": ("at most", 0),
        "kill -9, 5 s, restart: datagrams lost, less those the receiver's socket had no room for": ("at most", 0),
    },
}


def document_of(facts, source, left_out):
    """Joins <benchmark>.json of the folder SOURCE, {"unit", "series"} each."""
    scenarios = {}
    for path in sorted(source.glob("*.json")):
        found = json.loads(path.read_text())
        found["noise"] = figures.noise(found["series"])
        scenarios[path.stem] = found
    return {"machine": facts, "left_out": left_out, "scenarios": scenarios}


def verdict(bar, median):
    if bar is None:
        return "", ""
    direction, value = bar
    met = median <= value if direction == "at most" else median >= value
    return f"{direction} {value:.3g}", "met" if met else "**missed**" + (f" ({median / value:.2f} of it)" if value else "")


def table(name, found):
    told = "no twin measured" if found["noise"] is None else f"A/A differs by up to {found['noise']:.1%}"
    rows = [f"## {name}", "", f"Noise: {told}.", "", f"| {found['unit'] or 'figure'} | median | spread | least | most | bar | |",
            "|---|---|---|---|---|---|---|"]
    for one in found["series"]:
        bar, met = verdict(BARS.get(name, {}).get(one["name"]), one["median"])
        rows.append(f"| {one['name']} | {one['median']:.5g} | ±{figures.spread(one['values']):.1%} | {min(one['values']):.5g} | "
                    f"{max(one['values']):.5g} | {bar} | {met} |")
    return rows


def markdown(document, plots=()):
    lines = ["# Measured figures", ""]
    lines += [f"- {key.replace('_', ' ')}: {value}" for key, value in document["machine"].items() if key != "versions"]
    lines += ["- versions: " + ", ".join(f"{name} {text}" for name, text in document["machine"]["versions"].items())]
    lines += [f"- left out: {text}" for text in document["left_out"]] + [""]
    lines += [f"![{plot}]({plot})" for plot in plots] + ([""] if plots else [])
    for name, found in document["scenarios"].items():
        lines += [*table(name, found), ""]
    return "\n".join(lines)


def newest(folder):
    found = sorted(pathlib.Path(folder).glob("*/results.json"))
    if not found:
        raise SystemExit(f"{folder}: no results; run perf/run.sh first")
    return found[-1]
