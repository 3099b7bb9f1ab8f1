#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""sluice-replay's command line: what goes to which output, and its exit status."""

import json
import os
import pathlib
import struct
import subprocess
import tempfile
import unittest

import tap

REPLAY = os.environ.get("SLUICE_REPLAY", "build/control/replay/sluice-replay")
CAPTURE = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)
FRAME = bytes(12) + b"\x08\x06" + bytes(46)  # ARP, which passes


class Replay(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.config = pathlib.Path(directory.name, "sluice.yaml")
        self.config.write_text("version: 1\ninterfaces: [{ name: eth0 }]\n")
        self.capture = pathlib.Path(directory.name, "in.pcap")
        self.capture.write_bytes(CAPTURE + 3 * (struct.pack("<IIII", 1, 0, len(FRAME), len(FRAME)) + FRAME))

    def run_replay(self, *arguments):
        command = [REPLAY, "--config", self.config, "--in", self.capture, *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)

    def check_verdicts(self, tier):
        done = self.run_replay("--tier", tier, "--verdicts", "-")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual([json.loads(line)["verdict"] for line in done.stdout.splitlines()], 3 * ["pass"])

    def test_standard_output_has_verdicts_and_nothing_else(self):
        self.check_verdicts("native")

    def test_standard_output_has_verdicts_and_nothing_else_with_the_program_loaded(self):
        if os.geteuid() != 0:
            self.skipTest("needs root")
        self.check_verdicts("xdp")

    def test_wrong_options_have_a_status_of_their_own(self):
        for arguments in (["--tier", "warp"], ["--tier", "0"], ["--speed", "9"]):
            done = self.run_replay(*arguments)
            self.assertEqual(done.returncode, 2, arguments)
            self.assertEqual(done.stdout, "")
        self.assertEqual(self.run_replay("--interface", "none").returncode, 1)


if __name__ == "__main__":
    tap.main()
