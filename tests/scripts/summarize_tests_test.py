#!/usr/bin/env python3
"""Test results are counted by case, and nothing that failed is lost."""

import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

import tap

SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "scripts/summarize-tests.py"

GTEST = """Running main() from gtest_main.cc
[ RUN      ] Maglev.MovesOnlyWhatItMust
[       OK ] Maglev.MovesOnlyWhatItMust (3 ms)
[ RUN      ] Xdp.Loads
../tests/xdp_test.cc:12: Skipped
needs CAP_BPF

[  SKIPPED ] Xdp.Loads (0 ms)
[ RUN      ] Sums/ChecksumTest.Match/2
no newline before the verdict[  FAILED  ] Sums/ChecksumTest.Match/2, where GetParam() = 7 (0 ms)
[==========] 3 tests from 3 test suites ran. (4 ms total)
[  PASSED  ] 1 test.
[  SKIPPED ] 1 test, listed below:
[  SKIPPED ] Xdp.Loads
[  FAILED  ] 1 test, listed below:
[  FAILED  ] Sums/ChecksumTest.Match/2, where GetParam() = 7

 1 FAILED TEST
"""
CRASHED = """[ RUN      ] Ring.Fills
[       OK ] Ring.Fills (0 ms)
[ RUN      ] Ring.Overflows
"""
LEAKED = """[ RUN      ] Ring.Fills
[       OK ] Ring.Fills (0 ms)
ERROR: LeakSanitizer: detected memory leaks
"""
TAP = """1..4
ok 1 - curl through xdp
# a comment
not ok 2 - curl through af_xdp
ok 3 - zero copy # SKIP the driver has none
ok 4 - okay is not a result on its own line
"""


class Summary(unittest.TestCase):
    def summarize(self, *tests):
        """tests: (name, protocol, meson's result, standard output); returns (lines, exit status)."""
        with tempfile.TemporaryDirectory() as name:
            build = pathlib.Path(name)
            (build / "meson-info").mkdir()
            (build / "meson-logs").mkdir()
            info = [{"name": test[0], "protocol": test[1]} for test in tests]
            (build / "meson-info/intro-tests.json").write_text(json.dumps(info))
            log = [
                {"name": "sluice:unit / " + test[0], "result": test[2], "stdout": test[3], "returncode": 1}
                for test in tests
            ]
            if tests:
                (build / "meson-logs/results.json").write_text("".join(json.dumps(line) + "\n" for line in log))
            command = [sys.executable, SCRIPT, build]
            run = subprocess.run(command, capture_output=True, text=True, check=False)
            self.assertEqual(run.stderr, "")
            return run.stdout.replace(build.name + " ", "").splitlines(), run.returncode

    def test_gtest_counts_each_case_once_and_names_why_it_was_skipped(self):
        lines, status = self.summarize(("unit-x", "gtest", "FAIL", GTEST))
        self.assertEqual(
            lines,
            [
                "SKIPPED unit-x Xdp.Loads: needs CAP_BPF",
                "FAILED unit-x Sums/ChecksumTest.Match/2",
                "1 passed, 1 failed, 1 skipped",
            ],
        )
        self.assertEqual(status, 1)

    def test_a_case_that_did_not_finish_has_failed(self):
        lines, status = self.summarize(("unit-x", "gtest", "ERROR", CRASHED))
        self.assertEqual(lines, ["FAILED unit-x Ring.Overflows: did not finish", "1 passed, 1 failed, 0 skipped"])
        self.assertEqual(status, 1)

    def test_a_report_at_exit_fails_although_each_case_passed(self):
        lines, _ = self.summarize(("unit-x", "gtest", "FAIL", LEAKED))
        self.assertEqual(lines, ["FAILED unit-x: fail, exit status 1", "1 passed, 1 failed, 0 skipped"])

    def test_tap_counts_lines(self):
        lines, _ = self.summarize(("e2e", "tap", "FAIL", TAP))
        self.assertEqual(
            lines,
            [
                "SKIPPED e2e zero copy: the driver has none",
                "FAILED e2e curl through af_xdp",
                "2 passed, 1 failed, 1 skipped",
            ],
        )

    def test_tap_that_ends_early_has_failed(self):
        lines, _ = self.summarize(("e2e", "tap", "OK", "1..3\nok 1 - one\n"))
        self.assertEqual(lines[-1], "1 passed, 1 failed, 0 skipped")
        lines, _ = self.summarize(("e2e", "tap", "FAIL", "ok 1 - one\nBail out! no namespace\n"))
        self.assertEqual(lines, ["FAILED e2e bail out: no namespace", "1 passed, 1 failed, 0 skipped"])

    def test_a_plan_of_none_is_one_skip(self):
        ran = ("unit-y", "gtest", "OK", "[ RUN      ] A.B\n[       OK ] A.B (0 ms)\n")
        lines, status = self.summarize(ran, ("e2e", "tap", "SKIP", "1..0 # SKIP needs root\n"))
        self.assertEqual(lines, ["SKIPPED e2e all: needs root", "1 passed, 0 failed, 1 skipped"])
        self.assertEqual(status, 0)

    def test_other_tests_count_by_exit_status(self):
        lines, _ = self.summarize(
            ("a", "exitcode", "OK", ""), ("b", "exitcode", "SKIP", "no bpffs\n"), ("c", "exitcode", "TIMEOUT", "x\n")
        )
        self.assertEqual(lines, ["SKIPPED b: no bpffs", "FAILED c: x", "1 passed, 1 failed, 1 skipped"])

    def test_running_nothing_is_a_failure(self):
        lines, status = self.summarize(("unit-x", "gtest", "OK", "[  PASSED  ] 0 tests.\n"))
        self.assertEqual(lines, ["FAILED unit-x: ran no case", "0 passed, 1 failed, 0 skipped"])
        self.assertEqual(status, 1)
        self.assertEqual(self.summarize()[1], 1)


if __name__ == "__main__":
    tap.main()
