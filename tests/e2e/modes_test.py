# SPDX-License-Identifier: Apache-2.0
"""The forwarding modes other than nat: bytes at the backend, and answers at the client."""

import programs
from case import LabCase, for_each_tier, main
from daemon import service
from scapy.all import IP, UDP, Ether, IPv6, raw
from topology import CLIENT4, CLIENT6, GATEWAY4, GATEWAY6, VIP4, VIP6, wait_until
from traffic import Frames, TunnelEnd, UdpStream, inner_packet

SOURCE4, SOURCE6 = "172.16.0.9", "100::9"
TUNNEL = {"source4": SOURCE4, "source6": SOURCE6}


def ip_packet(frame):
    """Of an Ethernet frame, without padding."""
    packet = Ether(frame).payload
    return raw(packet)[:packet.len if packet.version == 4 else packet.plen + 40]


class Modes:
    def tunnelled(self, mode, family, outer, **settings):
        """A lab with one backend at the far end of a tunnel, and nginx behind it."""
        self.lab = self.make_lab(backends=1)
        backend = self.lab.backends[0]
        vip = VIP4 if family == 4 else VIP6
        self.end = TunnelEnd(backend, [vip])
        self.addCleanup(self.end.close)
        programs.nginx(backend)
        both = [service(self.lab, "web", family, "tcp", "80", mode, outer=outer, tunnel=TUNNEL, **settings),
                service(self.lab, "udp", family, "udp", "9000", mode, outer=outer, tunnel=TUNNEL, **settings)]
        self.daemon = self.start_daemon(self.lab, {"services": both})
        return vip

    def bytes_of_one_datagram(self, vip):
        """(as it left the client, as the tunnel's end got it), both from the IP header on."""
        self.end.outer.clear()
        with Frames(self.lab.client) as sent, UdpStream(self.lab, vip) as stream:
            self.assertEqual(stream.send(1, size=77), 1)
            left = [ip_packet(f) for f in sent.take(outgoing=True) if f[12:14] in (b"\x08\x00", b"\x86\xdd")]
            left = [packet for packet in left if packet[-77:] == bytes(77)]
        came = wait_until(lambda: [packet for packet in self.end.outer if packet[-77:] == bytes(77)], "the tunnelled datagram")
        self.assertEqual((len(left), len(came)), (1, 1))
        return left[0], came[0]

    def check_tunnel(self, mode, family, outer):
        vip = self.tunnelled(mode, family, outer)
        client = CLIENT4 if family == 4 else CLIENT6
        self.assertEqual(programs.curl(self.lab.client, vip), f"backend 1 client {client} server {vip}\n")
        size = programs.curl(self.lab.client, vip, 80, "/large", "-o", "/dev/null", "-w", "%{size_download}", timeout=20)
        self.assertEqual(int(size), 8 << 20)
        sent, got = self.bytes_of_one_datagram(vip)
        self.assertEqual(inner_packet(got, 6080), sent)
        backend = self.lab.backends[0].address(outer)
        got_ip = (IP if outer == 4 else IPv6)(got)
        if outer == 4:
            header = IP(src=SOURCE4, dst=backend, ttl=64, id=got_ip.id, tos=sent[1] if family == 4 else 0)
        else:
            header = IPv6(src=SOURCE6, dst=backend, hlim=64, fl=got_ip.fl)
        if mode == "dsr_gue":
            header = header / UDP(sport=got_ip[UDP].sport, dport=6080)
        elif outer == 4:
            header.proto = 4 if family == 4 else 41
        else:
            header.nh = 4 if family == 4 else 41
        self.assertEqual(got.hex(), raw(header / sent).hex())

    def test_dsr_ipip_carries_ipv4_in_ipv4_byte_for_byte(self):
        self.check_tunnel("dsr_ipip", 4, 4)

    def test_dsr_ipip_carries_ipv4_in_ipv6_byte_for_byte(self):
        self.check_tunnel("dsr_ipip", 4, 6)

    def test_dsr_ipip_carries_ipv6_in_ipv6_byte_for_byte(self):
        self.check_tunnel("dsr_ipip", 6, 6)

    def test_dsr_gue_carries_ipv4_in_udp_with_the_right_checksum(self):
        self.check_tunnel("dsr_gue", 4, 4)

    def test_dsr_gue_carries_ipv6_in_udp_over_ipv6_with_the_right_checksum(self):
        self.check_tunnel("dsr_gue", 6, 6)

    def test_dsr_l2_changes_nothing_but_the_link_addresses(self):
        lab = self.make_lab(backends=1)
        backend = lab.backends[0]
        for vip, length in ((VIP4, 32), (VIP6, 128)):
            backend.namespace.ip("addr", "add", f"{vip}/{length}", "dev", "lo", *(["nodad"] if length == 128 else []))
        programs.nginx(backend)
        self.start_daemon(lab, {"services": [service(lab, "web4", mode="dsr_l2"), service(lab, "web6", 6, mode="dsr_l2"),
                                             service(lab, "udp", protocol="udp", ports="9000", mode="dsr_l2")]})
        for client, vip in ((CLIENT4, VIP4), (CLIENT6, VIP6)):
            with self.subTest(vip):
                self.assertEqual(programs.curl(lab.client, vip), f"backend 1 client {client} server {vip}\n")
        with Frames(lab.client) as sent, Frames(backend.namespace) as got, UdpStream(lab) as stream:
            self.assertEqual(stream.send(1, size=77), 1)
            left = [f for f in sent.take(outgoing=True) if f[-77:] == bytes(77)]
            came = [f for f in got.take(outgoing=False) if f[-77:] == bytes(77)]
        self.assertEqual([f[12:].hex() for f in came], [f[12:].hex() for f in left])
        own = backend.namespace.ip_json("link", "show", "dev", "eth0")[0]["address"]
        node = lab.node.ip_json("link", "show", "dev", "be1")[0]["address"]
        self.assertEqual((Ether(came[0]).dst, Ether(came[0]).src), (own, node))

    def test_fullnat_hides_the_client_behind_the_nodes_address(self):
        lab = self.make_lab()
        for backend in lab.backends:
            programs.nginx(backend)
            programs.dnsmasq(backend)
        self.start_daemon(lab, {"services": [service(lab, "web4", mode="fullnat"), service(lab, "web6", 6, mode="fullnat"),
                                             service(lab, "dns", protocol="udp", ports="53", mode="fullnat")]})
        # of the interface that the client's packets come by
        for family, vip, source in ((4, VIP4, GATEWAY4), (6, VIP6, GATEWAY6)):
            expected = {f"backend {b.number} client {source} server {b.address(family)}\n" for b in lab.backends}
            with self.subTest(vip):
                self.assertEqual({programs.curl(lab.client, vip) for _ in range(12)}, expected)
        self.assertIn(programs.dig(lab.client, VIP4), (["203.0.113.1"], ["203.0.113.2"]))


for_each_tier(globals(), Modes)

if __name__ == "__main__":
    main()
