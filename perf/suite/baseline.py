# SPDX-License-Identifier: Apache-2.0
"""Keeps the figures of a run under a name, and tells whether another run falls behind them."""

import argparse
import json
import pathlib
import shutil
import sys

from suite import figures, report

FOLDER = pathlib.Path(__file__).resolve().parents[1]
SAME_MACHINE = ("processor", "cores", "kernel")


def allowance(scenarios, one, other):
    """Share by which the two medians may differ: what the same thing differs by in either run, and both series' own spread."""
    measured = [share for scenario in scenarios if (share := figures.noise(scenario["series"], one["name"])) is not None]
    return max([figures.LEAST_NOISE, *measured, figures.spread(one["values"]) + figures.spread(other["values"])])


def loss(unit, old, new):
    """By how much NEW is worse, as a share of OLD; negative: better."""
    change = new["median"] / old["median"] - 1
    return -change if figures.is_better_when_more(unit, old["name"]) else change


def compared(old, new):
    """(name, loss, allowance) of every series that both documents have."""
    rows = []
    for name in old["scenarios"].keys() & new["scenarios"].keys():
        before, after = old["scenarios"][name], new["scenarios"][name]
        later = {one["name"]: one for one in after["series"]}
        for one in before["series"]:
            other = later.get(one["name"])
            if other and one["median"] and figures.TWIN not in one["name"]:
                rows.append((f"{name}: {one['name']}", loss(before["unit"], one, other), allowance((before, after), one, other)))
    return sorted(rows)


def different_machine(old, new):
    return [f"{key}: {old['machine'].get(key)}, now {new['machine'].get(key)}" for key in SAME_MACHINE
            if old["machine"].get(key) != new["machine"].get(key)]


def compare(old, new):
    rows = compared(old, new)
    if not rows:
        print("nothing to compare: the two runs have no scenario in common")
        return 2
    slower = [row for row in rows if row[1] > row[2]]
    for name, lost, allowed in rows:
        word = "WORSE" if lost > allowed else "better" if -lost > allowed else "same"
        print(f"{word:6} {-lost:+7.1%} (noise {allowed:.1%})  {name}")
    print(f"{len(slower)} of {len(rows)} figures are worse beyond the noise")
    return 1 if slower else 0


def main():
    parser = argparse.ArgumentParser(prog="perf/baseline.sh", description=__doc__)
    parser.add_argument("action", choices=("save", "compare"))
    parser.add_argument("name")
    parser.add_argument("results", nargs="?", help="results.json of a run; default: the newest of perf/results")
    parser.add_argument("--folder", default=FOLDER / "baselines", type=pathlib.Path)
    parser.add_argument("--other-machine", action="store_true", help="compare although processor, cores or kernel differ")
    arguments = parser.parse_args()
    results = pathlib.Path(arguments.results) if arguments.results else report.newest(FOLDER / "results")
    kept = arguments.folder / f"{arguments.name}.json"
    if arguments.action == "save":
        kept.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(results, kept)
        print(f"kept: {kept}")
        return 0
    if not kept.exists():
        print(f"no baseline {arguments.name}: {kept} does not exist", file=sys.stderr)
        return 2
    old, new = json.loads(kept.read_text()), json.loads(results.read_text())
    differences = different_machine(old, new)
    if differences and not arguments.other_machine:
        print("not the machine of the baseline: " + "; ".join(differences), file=sys.stderr)
        return 2
    return compare(old, new)


if __name__ == "__main__":
    sys.exit(main())
