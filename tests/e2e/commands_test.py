# SPDX-License-Identifier: Apache-2.0
"""The commands that look: top, flows page by page, trace as it comes, and what the program says of itself."""

import json
import pathlib
import tempfile
import time

from case import LabCase, main
from daemon import PROGRAMS, service
from topology import VIP4, run, stop, text_of, wait_until
from traffic import UdpStream


class Commands(LabCase):
    def start(self):
        lab = self.make_lab()
        self.daemon = self.start_daemon(lab, {"services": [service(lab, "udp", protocol="udp", ports="9000")]})
        return lab

    def test_top_tells_rates_of_what_moves(self):
        lab = self.start()
        with UdpStream(lab, VIP4, flows=5) as stream:
            stream.send(5)
            top = lab.node.spawn(PROGRAMS["sluicectl"], "--socket", self.daemon.socket, "--json", "top", "--every", "2", "--count", "1")
            time.sleep(0.5)
            self.assertEqual(stream.send(200), 200)
            top.wait(20)
        rates = json.loads(text_of(top))
        self.assertAlmostEqual(rates["services"][0]["packets_to"] * rates["seconds"], 200, delta=5)
        busiest = rates["interfaces"][0]
        self.assertEqual(busiest["interface"], "cl0")
        self.assertAlmostEqual(busiest["verdicts"]["forward"] * rates["seconds"], 200, delta=5)
        shown = self.daemon.ctl("top", "--every", "0.2", "--count", "2").stdout
        self.assertEqual(shown.count("flows 5 of"), 2, shown)
        self.assertLessEqual(max(map(len, shown.splitlines())), 80)

    def test_all_flows_are_listed_page_by_page(self):
        lab = self.start()
        with UdpStream(lab, VIP4, flows=300) as stream:
            self.assertEqual(stream.send(300), 300)
            pages = [json.loads(line) for line in self.daemon.ctl("--json", "flows", "--all").stdout.splitlines()]
            flows = [flow["initiator"] for page in pages for flow in page["flows"]]
            self.assertEqual((len(flows), len(set(flows))), (300, 300))

    def test_trace_follows(self):
        lab = self.start()
        self.daemon.ctl("trace", "--every", "1")
        follower = lab.node.spawn(PROGRAMS["sluicectl"], "--socket", self.daemon.socket, "--json", "trace", "--follow")
        time.sleep(1)
        with UdpStream(lab, VIP4) as stream:
            stream.send(3)
            wait_until(lambda: text_of(follower).count('"service":"udp"') >= 3, "three packets are shown", 10)
        stop(follower)
        self.daemon.ctl("trace", "--every", "off")

    def test_log_level_changes_at_once(self):
        self.start()
        self.assertIn("log level warn", self.daemon.ctl("log-level", "warn").stdout)
        self.assertEqual(self.daemon.ctl("log-level", "loud", check=False).returncode, 1)

    def test_exit_status_tells_what_went_wrong(self):
        ctl = PROGRAMS["sluicectl"]
        self.assertEqual(run(ctl, "--socket", "/no/such.sock", "status", check=False).returncode, 3)
        self.assertEqual(run(ctl, "--socket", "/no/such.sock", "top", check=False).returncode, 3)
        self.assertEqual(run(ctl, "no-such-command", check=False).returncode, 2)
        self.assertEqual(run(ctl, "explain", check=False).returncode, 2)
        self.assertEqual(run(ctl, "completion", "fish", check=False).returncode, 2)

    def test_options_that_make_no_sense_are_refused_in_a_few_words(self):
        given = ("--peak", "100G", "--core-packets", "3M")
        for words in (("capture", "--seconds", "nan"), ("capture", "--seconds", "inf"), ("capture", "--seconds", "0"),
                      ("diag", "/no/such", "--seconds=-1"), ("capture", "--write", "x", "--files", "2"), ("capture", "--size", "1"),
                      ("capture", "--write", "-", "--size", "1"), ("capacity", *given, "--spare", "10001"),
                      ("capacity", *given, "--load", "0"), ("capacity", *given, "--scaling", "nan"),
                      ("capacity", "--peak", "0", "--core-packets", "3M"), ("capacity", *given, "--series", "one"),
                      ("capacity", *given, "--results", "x")):
            with self.subTest(words=words):
                done = run(PROGRAMS["sluicectl"], "--socket", "/no/such.sock", *words, check=False)
                self.assertEqual(done.returncode, 2, done.stderr)
                self.assertLess(max(map(len, done.stderr.splitlines())), 120)

    def test_results_of_another_shape_are_refused_by_name(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "results.json"
            for text in ('{"scenarios": []}', '{"scenarios": {"a": 7}}', '{"scenarios": {"a": {"series": [{"name": 7}]}}}'):
                path.write_text(text)
                done = run(PROGRAMS["sluicectl"], "capacity", "--peak", "1G", "--results", path, check=False)
                self.assertEqual(done.returncode, 1)
                self.assertRegex(done.stderr, f"{path}: (scenarios: expected|no series)")
            done = run(PROGRAMS["sluicectl"], "capacity", "--peak", "1G", "--results", folder, check=False)
            self.assertIn(f"{folder}: is a directory", done.stderr)

    def test_a_shell_completes_commands_and_options(self):
        script = run(PROGRAMS["sluicectl"], "completion", "bash").stdout

        def completed(*words):
            asked = f"{script}\nCOMP_WORDS=(sluicectl {' '.join(words)}); COMP_CWORD={len(words)}; _sluicectl\necho ${{COMPREPLY[@]}}"
            return run("bash", "-c", asked).stdout.split()
        self.assertEqual(completed("dr"), ["drain"])
        self.assertEqual(completed("config", "d"), ["diff"])
        self.assertEqual(completed("explain", "--p"), ["--pcap"])
        self.assertIn("SEE ALSO", run(PROGRAMS["sluicectl"], "manual").stdout)


if __name__ == "__main__":
    main()
