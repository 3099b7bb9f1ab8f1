# SPDX-License-Identifier: Apache-2.0
"""IPv6 extension headers: a bounded walk to the transport header; what lies between is forwarded as it came."""

from scapy.all import (ICMPv6EchoReply, ICMPv6EchoRequest, IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrHopByHop, IPv6ExtHdrRouting,
                       PadN, Raw, RouterAlert, TCP, UDP)

from model import case
from network import *

CONFIG = NETWORK + f"""
services:
  - {{ name: web, vip: "{VIP6}", protocol: tcp, ports: "80", backends: [{{ address: "{B11_6}", port: 8080 }}] }}
  - {{ name: dns, vip: "{VIP6}", protocol: udp, ports: "53", backends: [{{ address: "{B12_6}" }}] }}
  - name: gue
    vip: "2001:db8:a::12"
    protocol: udp
    ports: "53"
    mode: dsr_gue
    tunnel: {{ source6: "100::1" }}
    backends: [{{ address: "{B13_6}" }}]
"""
HOP_BY_HOP = IPv6ExtHdrHopByHop(options=[RouterAlert()])
DESTINATION = IPv6ExtHdrDestOpt(options=[PadN(optdata=bytes(4))])
LONG = IPv6ExtHdrDestOpt(options=[PadN(optdata=bytes(200)), PadN(optdata=bytes(200))])
ROUTED = IPv6ExtHdrRouting(type=2, segleft=0, addresses=["2001:db8:9::9"])


def chain(*headers):
    """HEADERS one behind the other; None for none, since scapy joins layers only."""
    joined = None
    for header in headers:
        joined = header.copy() if joined is None else joined / header.copy()
    return joined


def forwarded(t, headers):
    for transport, translated, backend in ((TCP(sport=9, dport=80), TCP(sport=9, dport=8080), B11_6),
                                           (UDP(sport=9, dport=53), UDP(sport=9, dport=53), B12_6)):
        t.send(FROM_CLIENT / IPv6(src=CLIENT6, dst=VIP6) / headers.copy() / transport / Raw(b"data")).forwards(
            to_backend(backend) / IPv6(src=CLIENT6, dst=backend, hlim=63) / headers.copy() / translated / Raw(b"data"))


@case("ipv6 extensions: hop-by-hop, destination options, routing, one each and all", CONFIG)
def _(t):
    for headers in (HOP_BY_HOP, DESTINATION, ROUTED, LONG, chain(HOP_BY_HOP, DESTINATION, ROUTED, DESTINATION)):
        forwarded(t, headers)


@case("ipv6 extensions: eight headers are walked, more drop as ipv6_extension_chain", CONFIG)
def _(t):
    forwarded(t, chain(HOP_BY_HOP, *[DESTINATION] * 7))
    for count in (9, 10, 30):
        t.send(FROM_CLIENT / IPv6(src=CLIENT6, dst=VIP6) / chain(*[DESTINATION] * count) / UDP(sport=9, dport=53)).drops(
            "ipv6_extension_chain")


@case("ipv6 extensions: an echo request behind them is answered with them", CONFIG)
def _(t):
    t.send(FROM_CLIENT / IPv6(src=CLIENT6, dst=VIP6) / DESTINATION / ICMPv6EchoRequest(id=1)).forwards(
        TO_CLIENT / IPv6(src=VIP6, dst=CLIENT6) / DESTINATION / ICMPv6EchoReply(id=1))


@case("ipv6 extensions: inside a dsr_gue tunnel, with a right outer checksum", CONFIG,
      engine="a sum over the packet is taken by the engine")
def _(t):
    inner = IPv6(src=CLIENT6, dst="2001:db8:a::12") / chain(HOP_BY_HOP, LONG) / UDP(sport=9, dport=53) / Raw(b"odd")
    t.send(FROM_CLIENT / inner).forwards(
        lambda got: to_backend(B13_6) / IPv6(src="100::1", dst=B13_6, nh=17) / UDP(sport=got[UDP].sport, dport=6080) /
        Raw(raw(inner)))


@case("ipv6 extensions: a header cut short, or longer than the packet, is truncated", CONFIG)
def _(t):
    whole = raw(DESTINATION / UDP(sport=9, dport=53))
    for length in range(0, 16):
        t.send(FROM_CLIENT / IPv6(src=CLIENT6, dst=VIP6, nh=60) / Raw(whole[:length])).drops("truncated")
    t.send(FROM_CLIENT / IPv6(src=CLIENT6, dst=VIP6, nh=60) / Raw(b"\x11\x02" + whole[2:])).drops("truncated")
    t.send(FROM_CLIENT / IPv6(src=CLIENT6, dst=VIP6, nh=44) / Raw(bytes(7))).drops("truncated")


@case("ipv6 extensions: behind them no transport that a service claims passes", CONFIG)
def _(t):
    t.send(FROM_CLIENT / IPv6(src=CLIENT6, dst=VIP6) / IPv6ExtHdrDestOpt(nh=59)).passes()
    t.send(FROM_CLIENT / IPv6(src=CLIENT6, dst=VIP6) / IPv6ExtHdrDestOpt(nh=50) / Raw(bytes(24))).passes()
    t.send(FROM_CLIENT / IPv6(src=CLIENT6, dst="2001:db8:a::99") / chain(*[DESTINATION] * 8) / UDP()).passes()
