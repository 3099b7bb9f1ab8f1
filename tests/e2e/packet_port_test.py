#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The engine on packet sockets: a node without XDP, AF_XDP and DPDK, where the kernel's own copy must not count."""

import contextlib
import json
import socket
import time

import programs
from case import TIERS, LabCase, main
from counters_test import books, traffic
from daemon import PROGRAMS, interfaces, service
from forwarding_test import Iperf, Nat
from modes_test import Modes
from scapy.all import ICMP, TCP, Ether
from tier_test import MovesCase
from topology import CLIENT4, GATEWAY4, GATEWAY6, VIP4, wait_until
from traffic import Frames, UdpStream

TIERS["epoll"] = ["epoll"]
WITHOUT = {"ENABLE_XDP": "false", "ENABLE_AF_XDP": "false", "ENABLE_DPDK": "false"}
DATAGRAMS, SIZE = 20_000, 64
FRAME = 14 + 20 + 8 + SIZE
CLOSED = 81
SETTLED_SECONDS = 0.5


class OnPackets(LabCase):
    """A node that its environment's flags leave nothing but packet sockets."""

    def start(self, lab, config, **options):
        daemon = self.start_daemon(lab, {"interfaces": interfaces(lab), **config}, flags=WITHOUT, **options)
        for name in ("cl0", "be1"):
            tier = daemon.tier(name, "epoll")
            self.assertTrue(tier["active"])
            self.assertIn("packet sockets", tier["mode"])
        return daemon

    def tables(self, lab):
        return lab.node.run("nft", "list", "ruleset").stdout

    def left_behind(self, lab):
        return [link["ifname"] for link in lab.node.ip_json("link", "show") if link["ifname"].startswith("sluice-")]


class NatOnPackets(Nat, LabCase):
    tier = "epoll"
    test_the_kernel_counts_the_runs_of_the_program = None  # there is none

    def test_the_host_stack_sees_none_of_the_traffic(self):
        """tcpdump would: it sees frames where packet sockets do."""
        counters = ("IpInReceives", "IpForwDatagrams", "Ip6InReceives", "Ip6OutForwDatagrams")
        before = self.lab.node.counters(*counters)
        forwarded = traffic(self.daemon.metrics(), "epoll")[2]["forward"]
        self.seen_by(VIP4)
        programs.dig(self.lab.client, VIP4)
        after = self.lab.node.counters(*counters)
        self.assertGreater(traffic(self.daemon.metrics(), "epoll")[2]["forward"] - forwarded, 40)
        for name in counters:
            # the daemon's own requests by loopback, and neighbour discovery, are the host's
            allowed = 0 if "Forw" in name else 40
            self.assertLessEqual(after[name] - before[name], allowed, name)


class IperfOnPackets(Iperf, LabCase):
    tier = "epoll"


class ModesOnPackets(Modes, LabCase):
    tier = "epoll"


class Counts(OnPackets):
    def test_twenty_thousand_datagrams_are_counted_exactly_and_the_books_close(self):
        lab = self.make_lab()
        daemon = self.start(lab, {"services": [service(lab, "udp", protocol="udp", ports="9000")]})
        with UdpStream(lab, flows=16) as stream:
            self.assertEqual(stream.send(1600, SIZE), 1600)
            before = daemon.metrics()
            self.assertEqual(stream.send(DATAGRAMS, SIZE), DATAGRAMS)
            after = daemon.metrics()
        at = {"interface": "cl0", "tier": "epoll", "verdict": "forward"}
        self.assertEqual(after.sum("sluice_packets_total", **at) - before.sum("sluice_packets_total", **at), DATAGRAMS)
        self.assertEqual(after.sum("sluice_bytes_total", **at) - before.sum("sluice_bytes_total", **at), DATAGRAMS * FRAME)
        to = {"service": "udp", "direction": "to_backend"}
        self.assertEqual(after.sum("sluice_service_packets_total", **to) - before.sum("sluice_service_packets_total", **to),
                         DATAGRAMS)
        wait_until(lambda: books(daemon.metrics()) == [], "the books close", 10)
        self.assertEqual(after.sum("sluice_packet_ring_lost_total"), 0)

    def test_what_the_ring_has_no_room_for_is_counted_too(self):
        lab = self.make_lab(backends=1)
        daemon = self.start(lab, {"services": [service(lab, "udp", protocol="udp", ports="9000")]})
        sent = 150_000
        with UdpStream(lab, flows=4) as stream:
            frames = lambda: lab.node.ip_json("-s", "link", "show", "dev", "cl0")[0]["stats64"]["rx"]["packets"]  # noqa: E731
            before = frames(), self._seen(daemon)
            daemon.process.send_signal(19)  # it takes nothing out of the ring
            try:
                stream.blast(sent, 64)
            finally:
                daemon.process.send_signal(18)
            wait_until(lambda: self._seen(daemon) - before[1] >= sent, "every frame is accounted for", 20)
            arrived = frames() - before[0]
        self.assertGreater(daemon.metrics().sum("sluice_packet_ring_lost_total", interface="cl0"), 0)
        self.assertEqual(self._seen(daemon) - before[1], arrived)

    def _seen(self, daemon):
        metrics = daemon.metrics()
        at = {"interface": "cl0"}
        return (metrics.sum("sluice_received_packets_total", tier="epoll", **at) +
                metrics.sum("sluice_packet_ring_lost_total", **at))

    def test_flows_are_spread_over_rings_and_a_flow_stays_with_its_worker(self):
        lab = self.make_lab(backends=1, queues=2)
        daemon = self.start(lab, {"services": [service(lab, "udp", protocol="udp", ports="9000")]})
        self.assertEqual(daemon.interface("cl0")["packet_sockets"]["rings"], 2)
        with UdpStream(lab, flows=32) as stream:
            self.assertEqual(stream.send(3200, SIZE), 3200)
        workers = [w for w in daemon.ctl_json("status")["workers"] if w["thread"].startswith("sluice-p")]
        self.assertTrue(all(w["frames"] > 200 for w in workers), [w["frames"] for w in workers])


class Alone(OnPackets):
    """The VIP is the node's own address here, so that the kernel would answer whatever reached it."""

    def setUp(self):
        super().setUp()
        self.lab = self.make_lab()
        self.lab.node.ip("addr", "add", f"{VIP4}/32", "dev", "lo")
        programs.nginx(self.lab.backends[0])
        programs.nginx(self.lab.backends[1])

    def heard(self, act):
        """What the client's interface receives from the VIP while ACT runs."""
        with Frames(self.lab.client) as frames:
            act()
            time.sleep(SETTLED_SECONDS)
            packets = [Ether(frame) for frame in frames.take(outgoing=False)]
        return [p for p in packets if p.haslayer("IP") and p["IP"].src == VIP4]

    def syn(self, port):
        with self.lab.client.inside():
            sock = socket.socket()
        sock.settimeout(0.5)
        with contextlib.suppress(OSError):
            sock.connect((VIP4, port))
        sock.close()

    def policy(self, action):
        return {"services": [service(self.lab)],
                "policy": {"managed": [f"{VIP4}/32"],
                           "rules": [{"name": "closed", "action": action, "to": [f"{VIP4}/32"], "ports": str(CLOSED), "protocol": "tcp"}]}}

    def test_the_kernel_answers_without_a_daemon(self):
        self.assertTrue(any(p.haslayer(TCP) and p[TCP].flags.R for p in self.heard(lambda: self.syn(CLOSED))))

    def test_what_policy_drops_is_not_refused_by_the_kernel(self):
        daemon = self.start(self.lab, self.policy("drop"))
        self.assertEqual(self.heard(lambda: self.syn(CLOSED)), [])
        self.assertGreater(daemon.metrics().sum("sluice_drops_total", tier="epoll", interface="cl0", reason="policy"), 0)

    def test_a_rejected_connection_gets_exactly_one_reset(self):
        self.start(self.lab, self.policy("reject"))
        resets = [p for p in self.heard(lambda: self.syn(CLOSED)) if p.haslayer(TCP) and p[TCP].flags.R]
        self.assertEqual(len(resets), 1)

    def test_an_echo_request_gets_exactly_one_reply(self):
        self.start(self.lab, {"services": [service(self.lab)]})
        replies = self.heard(lambda: programs.ping(self.lab.client, VIP4, count=5))
        self.assertEqual(len([p for p in replies if p.haslayer(ICMP)]), 5)

    def test_a_connection_to_the_service_is_the_backends_alone(self):
        self.start(self.lab, {"services": [service(self.lab)]})
        heard = self.heard(lambda: self.assertIn("backend", programs.curl(self.lab.client, VIP4)))
        self.assertFalse([p for p in heard if p.haslayer(TCP) and p[TCP].flags.R])
        self.assertEqual(len([p for p in heard if p.haslayer(TCP) and p[TCP].flags == "SA"]), 1)


class Host(OnPackets):
    """What the engine passes reaches the node as if it had just arrived."""

    def setUp(self):
        super().setUp()
        self.lab = self.make_lab()
        self.lab.node.sysctl({"net.ipv4.conf.all.rp_filter": 1, "net.ipv4.conf.cl0.rp_filter": 1})
        self.daemon = self.start(self.lab, {"services": [service(self.lab)]})

    def test_the_nodes_own_addresses_are_reachable_by_tcp_from_their_interface(self):
        size = 50_000  # what a socket holds that nobody reads
        for family, address in ((socket.AF_INET, GATEWAY4), (socket.AF_INET6, GATEWAY6)):
            with self.subTest(address), self.lab.node.inside():
                server = socket.socket(family)
            server.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"cl0")
            server.bind((address, 2222))
            server.listen()
            with self.lab.client.inside():
                client = socket.create_connection((address, 2222), timeout=5)
            taken, _ = server.accept()
            client.sendall(bytes(size))
            client.shutdown(socket.SHUT_WR)
            got = 0
            while data := taken.recv(1 << 16):
                got += len(data)
            self.assertEqual(got, size)
            taken.sendall(b"done")
            taken.close()
            self.assertEqual(client.recv(16), b"done")
            for each in (client, server):
                each.close()

    def test_neighbours_are_found_and_pings_answered_once(self):
        for address, family in ((GATEWAY4, "-4"), (GATEWAY6, "-6")):
            with self.subTest(address):
                self.lab.client.ip(family, "neigh", "flush", "dev", "eth0")
                answered, text = programs.ping(self.lab.client, address, "-W", "5")
                self.assertEqual(answered, 3)
                self.assertNotIn("DUP", text)

    def test_marks_do_not_stay_on_what_the_host_gets(self):
        self.lab.node.run("nft", "add table ip seen; add chain ip seen c { type filter hook input priority 0; }; "
                          "add rule ip seen c icmp type echo-request meta mark 0 counter")
        self.assertEqual(programs.ping(self.lab.client, GATEWAY4)[0], 3)
        self.assertIn("packets 3", self.lab.node.run("nft", "list table ip seen").stdout)


class Offloads(OnPackets):
    def test_checksums_and_segments_left_to_hardware_arrive_right(self):
        """A client whose stack leaves all of that to its device, and nodes that join what comes."""
        lab = self.make_lab()
        for backend in lab.backends:
            programs.nginx(backend)
            backend.namespace.run("ethtool", "-K", "eth0", "tx", "on", "tso", "on", "gso", "on")
        lab.client.run("ethtool", "-K", "eth0", "tx", "on", "tso", "on", "gso", "on")
        daemon = self.start(lab, {"services": [service(lab), service(lab, "six", 6)]})
        large = lab.home / "upload"
        with open(large, "wb") as file:
            file.write(bytes(range(256)) * (4 << 12))
        for address in (VIP4, "2001:db8:a::10"):
            size = programs.curl(lab.client, address, 80, "/large", "-o", "/dev/null", "-w", "%{size_download}", timeout=30)
            self.assertEqual(int(size), 8 << 20)
            sent = programs.curl(lab.client, address, 80, "/", "--data-binary", f"@{large}", "-o", "/dev/null", "-w",
                                 "%{size_upload}", timeout=30)
            self.assertEqual(int(sent), 4 << 20)
        metrics = daemon.metrics()
        self.assertGreater(metrics.sum("sluice_packet_ring_joined_total"), 0)
        self.assertGreater(metrics.sum("sluice_packet_ring_checksums_total"), 0)
        self.assertEqual(metrics.sum("sluice_packet_ring_unreadable_total"), 0)


class Lifetime(OnPackets):
    def test_a_stop_leaves_nothing_behind(self):
        lab = self.make_lab(backends=1)
        for arguments in ((), ("--detach",)):
            with self.subTest(arguments):
                daemon = self.start(lab, {"services": [service(lab)]}, arguments=arguments)
                self.assertIn("policy drop", self.tables(lab))
                self.assertEqual(daemon.stop(), 0)
                self.assertEqual(self.tables(lab), "")
                self.assertEqual(self.left_behind(lab), [])
                self.assertEqual(programs.ping(lab.client, GATEWAY4)[0], 3)

    def test_a_killed_daemon_leaves_the_host_reachable_and_the_next_one_tidies_up(self):
        lab = self.make_lab(backends=1)
        programs.nginx(lab.backends[0])
        daemon = self.start(lab, {"services": [service(lab)]})
        daemon.kill()
        wait_until(lambda: self.tables(lab) == "", "the kernel takes the table away")
        self.assertEqual(programs.ping(lab.client, GATEWAY4)[0], 3)
        lab.node.ip("link", "add", "sluice-p999", "type", "veth", "peer", "name", "sluice-q999")  # of an interface that is gone
        daemon.start()
        self.assertIn("backend 1", programs.curl(lab.client, VIP4))
        self.assertNotIn("sluice-p999", self.left_behind(lab))
        daemon.stop()
        self.assertEqual((self.tables(lab), self.left_behind(lab)), ("", []))

    def test_without_a_service_the_interface_stays_the_kernels_and_a_reload_changes_that(self):
        lab = self.make_lab(backends=1)
        programs.nginx(lab.backends[0])
        with_service = {"services": [service(lab)]}
        daemon = self.start(lab, with_service)
        daemon.reload({**daemon.config, "services": []})
        self.assertFalse(daemon.tier("cl0", "epoll")["active"])
        self.assertEqual(self.tables(lab), "")
        daemon.reload({**daemon.config, **with_service})
        self.assertIn("backend 1", programs.curl(lab.client, VIP4))

    def test_without_cap_net_raw_it_says_so_and_is_not_ready(self):
        lab = self.make_lab(backends=1)
        daemon = self.make_daemon(lab, {"interfaces": interfaces(lab), "services": [service(lab)]}, flags=WITHOUT)
        daemon.process = lab.node.spawn("setpriv", "--bounding-set", "-net_raw", PROGRAMS["sluiced"], "--config", daemon.path,
                                        name=daemon.name, env=daemon.environment())
        wait_until(lambda: daemon.socket.exists() and daemon.ctl("status", check=False).returncode == 0, "sluiced answers", 20)
        tier = daemon.tier("cl0", "epoll")
        self.assertFalse(tier["active"])
        self.assertRegex(tier["reason"], "packet socket to receive by .expected CAP_NET_RAW.*not permitted")
        self.assertEqual(daemon.http("/readyz")[0], 503)
        self.assertEqual(self.tables(lab), "")
        self.assertEqual(programs.ping(lab.client, GATEWAY4)[0], 3)


class Moving(MovesCase):
    def test_flows_survive_moves_to_packet_sockets_and_back(self):
        daemon = self.start()
        echoes, transfer = self.start_traffic()
        before = self.backends_of(daemon)
        for tier, active in (("epoll", []), ("xdp", ["xdp", "af_xdp"]), ("epoll", []), ("auto", ["xdp", "af_xdp"])):
            for name in ("cl0", "be1", "be2"):
                first = echoes.sent
                self.move(daemon, name, tier, active)
                self.assertEqual(daemon.tier(name, "epoll")["active"], tier == "epoll")
                received = transfer.bytes
                wait_until(lambda r=received: transfer.bytes > r or transfer.failure, "the transfer goes on", 20)
                time.sleep(SETTLED_SECONDS)
                last = echoes.sent
                time.sleep(SETTLED_SECONDS)
                print(f"# {name} to {tier}: {echoes.lost(first, last)} of {last - first} datagrams lost")
        self.assertIsNone(transfer.failure)
        self.assertEqual(self.backends_of(daemon), before)
        self.assertGreater(daemon.metrics().sum("sluice_packets_total", tier="epoll", interface="cl0", verdict="forward"), 0)


class Seen(OnPackets):
    def test_captures_explanations_and_status_name_the_tier(self):
        lab = self.make_lab(backends=1)
        programs.nginx(lab.backends[0])
        daemon = self.start(lab, {"services": [service(lab)]})
        told = daemon.ctl_json("explain", "tcp", f"{CLIENT4}:4242", f"{VIP4}:80")
        self.assertIn("epoll", json.dumps(told))
        self.assertIn("backend 1", programs.curl(lab.client, VIP4))
        self.assertIn("packet sockets: 1 ring(s)", daemon.ctl("status").stdout)
        self.assertLessEqual(max(map(len, daemon.ctl("status").stdout.splitlines())), 80)



if __name__ == "__main__":
    main()
