# SPDX-License-Identifier: Apache-2.0
"""Fragments: the first one decides, later ones follow it, whatever the order of arrival."""

from scapy.all import ICMP, IP, TCP, UDP, IPv6, IPv6ExtHdrFragment, Raw

from model import case
from network import *

CONFIG = NETWORK + f"""
policy:
  managed: [10.0.0.0/8]
  rules: [{{ name: no-7, protocol: udp, ports: "7", action: drop }}]
services:
  - {{ name: dns, vip: {VIP4}, protocol: udp, ports: "53", backends: [{{ address: {B11}, port: 5353 }}] }}
  - {{ name: dns6, vip: "{VIP6}", protocol: udp, ports: "53", backends: [{{ address: "{B11_6}", port: 5353 }}] }}
  - {{ name: web, vip: {VIP4}, protocol: tcp, ports: "80", backends: [{{ address: {B12}, port: 8080 }}] }}
  - {{ name: l2, vip: 192.0.2.11, protocol: udp, ports: "53", mode: dsr_l2, backends: [{{ address: {B12} }}] }}
  - name: ipip6
    vip: "2001:db8:a::12"
    protocol: udp
    ports: "53"
    mode: dsr_ipip
    tunnel: {{ source6: "100::1" }}
    backends: [{{ address: "{B13_6}" }}]
""" + TUNNELLED4
FRAGMENTS = "the engine keeps what fragments belong together"
DATA = Raw(bytes(range(256)) * 16)  # 4 KB
SIZES = (1400, 1400)


def request(layer, src, dst, sport=5000, dport=53, **fields):
    return layer(src=src, dst=dst, **fields) / UDP(sport=sport, dport=dport) / DATA


def nat4(ident, sport=5000):
    sent = fragments_of(FROM_CLIENT / request(IP, CLIENT4, VIP4, sport), IP, SIZES, ident)
    left = fragments_of(to_backend(B11) / request(IP, CLIENT4, B11, sport, 5353, ttl=63), IP, SIZES, ident)
    return list(zip(sent, left))


def nat6(ident):
    sent = fragments_of(FROM_CLIENT / request(IPv6, CLIENT6, VIP6), IPv6, SIZES, ident)
    left = fragments_of(to_backend(B11_6) / request(IPv6, CLIENT6, B11_6, dport=5353, hlim=63), IPv6, SIZES, ident)
    return list(zip(sent, left))


def encapsulated(pieces, outer):
    """PIECES each behind OUTER, a link and an IP header."""
    return [(piece, outer / piece.payload) for piece in pieces]


def ipip4(ident):
    return encapsulated(fragments_of(FROM_CLIENT / request(IP, CLIENT4, "192.0.2.12"), IP, SIZES, ident),
                        to_backend(B13) / IP(src="172.16.0.1", dst=B13, ttl=64, id=0))


def ipip6(ident):
    return encapsulated(fragments_of(FROM_CLIENT / request(IPv6, CLIENT6, "2001:db8:a::12"), IPv6, SIZES, ident),
                        to_backend(B13_6) / IPv6(src="100::1", dst=B13_6, hlim=64))


def l2(ident):
    sent = fragments_of(FROM_CLIENT / request(IP, CLIENT4, "192.0.2.11"), IP, SIZES, ident)
    left = fragments_of(to_backend(B12) / request(IP, CLIENT4, "192.0.2.11"), IP, SIZES, ident)
    return list(zip(sent, left))


MODES = {"nat over IPv4": nat4, "nat over IPv6": nat6, "dsr_l2": l2, "dsr_ipip 4in4": ipip4, "dsr_ipip 6in6": ipip6}


def send_in_order(pieces):
    def body(t):
        for sent, left in pieces:
            t.send(sent).forwards(left)

    return body


def send_first_last(pieces):
    def body(t):
        for sent, left in pieces[:0:-1]:
            t.send(sent).forwards(left).waits_first()
        t.send(pieces[0][0]).forwards(pieces[0][1])

    return body


for name, make in MODES.items():
    case(f"fragments: in order, {name}", CONFIG, engine=FRAGMENTS)(send_in_order(make(100)))
    case(f"fragments: the first one last, {name}", CONFIG, engine=FRAGMENTS)(send_first_last(make(101)))


@case("fragments: datagrams interleaved, told apart by identification, source and protocol", CONFIG, engine=FRAGMENTS)
def _(t):
    one, two = nat4(200, 5001), nat4(201, 5002)
    for sent, left in [pair for both in zip(one, two) for pair in both]:
        t.send(sent).forwards(left)


@case("fragments: an identification used again belongs to the newer datagram", CONFIG, engine=FRAGMENTS)
def _(t):
    for sport in (5001, 5002):
        for sent, left in nat4(300, sport):
            t.send(sent).forwards(left)
    moved = fragments_of(FROM_CLIENT / request(IP, CLIENT4, "192.0.2.11"), IP, SIZES, 300)
    left = fragments_of(to_backend(B12) / request(IP, CLIENT4, "192.0.2.11"), IP, SIZES, 300)
    for pair in zip(moved, left):
        t.send(pair[0]).forwards(pair[1])


@case("fragments: later ones of a datagram that a rule drops drop with it", CONFIG, engine=FRAGMENTS)
def _(t):
    for piece in fragments_of(FROM_CLIENT / request(IP, CLIENT4, B11, dport=7), IP, SIZES, 400):
        t.send(piece).drops("policy")


@case("fragments: a segment's fragments follow its flow, flags in the first one", CONFIG, engine=FRAGMENTS)
def _(t):
    def segment(dst, dport, ttl):
        return IP(src=CLIENT4, dst=dst, ttl=ttl) / TCP(sport=4000, dport=dport, flags="PA") / Raw(bytes(2000))

    sent = fragments_of(FROM_CLIENT / segment(VIP4, 80, 64), IP, (1400,), 500)
    left = fragments_of(to_backend(B12) / segment(B12, 8080, 63), IP, (1400,), 500)
    for pair in zip(sent, left):
        t.send(pair[0]).forwards(pair[1], service="web")


@case("fragments: managed traffic is routed by its fragments' flow", CONFIG, engine=FRAGMENTS)
def _(t):
    for layer4 in (UDP(sport=1, dport=2), ICMP(id=9)):
        sent = fragments_of(FROM_CLIENT / IP(src=CLIENT4, dst=B11) / layer4 / DATA, IP, SIZES, 600)
        left = fragments_of(to_backend(B11) / IP(src=CLIENT4, dst=B11, ttl=63) / layer4 / DATA, IP, SIZES, 600)
        for pair in zip(sent, left):
            t.send(pair[0]).forwards(pair[1])


@case("fragments: what never gets its first one drops with its reason", CONFIG, tiers=("native", "xdp"),
      why="takes longer than a live case waits", engine=FRAGMENTS)
def _(t):
    t.send(nat4(700)[1][0]).drops("fragment_timeout")
    t.send(nat6(700)[2][0]).drops("fragment_timeout")
    t.wait(120)
    t.send(FROM_CLIENT / IP(src=CLIENT4, dst=VIP4) / UDP(sport=1, dport=53)).forwards(
        to_backend(B11) / IP(src=CLIENT4, dst=B11, ttl=63) / UDP(sport=1, dport=5353))


@case("fragments: those of unclaimed traffic pass", CONFIG)
def _(t):
    for piece in fragments_of(FROM_CLIENT / request(IP, CLIENT4, "203.0.113.99"), IP, SIZES, 800):
        t.send(piece).passes()
    for piece in fragments_of(FROM_CLIENT / request(IPv6, CLIENT6, OWN6), IPv6, SIZES, 800):
        t.send(piece).passes()


@case("fragments: an IPv6 atomic fragment is a whole packet", CONFIG)
def _(t):
    def packet(dst, dport, hlim):
        return IPv6(src=CLIENT6, dst=dst, hlim=hlim) / IPv6ExtHdrFragment(id=1) / UDP(sport=1, dport=dport) / Raw(b"x")

    t.send(FROM_CLIENT / packet(VIP6, 53, 64)).forwards(to_backend(B11_6) / packet(B11_6, 5353, 63))
