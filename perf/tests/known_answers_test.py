# SPDX-License-Identifier: Apache-2.0
"""The generator counts what it sends, and the round-trip client finds delays that are known. BUILD_PERF names the build's perf/."""

import json
import os
import pathlib
import subprocess
import sys
import unittest

PERF = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(PERF), str(PERF / "live"), str(PERF.parent / "tests/scripts")]

import lab  # noqa: E402
import tap  # noqa: E402

TOOLS = os.environ["BUILD_PERF"]
CLIENT = f"{TOOLS}/round_trip/round-trip"
MS = 1000  # µs


class Server:
    def __init__(self, port, *words):
        self.port, self.words = port, words

    def __enter__(self):
        self.process = subprocess.Popen([CLIENT, "serve", "127.0.0.1", str(self.port), *self.words])
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(10)

    def ask(self, *words):
        protocol = [word for word in words if word == "--tcp"]
        lab.wait_until(lambda: self.try_once("--seconds", 0.05, *protocol), "the server answers")
        self.try_once(*words)
        return self.found

    def try_once(self, *words):
        done = subprocess.run([CLIENT, "ask", "127.0.0.1", str(self.port), *map(str, words)], capture_output=True, text=True, check=False)
        self.found = json.loads(done.stdout) if done.returncode == 0 else None
        return self.found and self.found["answered"] > 0


class RoundTrips(unittest.TestCase):
    def test_percentiles_are_those_of_the_delays(self):
        delays = ",".join(["2000"] * 9 + ["20000"])
        for protocol in ((), ("--tcp",)):
            with self.subTest(protocol=protocol), Server(19801, "--delays", delays, *protocol) as server:
                found = server.ask("--seconds", 2, *protocol)
                self.assertGreaterEqual(found["min"], 2 * MS)
                self.assertGreaterEqual(found["p95"], 20 * MS)
                self.assertEqual(found["answered"], found["sent"])
                below = max(share for value, share in found["curve"] if value < 20 * MS)
                self.assertLessEqual(below, 0.91)

    def test_the_open_loop_counts_all_that_waited_for_a_stall(self):
        delays = ",".join(["0"] * 499 + ["300000"])
        with Server(19802, "--delays", delays) as server:
            closed = server.ask("--seconds", 1)
            opened = server.ask("--seconds", 2, "--rate", 500)
        self.assertLess(closed["p95"], 300 * MS, "one in five hundred waits for the stall, for a client that then waits itself")
        self.assertGreaterEqual(opened["p95"], 200 * MS, "of a second's 500 requests 150 are due during the stall")
        self.assertGreaterEqual(opened["max"], 300 * MS)

    def test_the_open_loop_sends_at_the_rate(self):
        with Server(19803) as server:
            found = server.ask("--seconds", 2, "--rate", 1000, "--connections", 7)
        self.assertEqual(found["sent"], 2000)

    def test_what_is_not_answered_is_lost_and_not_a_round_trip(self):
        nobody = Server(19804)
        self.assertFalse(nobody.try_once("--seconds", 0.3, "--rate", 100))
        self.assertEqual((nobody.found["sent"], nobody.found["answered"], nobody.found["lost"]), (30, 0, 30))


@unittest.skipUnless(os.geteuid() == 0, "needs root")
class Generator(unittest.TestCase):
    def test_as_many_frames_arrive_as_were_sent(self):
        piece, pieces = 200, 20  # what every queue on the way holds; a call takes tens of ms
        with lab.Lab(TOOLS) as made:
            path = lab.Path(made, "ka")
            lab.run("ip", "-n", path.node, "route", "add", lab.VIP, "via", lab.BACKEND, "dev", "ka1")
            send = made.live_frames("send", "--device", "gka", "--to-mac", lab.NODE_MAC0, "--destination", lab.VIP, "--port", lab.PORT)
            before = path.arrived()[1]
            for number in range(pieces):
                self.assertEqual(made.spawn("sl-perf-gen", *send, "--packets", piece).wait(60), 0)
                expected = before + (number + 1) * piece
                lab.wait_until(lambda expected=expected: path.arrived()[1] >= expected, f"{expected} packets")
            self.assertEqual(path.arrived()[1], before + piece * pieces)


if __name__ == "__main__":
    tap.main()
