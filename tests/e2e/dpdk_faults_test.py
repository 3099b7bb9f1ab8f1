#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What goes wrong around DPDK devices: the daemon says what, and serves on what it has."""

import pathlib

import programs
from case import LabCase, main
from daemon import Daemon, service
from dpdk_lab import DpdkLab, missing
from topology import VIP4, wait_until


def free_huge_pages():
    return sum(int(path.read_text()) for path in pathlib.Path("/sys/kernel/mm/hugepages").glob("*/free_hugepages"))


class Faults(LabCase):
    def setUp(self):
        super().setUp()
        if missing():
            self.skipTest(missing())
        self.lab = DpdkLab("af_packet")
        self.addCleanup(self.lab.close)
        for backend in self.lab.backends:
            programs.nginx(backend)
        self.entries = self.lab.dpdk_interfaces()

    def start(self):
        daemon = Daemon(self.lab, {"interfaces": self.entries, "services": [service(self.lab)]})
        self.addCleanup(self._show_log, daemon)
        return daemon.launch()

    def ready(self, daemon):
        wait_until(daemon.socket.exists, "the control socket", 30)
        return daemon

    def served(self):
        return "backend" in (programs.curl(self.lab.client, VIP4, timeout=2, check=False) or "")

    def test_a_device_that_another_interface_has_is_refused_to_the_second(self):
        self.entries.append({"name": "p9", "tiers": ["dpdk"], "dpdk": {"device": self.entries[0]["dpdk"]["device"]}})
        daemon = self.ready(self.start())
        self.lab.after_start()
        wait_until(self.served, "the first interface is served", 20)
        self.assertEqual(daemon.http("/readyz")[0], 503)
        self.assertIn("in use by another interface", daemon.tier("p9", "dpdk")["reason"])

    def test_an_argument_that_the_driver_refuses_is_told_in_its_words_and_ours(self):
        self.entries[2]["dpdk"]["device"] += ",framesz=nonsense"
        daemon = self.ready(self.start())
        tier = daemon.tier("p2", "dpdk")
        self.assertFalse(tier["active"])
        self.assertRegex(tier["reason"], r"interface p2: device .*framesz=nonsense.*DPDK says: ")
        self.assertTrue(daemon.tier("p0", "dpdk")["active"])

    def test_a_link_that_flaps_carries_on(self):
        self.start()
        self.lab.after_start()
        wait_until(self.served, "the service", 20)
        for _ in range(3):
            self.lab.client.ip("link", "set", "eth0", "down")
            self.lab.client.ip("link", "set", "eth0", "up")
        self.lab.configure_ends()
        wait_until(self.served, "the service is back", 20)

    def test_a_device_that_goes_takes_nothing_else_with_it(self):
        daemon = self.start()
        self.lab.after_start()
        wait_until(self.served, "the service", 20)
        gone = self.lab.backends[1]
        self.lab.node.ip("link", "del", self.lab.device(gone.number))
        # Flows go on to the backend that is left
        wait_until(self.served, "a backend that is left answers", 20)
        self.assertEqual(daemon.http("/healthz")[0], 200)
        self.assertIsNone(daemon.process.poll())
        self.assertEqual(daemon.stop(), 0)

    def test_without_huge_pages_it_serves_and_says_so(self):
        if free_huge_pages():
            self.skipTest("this machine has free huge pages")
        daemon = self.start()
        self.lab.after_start()
        wait_until(self.served, "the service", 20)
        self.assertRegex(daemon.tier("p0", "dpdk")["reason"], r"no huge pages: 0 MiB are free, \d+ MiB needed")
        self.assertEqual(daemon.interface("p0")["dpdk"]["pages"], "normal")


if __name__ == "__main__":
    main()
