# SPDX-License-Identifier: Apache-2.0
"""Series of measurements: medians, spread, ratios, and the noise that the same thing measured twice shows.

A series is {"name", "median", "values"}, one value per round, in the order of the rounds. Optional: "curve" and "x", the line
of a plot and the place on it; "distribution", [[value, share], ...].
"""

import json
import pathlib
import re
import statistics

TWIN = " (A/A)"
LEAST_NOISE = 0.02  # below that no machine of ours repeats itself
MORE_IS_BETTER = re.compile(r"packets/s|Mpps|per_second|Gbit|connections/s|requests/s")


def series(name, values, **more):
    return {"name": name, "median": statistics.median(values), "values": list(values), **more}


def interleaved(contenders, rounds, measure):
    """{name: [what measure(contender) found per round]}, each once per round in turn; the first once more, for the noise."""
    first = next(iter(contenders))
    order = [*contenders, first + TWIN]
    found = {name: [] for name in order}
    for _ in range(rounds):
        for name in order:
            found[name].append(measure(contenders[name.removesuffix(TWIN)]))
    return found


def spread(values):
    """Half the distance between the quartiles, as a share of the median."""
    median = statistics.median(values)
    if len(values) < 4 or not median:
        return abs(max(values) - min(values)) / 2 / abs(median) if median else 0.0
    low, _, high = statistics.quantiles(values, n=4)
    return (high - low) / 2 / abs(median)


def twins(all_series):
    """(series, the same measured once more) of all that were."""
    by_name = {one["name"]: one for one in all_series}
    return [(by_name[name.replace(TWIN, "")], one) for name, one in by_name.items() if TWIN in name and name.replace(TWIN, "") in by_name]


def kind(name):
    """What a series counts: p99, packets/s and so on, where its name ends with that."""
    return name.rpartition(", ")[2]


def noise(all_series, like=None):
    """How far apart the medians of the same thing lie, as a share: the largest of all twins, None without any. LIKE: only
    twins of that series' kind, where there are some."""
    apart = [(kind(one["name"]), abs(twin["median"] / one["median"] - 1)) for one, twin in twins(all_series) if one["median"]]
    alike = [share for what, share in apart if like and what == kind(like)]
    return max(alike or [share for _, share in apart], default=None)


def is_better_when_more(unit, name):
    return bool(MORE_IS_BETTER.search(f"{unit} {name}"))


def ratio(one, other):
    """Median of the rounds' own ratios: neighbours move both of a round together."""
    return statistics.median(a / b for a, b in zip(one["values"], other["values"]) if b)


def show(rows, unit, path=None):
    """Prints median, least and most of each series; writes them to PATH for perf/run.sh, where one is given."""
    width = max(len(one["name"]) for one in rows)
    for one in rows:
        print(f"{one['name']:<{width}} {one['median']:>12.2f} {min(one['values']):>12.2f} {max(one['values']):>12.2f}")
    if path:
        pathlib.Path(path).write_text(json.dumps({"unit": unit, "series": rows}, indent=1))
