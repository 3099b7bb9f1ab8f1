# SPDX-License-Identifier: Apache-2.0
"""Policy over time: replies of allowed flows, rates, and the DSCP that a rule writes."""

from scapy.all import ICMP, IP, TCP, UDP, ICMPv6EchoReply, ICMPv6EchoRequest, IPv6, Raw

from model import case
from network import *

CONFIG = NETWORK + f"""
policy:
  default: drop
  managed: [10.0.0.0/8, "2001:db8:1::/64"]
  rules:
    - {{ name: one-way, protocol: udp, ports: "9999", action: allow, stateful: false }}
    - {{ name: out, from: [{B11}, "{B11_6}"], action: allow }}
services:
  - {{ name: web, vip: {VIP4}, protocol: tcp, ports: "80", backends: [{{ address: {B13} }}] }}
"""


@case("stateful: replies of an allowed flow are allowed, the same packet unasked for drops", CONFIG)
def _(t):
    exchanges = [
        (IP, B11, B12, TCP(sport=4000, dport=80, flags="S"), TCP(sport=80, dport=4000, flags="SA")),
        (IP, B11, B12, UDP(sport=4000, dport=53), UDP(sport=53, dport=4000)),
        (IP, B11, B12, ICMP(id=7), ICMP(type="echo-reply", id=7)),
        (IPv6, B11_6, B12_6, TCP(sport=4000, dport=80, flags="S"), TCP(sport=80, dport=4000, flags="SA")),
        (IPv6, B11_6, B12_6, ICMPv6EchoRequest(id=7), ICMPv6EchoReply(id=7)),
    ]
    for layer, here, there, asked, answered in exchanges:
        ttl = {"ttl": 63} if layer is IP else {"hlim": 63}
        t.send(from_backend(there) / layer(src=there, dst=here) / answered).drops("policy")
        t.send(from_backend(here) / layer(src=here, dst=there) / asked).forwards(
            to_backend(there) / layer(src=here, dst=there, **ttl) / asked, rule="out")
        t.send(from_backend(there) / layer(src=there, dst=here) / answered).forwards(
            to_backend(here) / layer(src=there, dst=here, **ttl) / answered)


@case("stateful: another port, protocol or host than the flow's is no reply", CONFIG)
def _(t):
    t.send(from_backend(B11) / IP(src=B11, dst=B12) / UDP(sport=4000, dport=53)).forwards(
        to_backend(B12) / IP(src=B11, dst=B12, ttl=63) / UDP(sport=4000, dport=53))
    t.send(from_backend(B12) / IP(src=B12, dst=B11) / UDP(sport=53, dport=4001)).drops("policy")
    t.send(from_backend(B12) / IP(src=B12, dst=B11) / UDP(sport=54, dport=4000)).drops("policy")
    t.send(from_backend(B12) / IP(src=B12, dst=B11) / TCP(sport=53, dport=4000)).drops("policy")
    t.send(from_backend(B13) / IP(src=B13, dst=B11) / UDP(sport=53, dport=4000)).drops("policy")


@case("stateful: false: every packet is judged by itself, replies are not let through", CONFIG)
def _(t):
    for _ in range(2):
        t.send(from_backend(B12) / IP(src=B12, dst=B13) / UDP(sport=4000, dport=9999)).forwards(
            to_backend(B13) / IP(src=B12, dst=B13, ttl=63) / UDP(sport=4000, dport=9999), rule="one-way")
        t.send(from_backend(B13) / IP(src=B13, dst=B12) / UDP(sport=9999, dport=4000)).drops("policy")


@case("stateful: an ICMP error about a flow's packet follows the flow", CONFIG)
def _(t):
    sent = IP(src=B11, dst=B12, ttl=63) / UDP(sport=4000, dport=53) / Raw(b"abc")
    error = ICMP(type=3, code=3)
    t.send(from_backend(B12) / IP(src=B12, dst=B11) / error / quoted(sent)).drops("policy")
    t.send(from_backend(B11) / IP(src=B11, dst=B12) / UDP(sport=4000, dport=53) / Raw(b"abc")).forwards(
        to_backend(B12) / sent)
    t.send(from_backend(B12) / IP(src=B12, dst=B11) / error / quoted(sent)).forwards(
        to_backend(B11) / IP(src=B12, dst=B11, ttl=63) / error / quoted(sent))


RATES = NETWORK + f"""
policy:
  managed: [10.0.0.0/8]
  rules:
    - {{ name: syn, to: [{B11}], protocol: tcp, tcp_flags: "syn,!ack", action: rate_limit, rate: {{ packets: 10/s, burst: 3 }} }}
    - {{ name: each, to: [{B12}], protocol: udp, action: rate_limit, rate: {{ packets: 1/s, burst: 2, per: source }} }}
    - {{ name: bytes, to: [{B13}], action: rate_limit, rate: {{ bytes: 1000/s, burst: 1000 }} }}
services: []
"""
SIMULATED = {"tiers": ("native",), "why": "counts on the time between two packets"}


@case("rate_limit: a burst passes at once, then as many as the rate allows", RATES, **SIMULATED)
def _(t):
    def syn(port):
        return t.send(FROM_CLIENT / IP(src=CLIENT4, dst=B11) / TCP(sport=port, dport=80, flags="S"))

    def forwarded(port):
        syn(port).forwards(to_backend(B11) / IP(src=CLIENT4, dst=B11, ttl=63) / TCP(sport=port, dport=80, flags="S"),
                           rule="syn")

    for port in (4000, 4001, 4002):
        forwarded(port)
    syn(4003).drops("rate_limited", rule="syn")
    t.wait(0.1)
    forwarded(4004)
    syn(4005).drops("rate_limited")
    t.wait(10)
    for port in (4006, 4007, 4008):
        forwarded(port)
    syn(4009).drops("rate_limited")


@case("rate_limit: a packet that the XDP program hands over is charged once", RATES)
def _(t):
    packet = IP(src="203.0.113.77", dst=B12, ttl=1) / UDP(sport=4000, dport=9)
    for _ in range(2):
        t.send(FROM_CLIENT / packet).rejects(
            lambda got: TO_CLIENT / IP(src=OWN4, dst="203.0.113.77", id=got[IP].id, tos=got[IP].tos, flags=got[IP].flags) /
            ICMP(type=11, code=0) / quoted(packet))
    t.send(FROM_CLIENT / packet).drops("rate_limited")


@case("rate_limit: packets that the rule does not match do not count", RATES, **SIMULATED)
def _(t):
    def segment(flags):
        return t.send(FROM_CLIENT / IP(src=CLIENT4, dst=B11) / TCP(sport=4000, dport=80, flags=flags))

    for flags in "S" + "A" * 50:
        segment(flags).forwards(to_backend(B11) / IP(src=CLIENT4, dst=B11, ttl=63) /
                                TCP(sport=4000, dport=80, flags=flags))


@case("rate_limit: per source each has a budget of its own, over all its flows", RATES, **SIMULATED)
def _(t):
    for source in ("203.0.113.1", "203.0.113.2", "203.0.113.3"):
        for sport in (4000, 4001):
            t.send(FROM_CLIENT / IP(src=source, dst=B12) / UDP(sport=sport, dport=9)).forwards(
                to_backend(B12) / IP(src=source, dst=B12, ttl=63) / UDP(sport=sport, dport=9))
        for sport in (4000, 4002):
            t.send(FROM_CLIENT / IP(src=source, dst=B12) / UDP(sport=sport, dport=9)).drops("rate_limited")


@case("rate_limit: bytes of the frames count", RATES, **SIMULATED)
def _(t):
    packet = IP(src=CLIENT4, dst=B13) / UDP(sport=1, dport=2) / Raw(bytes(500 - 42))
    left = to_backend(B13) / IP(src=CLIENT4, dst=B13, ttl=63) / UDP(sport=1, dport=2) / Raw(bytes(500 - 42))
    t.send(FROM_CLIENT / packet).forwards(left)
    t.send(FROM_CLIENT / packet).forwards(left)
    t.send(FROM_CLIENT / packet).drops("rate_limited")
    t.wait(0.5)
    t.send(FROM_CLIENT / packet).forwards(left)
    t.send(FROM_CLIENT / packet).drops("rate_limited")


MARKS = NETWORK + f"""
policy:
  managed: [10.0.0.0/8, "2001:db8:1::/64"]
  rules:
    - {{ name: voice, protocol: udp, ports: "5060-5090", action: allow, set_dscp: 46 }}
    - {{ name: bulk, protocol: tcp, action: allow, set_dscp: 0 }}
services:
  - {{ name: sip, vip: {VIP4}, protocol: udp, ports: "5060", backends: [{{ address: {B11} }}] }}
  - name: ipip
    vip: 192.0.2.11
    protocol: udp
    ports: "5060"
    mode: dsr_ipip
    tunnel: {{ source4: 172.16.0.1 }}
    backends: [{{ address: {B11} }}]
"""


@case("set_dscp: the rule's DSCP is written with right checksums, the ECN bits stay", MARKS)
def _(t):
    for tos in (0, 1, 2, 3, 0xFF, 46 << 2):
        marked = 46 << 2 | tos & 3
        for dst, to in ((VIP4, B11), (B11, B11)):
            t.send(FROM_CLIENT / IP(src=CLIENT4, dst=dst, tos=tos) / UDP(sport=4000 + tos, dport=5060)).forwards(
                to_backend(B11) / IP(src=CLIENT4, dst=to, ttl=63, tos=marked) / UDP(sport=4000 + tos, dport=5060))
        t.send(FROM_CLIENT / IPv6(src=CLIENT6, dst=B11_6, tc=tos, fl=0xFFFFF) / UDP(sport=4000, dport=5061)).forwards(
            to_backend(B11_6) / IPv6(src=CLIENT6, dst=B11_6, hlim=63, tc=marked, fl=0xFFFFF) / UDP(sport=4000, dport=5061))
        t.send(FROM_CLIENT / IP(src=CLIENT4, dst=B11, tos=tos) / TCP(sport=4000, dport=1)).forwards(
            to_backend(B11) / IP(src=CLIENT4, dst=B11, ttl=63, tos=tos & 3) / TCP(sport=4000, dport=1))


@case("set_dscp: replies keep their own", MARKS)
def _(t):
    t.send(FROM_CLIENT / IP(src=CLIENT4, dst=VIP4) / UDP(sport=4000, dport=5060)).forwards(
        to_backend(B11) / IP(src=CLIENT4, dst=B11, ttl=63, tos=46 << 2) / UDP(sport=4000, dport=5060))
    t.send(from_backend(B11) / IP(src=B11, dst=CLIENT4, tos=8) / UDP(sport=5060, dport=4000)).forwards(
        TO_CLIENT / IP(src=VIP4, dst=CLIENT4, ttl=63, tos=8) / UDP(sport=5060, dport=4000))


@case("set_dscp: in a tunnel the outer header is marked, the inner packet stays as it was", MARKS)
def _(t):
    marked = IP(src=CLIENT4, dst="192.0.2.11", tos=1) / UDP(sport=4000, dport=5060)
    t.send(FROM_CLIENT / IP(src=CLIENT4, dst="192.0.2.11", tos=1) / UDP(sport=4000, dport=5060)).forwards(
        to_backend(B11) / IP(src="172.16.0.1", dst=B11, id=0, tos=46 << 2 | 1) / marked)
