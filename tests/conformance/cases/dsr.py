# SPDX-License-Identifier: Apache-2.0
"""The dsr modes: the packet reaches the backend untouched, by another MAC or inside an outer header; the backend answers
the client itself. Outer header: TTL 64, DF clear, the whole TOS byte copied, a right UDP checksum."""

from scapy.all import ICMP, IP, TCP, UDP, ICMPv6EchoReply, ICMPv6EchoRequest, IPOption_NOP, IPv6, Raw

from model import case, one_of
from network import *

CONFIG = NETWORK + f"""
services:
  - {{ name: l2, vip: {VIP4}, protocol: tcp, ports: "80", mode: dsr_l2, backends: [{{ address: {B11} }}] }}
  - {{ name: l2v6, vip: "{VIP6}", protocol: tcp, ports: "80", mode: dsr_l2, backends: [{{ address: "{B11_6}" }}] }}
  - name: ipip
    vip: 192.0.2.11
    protocol: udp
    ports: "53"
    mode: dsr_ipip
    tunnel: {{ source4: 172.16.0.1, source6: "100::1" }}
    backends: [{{ address: {B11} }}]
  - name: ipip46
    vip: 192.0.2.12
    protocol: udp
    ports: "53"
    mode: dsr_ipip
    tunnel: {{ source4: 172.16.0.1, source6: "100::1" }}
    backends: [{{ address: "{B12_6}" }}]
  - name: ipip66
    vip: "2001:db8:a::13"
    protocol: tcp
    ports: any
    mode: dsr_ipip
    tunnel: {{ source6: "100::1" }}
    backends: [{{ address: "{B12_6}" }}]
  - {{ name: own, vip: 192.0.2.14, protocol: tcp, ports: "80", mode: dsr_ipip, backends: [{{ address: {B13} }}] }}
  - {{ name: own6, vip: "2001:db8:a::14", protocol: tcp, ports: "80", mode: dsr_ipip, backends: [{{ address: "{B13_6}" }}] }}
  - name: spread
    vip: 192.0.2.15
    protocol: tcp
    ports: "80"
    mode: dsr_ipip
    tunnel: {{ source4: 172.16.0.0/16 }}
    backends: [{{ address: {B13} }}]
  - name: gue
    vip: 192.0.2.16
    protocol: udp
    ports: any
    mode: dsr_gue
    tunnel: {{ source4: 172.16.0.1, source6: "100::1" }}
    backends: [{{ address: {B11} }}]
  - name: gue46
    vip: 192.0.2.17
    protocol: tcp
    ports: "80"
    mode: dsr_gue
    tunnel: {{ source6: "100::1", port: 19523 }}
    backends: [{{ address: "{B12_6}" }}]
  - name: gue66
    vip: "2001:db8:a::16"
    protocol: tcp
    ports: "80"
    mode: dsr_gue
    tunnel: {{ source6: "100::1" }}
    backends: [{{ address: "{B11_6}" }}]
"""
CLIENT_UDP = UDP(sport=5000, dport=53)


def outer4(dst, tos=0, proto=4, src="172.16.0.1"):
    return IP(src=src, dst=dst, ttl=64, tos=tos, id=0, flags=0, proto=proto)


def outer6(dst, tos=0, nh=41, src="100::1"):
    return IPv6(src=src, dst=dst, hlim=64, tc=tos, nh=nh)


@case("dsr_l2: only the link addresses change", CONFIG)
def _(t):
    for flags in ("S", "A", "FA"):
        inner = IP(src=CLIENT4, dst=VIP4, ttl=1, tos=0xB9, id=7) / TCP(sport=40000, dport=80, flags=flags)
        t.send(FROM_CLIENT / inner).forwards(to_backend(B11) / inner, service="l2", backend=(endpoint(B11, 80), B11))
        inner = IPv6(src=CLIENT6, dst=VIP6, hlim=1, tc=0xB9) / TCP(sport=40000, dport=80, flags=flags)
        t.send(FROM_CLIENT / inner).forwards(to_backend(B11_6) / inner, service="l2v6")


@case("dsr_ipip: 4in4, time to live and checksums of the inner packet untouched", CONFIG)
def _(t):
    for ttl, tos, data in ((64, 0, b"question"), (1, 0xB9, b"odd"), (0, 0x03, b"")):
        inner = IP(src=CLIENT4, dst="192.0.2.11", ttl=ttl, tos=tos, flags="DF", id=9) / CLIENT_UDP / Raw(data)
        t.send(FROM_CLIENT / inner).forwards(to_backend(B11) / outer4(B11, tos) / inner, service="ipip")


@case("dsr_ipip: 4in6", CONFIG)
def _(t):
    inner = IP(src=CLIENT4, dst="192.0.2.12", tos=0xB9) / CLIENT_UDP / Raw(b"question")
    t.send(FROM_CLIENT / inner).forwards(to_backend(B12_6) / outer6(B12_6, 0xB9, nh=4) / inner, service="ipip46")


@case("dsr_ipip: 6in6", CONFIG)
def _(t):
    inner = IPv6(src=CLIENT6, dst="2001:db8:a::13", tc=0xB9, fl=0x12345) / TCP(sport=40000, dport=1, flags="S")
    t.send(FROM_CLIENT / inner).forwards(to_backend(B12_6) / outer6(B12_6, 0xB9) / inner, service="ipip66")


@case("dsr_ipip: without a tunnel source the address of the interface it leaves by", CONFIG)
def _(t):
    inner = IP(src=CLIENT4, dst="192.0.2.14") / TCP(sport=40000, dport=80)
    t.send(FROM_CLIENT / inner).forwards(to_backend(B13) / outer4(B13, src=OWN4) / inner)
    inner = IPv6(src=CLIENT6, dst="2001:db8:a::14") / TCP(sport=40000, dport=80)
    t.send(FROM_CLIENT / inner).forwards(to_backend(B13_6) / outer6(B13_6, src=OWN6) / inner)


@case("dsr_ipip: a prefix as tunnel source spreads clients over it, a client keeps its own", CONFIG)
def _(t):
    sources = set()
    for sport in (40000, 40001, 40002, 40003, 40000):
        inner = IP(src=CLIENT4, dst="192.0.2.15") / TCP(sport=sport, dport=80)
        step = t.send(FROM_CLIENT / inner)
        source = step.output()[IP].src
        one_of(source.split(".")[:2], (["172", "16"],), "prefix of the tunnel source")
        sources.add(source)
        step.forwards(to_backend(B13) / outer4(B13, src=source) / inner)
    one_of(len(sources), (4,), "number of tunnel sources of four connections")


@case("dsr_ipip: padding behind the packet stays behind it", CONFIG)
def _(t):
    inner = IP(src=CLIENT4, dst="192.0.2.11", len=28) / UDP(sport=5000, dport=53, len=8, chksum=0) / Raw(bytes(18))
    t.send(FROM_CLIENT / inner).forwards(
        to_backend(B11) / IP(src="172.16.0.1", dst=B11, id=0, proto=4, len=48) / Raw(raw(inner)))


@case("dsr_ipip: the end of a connection and a packet that belongs to none go the same way", CONFIG)
def _(t):
    for flags in ("A", "FA", "R", "S"):
        inner = IP(src=CLIENT4, dst="192.0.2.14") / TCP(sport=40000, dport=80, flags=flags)
        t.send(FROM_CLIENT / inner).forwards(to_backend(B13) / outer4(B13, src=OWN4) / inner)


def gue(link, outer, inner, port=6080):
    """What is expected of a GUE packet: its source port is the node's choice, among the dynamic ones."""

    def expected(got):
        source_port = one_of(got[UDP].sport, range(0xC000, 0x10000), "outer source port")
        return link / outer / UDP(sport=source_port, dport=port) / Raw(raw(inner))

    return expected


@case("dsr_gue: IPv4 in IPv4 and UDP, with a right outer checksum", CONFIG)
def _(t):
    for data in (b"", b"odd", b"even", bytes(1400), b"\xff" * 333):
        inner = IP(src=CLIENT4, dst="192.0.2.16", tos=0xB9, ttl=7) / CLIENT_UDP / Raw(data)
        t.send(FROM_CLIENT / inner).forwards(gue(to_backend(B11), outer4(B11, 0xB9, 17), inner), service="gue")


@case("dsr_gue: IPv4 in IPv6 and UDP, to another port", CONFIG)
def _(t):
    inner = IP(src=CLIENT4, dst="192.0.2.17") / TCP(sport=40000, dport=80, flags="S") / Raw(b"data")
    t.send(FROM_CLIENT / inner).forwards(gue(to_backend(B12_6), outer6(B12_6, nh=17), inner, 19523), service="gue46")


@case("dsr_gue: IPv6 in IPv6 and UDP", CONFIG)
def _(t):
    for data in (b"", b"odd", b"even"):
        inner = IPv6(src=CLIENT6, dst="2001:db8:a::16", tc=3, fl=0xFFFFF) / TCP(sport=40000, dport=80) / Raw(data)
        t.send(FROM_CLIENT / inner).forwards(gue(to_backend(B11_6), outer6(B11_6, 3, 17), inner), service="gue66")


@case("dsr_gue: the outer checksum is right over an inner datagram without one, with padding, or with options", CONFIG,
      engine="a sum over the packet is taken by the engine")
def _(t):
    inners = [
        IP(src=CLIENT4, dst="192.0.2.16") / UDP(sport=5000, dport=53, chksum=0) / Raw(b"none"),
        IP(src=CLIENT4, dst="192.0.2.16") / UDP(sport=5000, dport=53, len=9) / Raw(b"longer than its length says"),
        IP(src=CLIENT4, dst="192.0.2.16", options=[IPOption_NOP()] * 4) / CLIENT_UDP,
    ]
    for inner in inners:
        t.send(FROM_CLIENT / inner).forwards(gue(to_backend(B11), outer4(B11, 0, 17), inner))


@case("dsr_gue: a connection keeps its outer source port, and connections differ in it", CONFIG)
def _(t):
    ports = {}
    for sport in (5000, 5001, 5002, 5003, 5000, 5001):
        inner = IP(src=CLIENT4, dst="192.0.2.16") / UDP(sport=sport, dport=53)
        step = t.send(FROM_CLIENT / inner)
        outer = step.output()[UDP].sport
        one_of(ports.setdefault(sport, outer), (outer,), "outer source port of a known connection")
        step.forwards(gue(to_backend(B11), outer4(B11, 0, 17), inner))
    one_of(len(set(ports.values())), (3, 4), "number of outer source ports of four connections")


@case("dsr: an echo request to the VIP is answered by the node, not the backend", CONFIG)
def _(t):
    t.send(FROM_CLIENT / IP(src=CLIENT4, dst="192.0.2.11") / ICMP(id=3, seq=4) / Raw(b"ping")).forwards(
        TO_CLIENT / IP(src="192.0.2.11", dst=CLIENT4) / ICMP(type="echo-reply", id=3, seq=4) / Raw(b"ping"))
    t.send(FROM_CLIENT / IPv6(src=CLIENT6, dst="2001:db8:a::16") / ICMPv6EchoRequest(id=3, seq=4)).forwards(
        TO_CLIENT / IPv6(src="2001:db8:a::16", dst=CLIENT6) / ICMPv6EchoReply(id=3, seq=4))
