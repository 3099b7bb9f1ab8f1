# SPDX-License-Identifier: Apache-2.0
"""Tunnel endpoints: what is addressed to them is unwrapped, once, and the inner packet starts the pipeline again."""

from scapy.all import ICMP, IP, TCP, UDP, IPv6, Raw

from model import case
from network import *

CONFIG = NETWORK + f"""
tunnels:
  - {{ type: ipip, address: 172.16.0.9 }}
  - {{ type: ipip, address: "100::9" }}
  - {{ type: gue, address: 172.16.0.10 }}
  - {{ type: gue, address: "100::10" }}
policy: {{ managed: [10.0.0.0/8] }}
services:
  - {{ name: web, vip: {VIP4}, protocol: tcp, ports: "80", backends: [{{ address: {B11}, port: 8080 }}] }}
  - {{ name: web6, vip: "{VIP6}", protocol: tcp, ports: "80", backends: [{{ address: "{B11_6}", port: 8080 }}] }}
"""
TUNNEL = "the engine unwraps"
INNER4 = IP(src=CLIENT4, dst=VIP4, tos=4) / TCP(sport=4000, dport=80, flags="S") / Raw(b"x")
LEFT4 = to_backend(B11) / IP(src=CLIENT4, dst=B11, ttl=63, tos=4) / TCP(sport=4000, dport=8080, flags="S") / Raw(b"x")
INNER6 = IPv6(src=CLIENT6, dst=VIP6, tc=4) / TCP(sport=4000, dport=80, flags="S") / Raw(b"x")
LEFT6 = to_backend(B11_6) / IPv6(src=CLIENT6, dst=B11_6, hlim=63, tc=4) / TCP(sport=4000, dport=8080, flags="S") / Raw(b"x")
IPIP4, IPIP6 = IP(src=ROUTER4, dst="172.16.0.9"), IPv6(src=ROUTER6, dst="100::9")
GUE4 = IP(src=ROUTER4, dst="172.16.0.10") / UDP(sport=50000, dport=6080)
GUE6 = IPv6(src=ROUTER6, dst="100::10") / UDP(sport=50000, dport=6080)


@case("tunnel: ipip, 4in4, 6in4, 4in6, 6in6", CONFIG, engine=TUNNEL)
def _(t):
    for outer in (IPIP4, IPIP6):
        for inner, left in ((INNER4, LEFT4), (INNER6, LEFT6)):
            t.send(FROM_CLIENT / outer / inner).forwards(left)


@case("tunnel: gue, either family in either", CONFIG, engine=TUNNEL)
def _(t):
    for outer in (GUE4, GUE6):
        for inner, left in ((INNER4, LEFT4), (INNER6, LEFT6)):
            t.send(FROM_CLIENT / outer / Raw(raw(inner))).forwards(left)


@case("tunnel: replies go back unwrapped, and the flow is one with packets that came without a tunnel", CONFIG, engine=TUNNEL)
def _(t):
    t.send(FROM_CLIENT / IPIP4 / INNER4).forwards(LEFT4)
    t.send(from_backend(B11) / IP(src=B11, dst=CLIENT4) / TCP(sport=8080, dport=4000, flags="SA")).forwards(
        TO_CLIENT / IP(src=VIP4, dst=CLIENT4, ttl=63) / TCP(sport=80, dport=4000, flags="SA"))
    t.send(FROM_CLIENT / INNER4).forwards(LEFT4)


@case("tunnel: managed traffic and a ping to the VIP inside", CONFIG, engine=TUNNEL)
def _(t):
    t.send(FROM_CLIENT / IPIP4 / IP(src=CLIENT4, dst=B12) / UDP(sport=1, dport=2)).forwards(
        to_backend(B12) / IP(src=CLIENT4, dst=B12, ttl=63) / UDP(sport=1, dport=2))
    t.send(FROM_CLIENT / IPIP4 / IP(src=CLIENT4, dst=VIP4) / ICMP(id=3)).forwards(
        TO_CLIENT / IP(src=VIP4, dst=CLIENT4) / ICMP(type="echo-reply", id=3))


@case("tunnel: the outer time to live does not count, the inner one does", CONFIG, engine=TUNNEL)
def _(t):
    t.send(FROM_CLIENT / IP(src=ROUTER4, dst="172.16.0.9", ttl=1) / INNER4).forwards(LEFT4)


@case("tunnel: a tunnel in a tunnel drops as tunnel_nested", CONFIG, engine=TUNNEL)
def _(t):
    for outer in (IPIP4, IPIP6):
        for inner in (IPIP4 / INNER4, IPIP6 / INNER6, GUE4 / Raw(raw(INNER4)), GUE6 / Raw(raw(INNER6))):
            t.send(FROM_CLIENT / outer / inner).drops("tunnel_nested")


@case("tunnel: a congestion mark outside goes to the packet inside, or drops what does not know it", CONFIG, engine=TUNNEL)
def _(t):
    # RFC 6040, figure 4: not-ECT 0, ECT(1) 1, ECT(0) 2, CE 3
    for outer, inner, left in ((0, 0, 0), (1, 0, 0), (2, 0, 0), (0, 1, 1), (1, 1, 1), (2, 1, 1), (3, 1, 3), (0, 2, 2),
                               (1, 2, 1), (2, 2, 2), (3, 2, 3), (0, 3, 3), (1, 3, 3), (2, 3, 3), (3, 3, 3)):
        packet = IP(src=CLIENT4, dst=VIP4, tos=8 | inner) / TCP(sport=4000, dport=80, flags="S")
        t.send(FROM_CLIENT / IP(src=ROUTER4, dst="172.16.0.9", tos=outer) / packet).forwards(
            to_backend(B11) / IP(src=CLIENT4, dst=B11, ttl=63, tos=8 | left) / TCP(sport=4000, dport=8080, flags="S"))
        packet = IPv6(src=CLIENT6, dst=VIP6, tc=8 | inner) / TCP(sport=4000, dport=80, flags="S")
        t.send(FROM_CLIENT / IPv6(src=ROUTER6, dst="100::9", tc=outer) / packet).forwards(
            to_backend(B11_6) / IPv6(src=CLIENT6, dst=B11_6, hlim=63, tc=8 | left) / TCP(sport=4000, dport=8080, flags="S"))
    unaware = IP(src=CLIENT4, dst=VIP4) / TCP(sport=4000, dport=80, flags="S")
    t.send(FROM_CLIENT / IP(src=ROUTER4, dst="172.16.0.9", tos=3) / unaware).drops("tunnel_ecn")
    t.send(FROM_CLIENT / IPv6(src=ROUTER6, dst="100::10", tc=3) / UDP(sport=50000, dport=6080) / Raw(raw(unaware))).drops(
        "tunnel_ecn")


@case("tunnel: an outer UDP checksum that is wrong drops, none is right", CONFIG, engine=TUNNEL)
def _(t):
    for outer, checksum in ((IP(src=ROUTER4, dst="172.16.0.10"), 0x1234), (IPv6(src=ROUTER6, dst="100::10"), 0x1234)):
        for inner, left in ((INNER4, LEFT4), (INNER6, LEFT6)):
            t.send(FROM_CLIENT / outer / UDP(sport=50000, dport=6080, chksum=checksum) / Raw(raw(inner))).drops(
                "tunnel_checksum")
            t.send(FROM_CLIENT / outer / UDP(sport=50000, dport=6080, chksum=0) / Raw(raw(inner))).forwards(left)


@case("tunnel: what else arrives at an endpoint's address passes", CONFIG)
def _(t):
    t.send(FROM_CLIENT / IP(src=ROUTER4, dst="172.16.0.9") / TCP(dport=22)).passes()
    t.send(FROM_CLIENT / IP(src=ROUTER4, dst="172.16.0.9") / ICMP()).passes()
    t.send(FROM_CLIENT / IP(src=ROUTER4, dst="172.16.0.9") / UDP(sport=50000, dport=6080) / Raw(raw(INNER4))).passes()
    t.send(FROM_CLIENT / IP(src=ROUTER4, dst="172.16.0.10") / UDP(sport=50000, dport=6081) / Raw(raw(INNER4))).passes()
    t.send(FROM_CLIENT / IP(src=ROUTER4, dst="172.16.0.10") / INNER4).passes()
    t.send(FROM_CLIENT / IPv6(src=ROUTER6, dst="100::9") / TCP(dport=22)).passes()


@case("tunnel: malformed inside drops with its reason", CONFIG, engine=TUNNEL)
def _(t):
    t.send(FROM_CLIENT / IP(src=ROUTER4, dst="172.16.0.9", proto=4) / Raw(raw(INNER4)[:19])).drops("truncated")
    t.send(FROM_CLIENT / IP(src=ROUTER4, dst="172.16.0.9", proto=4) / Raw(raw(INNER4)[:30])).drops("ipv4_total_length")
    broken = IP(src=CLIENT4, dst=VIP4, chksum=1) / TCP(sport=4000, dport=80)
    t.send(FROM_CLIENT / IPIP4 / broken).drops("ipv4_checksum")
    t.send(FROM_CLIENT / IP(src=ROUTER4, dst="172.16.0.9", proto=41) / Raw(raw(INNER4))).drops("ipv6_version")
