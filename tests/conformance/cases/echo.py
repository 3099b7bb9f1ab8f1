# SPDX-License-Identifier: Apache-2.0
"""Ping to a VIP: answered by the node, back to where it came from."""

from scapy.all import ICMP, IP, ICMPv6EchoReply, ICMPv6EchoRequest, ICMPv6ND_NS, IPv6, Raw

from model import case
from network import *

CONFIG = NETWORK + f"""
services:
  - {{ name: web, vip: {VIP4}, protocol: tcp, ports: "80", backends: [{{ address: {B11} }}] }}
  - {{ name: web6, vip: "{VIP6}", protocol: tcp, ports: "80", backends: [] }}
  - {{ name: empty, vip: 192.0.2.11, protocol: tcp, ports: "80", backends: [] }}
  - {{ name: mute, vip: 192.0.2.12, protocol: tcp, ports: "80", answer_echo: false, backends: [{{ address: {B11} }}] }}
  - {{ name: net, vip: 192.0.2.128/28, protocol: tcp, ports: "443", backends: [{{ address: {B12} }}] }}
"""


@case("echo: a request to an IPv4 VIP is answered, whatever it carries", CONFIG)
def _(t):
    for data in (b"", b"odd", b"even", bytes(range(256)) * 4, b"\xff" * 64):
        t.send(FROM_CLIENT / IP(src=CLIENT4, dst=VIP4, id=77, tos=0x28) / ICMP(id=0xFFFF, seq=9) / Raw(data)).forwards(
            TO_CLIENT / IP(src=VIP4, dst=CLIENT4, id=77, tos=0x28) / ICMP(type="echo-reply", id=0xFFFF, seq=9) / Raw(data))


@case("echo: a request to an IPv6 VIP is answered, with no backend up, too", CONFIG)
def _(t):
    for data in (b"", b"odd", b"even", bytes(range(256)) * 4):
        t.send(FROM_CLIENT / IPv6(src=CLIENT6, dst=VIP6, fl=5) / ICMPv6EchoRequest(id=1, seq=2, data=data)).forwards(
            TO_CLIENT / IPv6(src=VIP6, dst=CLIENT6, fl=5) / ICMPv6EchoReply(id=1, seq=2, data=data))
    t.send(FROM_CLIENT / IP(src=CLIENT4, dst="192.0.2.11") / ICMP()).forwards(
        TO_CLIENT / IP(src="192.0.2.11", dst=CLIENT4) / ICMP(type="echo-reply"))


@case("echo: the answer goes to the station that the request came from, not by the routes", CONFIG)
def _(t):
    t.send(Ether(src="02:00:00:00:00:77", dst=NODE) / IP(src="10.0.1.99", dst=VIP4) / ICMP()).forwards(
        Ether(src=NODE, dst="02:00:00:00:00:77") / IP(src=VIP4, dst="10.0.1.99") / ICMP(type="echo-reply"))


@case("echo: every address of a VIP prefix answers, its neighbours do not", CONFIG)
def _(t):
    for last in (128, 135, 143):
        t.send(FROM_CLIENT / IP(src=CLIENT4, dst=f"192.0.2.{last}") / ICMP()).forwards(
            TO_CLIENT / IP(src=f"192.0.2.{last}", dst=CLIENT4) / ICMP(type="echo-reply"))
    for last in (127, 144):
        t.send(FROM_CLIENT / IP(src=CLIENT4, dst=f"192.0.2.{last}") / ICMP()).passes()


@case("echo: a VIP that shall not answer, and other ICMP to one that does, pass", CONFIG)
def _(t):
    t.send(FROM_CLIENT / IP(src=CLIENT4, dst="192.0.2.12") / ICMP()).passes()
    t.send(FROM_CLIENT / IP(src=CLIENT4, dst=VIP4) / ICMP(type="echo-reply")).passes()
    t.send(FROM_CLIENT / IP(src=CLIENT4, dst=VIP4) / ICMP(type=13)).passes()
    t.send(FROM_CLIENT / IPv6(src=CLIENT6, dst=VIP6) / ICMPv6ND_NS(tgt=VIP6)).passes()
    t.send(FROM_CLIENT / IPv6(src=CLIENT6, dst=VIP6) / ICMPv6EchoReply()).passes()


@case("echo: ICMP in IPv6 and ICMPv6 in IPv4 are no echo requests", CONFIG)
def _(t):
    t.send(FROM_CLIENT / IPv6(src=CLIENT6, dst=VIP6, nh=1) / Raw(raw(ICMP()))).passes()
    t.send(FROM_CLIENT / IP(src=CLIENT4, dst=VIP4, proto=58) / Raw(b"\x80\0\0\0\0\0\0\0")).passes()
