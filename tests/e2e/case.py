# SPDX-License-Identifier: Apache-2.0
"""What the end-to-end cases have in common: a lab that goes with the case, and the daemon's log when it fails."""

import os
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "scripts"))

import tap  # noqa: E402
from daemon import PROGRAMS, Daemon, interfaces  # noqa: E402
from topology import Lab, text_of  # noqa: E402

# What an interface is asked for so that a tier serves it
TIERS = {"xdp": ["xdp", "af_xdp"], "af_xdp": ["af_xdp"]}


class LabCase(unittest.TestCase):
    tier = "xdp"

    def setUp(self):
        if os.geteuid() != 0:
            self.skipTest("needs root for network namespaces and BPF")
        for name, path in PROGRAMS.items():
            if not os.access(path, os.X_OK):
                self.skipTest(f"{name} is not built: {path}")

    def make_lab(self, **options):
        lab = Lab(**options)
        self.addCleanup(lab.close)
        return lab

    def make_daemon(self, lab, config=None, flags=None, arguments=(), name="sluice", **settings):
        """Not started; `settings` go into every interface's entry."""
        config = {"interfaces": interfaces(lab, TIERS[self.tier], **settings), **(config or {})}
        daemon = Daemon(lab, config, flags, arguments, name)
        self.addCleanup(self._show_log, daemon)
        self.addCleanup(self._check_calls, daemon)
        return daemon

    def start_daemon(self, lab, config=None, **options):
        return self.make_daemon(lab, config, **options).start()

    def _check_calls(self, daemon):
        """Whatever a case is about, the daemon's own filter must not have been in its way."""
        if daemon.process is None or not daemon.process.log.exists():  # the case closed its lab itself
            return
        refused = [line for line in text_of(daemon.process).splitlines() if "system call refused" in line]
        self.assertEqual(refused, [], "calls that are not on the daemon's list")

    def _show_log(self, daemon):
        told = self._outcome.result.failures + self._outcome.result.errors
        if daemon.process and any(self in (test, getattr(test, "test_case", None)) for test, _ in told):
            print("\n".join(f"# {daemon.name}: {line}" for line in daemon.log().splitlines()[-60:]))


def for_each_tier(module, *mixins):
    """Adds a LabCase to MODULE for each mixin and tier, named after both."""
    for mixin in mixins:
        for tier in TIERS:
            name = f"{mixin.__name__}{'Xdp' if tier == 'xdp' else 'AfXdp'}"
            module[name] = type(name, (mixin, LabCase), {"tier": tier, "__module__": module["__name__"]})


def main():
    tap.main()
