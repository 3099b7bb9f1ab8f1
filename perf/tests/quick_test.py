# SPDX-License-Identifier: Apache-2.0
"""A quick run of the suite leaves a whole document. BUILD_ROOT names the build."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

PERF = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(PERF), str(PERF.parent / "tests/scripts")]

import tap  # noqa: E402

NAMES = ["engine", "growth", *(["xdp"] if os.geteuid() == 0 else [])]  # the live ones take minutes


class Quick(unittest.TestCase):
    def test_every_benchmark_gives_figures_with_their_machine_and_rounds(self):
        with tempfile.TemporaryDirectory() as home:
            done = subprocess.run([PERF / "run.sh", *NAMES, "--results", home], capture_output=True, text=True, check=False,
                                  env={**os.environ, "QUICK": "1", "BUILD": os.environ["BUILD_ROOT"]}, timeout=550)
            self.assertEqual(done.returncode, 0, done.stdout[-2000:] + done.stderr[-2000:])
            folder, = pathlib.Path(home).iterdir()
            document = json.loads((folder / "results.json").read_text())
            text = (folder / "README.md").read_text()
        self.assertEqual(sorted(document["scenarios"]), sorted(NAMES))
        for key in ("kernel", "processor", "commit", "date"):
            self.assertTrue(document["machine"][key], key)
        for name, scenario in document["scenarios"].items():
            for one in scenario["series"]:
                self.assertIn(one["name"], text)
                self.assertTrue(one["values"], f"{name}: {one['name']} has no round")
        self.check_the_figures({name: {one["name"]: one for one in found["series"]} for name, found in document["scenarios"].items()})

    def check_the_figures(self, found):
        """Not how large they are: that they are of something."""
        self.assertEqual(len(found["engine"]["nat IPv4 known, 1,000 flows"]["values"]), 2)
        for one in found["engine"].values():
            self.assertGreater(one["median"], 0)


if __name__ == "__main__":
    tap.main()
