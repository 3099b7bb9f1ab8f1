# SPDX-License-Identifier: Apache-2.0
"""Counters against what was sent, against each other, and against the kernel's own."""

import ctypes
import os
import socket
import struct
import time
import unittest

import programs
from case import LabCase, for_each_tier, main
from daemon import service
from topology import run, wait_until
from traffic import UdpStream

DATAGRAMS = 100_000
MANY = int(os.environ.get("SLUICE_E2E_MANY", "1000000"))
CENSUS = 200_000
SIZE = 64
FRAME = 14 + 20 + 8 + SIZE
SYS_PIDFD_OPEN, SYS_PIDFD_GETFD = 434, 438
AF_XDP, SO_DOMAIN, SOL_XDP, XDP_STATISTICS, XDP_OPTIONS = 44, 39, 283, 7, 8


def traffic(metrics, tier, interface="cl0"):
    """Received packets and bytes, and packets by verdict, of one interface and tier."""
    at = {"tier": tier, "interface": interface}
    verdicts = {labels["verdict"]: int(value) for labels, value in metrics.all("sluice_packets_total", **at)}
    return metrics.sum("sluice_received_packets_total", **at), metrics.sum("sluice_received_bytes_total", **at), verdicts


def socket_losses(metrics, interface):
    return sum(metrics.sum(f"sluice_xsk_{name}_total", interface=interface) for name in ("rx_dropped", "rx_ring_full"))


def books(metrics):
    """What does not add up, per interface and tier; nothing may be in flight."""
    wrong = []
    for labels, received in metrics.all("sluice_received_packets_total"):
        at = {"interface": labels["interface"], "tier": labels["tier"]}
        left = metrics.sum("sluice_packets_total", **at)
        if left != received:
            wrong.append(f"{at}: received {received:g}, by verdict {left}")
        dropped, reasons = metrics.sum("sluice_packets_total", verdict="drop", **at), metrics.sum("sluice_drops_total", **at)
        if dropped != reasons:
            wrong.append(f"{at}: dropped {dropped}, by reason {reasons}")
        if at["tier"] == "xdp" and at["interface"] != "none":
            handed = metrics.sum("sluice_packets_total", verdict="punt", **at)
            engine = metrics.sum("sluice_received_packets_total", interface=at["interface"], tier="af_xdp")
            lost = socket_losses(metrics, at["interface"])
            if handed != engine + lost:
                wrong.append(f"{at['interface']}: handed over {handed}, taken by the engine {engine}, lost between {lost}")
    return wrong


class Counters:
    def setUp(self):
        super().setUp()
        self.lab = self.make_lab()
        udp = [service(self.lab, "udp", protocol="udp", ports="9000"), service(self.lab, "web")]
        self.daemon = self.start_daemon(self.lab, {"services": udp})

    def test_counters_are_exact_in_packets_and_bytes_and_idle_scrapes_change_nothing(self):
        with UdpStream(self.lab, flows=16) as stream:
            self.assertEqual(stream.send(1600, SIZE), 1600)
            before = self.daemon.metrics()
            self.assertEqual(stream.send(DATAGRAMS, SIZE), DATAGRAMS)
            after = self.daemon.metrics()
        then, now = traffic(before, self.tier), traffic(after, self.tier)
        self.assertEqual(now[2]["forward"] - then[2]["forward"], DATAGRAMS)
        at = {"interface": "cl0", "tier": self.tier, "verdict": "forward"}
        self.assertEqual(after.sum("sluice_bytes_total", **at) - before.sum("sluice_bytes_total", **at), DATAGRAMS * FRAME)
        to = {"service": "udp", "direction": "to_backend"}
        for name, each in (("packets", 1), ("bytes", FRAME)):
            name = f"sluice_service_{name}_total"
            self.assertEqual(after.sum(name, **to) - before.sum(name, **to), DATAGRAMS * each, name)
        first, last = self.idle_scrapes()
        changing = ("process_", "sluice_xsk_tx_ring_empty", "sluice_worker_", "sluice_kernel_", "sluice_bpf_run_", "sluice_neighbor",
                    "sluice_flows")  # that gauge is of the sweeper's last round, up to ten seconds ago
        same = [[s for s in m.samples if not s[0].startswith(changing)] for m in (first, last)]
        self.assertEqual(same[0], same[1])

    def frames_of_the_kernel(self):
        links = self.lab.node.ip_json("-s", "link", "show")
        return sum(link["stats64"][way]["packets"] for link in links if link["ifname"] != "lo" for way in ("rx", "tx"))

    def idle_scrapes(self):
        """The first and the last of many, while no frame came or went: neighbours are asked for now and then."""
        for _ in range(10):
            frames = self.frames_of_the_kernel()
            first = self.daemon.metrics()
            for _ in range(20):
                self.daemon.metrics()
            last = self.daemon.metrics()
            if self.frames_of_the_kernel() == frames:
                return first, last
        raise AssertionError("the interfaces were never idle")

    def test_the_books_close_also_under_overload(self):
        self.assertEqual(books(self.daemon.metrics()), [])
        kernel = self.lab.node.ip_json("-s", "link", "show", "dev", "cl0")[0]["stats64"]["rx"]["packets"]
        seen = traffic(self.daemon.metrics(), "xdp")[0]
        with UdpStream(self.lab, flows=64) as stream:
            stream.blast(150_000, SIZE)
            wait_until(lambda: books(self.daemon.metrics()) == [], "the books to close", 10)
        metrics = self.daemon.metrics()
        self.assertEqual(books(metrics), [])
        grown = self.lab.node.ip_json("-s", "link", "show", "dev", "cl0")[0]["stats64"]["rx"]["packets"] - kernel
        self.assertEqual(traffic(metrics, "xdp")[0] - seen, grown)
        self.assertGreater(grown, 1000)

    def test_promtool_finds_nothing_to_say_about_the_metrics(self):
        for backend in self.lab.backends:
            programs.nginx(backend)
        programs.curl(self.lab.client, "192.0.2.10")
        if not programs.has_program(self.lab.node, "promtool"):
            self.skipTest("no promtool here (package prometheus)")
        text = self.lab.home / "metrics"
        text.write_text(self.daemon.metrics().text)
        done = run("sh", "-c", f"promtool check metrics <{text}", check=False)
        self.assertEqual((done.returncode, done.stdout + done.stderr), (0, ""))


class Frames(LabCase):
    tier = "af_xdp"

    def test_no_frame_is_lost_and_no_throughput_over_many_packets(self):
        lab = self.make_lab()
        daemon = self.start_daemon(lab, {"services": [service(lab, protocol="udp", ports="9000")]})
        with UdpStream(lab, flows=32) as stream:
            stream.send(5000, SIZE)
            before, rates = daemon.metrics(), []
            for _ in range(5):
                started = time.monotonic()
                self.assertEqual(stream.send(MANY // 5, SIZE), MANY // 5)
                rates.append(MANY // 5 / (time.monotonic() - started))
        after = daemon.metrics()
        print(f"# packets/s by fifth: {', '.join(f'{rate:.0f}' for rate in rates)}")
        self.assertGreater(max(rates[3:]), max(rates[:2]) * 0.6, "throughput falls as packets go through")
        for name in ("rx_fill_ring_empty", "rx_dropped", "rx_ring_full", "rx_invalid_descriptors", "tx_invalid_descriptors"):
            name = f"sluice_xsk_{name}_total"
            self.assertEqual(after.sum(name), before.sum(name), name)
        sent, received = (after.sum(f"sluice_xsk_{way}_packets_total") - before.sum(f"sluice_xsk_{way}_packets_total")
                          for way in ("sent", "received"))
        self.assertEqual((sent, received), (MANY, MANY))


    def test_every_buffer_is_accounted_for_after_many_packets(self):
        lab = self.make_lab()
        daemon = self.start_daemon(lab, {"services": [service(lab, protocol="udp", ports="9000")]})

        def census():
            metrics = daemon.metrics()
            configured = {labels["worker"]: int(value) for labels, value in metrics.all("sluice_umem_capacity")}
            return configured, {worker: int(metrics.sum("sluice_umem_buffers", worker=worker)) for worker in configured}

        configured, before = census()
        self.assertGreater(len(configured), 0)
        self.assertGreater(min(configured.values()), 0)
        self.assertEqual(before, configured)
        with UdpStream(lab, flows=32) as stream:
            self.assertEqual(stream.send(CENSUS, SIZE), CENSUS)
            stream.blast(50_000, SIZE)  # with some that find no buffer or no room
        wait_until(lambda: books(daemon.metrics()) == [], "the books to close", 10)
        wait_until(lambda: census() == (configured, configured), "all buffers to be accounted for", 5)
        metrics = daemon.metrics()
        self.assertGreaterEqual(metrics.sum("sluice_xsk_sent_packets_total"), CENSUS)
        for state in ("kernel", "receive", "waiting", "transmit"):
            self.assertEqual(metrics.sum("sluice_umem_buffers", state=state), 0, state)
        for worker in daemon.ctl_json("status")["workers"]:
            buffers = worker["buffers"]
            places = {place: count for place, count in buffers.items() if place not in ("configured", "sum")}
            self.assertEqual(len(places), 7)
            self.assertEqual(buffers["configured"], configured[str(worker["id"])])
            self.assertEqual((buffers["sum"], sum(places.values())), (buffers["configured"], buffers["configured"]))
            self.assertRegex(daemon.ctl("status").stdout, rf"(?m)^ *{worker['id']} .* {buffers['sum']}$")


def descriptors_of(pid):
    """Copies of the XDP sockets that process PID has open."""
    libc = ctypes.CDLL(None, use_errno=True)
    pidfd = libc.syscall(SYS_PIDFD_OPEN, pid, 0)
    if pidfd < 0:
        raise unittest.SkipTest("kernel without pidfd_open")
    sockets = []
    for name in os.listdir(f"/proc/{pid}/fd"):
        try:
            if not os.readlink(f"/proc/{pid}/fd/{name}").startswith("socket:"):
                continue
        except OSError:
            continue
        fd = libc.syscall(SYS_PIDFD_GETFD, pidfd, int(name), 0)
        if fd < 0:
            continue
        copy = socket.socket(AF_XDP, socket.SOCK_RAW, 0, fileno=fd)  # or another; an XDP socket cannot be asked its name
        if copy.getsockopt(socket.SOL_SOCKET, SO_DOMAIN) == AF_XDP:
            sockets.append(copy)
        else:
            copy.close()
    os.close(pidfd)
    return sockets


class Sockets(LabCase):
    tier = "af_xdp"

    def test_socket_statistics_and_copy_mode_are_what_the_kernel_says_of_the_sockets(self):
        lab = self.make_lab()
        daemon = self.start_daemon(lab, {"services": [service(lab, protocol="udp", ports="9000")]})
        with UdpStream(lab, flows=64) as stream:
            stream.blast(100_000, SIZE)
        wait_until(lambda: books(daemon.metrics()) == [], "the books to close", 10)
        sockets = descriptors_of(daemon.process.pid)
        try:
            self.assertEqual(len(sockets), 3, "one socket for each interface's only queue")
            # dropped, rx_invalid, tx_invalid, rx_ring_full, fill_ring_empty, tx_ring_empty
            told = [struct.unpack("6Q", each.getsockopt(SOL_XDP, XDP_STATISTICS, 48)) for each in sockets]
            zero_copy = [struct.unpack("I", each.getsockopt(SOL_XDP, XDP_OPTIONS, 4))[0] & 1 for each in sockets]
        finally:
            for each in sockets:
                each.close()
        metrics = daemon.metrics()
        names = ("rx_dropped", "rx_invalid_descriptors", "tx_invalid_descriptors", "rx_ring_full", "rx_fill_ring_empty")
        for index, name in enumerate(names):
            self.assertEqual(metrics.sum(f"sluice_xsk_{name}_total"), sum(each[index] for each in told), name)
        self.assertEqual(zero_copy, [0, 0, 0], "a veth that can do zero-copy?")
        for interface in ("cl0", "be1", "be2"):
            tier = daemon.tier(interface, "af_xdp")
            self.assertEqual((tier["active"], tier["mode"]), (True, "copy"))
            self.assertIn("zero-copy", tier["reason"])
            self.assertEqual(metrics.sum("sluice_tier_active", interface=interface, tier="af_xdp", mode="copy"), 1)
            self.assertTrue(metrics.has("sluice_tier_refused", interface=interface, tier="af_xdp"))


class Queues(LabCase):
    tier = "af_xdp"

    def test_all_four_queues_receive_and_a_flow_stays_with_its_worker(self):
        lab = self.make_lab(backends=1, queues=4)
        daemon = self.start_daemon(lab, {"services": [service(lab, protocol="udp", ports="9000")]})
        queues = daemon.interface("cl0")["queues"]
        self.assertEqual(sorted(q["queue"] for q in queues), [0, 1, 2, 3])

        def received():
            return {q["queue"]: q["received"] for q in daemon.interface("cl0")["queues"]}

        # veth receives on the queue that its peer sends on, and that is the sender's to choose
        with UdpStream(lab, flows=64) as stream:
            before = received()
            self.assertEqual(stream.send(6400, SIZE), 6400)
            after = received()
        grown = {queue: after[queue] - before[queue] for queue in after}
        self.assertEqual(sum(grown.values()), 6400)
        self.assertEqual([queue for queue, count in grown.items() if count == 0], [], f"queues without a packet: {grown}")
        with UdpStream(lab, flows=1) as stream:
            self.assertEqual(stream.send(100, SIZE), 100)
            before = received()
            self.assertEqual(stream.send(1000, SIZE), 1000)
            after = received()
        self.assertEqual(sorted(after[queue] - before[queue] for queue in after), [0, 0, 0, 1000])


for_each_tier(globals(), Counters)

if __name__ == "__main__":
    main()
