# SPDX-License-Identifier: Apache-2.0
"""Real programs through DPDK ports: virtual devices of every kind that works without hardware."""

import http.server
import signal
import threading
import time

import programs
from case import LabCase, main
from daemon import PROGRAMS, Daemon, interfaces, service
from dpdk_lab import DpdkLab, missing
from proxying import cpu_ticks
from topology import CLIENT4, CLIENT6, GATEWAY4, GATEWAY6, VIP4, VIP6, run, stop, text_of, wait_until

REQUESTS = 8
IDLE_SECONDS = 3
MOST_IDLE_CPU = 30  # percent of a core; polling takes 100. How little it is perf/dpdk/wake_bench.py measures
MOST_SLEEPS = 200  # in a second, of a worker that frames wake. One that naps has more than 1,000
WOKEN = ("af_packet", "tap", "net_af_xdp")


def web(lab):
    return [service(lab, "web4"), service(lab, "web6", 6)]


class DpdkCase(LabCase):
    def setUp(self):
        super().setUp()
        if missing():
            self.skipTest(missing())

    def lab_of(self, kind):
        lab = DpdkLab(kind)
        self.addCleanup(lab.close)
        for backend in lab.backends:
            programs.nginx(backend)
        return lab

    def daemon_on(self, lab, config, flags=None):
        daemon = Daemon(lab, config, flags)
        self.addCleanup(self._show_log, daemon)
        return daemon

    def started(self, lab, **settings):
        daemon = self.daemon_on(lab, {"interfaces": lab.dpdk_interfaces(**settings), "services": web(lab)}).start()
        lab.after_start()
        return daemon

    def check_service(self, lab):
        for address, family, client in ((VIP4, 4, CLIENT4), (VIP6, 6, CLIENT6)):
            seen = {programs.curl(lab.client, address) for _ in range(REQUESTS)}
            expected = {f"backend {b.number} client {client} server {b.address(family)}\n" for b in lab.backends}
            self.assertTrue(seen and seen <= expected, f"{seen} within {expected}")
        size = programs.curl(lab.client, VIP4, 80, "/large", "-o", "/dev/null", "-w", "%{size_download}", timeout=20)
        self.assertEqual(int(size), 8 << 20)

    def check_host_path(self, lab):
        """Both ways: the node answers by its own stack, and reaches out."""
        for address in (GATEWAY4, GATEWAY6):
            ping = lab.client.run("ping", "-c3", "-i0.2", "-W2", address, check=False)
            self.assertIn("3 received", ping.stdout)
            self.assertNotIn("DUP", ping.stdout)
        with lab.node.inside():
            server = http.server.ThreadingHTTPServer((GATEWAY4, 8000), http.server.SimpleHTTPRequestHandler)
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.assertIn("200", programs.curl(lab.client, GATEWAY4, 8000, "/", "-o", "/dev/null", "-w", "%{http_code}"))
        self.assertIn("backend 1", programs.curl(lab.node, lab.backends[0].address4))

    def check_idle(self, daemon, kind):
        def sleeps():
            return daemon.metrics().sum("sluice_worker_sleeps_total")

        ticks, slept = cpu_ticks(daemon.process.pid), sleeps()
        time.sleep(IDLE_SECONDS)
        self.assertLessEqual((cpu_ticks(daemon.process.pid) - ticks) / IDLE_SECONDS, MOST_IDLE_CPU)
        if kind in WOKEN:
            self.assertLessEqual((sleeps() - slept) / IDLE_SECONDS, MOST_SLEEPS)

    def check_books(self, daemon, tier="dpdk"):
        def differences():
            metrics = daemon.metrics()
            return {each["interface"]: value - metrics.sum("sluice_packets_total", interface=each["interface"], tier=tier)
                    for each, value in metrics.all("sluice_received_packets_total", tier=tier)}

        wait_until(lambda: not any(differences().values()), f"the books close: {differences()}", 5)


def for_kind(kind):
    class Kind(DpdkCase):
        def test_a_nat_service_the_host_path_idle_cpu_the_books_and_a_clean_stop(self):
            lab = self.lab_of(kind)
            daemon = self.started(lab)
            self.check_service(lab)
            self.check_host_path(lab)
            self.check_idle(daemon, kind)
            self.check_books(daemon)
            self.assertTrue(daemon.metrics().has("sluice_tier_active", interface="p0", tier="dpdk", mode=f"net_{kind}"))
            self.assertGreater(daemon.metrics().sum("sluice_dpdk_received_packets_total", interface="p0"), 0)
            self.assertIn("dpdk", daemon.ctl("status").stdout)
            self.assertEqual(daemon.stop(), 0)
            for number in range(len(lab.ends)):
                self.assertNotEqual(lab.node.run("ip", "link", "show", f"p{number}", check=False).returncode, 0)

    Kind.__name__ = Kind.__qualname__ = f"Dpdk{kind.title().replace('_', '')}"
    return Kind


AfPacket, Tap, Memif, VirtioUser = (for_kind(kind) for kind in ("af_packet", "tap", "memif", "virtio_user"))


class MemifPeer(DpdkCase):
    def test_a_peer_that_dies_and_returns_is_connected_again(self):
        lab = self.lab_of("memif")
        daemon = self.started(lab)
        self.check_service(lab)
        stop(lab.testpmd, signal.SIGKILL)
        wait_until(lambda: not daemon.interface("p0")["up"], "the link is down")
        self.assertEqual(daemon.http("/readyz")[0], 200)
        for path in lab.addresses_of_testpmd:
            path.unlink()
        lab.start_testpmd()
        wait_until(lambda: all(daemon.interface(f"p{n}")["up"] for n in range(3)), "the links are up again", 10)
        self.check_service(lab)


class AfXdpBehindTheProgram(DpdkCase):
    def setUp(self):
        super().setUp()
        self.lab = self.make_lab()
        for backend in self.lab.backends:
            programs.nginx(backend)
        names = ["cl0", "be1", "be2"]
        self.config = {"interfaces": [{"name": name, "tiers": ["dpdk", "xdp", "af_xdp"],
                                       "dpdk": {"device": f"net_af_xdp{n},iface={name}", "host_path": "tap"}}
                                      for n, name in enumerate(names)], "services": web(self.lab)}

    def test_the_program_hands_flows_to_the_dpdk_worker_and_passes_the_rest_also_after_a_restart(self):
        daemon = self.daemon_on(self.lab, self.config).start()
        for _ in range(2):
            self.lab.resolve()
            self.check_service(self.lab)
            self.check_host_path_of_kernel()
            metrics = daemon.metrics()
            self.assertTrue(metrics.has("sluice_tier_active", interface="cl0", tier="dpdk", mode="net_af_xdp"))
            self.assertGreater(metrics.sum("sluice_packets_total", interface="cl0", tier="dpdk", verdict="forward"), 0)
            self.assertEqual(metrics.sum("sluice_packets_total", interface="cl0", tier="xdp", verdict="forward"), 0)
            self.check_capture(daemon)
            self.check_idle(daemon, "net_af_xdp")
            daemon.stop()
            daemon.start()

    def check_capture(self, daemon):
        """The worker's packets with their verdicts."""
        process = self.lab.node.spawn(PROGRAMS["sluicectl"], "--socket", daemon.socket, "capture", "--tier", "dpdk", "--interface", "cl0",
                                      "--count", "4", "tcp", "dst", "port", "80")
        wait_until(lambda: daemon.metrics().sum("sluice_captures") == 1, "the capture runs")
        self.check_service(self.lab)
        self.assertEqual(process.wait(20), 0, text_of(process))
        lines = [line for line in text_of(process).splitlines() if "cl0" in line]
        self.assertEqual(len(lines), 4, text_of(process))
        for line in lines:
            self.assertIn("dpdk", line)
            self.assertIn("forward", line)

    def check_host_path_of_kernel(self):
        self.assertIn("3 received", self.lab.client.run("ping", "-c3", "-i0.2", GATEWAY4).stdout)


class Refusals(DpdkCase):
    device = "net_pcap0,rx_pcap=/nonexistent.pcap"

    def lab_with(self, **settings):
        lab = self.make_lab()
        entries = interfaces(lab)
        entries[0] |= {"dpdk": {"device": self.device}, **settings}
        return lab, {"interfaces": entries, "services": web(lab)}

    def test_a_device_that_cannot_be_had_leaves_the_interface_to_the_next_tier_with_the_reason(self):
        lab, config = self.lab_with(tiers=["dpdk", "xdp", "af_xdp"])
        for backend in lab.backends:
            programs.nginx(backend)
        daemon = self.daemon_on(lab, config).start()
        self.assertIn("backend", programs.curl(lab.client, VIP4))
        tier = daemon.tier("cl0", "dpdk")
        self.assertFalse(tier["active"])
        self.assertIn("/nonexistent.pcap", tier["reason"])
        self.assertTrue(daemon.tier("cl0", "xdp")["active"])
        refused = daemon.metrics().all("sluice_tier_refused", interface="cl0", tier="dpdk")
        self.assertIn("nonexistent", refused[0][0]["reason"])
        self.assertIn("nonexistent", daemon.log())

    def test_require_dpdk_refuses_to_start_without_it(self):
        lab, config = self.lab_with(tiers=["dpdk", "xdp", "af_xdp"], require=["dpdk"])
        status, log = self.daemon_on(lab, config).refused()
        self.assertNotEqual(status, 0)
        self.assertRegex(log, r"interface cl0: require dpdk: .*nonexistent")

    def test_the_flag_switches_it_off(self):
        lab, config = self.lab_with(tiers=["dpdk", "xdp", "af_xdp"])
        daemon = self.daemon_on(lab, config, {"ENABLE_DPDK": "false"}).start()
        self.assertIn("switched off by the environment", daemon.tier("cl0", "dpdk")["reason"])
        self.assertNotIn("EAL", daemon.log())

    def test_a_port_without_a_fallback_is_tried_again_until_it_is_there(self):
        lab, config = self.lab_with(tiers=["dpdk"])
        late = lab.home / "late.sock"
        config["interfaces"] = [{"name": "p0", "tiers": ["dpdk"], "addresses": ["10.9.0.1/24"],
                                 "dpdk": {"device": f"net_virtio_user0,path={late},queues=1", "host_path": "tap"}}]
        daemon = self.daemon_on(lab, config).launch()
        wait_until(daemon.socket.exists, "the control socket")
        wait_until(lambda: "No such file" in daemon.tier("p0", "dpdk")["reason"], "the reason")
        lab.node.spawn("dpdk-testpmd", "-l", "0,1", "--no-pci", "--no-huge", "-m", "128", "--no-shconf", "--no-telemetry",
                       "--file-prefix", f"sl-{lab.tag}", "--vdev", f"net_vhost0,iface={late}", "--", "--forward-mode=io",
                       "--auto-start", "--stats-period", "60", "--total-num-mbufs=4096", name="late")
        self.addCleanup(run, "rm", "-rf", f"/run/dpdk/sl-{lab.tag}")
        wait_until(lambda: daemon.tier("p0", "dpdk")["active"], "the port is there", 15)


if __name__ == "__main__":
    main()
