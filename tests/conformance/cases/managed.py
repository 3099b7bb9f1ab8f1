# SPDX-License-Identifier: Apache-2.0
"""Managed traffic: filtered and routed, addresses untouched; time to live and path MTU, for services as well."""

from scapy.all import ICMP, IP, TCP, UDP, ICMPv6PacketTooBig, ICMPv6TimeExceeded, IPOption_NOP, IPv6, IPv6ExtHdrFragment, Raw

from model import case, one_of
from network import *

CONFIG = INTERFACES + f"""
policy: {{ managed: [10.0.0.0/8, "2001:db8:10::/44"] }}
services:
  - {{ name: web, vip: {VIP4}, protocol: tcp, ports: "80", backends: [{{ address: {B11} }}] }}
  - {{ name: web6, vip: "{VIP6}", protocol: tcp, ports: "80", backends: [{{ address: "{B11_6}" }}] }}
  - {{ name: narrow, vip: 192.0.2.14, protocol: udp, ports: "53", backends: [{{ address: 10.14.0.9 }}] }}
  - {{ name: narrow6, vip: "2001:db8:a::14", protocol: udp, ports: "53", backends: [{{ address: "2001:db8:14::9" }}] }}
  - name: ipip
    vip: 192.0.2.15
    protocol: udp
    ports: "53"
    mode: dsr_ipip
    tunnel: {{ source4: 172.16.0.1 }}
    backends: [{{ address: {B11} }}]
  - name: ipip46
    vip: 192.0.2.16
    protocol: udp
    ports: "53"
    mode: dsr_ipip
    tunnel: {{ source6: "100::1" }}
    backends: [{{ address: "{B11_6}" }}]
  - name: gue6
    vip: "2001:db8:a::15"
    protocol: udp
    ports: "53"
    mode: dsr_gue
    tunnel: {{ source6: "100::1" }}
    backends: [{{ address: "{B11_6}" }}]
""" + ROUTES.replace("neighbors:", f"""\
  - {{ prefix: 10.20.0.0/16, via: {ROUTER4}, mac: "{MAC11}", interface: eth0 }}
  - {{ prefix: 10.20.30.0/24, via: {ROUTER4}, mac: "{MAC12}", interface: eth0 }}
  - {{ prefix: 10.20.30.40/32, via: {B13}, interface: eth0 }}
  - prefix: 10.21.0.0/16
    next_hops: [{{ via: {B11}, interface: eth0 }}, {{ via: {B12}, interface: eth0, weight: 3 }}]
neighbors:""").replace(f"  - {{ prefix: 0.0.0.0/0, via: {ROUTER4}", f"  - {{ prefix: 203.0.113.0/24, via: {ROUTER4}")


def routed(mac, dst):
    return Ether(src=NODE, dst=mac) / IP(src=CLIENT4, dst=dst, ttl=63) / UDP(sport=1, dport=2)


@case("managed: the longest route decides the next hop; addresses and ports stay", CONFIG)
def _(t):
    for dst, mac in (("10.20.0.1", MAC11), ("10.20.29.255", MAC11), ("10.20.30.1", MAC12), ("10.20.30.40", MAC13),
                     (B12, MAC12)):
        t.send(FROM_CLIENT / IP(src=CLIENT4, dst=dst) / UDP(sport=1, dport=2)).forwards(routed(mac, dst))
        t.send(FROM_CLIENT / IP(src=CLIENT4, dst=dst) / ICMP(id=5)).forwards(
            Ether(src=NODE, dst=mac) / IP(src=CLIENT4, dst=dst, ttl=63) / ICMP(id=5))
        t.send(FROM_CLIENT / IP(src=CLIENT4, dst=dst, proto=47) / Raw(b"gre?")).forwards(
            Ether(src=NODE, dst=mac) / IP(src=CLIENT4, dst=dst, ttl=63, proto=47) / Raw(b"gre?"))


@case("managed: IPv6, out by another interface", CONFIG)
def _(t):
    t.send(FROM_CLIENT / IPv6(src=CLIENT6, dst="2001:db8:14::5", tc=9, fl=9) / TCP(flags="S") / Raw(b"x")).forwards(
        Ether(src=NODE1, dst=ROUTER1) / IPv6(src=CLIENT6, dst="2001:db8:14::5", tc=9, fl=9, hlim=63) / TCP(flags="S") /
        Raw(b"x"))
    t.send(FROM_CLIENT / IP(src=CLIENT4, dst="10.14.0.5") / TCP(flags="S") / Raw(b"x")).forwards(
        Ether(src=NODE1, dst=ROUTER1) / IP(src=CLIENT4, dst="10.14.0.5", ttl=63) / TCP(flags="S") / Raw(b"x"))


@case("managed: without a route packets drop as no_route", CONFIG)
def _(t):
    t.send(FROM_CLIENT / IP(src=CLIENT4, dst="10.99.0.1") / UDP()).drops("no_route")
    t.send(FROM_CLIENT / IP(src=CLIENT4, dst="10.99.0.1") / TCP(flags="A")).drops("no_route")


@case("managed: of several next hops a flow keeps one, many flows use all", CONFIG)
def _(t):
    steps = {}
    for sport in list(range(2000, 2064)) * 2:
        packet = IP(src=CLIENT4, dst="10.21.0.1") / UDP(sport=sport, dport=9)

        def expected(got, sport=sport):
            mac = one_of(got.dst, (MAC11, MAC12), "next hop")
            return Ether(src=NODE, dst=mac) / IP(src=CLIENT4, dst="10.21.0.1", ttl=63) / UDP(sport=sport, dport=9)

        steps.setdefault(sport, []).append(t.send(FROM_CLIENT / packet).forwards(expected))
    macs = [{step.output().dst for step in flow} for flow in steps.values()]
    one_of({len(each) for each in macs}, ({1},), "numbers of next hops per flow")
    one_of(set.union(*macs), ({MAC11, MAC12},), "next hops in use")


def time_exceeded(inner):
    """ICMP Time Exceeded (RFC 792) about INNER; identification, TOS and DF are the node's choice."""

    def expected(got):
        return (TO_CLIENT / IP(src=OWN4, dst=CLIENT4, ttl=64, id=got[IP].id, tos=got[IP].tos,
                               flags=one_of(int(got[IP].flags), (0, 2), "flags")) /
                ICMP(type=11, code=0) / quoted(inner))

    return expected


def time_exceeded6(inner):
    def expected(got):
        return (TO_CLIENT / IPv6(src=OWN6, dst=CLIENT6, hlim=64, tc=got[IPv6].tc, fl=got[IPv6].fl) /
                ICMPv6TimeExceeded(code=0) / quoted(inner))

    return expected


@case("ttl: a packet with no hop left is answered from the interface's own address", CONFIG)
def _(t):
    for dst, ttl in (("10.20.0.1", 1), (VIP4, 1), (VIP4, 0)):
        inner = IP(src=CLIENT4, dst=dst, ttl=ttl, id=3) / TCP(sport=41000, dport=80, flags="S") / Raw(b"data")
        t.send(FROM_CLIENT / inner).rejects(time_exceeded(inner))


@case("ttl: a hop limit of one is answered over IPv6", CONFIG)
def _(t):
    for dst in ("2001:db8:14::5", VIP6):
        inner = IPv6(src=CLIENT6, dst=dst, hlim=1) / TCP(sport=41000, dport=80, flags="S") / Raw(b"data")
        t.send(FROM_CLIENT / inner).rejects(time_exceeded6(inner))


@case("ttl: the quoted packet is cut to 576 bytes in IPv4, 1280 in IPv6", CONFIG)
def _(t):
    inner = IP(src=CLIENT4, dst="10.20.0.1", ttl=1) / UDP(sport=1, dport=2) / Raw(bytes(range(256)) * 5)
    t.send(FROM_CLIENT / inner).rejects(
        lambda got: TO_CLIENT / IP(src=OWN4, dst=CLIENT4, id=got[IP].id, tos=got[IP].tos, flags=got[IP].flags) /
        ICMP(type=11, code=0) / quoted(inner, 576 - 28))
    inner6 = IPv6(src=CLIENT6, dst="2001:db8:14::5", hlim=1) / UDP(sport=1, dport=2) / Raw(bytes(range(256)) * 5)
    t.send(FROM_CLIENT / inner6).rejects(
        lambda got: TO_CLIENT / IPv6(src=OWN6, dst=CLIENT6, tc=got[IPv6].tc, fl=got[IPv6].fl) /
        ICMPv6TimeExceeded(code=0) / quoted(inner6, 1280 - 48))


@case("ttl: no answer about an ICMP error; a ping is answered", CONFIG,
      engine="the engine finds that it may not answer")
def _(t):
    inner = IP(src="10.20.0.1", dst="203.0.113.99") / UDP(sport=1, dport=2)
    t.send(FROM_CLIENT / IP(src=CLIENT4, dst="10.20.0.1", ttl=1) / ICMP(type=3, code=3) / quoted(inner)).drops("ttl_expired")
    ping = IP(src=CLIENT4, dst="10.20.0.1", ttl=1) / ICMP(id=1)
    t.send(FROM_CLIENT / ping).rejects(time_exceeded(ping))


def too_big(inner, mtu):
    return lambda got: (TO_CLIENT / IP(src=OWN4, dst=CLIENT4, id=got[IP].id, tos=got[IP].tos, flags=got[IP].flags) /
                        ICMP(type=3, code=4, nexthopmtu=mtu) / quoted(inner, 576 - 28))


def too_big6(inner, mtu):
    return lambda got: (TO_CLIENT / IPv6(src=OWN6, dst=CLIENT6, tc=got[IPv6].tc, fl=got[IPv6].fl) /
                        ICMPv6PacketTooBig(mtu=mtu) / quoted(inner, 1280 - 48))


@case("mtu: a packet that just fits leaves, one byte more is answered with the MTU of the way out", CONFIG)
def _(t):
    def packet(size, dst, **fields):
        return IP(src=CLIENT4, dst=dst, **fields) / UDP(sport=7, dport=53) / Raw(bytes(size - 28))

    for dst, to in (("10.14.0.5", "10.14.0.5"), ("192.0.2.14", "10.14.0.9")):
        t.send(FROM_CLIENT / packet(1400, dst, flags="DF")).forwards(
            Ether(src=NODE1, dst=ROUTER1) / packet(1400, to, flags="DF", ttl=63))
        t.send(FROM_CLIENT / packet(1401, dst, flags="DF")).rejects(too_big(packet(1401, dst, flags="DF"), 1400))


SPLIT = "the engine fragments"
FRAGMENTS = "the engine keeps what fragments belong together"
DATA = Raw(bytes(range(256)) * 8)


@case("mtu: without DF a packet too big leaves in fragments, under its identification", CONFIG, engine=SPLIT)
def _(t):
    for dst, to in (("10.14.0.5", "10.14.0.5"), ("192.0.2.14", "10.14.0.9")):
        def packet(address, ttl):
            return IP(src=CLIENT4, dst=address, ttl=ttl, id=77, tos=4) / UDP(sport=7, dport=53) / Raw(raw(DATA)[:1373])

        t.send(FROM_CLIENT / packet(dst, 64)).forwards(
            fragments_of(Ether(src=NODE1, dst=ROUTER1) / packet(to, 63), IP, (1376,), 77))


@case("mtu: a fragment that is too big leaves in smaller ones", CONFIG, engine=FRAGMENTS)
def _(t):
    def packet(address, ttl):
        return IP(src=CLIENT4, dst=address, ttl=ttl) / UDP(sport=7, dport=53) / DATA

    sent = fragments_of(FROM_CLIENT / packet("192.0.2.14", 64), IP, (1480,), 78)
    left = fragments_of(Ether(src=NODE1, dst=ROUTER1) / packet("10.14.0.9", 63), IP, (1376, 104), 78)
    t.send(sent[0]).forwards(left[:2])
    t.send(sent[1]).forwards(left[2:])


@case("mtu: with options there are no fragments of it", CONFIG, engine=SPLIT)
def _(t):
    t.send(FROM_CLIENT / IP(src=CLIENT4, dst="10.14.0.5", options=[IPOption_NOP()]) / UDP() / Raw(bytes(1373))).drops("too_big")


def outer_fragments(whole, size, layer=IP):
    """Expectations of the two fragments of WHOLE, a frame with an outer LAYER; their common identification is left open."""
    known = []

    def fragment(number):
        def expected(got):
            known.append(got[IP if layer is IP else IPv6ExtHdrFragment].id)
            return fragments_of(whole, layer, (size,), known[0])[number]
        return expected

    return [fragment(0), fragment(1)]


@case("mtu: what a tunnel makes too big leaves in fragments of the outer packet, the inner one whole", CONFIG, engine=SPLIT)
def _(t):
    for size in (1481, 1500):
        inner = IP(src=CLIENT4, dst="192.0.2.15", id=5, tos=8) / UDP(sport=7, dport=53) / Raw(raw(DATA)[:size - 28])
        whole = to_backend(B11) / IP(src="172.16.0.1", dst=B11, proto=4, ttl=64, tos=8) / inner
        t.send(FROM_CLIENT / inner).forwards(outer_fragments(whole, 1480))


@case("mtu: what an IPv6 tunnel makes too big leaves under a fragment header", CONFIG, engine=SPLIT)
def _(t):
    inner = IP(src=CLIENT4, dst="192.0.2.16", id=5) / UDP(sport=7, dport=53) / Raw(raw(DATA)[:1472])
    whole = to_backend(B11_6) / IPv6(src="100::1", dst=B11_6, hlim=64, nh=4) / inner
    t.send(FROM_CLIENT / inner).forwards(outer_fragments(whole, 1448, IPv6))


@case("mtu: a full-size fragment reaches a tunnel's backend as fragments of the outer packet", CONFIG, engine=FRAGMENTS)
def _(t):
    datagram = FROM_CLIENT / IP(src=CLIENT4, dst="192.0.2.15") / UDP(sport=7, dport=53) / DATA
    first, last = fragments_of(datagram, IP, (1480,), 79)
    outer = to_backend(B11) / IP(src="172.16.0.1", dst=B11, proto=4, ttl=64, id=0)
    t.send(first).forwards(outer_fragments(outer / first[IP], 1480))
    t.send(last).forwards(outer / last[IP])


@case("mtu: packet too big over IPv6", CONFIG)
def _(t):
    for dst in ("2001:db8:14::5", "2001:db8:a::14"):
        inner = IPv6(src=CLIENT6, dst=dst) / UDP(sport=7, dport=53) / Raw(bytes(1400 - 48 + 1))
        t.send(FROM_CLIENT / inner).rejects(too_big6(inner, 1400))


@case("mtu: what a tunnel adds is taken off the MTU that the client is told", CONFIG)
def _(t):
    inner = IP(src=CLIENT4, dst="192.0.2.15", flags="DF") / UDP(sport=7, dport=53) / Raw(bytes(1481 - 28))
    t.send(FROM_CLIENT / inner).rejects(too_big(inner, 1480))
    inner6 = IPv6(src=CLIENT6, dst="2001:db8:a::15") / UDP(sport=7, dport=53) / Raw(bytes(1453 - 48))
    t.send(FROM_CLIENT / inner6).rejects(too_big6(inner6, 1452))
    fits = IP(src=CLIENT4, dst="192.0.2.15", flags="DF") / UDP(sport=7, dport=53) / Raw(bytes(1480 - 28))
    t.send(FROM_CLIENT / fits).forwards(
        to_backend(B11) / IP(src="172.16.0.1", dst=B11, id=0, flags=0, proto=4, ttl=64) / fits)
