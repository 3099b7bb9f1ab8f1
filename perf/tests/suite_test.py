# SPDX-License-Identifier: Apache-2.0
"""What the suite makes of figures, by documents made up for it."""

import contextlib
import io
import json
import pathlib
import sys
import tempfile
import unittest

PERF = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(PERF), str(PERF.parent / "tests/scripts")]

import tap  # noqa: E402
from suite import baseline, figures, flames, overhead, plots, report  # noqa: E402

MACHINE = {"processor": "one", "cores": 2, "kernel": "6", "versions": {}}


def document(unit, **values):
    """Of one scenario; a series per keyword, `twin` the first once more."""
    rows = [figures.series(name.replace("_", " "), found) for name, found in values.items() if name != "twin"]
    if "twin" in values:
        rows.append(figures.series(rows[0]["name"] + figures.TWIN, values["twin"]))
    found = {"unit": unit, "series": rows}
    return {"machine": MACHINE, "left_out": [], "scenarios": {"one": {**found, "noise": figures.noise(rows)}}}


class Figures(unittest.TestCase):
    def test_rounds_are_interleaved_and_the_first_is_measured_twice(self):
        order = []
        found = figures.interleaved({"a": 1, "b": 2}, 2, lambda one: order.append(one) or one)
        self.assertEqual(order, [1, 2, 1, 1, 2, 1])
        self.assertEqual(found, {"a": [1, 1], "b": [2, 2], "a (A/A)": [1, 1]})

    def test_noise_is_the_distance_between_twins(self):
        rows = document("ns", known=[10, 10, 10], twin=[11, 11, 11])["scenarios"]["one"]["series"]
        self.assertAlmostEqual(figures.noise(rows), 0.1)
        self.assertIsNone(figures.noise(rows[:1]))

    def test_noise_of_a_percentile_is_that_of_its_kind(self):
        rows = [figures.series(name, [value]) for name, value in (("way, p50", 10), ("way (A/A), p50", 11), ("way, max", 10), ("way (A/A), max", 90))]
        self.assertAlmostEqual(figures.noise(rows, "other, p50"), 0.1)
        self.assertAlmostEqual(figures.noise(rows), 8)

    def test_spread_is_half_the_quartiles_distance(self):
        self.assertAlmostEqual(figures.spread([90, 95, 100, 105, 110]), 0.075)
        self.assertEqual(figures.spread([7]), 0)

    def test_a_ratio_is_of_rounds_not_of_medians(self):
        one, other = figures.series("a", [1, 20, 300]), figures.series("b", [1, 10, 100])
        self.assertEqual(figures.ratio(one, other), 2)


class Baselines(unittest.TestCase):
    def compare(self, old, new, *more):
        with tempfile.TemporaryDirectory() as home:
            (pathlib.Path(home) / "kept.json").write_text(json.dumps(old))
            (pathlib.Path(home) / "new.json").write_text(json.dumps(new))
            sys.argv = ["baseline", "compare", "kept", f"{home}/new.json", "--folder", home, *more]
            with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
                return baseline.main()

    def test_the_same_passes(self):
        one = document("ns", known=[10, 10.1, 9.9], twin=[10, 10, 10])
        self.assertEqual(self.compare(one, one), 0)

    def test_a_regression_beyond_the_noise_fails(self):
        self.assertEqual(self.compare(document("ns", known=[10] * 5, twin=[10.1] * 5), document("ns", known=[12] * 5, twin=[12] * 5)), 1)

    def test_the_same_difference_within_the_noise_passes(self):
        self.assertEqual(self.compare(document("ns", known=[10] * 5, twin=[13] * 5), document("ns", known=[12] * 5, twin=[12] * 5)), 0)

    def test_fewer_packets_per_second_are_worse_and_more_are_not(self):
        less, more = document("Mpps", known=[10] * 5), document("Mpps", known=[12] * 5)
        self.assertEqual(self.compare(more, less), 1)
        self.assertEqual(self.compare(less, more), 0)

    def test_another_machine_is_refused_unless_asked_for(self):
        one = document("ns", known=[10])
        other = {**one, "machine": {**MACHINE, "processor": "another"}}
        self.assertEqual(self.compare(one, other), 2)
        self.assertEqual(self.compare(one, other, "--other-machine"), 0)

    def test_nothing_in_common_cannot_be_compared(self):
        self.assertEqual(self.compare(document("ns", a=[1]), document("ns", b=[1])), 2)


class Documents(unittest.TestCase):
    def test_every_figure_stands_in_the_table_with_its_bar(self):
        found = document("net ns per packet", **{"foreign, pass": [40]})
        found["scenarios"] = {"xdp": found["scenarios"]["one"]}
        text = report.markdown(found)
        self.assertIn("| foreign, pass | 40 | ±0.0% | 40 | 40 | at most 35 | **missed** (1.14 of it) |", text)

    def test_plots_are_drawn_from_what_was_measured(self):
        found = document("µs")
        found["scenarios"] = {
            "live": {"unit": "", "series": [figures.series("nat, packets/s", [3e6])], "noise": None},
            "latency": {"unit": "µs", "noise": None, "series": [{**figures.series("p50", [9]), "distribution": [[8, 0.5], [12, 0.99], [20, 1]],
                                                               "load": "half", "contender": "nat"}]},
            "growth": {"unit": "ns", "noise": None, "series": [figures.series(f"{x} flows", [x / 10], curve="known", x=x, of="flows") for x in (10, 100)]}}
        with tempfile.TemporaryDirectory() as home:
            made = plots.draw(found, home)
            if not made:
                self.skipTest("python3-matplotlib is not installed")
            self.assertEqual(made, ["throughput.svg", "latency-half.svg", "growth-flows.svg"])
            for name in made:
                self.assertIn("</svg>", (pathlib.Path(home) / name).read_text())


class Flames(unittest.TestCase):
    SAMPLES = """engine-bench
\t55 inner+0x10 (/usr/bin/x)
\t44 outer+0x20 (/usr/bin/x)

engine-bench
\tffffffff81 handle<fault> ([kernel.kallsyms])
\t44 outer+0x24 (/usr/bin/x)
"""

    def test_stacks_run_from_the_outermost_and_know_the_kernel(self):
        self.assertEqual(list(flames.stacks(self.SAMPLES.splitlines())),
                         [[("engine-bench", False), ("outer", False), ("inner", False)],
                          [("engine-bench", False), ("outer", False), ("handle<fault>", True)]])

    def test_a_box_is_as_wide_as_its_share(self):
        root = flames.Node()
        for stack in flames.stacks(self.SAMPLES.splitlines()):
            root.add(stack)
        drawn = flames.draw(root)
        self.assertIn("<title>outer: 2 samples, 100.0%</title>", drawn)
        self.assertIn("<title>handle&lt;fault&gt;: 1 samples, 50.0%</title>", drawn)
        self.assertEqual(drawn.count('width="600.0"'), 2)


class Overhead(unittest.TestCase):
    def test_numbers_are_those_of_the_last_line_that_is_json(self):
        self.assertEqual(overhead.numbers('{"a": 1}\n{"p99": 2.5, "ok": true, "name": "x"}\nbye'), {"p99": 2.5})
        self.assertEqual(overhead.numbers("nothing"), {})

    def test_a_difference_counts_beyond_what_the_two_runs_without_differ_by(self):
        def word(without, again, with_it):
            rows = [[{"seconds": value} for value in values] for values in (without, again, with_it)]
            return next(overhead.judged(*rows))[-1]
        self.assertEqual(word([10] * 4, [10] * 4, [12] * 4), "beyond the noise")
        self.assertEqual(word([10] * 4, [13] * 4, [12] * 4), "within the noise")


if __name__ == "__main__":
    tap.main()
