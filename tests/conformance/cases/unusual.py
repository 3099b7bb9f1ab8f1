# SPDX-License-Identifier: Apache-2.0
"""Unusual, but not malformed: forwarded like any other packet, and what was wrong stays exactly as wrong."""

from scapy.all import IP, TCP, UDP, IPOption_NOP, IPOption_Router_Alert, IPOption_RR, IPv6, Padding, Raw

from model import case
from network import *

SERVICES = f"""
services:
  - {{ name: web, vip: {VIP4}, protocol: tcp, ports: any, backends: [{{ address: {B11} }}] }}
  - {{ name: dns, vip: {VIP4}, protocol: udp, ports: any, backends: [{{ address: {B12} }}] }}
  - {{ name: dns-port, vip: {VIP4}, protocol: udp, ports: "53", backends: [{{ address: {B12}, port: 5353 }}] }}
  - {{ name: web6, vip: "{VIP6}", protocol: tcp, ports: any, backends: [{{ address: "{B11_6}" }}] }}
  - {{ name: dns6, vip: "{VIP6}", protocol: udp, ports: any, backends: [{{ address: "{B12_6}" }}] }}
"""
CONFIG = NETWORK + SERVICES
OPTIONS = NETWORK + "policy: { ip_options: drop }" + SERVICES


@case("unusual: a wrong transport checksum leaves wrong by as much", CONFIG)
def _(t):
    for off in (1, 0x1234, 0x8000, 0xFFF0):
        for transport, backend in ((TCP(sport=1, dport=80), B11), (UDP(sport=1, dport=80), B12)):
            sent = FROM_CLIENT / IP(src=CLIENT4, dst=VIP4) / transport / Raw(b"data")
            left = to_backend(backend) / IP(src=CLIENT4, dst=backend, ttl=63) / transport / Raw(b"data")
            t.send(with_checksum_off_by(sent, transport.__class__, off)).forwards(
                with_checksum_off_by(left, transport.__class__, off))
        sent = FROM_CLIENT / IPv6(src=CLIENT6, dst=VIP6) / TCP(sport=1, dport=80) / Raw(b"data")
        left = to_backend(B11_6) / IPv6(src=CLIENT6, dst=B11_6, hlim=63) / TCP(sport=1, dport=80) / Raw(b"data")
        t.send(with_checksum_off_by(sent, TCP, off)).forwards(with_checksum_off_by(left, TCP, off))


@case("unusual: port 0 at either end", CONFIG)
def _(t):
    for sport, dport in ((0, 80), (0, 65535), (7, 0), (0, 0)):
        t.send(FROM_CLIENT / IP(src=CLIENT4, dst=VIP4) / TCP(sport=sport, dport=dport)).forwards(
            to_backend(B11) / IP(src=CLIENT4, dst=B11, ttl=63) / TCP(sport=sport, dport=dport))
        t.send(from_backend(B11) / IP(src=B11, dst=CLIENT4) / TCP(sport=dport, dport=sport)).forwards(
            TO_CLIENT / IP(src=VIP4, dst=CLIENT4, ttl=63) / TCP(sport=dport, dport=sport))


@case("unusual: any combination of TCP flags makes a flow", CONFIG)
def _(t):
    for flags in range(256):
        t.send(FROM_CLIENT / IP(src=CLIENT4, dst=VIP4) / TCP(sport=1000 + flags, dport=80, flags=flags)).forwards(
            to_backend(B11) / IP(src=CLIENT4, dst=B11, ttl=63) / TCP(sport=1000 + flags, dport=80, flags=flags))


@case("unusual: a datagram without checksum leaves without", CONFIG)
def _(t):
    t.send(FROM_CLIENT / IP(src=CLIENT4, dst=VIP4) / UDP(sport=1, dport=53, chksum=0) / Raw(b"data")).forwards(
        to_backend(B12) / IP(src=CLIENT4, dst=B12, ttl=63) / UDP(sport=1, dport=5353, chksum=0) / Raw(b"data"))
    t.send(from_backend(B12) / IP(src=B12, dst=CLIENT4) / UDP(sport=5353, dport=1, chksum=0)).forwards(
        TO_CLIENT / IP(src=VIP4, dst=CLIENT4, ttl=63) / UDP(sport=53, dport=1, chksum=0))


@case("unusual: a checksum that comes out as zero is sent as 0xffff, one that was 0xffff is right again", CONFIG)
def _(t):
    def datagram(word, dst, dport, ttl):
        return IP(src=CLIENT4, dst=dst, ttl=ttl) / UDP(sport=1, dport=dport) / Raw(word.to_bytes(2, "big"))

    for probe in (datagram(0, B12, 5353, 63), datagram(0, VIP4, 53, 64)):
        word = IP(raw(probe))[UDP].chksum  # this as data makes the sum all ones, the checksum 0
        t.send(FROM_CLIENT / datagram(word, VIP4, 53, 64)).forwards(to_backend(B12) / datagram(word, B12, 5353, 63))


@case("unusual: padding behind the IP packet stays, and is in no checksum", CONFIG)
def _(t):
    for padding in (b"\0" * 18, b"\xff" * 7, b"\1"):
        t.send(FROM_CLIENT / IP(src=CLIENT4, dst=VIP4) / UDP(sport=1, dport=53) / Padding(padding)).forwards(
            to_backend(B12) / IP(src=CLIENT4, dst=B12, ttl=63) / UDP(sport=1, dport=5353) / Padding(padding))
        t.send(FROM_CLIENT / IPv6(src=CLIENT6, dst=VIP6) / TCP(sport=1, dport=53) / Padding(padding)).forwards(
            to_backend(B11_6) / IPv6(src=CLIENT6, dst=B11_6, hlim=63) / TCP(sport=1, dport=53) / Padding(padding))


@case("unusual: a UDP length under the IP packet's leaves the rest alone", CONFIG)
def _(t):
    def packet(dst, dport, ttl):
        # Without a checksum: scapy would take the sum over all of the IP packet.
        return IP(src=CLIENT4, dst=dst, ttl=ttl) / UDP(sport=1, dport=dport, len=10, chksum=0) / Raw(b"da" + b"and more")

    t.send(FROM_CLIENT / packet(VIP4, 53, 64)).forwards(to_backend(B12) / packet(B12, 5353, 63))


@case("unusual: IPv4 with DF, the reserved bit, or from a strange source", CONFIG)
def _(t):
    for flags in ("DF", "evil", "DF+evil"):
        t.send(FROM_CLIENT / IP(src=CLIENT4, dst=VIP4, flags=flags, id=0) / UDP(sport=1, dport=53)).forwards(
            to_backend(B12) / IP(src=CLIENT4, dst=B12, ttl=63, flags=flags, id=0) / UDP(sport=1, dport=5353))
    for source in ("0.0.0.1", "240.0.0.1", "127.0.0.1"):
        t.send(FROM_CLIENT / IP(src=source, dst=VIP4) / UDP(sport=1, dport=53)).forwards(
            to_backend(B12) / IP(src=source, dst=B12, ttl=63) / UDP(sport=1, dport=5353))


def option_lists():
    return [[IPOption_NOP()] * 4, [IPOption_NOP()] * 40, [IPOption_Router_Alert()],
            [IPOption_RR(routers=["192.0.2.1", "192.0.2.2"]), IPOption_NOP()]]


@case("unusual: IPv4 options are forwarded as they came", CONFIG)
def _(t):
    for options in option_lists():
        for transport, left, backend in ((TCP(sport=1, dport=80), TCP(sport=1, dport=80), B11),
                                         (UDP(sport=1, dport=53), UDP(sport=1, dport=5353), B12)):
            t.send(FROM_CLIENT / IP(src=CLIENT4, dst=VIP4, options=options) / transport / Raw(b"data")).forwards(
                to_backend(backend) / IP(src=CLIENT4, dst=backend, ttl=63, options=options) / left / Raw(b"data"))


@case("unusual: with ip_options: drop claimed packets with options drop, others pass", OPTIONS)
def _(t):
    for options in option_lists():
        t.send(FROM_CLIENT / IP(src=CLIENT4, dst=VIP4, options=options) / UDP(sport=1, dport=53)).drops("ip_options")
        t.send(FROM_CLIENT / IP(src=CLIENT4, dst=OWN4, options=options) / UDP(sport=1, dport=53)).passes()
    t.send(FROM_CLIENT / IP(src=CLIENT4, dst=VIP4) / UDP(sport=1, dport=53)).forwards(
        to_backend(B12) / IP(src=CLIENT4, dst=B12, ttl=63) / UDP(sport=1, dport=5353))


@case("unusual: with ip_options: drop options in a packet of a known flow drop, too", OPTIONS)
def _(t):
    t.send(FROM_CLIENT / IP(src=CLIENT4, dst=VIP4) / UDP(sport=2, dport=53)).forwards(
        to_backend(B12) / IP(src=CLIENT4, dst=B12, ttl=63) / UDP(sport=2, dport=5353))
    t.send(FROM_CLIENT / IP(src=CLIENT4, dst=VIP4, options=[IPOption_NOP()] * 4) / UDP(sport=2, dport=53)).drops("ip_options")
