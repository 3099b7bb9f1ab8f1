#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What a kernel must take: every BPF program, and cases of the conformance list run by its own BPF_PROG_TEST_RUN."""

import os
import unittest

import nics

# One of each kind: a case verifies the program anew, which takes a while in an emulated machine.
PATTERNS = ("nat: a TCP connection over IPv4", "nat: UDP requests and replies over IPv6", "dsr_ipip: 4in6", "dsr_l2:",
            "dsr_gue: IPv6 in IPv6", "policy: of two rules")
PATIENCE = 600  # seconds: an emulated machine on a busy host verifies slowly


class Matrix(unittest.TestCase):
    def test_1_every_program_passes_the_verifier(self):
        done = nics.run(os.environ["BPF_LOAD"], *os.environ["BPF_OBJECTS"].split(), check=False, timeout=PATIENCE)
        print("\n".join("# " + line for line in done.stdout.splitlines()))
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_2_conformance_cases_pass_in_the_kernel(self):
        done = nics.run("python3", nics.TREE / "tests/conformance/conformance_test.py", "--tier", "xdp", "--replay",
                        os.environ["SLUICE_REPLAY"], *PATTERNS, check=False, timeout=PATIENCE)
        results = [line for line in done.stdout.splitlines() if line.startswith(("ok", "not ok"))]
        print(f"# {len(results)} cases")
        self.assertGreaterEqual(len(results), len(PATTERNS), done.stdout[-2000:] + done.stderr[-2000:])
        self.assertEqual([line for line in results if line.startswith("not ok")], [])
        self.assertEqual(done.returncode, 0)


if __name__ == "__main__":
    nics.main()
