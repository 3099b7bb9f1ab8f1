#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What goes wrong around DPDK devices: the daemon says what, and serves on what it has."""

import pathlib
import time

import programs
from case import LabCase, main
from daemon import Daemon, service
from dpdk_lab import DpdkLab, missing
from proxying import cpu_ticks
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

    def test_what_is_no_port_or_would_wait_for_its_peer_is_refused_and_the_others_serve(self):
        def entry(name, device):
            return {"name": name, "tiers": ["dpdk"], "mac": "02:00:00:00:09:01", "dpdk": {"device": device}}

        self.entries += [entry("p8", "crypto_null0"), entry("p9", "net_virtio_user9,path=/tmp/nobody.sock,server=1")]
        daemon = self.ready(self.start())
        self.lab.after_start()
        wait_until(self.served, "the service", 20)
        self.assertIn("DPDK made no Ethernet port of it", daemon.tier("p8", "dpdk")["reason"])
        self.assertIn("expected server=0", daemon.tier("p9", "dpdk")["reason"])

    def test_a_memif_server_takes_the_place_of_a_killed_one_and_waits_for_a_path_that_is_taken(self):
        place = self.lab.home / "memif.sock"
        place.mkdir()
        self.entries.append({"name": "p8", "tiers": ["dpdk"], "dpdk": {
            "device": f"net_memif0,role=server,id=0,socket={place},socket-abstract=no"}})
        daemon = self.ready(self.start())
        wait_until(lambda: "something else than a socket" in daemon.tier("p8", "dpdk")["reason"], "the reason")
        place.rmdir()
        wait_until(lambda: daemon.tier("p8", "dpdk")["active"], "the path is free", 20)
        daemon.process.kill()
        daemon.process.wait()
        again = self.start()
        wait_until(lambda: again.ctl("status", check=False).returncode == 0, "the next daemon answers", 30)
        wait_until(lambda: again.tier("p8", "dpdk")["active"], "the killed one's socket is gone", 20)

    def test_every_reload_that_opens_a_port_again_keeps_its_way_to_the_host(self):
        daemon = self.ready(self.start())
        self.lab.after_start()
        wait_until(self.served, "the service", 20)
        own = self.entries[0]["addresses"]
        for number in range(6):
            more = [f"10.77.{number}.1/24"]
            daemon.reload({**daemon.config, "interfaces": [{**self.entries[0], "addresses": own + more}, *self.entries[1:]]})
            self.assertIn(more[0], self.lab.node.run("ip", "-4", "address", "show", "p0").stdout)
        wait_until(self.served, "the service after six reloads", 20)

    def test_without_its_exception_device_a_port_takes_no_processor(self):
        daemon = self.ready(self.start())
        self.lab.after_start()
        wait_until(self.served, "the service", 20)
        self.lab.node.ip("link", "del", "p0")
        before = cpu_ticks(daemon.process.pid)
        time.sleep(2)
        self.assertLess(cpu_ticks(daemon.process.pid) - before, 100)  # of 200

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
