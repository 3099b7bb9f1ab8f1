# SPDX-License-Identifier: Apache-2.0
"""What the daemon may still do once it runs, and what it does with less than it wants from the start."""

import os
import pathlib

import programs
from case import LabCase, main
from daemon import PROGRAMS, service
from topology import VIP4, wait_until

CAPABILITIES = {"cap_net_bind_service": 10, "cap_net_admin": 12, "cap_net_raw": 13, "cap_ipc_lock": 14, "cap_sys_admin": 21,
                "cap_perfmon": 38, "cap_bpf": 39}
XDP = {"cap_net_bind_service", "cap_net_admin", "cap_net_raw", "cap_ipc_lock", "cap_sys_admin", "cap_perfmon", "cap_bpf"}
LEAST = {"cap_net_bind_service", "cap_net_admin"}


def mask(names):
    return sum(1 << CAPABILITIES[name] for name in names)


def status_of(task):
    lines = (task / "status").read_text().splitlines()
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


class Confined(LabCase):
    def check_threads(self, daemon, names):
        tasks = list(pathlib.Path(f"/proc/{daemon.process.pid}/task").iterdir())
        self.assertGreater(len(tasks), 1)
        for task in tasks:
            status = status_of(task)
            for field in ("CapEff", "CapPrm", "CapBnd"):
                self.assertEqual(int(status[field], 16), mask(names), f"{field} of {status['Name']}: {status[field]}")
            self.assertEqual((status["Seccomp"].strip(), status["NoNewPrivs"].strip()), ("2", "1"), status["Name"])

    def test_with_xdp_every_thread_has_the_documented_set_and_the_filter(self):
        lab = self.make_lab(backends=1)
        programs.nginx(lab.backends[0])
        daemon = self.start_daemon(lab, {"services": [service(lab)]})
        self.check_threads(daemon, XDP)
        self.assertIsNotNone(programs.curl(lab.client, VIP4))
        self.assertEqual(daemon.metrics().sum("sluice_system_calls_refused_total"), 0)

    def test_without_programs_next_to_nothing_is_left(self):
        lab = self.make_lab(backends=1)
        daemon = self.start_daemon(lab, {"interfaces": []}, flags={"ENABLE_EBPF": "false"})
        self.check_threads(daemon, LEAST)

    def test_a_reload_that_needs_what_was_given_up_is_refused_and_says_so(self):
        lab = self.make_lab(backends=1)
        daemon = self.start_daemon(lab, {"interfaces": []}, flags={"ENABLE_EBPF": "false"})
        done = daemon.reload({"interfaces": [{"name": "cl0"}]}, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, "need cap_bpf, which was given up at the start: it takes a restart")

    def test_it_can_be_left_out_and_says_so(self):
        lab = self.make_lab(backends=1)
        daemon = self.start_daemon(lab, arguments=["--no-confine"])
        self.assertEqual(status_of(pathlib.Path(f"/proc/{daemon.process.pid}"))["Seccomp"].strip(), "0")
        self.assertIn("system calls not filtered: --no-confine was given", daemon.log())


class WithLess(LabCase):
    def launch_with(self, daemon, *setpriv):
        daemon.process = daemon.lab.node.spawn("setpriv", *setpriv, PROGRAMS["sluiced"], "--config", daemon.path,
                                               name=daemon.name, env=daemon.environment())
        return daemon

    def check_left_to_the_host(self, lab, daemon, reason):
        wait_until(lambda: daemon.socket.exists() and daemon.ctl("status", check=False).returncode == 0, "sluiced answers", 20)
        for tier in ("xdp", "af_xdp"):
            told = daemon.tier("cl0", tier)
            self.assertFalse(told["active"])
            self.assertRegex(told["reason"], reason)
            self.assertTrue(daemon.metrics().has("sluice_tier_refused", interface="cl0", tier=tier))
        self.assertIn("XDP cannot be had", daemon.log())
        self.assertEqual(programs.ping(lab.client, "198.51.100.1")[0], 3)
        self.assertEqual(daemon.http("/healthz")[0], 200)
        self.assertEqual(daemon.http("/readyz")[0], 503)

    def test_without_cap_bpf_it_runs_and_says_why_packets_pass_to_the_host(self):
        lab = self.make_lab(backends=1)
        daemon = self.launch_with(self.make_daemon(lab), "--bounding-set", "-bpf,-sys_admin")
        self.check_left_to_the_host(lab, daemon, "ermi")

    def test_without_cap_bpf_a_requirement_refuses_to_start(self):
        lab = self.make_lab(backends=1)
        daemon = self.launch_with(self.make_daemon(lab, require=["xdp_native"]), "--bounding-set", "-bpf,-sys_admin")
        self.assertEqual(daemon.process.wait(20), 1)
        self.assertIn("require xdp_native", daemon.log())

    def test_without_root_it_runs_and_says_why_packets_pass_to_the_host(self):
        lab = self.make_lab(backends=1)
        place = lab.home / "nobody"
        place.mkdir()
        os.chown(place, 65534, 65534)
        lab.home.chmod(0o711)
        daemon = self.make_daemon(lab, {"control": {"socket": str(place / "sluice.sock")}})
        daemon.socket = place / "sluice.sock"
        self.launch_with(daemon, "--reuid", "65534", "--regid", "65534", "--clear-groups")
        self.check_left_to_the_host(lab, daemon, "ermi")


if __name__ == "__main__":
    main()
