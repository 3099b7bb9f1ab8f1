# SPDX-License-Identifier: Apache-2.0
"""ICMP errors belong to the flow of the packet they quote: in nat they are translated with it, outside and inside, in the
dsr modes they reach the backend as they are."""

from scapy.all import ICMP, IP, TCP, UDP, ICMPv6DestUnreach, ICMPv6PacketTooBig, ICMPv6TimeExceeded, IPv6, Raw

from model import case
from network import *

CONFIG = NETWORK + f"""
services:
  - {{ name: web, vip: {VIP4}, protocol: tcp, ports: "80", backends: [{{ address: {B11}, port: 8080 }}] }}
  - {{ name: web6, vip: "{VIP6}", protocol: tcp, ports: "80", backends: [{{ address: "{B11_6}", port: 8080 }}] }}
  - {{ name: dns, vip: {VIP4}, protocol: udp, ports: "53", backends: [{{ address: {B12}, port: 5353 }}] }}
  - {{ name: dns6, vip: "{VIP6}", protocol: udp, ports: "53", backends: [{{ address: "{B12_6}", port: 5353 }}] }}
  - name: gue6
    vip: "2001:db8:a::12"
    protocol: tcp
    ports: "80"
    mode: dsr_ipip
    tunnel: {{ source6: "100::1" }}
    backends: [{{ address: "{B13_6}" }}]
  - {{ name: l2, vip: 192.0.2.13, protocol: udp, ports: "53", mode: dsr_l2, backends: [{{ address: {B13} }}] }}
  - {{ name: full, vip: 192.0.2.14, protocol: udp, ports: "53", mode: fullnat, backends: [{{ address: {B13} }}] }}
""" + TUNNELLED4
HOP4, HOP6 = "198.51.100.1", "2001:db8:f00::1"  # some router on the way
ERRORS4 = [ICMP(type=3, code=1), ICMP(type=3, code=3), ICMP(type=3, code=4, nexthopmtu=1300), ICMP(type=11, code=0),
           ICMP(type=12, ptr=5)]
ERRORS6 = [ICMPv6DestUnreach(code=3), ICMPv6DestUnreach(code=4), ICMPv6PacketTooBig(mtu=1280), ICMPv6TimeExceeded()]
# Of a quoted packet: header and 64 bits (RFC 792); header and all of TCP's; more.
QUOTES4 = (28, 40, None)
QUOTES6 = (48, 60, None)


class Flow:
    """A flow of a nat service as its client and its backend see it."""

    def __init__(self, family, transport):
        self.layer, self.family = ip(family), family
        self.client, self.vip = (CLIENT4, VIP4) if family == 4 else (CLIENT6, VIP6)
        self.hop = HOP4 if family == 4 else HOP6
        tcp = transport is TCP
        self.backend = {(4, True): B11, (4, False): B12, (6, True): B11_6, (6, False): B12_6}[family, tcp]
        self.vip_port, self.backend_port = (80, 8080) if tcp else (53, 5353)
        self.transport = transport

    def outside(self, to_vip, ttl=64):
        """A packet between client and VIP."""
        if to_vip:
            return self.layer(src=self.client, dst=self.vip, ttl=ttl) / self.transport(
                sport=40000, dport=self.vip_port) / Raw(b"payload of it")
        return self.layer(src=self.vip, dst=self.client, ttl=ttl) / self.transport(
            sport=self.vip_port, dport=40000) / Raw(b"payload of it")

    def inside(self, to_backend, ttl=64):
        """The same between client and backend."""
        if to_backend:
            return self.layer(src=self.client, dst=self.backend, ttl=ttl) / self.transport(
                sport=40000, dport=self.backend_port) / Raw(b"payload of it")
        return self.layer(src=self.backend, dst=self.client, ttl=ttl) / self.transport(
            sport=self.backend_port, dport=40000) / Raw(b"payload of it")

    def begin(self, t):
        t.send(FROM_CLIENT / self.outside(True)).forwards(to_backend(self.backend) / self.inside(True, 63))


def each_flow():
    return [Flow(family, transport) for family in (4, 6) for transport in (TCP, UDP)]


def from_the_clients_side(t, flow):
    flow.begin(t)
    for error in ERRORS4 if flow.family == 4 else ERRORS6:
        for length in QUOTES4 if flow.family == 4 else QUOTES6:
            for sender in (flow.client, flow.hop):
                t.send(FROM_CLIENT / flow.layer(src=sender, dst=flow.vip) / error /
                       quoted(flow.outside(False, 57), length)).forwards(
                    to_backend(flow.backend) / flow.layer(src=sender, dst=flow.backend, ttl=63) / error /
                    quoted(flow.inside(False, 57), length))


def from_the_backends_side(t, flow):
    flow.begin(t)
    for error in ERRORS4 if flow.family == 4 else ERRORS6:
        for length in QUOTES4 if flow.family == 4 else QUOTES6:
            for sender, seen in ((flow.backend, flow.vip), (flow.hop, flow.hop)):
                t.send(from_backend(flow.backend) / flow.layer(src=sender, dst=flow.client) / error /
                       quoted(flow.inside(True, 57), length)).forwards(
                    TO_CLIENT / flow.layer(src=seen, dst=flow.client, ttl=63) / error /
                    quoted(flow.outside(True, 57), length))


for one in each_flow():
    kind = f"{one.transport.__name__} over IPv{one.family}"
    case(f"icmp error: nat, {kind}, from client or router about a reply: to the backend, translated", CONFIG)(
        lambda t, flow=one: from_the_clients_side(t, flow))
    case(f"icmp error: nat, {kind}, from backend or router about a request: to the client, translated", CONFIG)(
        lambda t, flow=one: from_the_backends_side(t, flow))


@case("icmp error: a quoted datagram without checksum stays without", CONFIG)
def _(t):
    Flow(4, UDP).begin(t)
    for sender, seen in ((B12, VIP4), (HOP4, HOP4)):
        t.send(from_backend(B12) / IP(src=sender, dst=CLIENT4) / ICMP(type=3, code=3) /
               quoted(IP(src=CLIENT4, dst=B12) / UDP(sport=40000, dport=5353, chksum=0) / Raw(b"abc"))).forwards(
            TO_CLIENT / IP(src=seen, dst=CLIENT4, ttl=63) / ICMP(type=3, code=3) /
            quoted(IP(src=CLIENT4, dst=VIP4) / UDP(sport=40000, dport=53, chksum=0) / Raw(b"abc")))


@case("icmp error: for a flow in a dsr mode: to the backend as it is", CONFIG)
def _(t):
    sent = IP(src=CLIENT4, dst="192.0.2.12") / UDP(sport=40000, dport=53)
    t.send(FROM_CLIENT / sent).forwards(to_backend(B13) / IP(src="172.16.0.1", dst=B13, id=0) / sent)
    error = (IP(src=HOP4, dst="192.0.2.12") / ICMP(type=3, code=4, nexthopmtu=1300) /
             quoted(IP(src="192.0.2.12", dst=CLIENT4) / UDP(sport=53, dport=40000) / Raw(b"abc")))
    t.send(FROM_CLIENT / error).forwards(to_backend(B13) / IP(src="172.16.0.1", dst=B13, id=0) / error)

    sent = IP(src=CLIENT4, dst="192.0.2.13") / UDP(sport=40000, dport=53)
    t.send(FROM_CLIENT / sent).forwards(to_backend(B13) / sent)
    error = (IP(src=HOP4, dst="192.0.2.13") / ICMP(type=11) /
             quoted(IP(src="192.0.2.13", dst=CLIENT4) / UDP(sport=53, dport=40000), 28))
    t.send(FROM_CLIENT / error).forwards(to_backend(B13) / error)

    sent = IPv6(src=CLIENT6, dst="2001:db8:a::12") / TCP(sport=40000, dport=80)
    outer = to_backend(B13_6) / IPv6(src="100::1", dst=B13_6, nh=41)
    t.send(FROM_CLIENT / sent).forwards(outer / sent)
    error = (IPv6(src=HOP6, dst="2001:db8:a::12") / ICMPv6PacketTooBig(mtu=1280) /
             quoted(IPv6(src="2001:db8:a::12", dst=CLIENT6) / TCP(sport=80, dport=40000) / Raw(bytes(100))))
    t.send(FROM_CLIENT / error).forwards(outer / error)


@case("icmp error: fullnat, about a request: to the client, with the client's own packet inside", CONFIG)
def _(t):
    first = t.send(FROM_CLIENT / IP(src=CLIENT4, dst="192.0.2.14") / UDP(sport=40000, dport=53) / Raw(b"abc"))
    port = first.output()[UDP].sport
    request = IP(src=OWN4, dst=B13, ttl=63) / UDP(sport=port, dport=53) / Raw(b"abc")
    first.forwards(to_backend(B13) / request)
    asked = IP(src=CLIENT4, dst="192.0.2.14", ttl=63) / UDP(sport=40000, dport=53) / Raw(b"abc")
    for sender, seen in ((B13, "192.0.2.14"), (HOP4, HOP4)):
        t.send(from_backend(B13) / IP(src=sender, dst=OWN4) / ICMP(type=3, code=3) / quoted(request)).forwards(
            TO_CLIENT / IP(src=seen, dst=CLIENT4, ttl=63) / ICMP(type=3, code=3) / quoted(asked))
    replied = IP(src="192.0.2.14", dst=CLIENT4) / UDP(sport=53, dport=40000)
    inner = IP(src=B13, dst=OWN4) / UDP(sport=53, dport=port)
    for sender, seen in ((CLIENT4, OWN4), (HOP4, HOP4)):
        t.send(FROM_CLIENT / IP(src=sender, dst="192.0.2.14") / ICMP(type=3, code=3) / quoted(replied)).forwards(
            to_backend(B13) / IP(src=seen, dst=B13, ttl=63) / ICMP(type=3, code=3) / quoted(inner))


@case("icmp error: one that quotes no flow of ours, or nothing readable, passes", CONFIG)
def _(t):
    stranger = IP(src=VIP4, dst=CLIENT4) / TCP(sport=80, dport=41111)
    t.send(FROM_CLIENT / IP(src=HOP4, dst=VIP4) / ICMP(type=3, code=1) / quoted(stranger)).passes()
    t.send(FROM_CLIENT / IP(src=HOP4, dst=VIP4) / ICMP(type=3, code=1) / quoted(stranger, 27)).passes()
    t.send(FROM_CLIENT / IP(src=HOP4, dst=VIP4) / ICMP(type=3, code=1)).passes()
    t.send(FROM_CLIENT / IP(src=HOP4, dst=VIP4) / ICMP(type=3, code=1) / Raw(bytes(40))).passes()
    t.send(FROM_CLIENT / IP(src=HOP4, dst=OWN4) / ICMP(type=3, code=1) / quoted(stranger)).passes()
    stranger6 = IPv6(src=VIP6, dst=CLIENT6) / TCP(sport=80, dport=41111)
    t.send(FROM_CLIENT / IPv6(src=HOP6, dst=VIP6) / ICMPv6DestUnreach() / quoted(stranger6)).passes()
    t.send(FROM_CLIENT / IPv6(src=HOP6, dst=VIP6) / ICMPv6DestUnreach() / quoted(stranger6, 47)).passes()


@case("icmp error: a forged one does not end the connection", CONFIG)
def _(t):
    flow = Flow(4, TCP)
    flow.begin(t)
    t.send(FROM_CLIENT / IP(src=HOP4, dst=VIP4) / ICMP(type=3, code=1) / quoted(flow.outside(False))).forwards(
        to_backend(B11) / IP(src=HOP4, dst=B11, ttl=63) / ICMP(type=3, code=1) / quoted(flow.inside(False)))
    flow.begin(t)
