# SPDX-License-Identifier: Apache-2.0
"""SVG plots of a document of results, by matplotlib (Debian: python3-matplotlib)."""

import pathlib

from suite import figures

WIDTH, HEIGHT = 9, 5  # inches


def _bars(axes, found):
    names = [name for name, _, _ in found]
    axes.barh(names, [value for _, value, _ in found], xerr=[error for _, _, error in found], color="#3c78b4", ecolor="#333333")
    axes.invert_yaxis()
    for position, (_, value, _) in enumerate(found):
        axes.text(value, position, f" {value:.2f}", va="center")


def throughput(document):
    """[(name, Mpps, half of the quartiles' distance)] by tier: what was forwarded, and for programs alone 1000 / ns."""
    found = []
    for name, scenario in document["scenarios"].items():
        for one in scenario["series"]:
            if figures.TWIN in one["name"] or " / " in one["name"] or "curve" in one:
                continue
            scale = {"live": 1e-6, "dpdk": 1.0}.get(name)
            if name == "live" and "packets/s" not in one["name"] or scale is None:
                continue
            median = one["median"] * scale
            found.append((one["name"].removesuffix(", packets/s"), median, median * figures.spread(one["values"])))
    return found


def lines_of(document):
    """{scenario: {curve: [(x, median)]}} of all series that have a place on a curve."""
    found = {}
    for name, scenario in document["scenarios"].items():
        for one in scenario["series"]:
            if "curve" in one:
                found.setdefault((name, one["of"]), {}).setdefault(one["curve"], []).append((one["x"], one["median"]))
    return found


def _save(plt, figure, folder, name, made):
    figure.tight_layout()
    figure.savefig(folder / f"{name}.svg")
    plt.close(figure)
    made.append(f"{name}.svg")


def draw_distributions(plt, document, folder, made):
    groups = {}
    for scenario in document["scenarios"].values():
        for one in scenario["series"]:
            if "distribution" in one:
                groups.setdefault(one["load"], []).append(one)
    for load, found in groups.items():
        figure, axes = plt.subplots(figsize=(WIDTH, HEIGHT))
        for one in found:
            points = [(value, 1 - share) for value, share in one["distribution"] if share < 1]
            axes.plot([value for value, _ in points], [rest for _, rest in points], label=one["contender"])
        axes.set(xscale="log", yscale="log", xlabel="round trip, µs", ylabel="share of round trips that took longer", title=load)
        axes.grid(True, which="both", alpha=0.3)
        axes.legend()
        _save(plt, figure, folder, "latency-" + "".join(c if c.isalnum() else "-" for c in load.lower()), made)


def draw_curves(plt, document, folder, made):
    for (scenario, over), curves in lines_of(document).items():
        figure, axes = plt.subplots(figsize=(WIDTH, HEIGHT))
        for curve, points in curves.items():
            axes.plot(*zip(*sorted(points)), marker="o", label=curve)
        axes.set(xscale="log", xlabel=over, ylabel=document["scenarios"][scenario]["unit"], ylim=(0, None))
        axes.grid(True, alpha=0.3)
        axes.legend()
        _save(plt, figure, folder, f"{scenario}-{over.replace(' ', '-')}", made)


def draw(document, folder):
    """Names of the files written into FOLDER; none, and a word why, without matplotlib."""
    try:
        import matplotlib
    except ImportError:
        print("no plots: python3-matplotlib is not installed")
        return []
    matplotlib.use("svg")
    from matplotlib import pyplot as plt
    made, folder = [], pathlib.Path(folder)
    found = throughput(document)
    if found:
        figure, axes = plt.subplots(figsize=(WIDTH, 1 + 0.35 * len(found)))
        _bars(axes, found)
        axes.set(xlabel="million packets per second, one core")
        _save(plt, figure, folder, "throughput", made)
    draw_distributions(plt, document, folder, made)
    draw_curves(plt, document, folder, made)
    return made
