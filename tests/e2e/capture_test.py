# SPDX-License-Identifier: Apache-2.0
"""Captures of live traffic: what tshark reads in them, what ends them, and what they must not disturb."""

import pathlib
import shutil
import signal

import programs
from case import LabCase, for_each_tier, main
from daemon import PROGRAMS, service
from topology import VIP4, run, text_of, wait_until

DENIED = 81


def packets_of(path, *fields):
    """The packets of a capture as tshark reads them: a tuple of FIELDS each."""
    words = [word for field in fields for word in ("-e", field)]
    done = run("tshark", "-r", path, "-T", "fields", "-E", "separator=|", *words)
    return [tuple(line.split("|")) for line in done.stdout.splitlines()]


class Captured:
    def setUp(self):
        super().setUp()
        if shutil.which("tshark") is None:
            self.skipTest("tshark is not installed")

    def start_node(self):
        lab = self.make_lab(backends=1)
        programs.nginx(lab.backends[0])
        policy = {"default": "allow", "rules": [{"name": "no-81", "to": [f"{VIP4}/32"], "protocol": "tcp", "ports": str(DENIED),
                                                 "action": "drop"}]}
        services = [service(lab, ports=f"80,{DENIED}", port=80)]
        return lab, self.start_daemon(lab, {"services": services, "policy": policy})

    def capture(self, lab, daemon, *words):
        """A capture that has begun."""
        before = daemon.metrics().sum("sluice_captures")
        process = lab.node.spawn(PROGRAMS["sluicectl"], "--socket", daemon.socket, "capture", *words)
        wait_until(lambda: process.poll() is not None or daemon.metrics().sum("sluice_captures") > before, "the capture runs")
        return process

    def end(self, process):
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(20), 0, text_of(process))

    def test_tshark_reads_verdicts_reasons_and_tiers(self):
        lab, daemon = self.start_node()
        path = lab.home / "all.pcapng"
        process = self.capture(lab, daemon, "--write", path, "--interface", "cl0", "--tier", self.tier, "--direction", "both",
                               "tcp", "port", "80", "or", str(DENIED))
        self.assertIsNotNone(programs.curl(lab.client, VIP4))
        lab.client.run("curl", "-sS", "--max-time", "1", f"http://{VIP4}:{DENIED}/", check=False)
        wait_until(lambda: daemon.metrics().sum("sluice_drops_total", reason="policy") > 0, "a packet is dropped")
        self.end(process)
        found = packets_of(path, "frame.comment", "frame.interface_name", "frame.packet_flags_direction", "ip.dst", "tcp.dstport")
        self.assertGreater(len(found), 4)
        self.assertEqual({each[1] for each in found}, {"cl0"})
        allowed = [each for each in found if each[3] == VIP4 and each[4] == "80"]
        backend = f"{lab.backends[0].address(4)}:80"
        for comment, _, _, _, _ in allowed:
            self.assertRegex(comment, rf"^verdict=forward .*service=web backend={backend} interface=cl0 egress=be1 tier={self.tier}$")
        left = [each for each in found if each[3] == lab.backends[0].address(4)]
        self.assertEqual(len(left), len(allowed))
        dropped = [each[0] for each in found if each[4] == str(DENIED)]
        self.assertGreater(len(dropped), 0)
        for comment in dropped:
            self.assertRegex(comment, r"^verdict=drop reason=policy rule=no-81 ")
        self.assertEqual(daemon.metrics().sum("sluice_captures"), 0)
        self.assertEqual(daemon.metrics().sum("sluice_capture_lost_total"), 0)

    def test_a_filter_and_a_count_bound_it(self):
        lab, daemon = self.start_node()
        process = self.capture(lab, daemon, "--count", "2", "--bytes", "60", f"tcp dst port 80 and dst host {VIP4}")
        self.assertIsNotNone(programs.curl(lab.client, VIP4))
        self.assertEqual(process.wait(20), 0)
        lines = [line for line in text_of(process).splitlines() if "verdict=" in line]
        self.assertEqual(len(lines), 2)
        for line in lines:
            self.assertRegex(line, r"^\d\d:\d\d:\d\d\.\d{6} cl0 \w+ in \d+B verdict=")

    def test_many_packets_fill_files_in_turn(self):
        lab, daemon = self.start_node()
        path = lab.home / "turn.pcapng"
        process = self.capture(lab, daemon, "--write", path, "--size", "1", "--files", "2", "--direction", "both")
        for _ in range(2):
            programs.curl(lab.client, VIP4, 80, "/large", "-o", "/dev/null", timeout=60)
        self.end(process)
        for number in (0, 1):
            whole = pathlib.Path(f"{path}.{number}")
            self.assertLessEqual(whole.stat().st_size, 1 << 20)
            self.assertGreater(len(packets_of(whole, "frame.number")), 0)


for_each_tier(globals(), Captured)


def run_to_end(process):
    process.wait(20)
    return process


class Ends(LabCase):
    def start_node(self):
        lab = self.make_lab(backends=1)
        return lab, self.start_daemon(lab, {"services": [service(lab)]})

    def running(self, daemon):
        return daemon.ctl_json("status")["capture"]["running"]

    def test_one_whose_reader_is_gone_ends(self):
        lab, daemon = self.start_node()
        process = lab.node.spawn(PROGRAMS["sluicectl"], "--socket", daemon.socket, "capture")
        wait_until(lambda: self.running(daemon) == 1, "the capture runs")
        process.kill()
        process.wait()
        wait_until(lambda: self.running(daemon) == 0, "it has ended", 30)

    def test_a_full_disk_ends_it_with_the_reason(self):
        lab, daemon = self.start_node()
        done = daemon.ctl("capture", "--write", "/dev/full", "--seconds", "1", check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("No space left on device", done.stderr)
        self.assertEqual(self.running(daemon), 0)

    def test_what_makes_no_sense_is_refused(self):
        lab, daemon = self.start_node()
        done = daemon.ctl("capture", "prot tcp", check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn('filter "prot tcp"', done.stderr)
        for words, why in ((("inbound",), "--direction"), (("--interface", "nosuch"), "interface nosuch: expected one of the"),
                           (("--tier", "dpdk"), "tier dpdk: no interface")):
            with self.subTest(words=words):
                done = daemon.ctl("capture", "--seconds", "1", *words, check=False)
                self.assertEqual(done.returncode, 1)
                self.assertIn(why, done.stderr)
        self.assertEqual(self.running(daemon), 0)

    def test_lines_to_a_full_device_end_it(self):
        lab, daemon = self.start_node()
        programs.nginx(lab.backends[0])
        command = f"{PROGRAMS['sluicectl']} --socket {daemon.socket} capture --seconds 10 >/dev/full"
        process = lab.node.spawn("sh", "-c", command)
        wait_until(lambda: self.running(daemon) == 1, "the capture runs")
        programs.curl(lab.client, VIP4)
        self.assertEqual(process.wait(20), 1, text_of(process))
        self.assertIn("No space left on device", text_of(process))
        self.assertEqual(self.running(daemon), 0)

    def test_a_reader_that_has_enough_ends_it_in_silence(self):
        lab, daemon = self.start_node()
        command = f"{PROGRAMS['sluicectl']} --socket {daemon.socket} capture --write - --seconds 10 | head -c 10 >/dev/null; echo ${{PIPESTATUS[0]}}"
        self.assertEqual(text_of(run_to_end(lab.node.spawn("bash", "-c", command))).strip(), "1")
        self.assertEqual(self.running(daemon), 0)

    def test_a_bundle_has_what_the_daemon_says_and_packets(self):
        lab, daemon = self.start_node()
        path = lab.home / "bundle"
        done = daemon.ctl("diag", "--seconds", "1", path)
        self.assertEqual(done.stdout.strip(), str(path))
        names = {each.name for each in path.iterdir()}
        self.assertLessEqual({"status.json", "status-before.json", "services.json", "policy.json", "flows.json", "trace.json",
                              "probe.json", "config.yaml"}, names)
        self.assertNotIn("missing.txt", names)
        self.assertTrue(daemon.ctl_json("status")["config"]["file"].startswith("/"))
        self.assertEqual(daemon.ctl("diag", path, check=False).returncode, 1)

    def test_a_bundle_on_a_full_disk_fails_by_its_first_file(self):
        lab, daemon = self.start_node()
        disk = lab.home / "disk"
        disk.mkdir()
        run("mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", disk)
        try:
            done = daemon.ctl("diag", "--seconds", "0", disk / "bundle", check=False)
        finally:
            run("umount", disk)
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, r"bundle/[a-z-]+\.json: No space left on device")


if __name__ == "__main__":
    main()
