#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""`sluicectl tier set` of a NIC between its kernel driver and DPDK, while a connection runs through it.

    client (198.51.100.2, on i1) --- i0 | node | j1 --- backend (10.0.1.2, on j0)
"""

import os
import pathlib
import signal
import subprocess
import unittest

import dpdk
import nics
from forwarding import BACKEND, SOCKET, VIP, wait_until
from nics import run

COUNT = pathlib.Path("/run/requests")
# One connection, a request every 50 ms; how many were answered is in COUNT.
CLIENT = f"""
import http.client, time
connection = http.client.HTTPConnection("{VIP}", 80, timeout=60)
for number in range(1, 1000000):
    connection.request("GET", "/")
    body = connection.getresponse().read()
    assert len(body) > 20000, len(body)
    assert connection.sock is not None, "the server closed"
    open("{COUNT}", "w").write(str(number))
    time.sleep(0.05)
"""
KEPT_ALIVE = BACKEND.replace("    def log_message", '    protocol_version = "HTTP/1.1"\n    def log_message')
ROUTE = "203.0.113.0/24"


class LiveMove(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        os.environ["PAIRS"] = "ij"
        dpdk.prepare()
        cls.device = nics.pci("i0")
        for (name, own, other), mine, far in zip(dpdk.ENDS.values(), ("i0", "j1"), ("i1", "j0")):
            peer = nics.mac_of(far)
            run("ip", "addr", "add", f"{own}/24", "dev", mine)
            run("ip", "link", "set", mine, "up")
            dpdk.end(name, far, own, other, nics.mac_of(mine))
            run("ip", "neigh", "replace", other, "lladdr", peer, "dev", mine, "nud", "permanent")
        run("ip", "route", "add", ROUTE, "via", "198.51.100.2", "dev", "i0")
        cls.server = subprocess.Popen(["ip", "netns", "exec", "backend", "python3", "-c", KEPT_ALIVE])
        cls.process = dpdk.daemon(
            [{"name": "i0", "tiers": ["dpdk", "xdp", "af_xdp"], "dpdk": {"device": cls.device.name, "host_path": "tap"}},
             {"name": "j1", "tiers": ["xdp", "af_xdp"]}],
            [{"name": "web", "vip": VIP, "protocol": "tcp", "ports": "80", "mode": "nat", "backends": [{"address": "10.0.1.2"}]}])
        dpdk.Ports.process = cls.process
        wait_until(dpdk.Ports.ready, "sluiced is ready", 120)
        nics.wait_carrier("i0", "j1")
        cls.client = subprocess.Popen(["ip", "netns", "exec", "client", "python3", "-c", CLIENT])
        wait_until(lambda: cls.answered() > 0, "the first answer", 60)

    @classmethod
    def tearDownClass(cls):
        text = dpdk.LOG.read_text(errors="replace")
        print("\n".join(f"# {line}" for line in text.splitlines()[-60:]))
        for process in (cls.client, cls.server, cls.process):
            process.kill()
            process.wait()

    @classmethod
    def answered(cls):
        text = COUNT.read_text() if COUNT.exists() else ""
        return int(text or 0)

    def set_tier(self, tier):
        return run(os.environ["SLUICECTL"], "--socket", SOCKET, "tier", "set", "i0", tier, check=False)

    def driver(self):
        link = self.device / "driver"
        return link.resolve().name if link.exists() else ""

    def active(self):
        return [tier["tier"] for tier in dpdk.Ports.interface("i0")["tiers"] if tier["active"] and tier["tier"] != "epoll"]

    def check_goes_on(self):
        before = self.answered()
        wait_until(lambda: self.answered() > before + 10 or self.client.poll() is not None, "the connection goes on", 90)
        self.assertIsNone(self.client.poll(), "the connection was lost")
        flows = run(os.environ["SLUICECTL"], "--socket", SOCKET, "--json", "flows").stdout
        self.assertIn("10.0.1.2", flows)

    def check_what_the_operator_had_set(self):
        self.assertIn("198.51.100.1/24", run("ip", "addr", "show", "dev", "i0").stdout)
        self.assertIn("via 198.51.100.2", run("ip", "route", "show", ROUTE, "dev", "i0").stdout)
        self.assertIn("PERMANENT", run("ip", "neigh", "show", "dev", "i0").stdout)
        ping = run("ip", "netns", "exec", "client", "ping", "-c", "3", "-i", "0.3", "-W", "5", "198.51.100.1", check=False)
        self.assertIn(" 3 received", ping.stdout)

    def check_moved(self, tier, driver, active):
        done = self.set_tier(tier)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.driver(), driver)
        self.assertEqual(self.active(), active)
        self.check_goes_on()
        self.check_what_the_operator_had_set()

    def test_1_there_and_back_while_a_connection_runs(self):
        self.assertEqual((self.driver(), self.active()), ("igb", ["xdp", "af_xdp"]))
        for _ in range(2):
            self.check_moved("dpdk", "vfio-pci", ["dpdk"])
            self.check_moved("xdp", "igb", ["xdp", "af_xdp"])

    def test_2_the_device_of_the_default_route_is_refused_and_serves_on(self):
        run("ip", "route", "add", "default", "via", "198.51.100.2", "dev", "i0")
        done = self.set_tier("dpdk")
        run("ip", "route", "del", "default")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("carries the default route (by i0): refused", done.stderr)
        self.assertEqual((self.driver(), self.active()), ("igb", ["xdp", "af_xdp"]))
        self.check_goes_on()

    def test_3_a_driver_that_is_not_there_is_refused_and_the_interface_serves_on(self):
        run("modprobe", "-r", "vfio-pci")
        done = self.set_tier("dpdk")
        run("modprobe", "vfio-pci")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("the kernel has no driver vfio-pci", done.stderr)
        self.check_goes_on()

    def test_4_the_daemons_end_gives_the_device_back(self):
        self.check_moved("dpdk", "vfio-pci", ["dpdk"])
        self.process.send_signal(signal.SIGTERM)
        self.assertEqual(self.process.wait(60), 0)
        self.assertEqual(self.driver(), "igb")
        nics.wait_carrier("i0")
        self.check_what_the_operator_had_set()


if __name__ == "__main__":
    nics.main()
