# SPDX-License-Identifier: Apache-2.0
"""Routes, neighbours, time to live and MTU: what forwarding has to do with the kernel's view of the network."""

import re

from case import TIERS, LabCase, for_each_tier, main
from daemon import interfaces, service
from topology import GATEWAY4, GATEWAY6, VIP4, VIP6, wait_until
from traffic import Sink, TunnelEnd, UdpStream, datagram_through, icmp_error_about, upload


def flowing(stream, number, timeout=10):
    """Waits until a datagram that is sent now arrives at the backend with this NUMBER."""
    def arrives():
        before = stream.received[number - 1]
        stream.send(1, patience=0.2)
        return stream.received[number - 1] > before
    wait_until(arrives, f"datagrams at backend {number}", timeout)


class Paths:
    def udp_lab(self, backends=2):
        lab = self.make_lab(backends=backends)
        udp = [service(lab, "udp4", protocol="udp", ports="9000"), service(lab, "udp6", 6, "udp", "9000")]
        return lab, self.start_daemon(lab, {"services": udp})

    def test_forwarding_follows_a_changed_route(self):
        lab = self.make_lab()
        for backend in lab.backends:
            backend.namespace.ip("addr", "add", "10.9.0.2/32", "dev", "lo")
        lab.node.ip("route", "add", "10.9.0.0/24", "via", lab.backends[0].address4)
        udp = service(lab, "udp", protocol="udp", ports="9000") | {"backends": [{"address": "10.9.0.2"}]}
        self.start_daemon(lab, {"services": [udp]})
        with UdpStream(lab) as stream:
            self.assertEqual(stream.send(200), 200)
            self.assertEqual(stream.received, [200, 0])
            lab.node.ip("route", "replace", "10.9.0.0/24", "via", lab.backends[1].address4)
            flowing(stream, 2)
            before = list(stream.received)
            self.assertEqual(stream.send(200), 200)
            self.assertEqual([now - then for now, then in zip(stream.received, before)], [0, 200])

    def test_forwarding_follows_a_changed_mac(self):
        lab, _ = self.udp_lab(backends=1)
        space = lab.backends[0].namespace
        space.sysctl({"net.ipv4.conf.eth0.arp_notify": 1, "net.ipv6.conf.eth0.ndisc_notify": 1})
        for vip in (VIP4, VIP6):
            with self.subTest(vip), UdpStream(lab, vip) as stream:
                self.assertEqual(stream.send(100), 100)
                space.ip("link", "set", "eth0", "address", f"02:00:00:00:0{4 if vip == VIP4 else 6}:99")
                flowing(stream, 1, 20)
                self.assertEqual(stream.send(100), 100)

    def test_an_unresolved_neighbour_is_resolved_and_counted_and_its_packet_not_lost(self):
        lab, daemon = self.udp_lab(backends=1)
        for vip in (VIP4, VIP6):
            lab.node.ip("neigh", "flush", "dev", "be1")
            lab.node.ip("-6", "neigh", "flush", "dev", "be1")
            before = daemon.metrics()
            with self.subTest(vip), UdpStream(lab, vip) as stream:
                self.assertEqual(stream.send(1), 1)
                self.assertEqual(stream.send(100), 100)
                after = daemon.metrics()
                for name in ("sluice_neighbors_missing_total", "sluice_neighbor_requests_total"):
                    self.assertGreater(after.sum(name), before.sum(name), name)

    def test_a_neighbour_that_does_not_exist_costs_its_packets_with_a_reason(self):
        lab = self.make_lab(backends=1)
        udp = service(lab, "udp", protocol="udp", ports="9000") | {"backends": [{"address": "10.0.1.77"}]}
        daemon = self.start_daemon(lab, {"services": [udp]})
        with UdpStream(lab) as stream:
            stream.send(5, patience=0.1)
        wait_until(lambda: daemon.metrics().sum("sluice_drops_total", reason="no_neighbor") == 5,
                   "5 packets dropped as no_neighbor", 10)

    def test_a_backend_without_a_route_costs_its_packets_as_no_route(self):
        lab = self.make_lab(backends=1)
        udp = service(lab, "udp", protocol="udp", ports="9000") | {"backends": [{"address": "10.77.0.9"}]}
        daemon = self.start_daemon(lab, {"services": [udp]})
        with UdpStream(lab) as stream:
            self.assertEqual(stream.send(25, patience=0.3), 0)
        self.assertEqual(daemon.metrics().sum("sluice_drops_total", reason="no_route"), 25)

    def test_a_packet_whose_time_to_live_ends_here_is_answered_from_the_receiving_interface(self):
        lab, _ = self.udp_lab()
        self.assertEqual(icmp_error_about(lab.client, VIP4, 1), (11, 0, GATEWAY4))
        self.assertEqual(icmp_error_about(lab.client, VIP6, 1), (3, 0, GATEWAY6))

    def test_a_packet_with_two_hops_left_arrives(self):
        lab, _ = self.udp_lab(backends=1)
        with UdpStream(lab) as stream:
            self.assertIsNone(icmp_error_about(lab.client, VIP4, 2, timeout=0.5))
            self.assertEqual(stream.drain(), 1)

    def upload_over(self, lab, vip, size=4 << 20):
        self.assertEqual(upload(lab.client, vip, size), size)

    def path_mtu(self, lab, vip):
        shown = lab.client.ip("route", "get", vip).stdout
        found = re.search(r"mtu (\d+)", shown)
        return int(found[1]) if found else None

    def test_tcp_obeys_the_answer_about_an_mtu_that_shrank_behind_nat(self):
        lab = self.make_lab(backends=1)
        self.addCleanup(Sink(lab.backends[0]).close)
        self.start_daemon(lab, {"services": [service(lab, "web4"), service(lab, "web6", 6)]})
        self.upload_over(lab, VIP4)
        lab.node.ip("link", "set", "be1", "mtu", "1400")
        for vip in (VIP4, VIP6):
            with self.subTest(vip):
                self.upload_over(lab, vip)
                self.assertEqual(self.path_mtu(lab, vip), 1400)

    def test_a_datagram_of_4_kb_arrives_whole_over_an_mtu_of_1500(self):
        payload = bytes(range(256)) * 16
        for mode in ("nat", "dsr_ipip", "dsr_gue"):
            with self.subTest(mode):
                lab = self.make_lab(backends=1)
                end = TunnelEnd(lab.backends[0], [VIP4]) if mode != "nat" else None
                try:
                    daemon = self.start_daemon(lab, {"services": [service(lab, "udp", 4, "udp", "9000", mode=mode)]})
                    self.assertEqual(datagram_through(lab.client, lab.backends[0], VIP4, payload), payload)
                    self.assertEqual(daemon.metrics().sum("sluice_drops_total"), 0)
                finally:
                    if end:
                        end.close()
                    lab.close()

    def test_managed_traffic_to_an_interface_that_is_not_ours_is_routed_by_the_host(self):
        lab = self.make_lab()
        ours = [entry for entry in interfaces(lab, TIERS[self.tier]) if entry["name"] != "be2"]
        daemon = self.start_daemon(lab, {"interfaces": ours, "policy": {"managed": ["10.0.0.0/16"]}})
        for backend in lab.backends:
            self.assertEqual(datagram_through(lab.client, backend, backend.address4, b"routed"), b"routed")
        self.assertEqual(daemon.metrics().sum("sluice_drops_total"), 0)

    def test_tcp_obeys_the_answer_about_a_tunnel_over_an_mtu_of_1400(self):
        for mode, family, outer, expected in (("dsr_ipip", 4, 4, 1380), ("dsr_ipip", 6, 6, 1360), ("dsr_gue", 4, 4, 1372)):
            with self.subTest(f"{mode} {family} in {outer}"):
                lab = self.make_lab(backends=1)
                vip = VIP4 if family == 4 else VIP6
                end = TunnelEnd(lab.backends[0], [vip])
                try:
                    self.addCleanup(Sink(lab.backends[0]).close)
                    lab.node.ip("link", "set", "be1", "mtu", "1400")
                    self.start_daemon(lab, {"services": [service(lab, "web", family, mode=mode, outer=outer)]})
                    self.upload_over(lab, vip)
                    self.assertEqual(self.path_mtu(lab, vip), expected)
                finally:
                    end.close()
                    lab.close()


for_each_tier(globals(), Paths)

if __name__ == "__main__":
    main()
