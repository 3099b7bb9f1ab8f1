# SPDX-License-Identifier: Apache-2.0
"""Malformed of every kind drops with its own reason."""

from scapy.all import ICMP, IP, SCTP, TCP, UDP, Dot1Q, ICMPv6EchoRequest, IPOption_NOP, IPv6, IPv6ExtHdrFragment, Raw

from model import case
from network import *

CONFIG = NETWORK + f"""
policy: {{ managed: [10.0.0.0/8] }}
services:
  - {{ name: web, vip: {VIP4}, protocol: tcp, ports: any, backends: [{{ address: {B11} }}] }}
  - {{ name: dns, vip: {VIP4}, protocol: udp, ports: any, backends: [{{ address: {B12} }}] }}
  - {{ name: sctp, vip: {VIP4}, protocol: sctp, ports: any, backends: [{{ address: {B13} }}] }}
  - {{ name: web6, vip: "{VIP6}", protocol: tcp, ports: any, backends: [{{ address: "{B11_6}" }}] }}
  - {{ name: dns6, vip: "{VIP6}", protocol: udp, ports: any, backends: [{{ address: "{B12_6}" }}] }}
"""
TO4 = FROM_CLIENT / IP(src=CLIENT4, dst=VIP4)
TO6 = FROM_CLIENT / IPv6(src=CLIENT6, dst=VIP6)


def ipv4(**fields):
    """An IPv4 header as FIELDS say, wrong or not, with a checksum right for them, before a TCP segment."""
    return FROM_CLIENT / IP(src=CLIENT4, dst=VIP4, **fields) / TCP(sport=1, dport=80)


@case("malformed: a frame shorter than an Ethernet header is truncated", CONFIG, tiers=("native",),
      why="a kernel takes no frame without an Ethernet header")
def _(t):
    for length in range(1, 14):
        t.send(cut(TO4 / UDP(), length)).drops("truncated")


@case("malformed: an IPv4 frame that ends inside a header", CONFIG)
def _(t):
    for length in range(14, 34):
        t.send(cut(TO4 / UDP(), length)).drops("truncated")
    with_options = FROM_CLIENT / IP(src=CLIENT4, dst=VIP4, options=[IPOption_NOP()] * 8) / UDP()
    for length in range(34, 42):
        t.send(cut(with_options, length)).drops("ipv4_header_length")
    for length in range(42, 50):
        t.send(cut(with_options, length)).drops("ipv4_total_length")


@case("malformed: an IPv6 frame that ends inside a header", CONFIG)
def _(t):
    for length in range(14, 54):
        t.send(cut(TO6 / UDP(), length)).drops("truncated")
    for length in range(54, 62):
        t.send(cut(TO6 / UDP(), length)).drops("ipv6_payload_length")


TAGGED = Ether(src=ROUTER, dst=NODE) / Dot1Q(vlan=200) / IP(src=CLIENT4, dst=VIP4) / UDP()
TWICE = Ether(src=ROUTER, dst=NODE, type=0x88A8) / Dot1Q(vlan=200) / Dot1Q(vlan=7) / IP(src=CLIENT4, dst=VIP4) / UDP()
KEPT_BY_KERNEL = 20  # bytes that it wants of a tagged frame when it takes the tag off


@case("malformed: a tagged frame that ends inside its tag", CONFIG, tiers=("native", "xdp", "live-xdp", "live-af_xdp"),
      why="the kernel itself lets go of the shortest when it takes the tag off")
def _(t):
    for frame in (TAGGED, TWICE):
        for length in range(14, KEPT_BY_KERNEL):
            t.send(cut(frame, length)).drops("truncated")


@case("malformed: a tagged frame that ends inside a second tag or a header", CONFIG)
def _(t):
    for frame, whole in ((TAGGED, 38), (TWICE, 42)):
        for length in range(KEPT_BY_KERNEL, whole):
            t.send(cut(frame, length)).drops("truncated")


@case("malformed: a transport header cut short, the IP length being right", CONFIG)
def _(t):
    for header in (TCP(sport=1, dport=80), UDP(sport=1, dport=80), ICMP(), SCTP(sport=1, dport=80)):
        whole = raw(header)
        for length in range(len(whole)):
            t.send(FROM_CLIENT / IP(src=CLIENT4, dst=VIP4, proto=IP(raw(IP() / header)).proto) /
                   Raw(whole[:length])).drops("truncated")
    for header in (TCP(sport=1, dport=80), UDP(sport=1, dport=80), ICMPv6EchoRequest()):
        whole = raw(header)
        for length in range(len(whole)):
            t.send(FROM_CLIENT / IPv6(src=CLIENT6, dst=VIP6, nh=IPv6(raw(IPv6() / header)).nh) /
                   Raw(whole[:length])).drops("truncated")


@case("malformed: padding does not make up for what the IP packet lacks", CONFIG)
def _(t):
    for length in (20, 24, 27):
        t.send(FROM_CLIENT / IP(src=CLIENT4, dst=VIP4, proto=17, len=length) / UDP(sport=1, dport=80) / Raw(bytes(60))).drops(
            "truncated")
    t.send(FROM_CLIENT / IP(src=CLIENT4, dst=VIP4, proto=6, len=39) / TCP(sport=1, dport=80) / Raw(bytes(60))).drops("truncated")
    t.send(FROM_CLIENT / IPv6(src=CLIENT6, dst=VIP6, nh=6, plen=19) / TCP(sport=1, dport=80) / Raw(bytes(60))).drops(
        "truncated")


@case("malformed: IPv4 of another version", CONFIG)
def _(t):
    for version in (0, 1, 3, 5, 6, 7, 15):
        t.send(ipv4(version=version)).drops("ipv4_version")


@case("malformed: IPv4 header length under 5 words or beyond the packet", CONFIG)
def _(t):
    for ihl in range(0, 5):
        t.send(ipv4(ihl=ihl, len=40)).drops("ipv4_header_length")
    for ihl in range(11, 16):
        t.send(ipv4(ihl=ihl, len=40)).drops("ipv4_header_length")


@case("malformed: IPv4 total length under the header's or beyond the frame", CONFIG)
def _(t):
    for total in (0, 1, 19, 41, 42, 1500, 65535):
        t.send(ipv4(len=total)).drops("ipv4_total_length")
    t.send(FROM_CLIENT / IP(src=CLIENT4, dst=VIP4, options=[IPOption_NOP()] * 4, len=23) / UDP()).drops("ipv4_total_length")


@case("malformed: a wrong IPv4 header checksum, by one bit each", CONFIG)
def _(t):
    right = Ether(raw(ipv4()))[IP].chksum
    for bit in range(16):
        t.send(ipv4(chksum=right ^ (1 << bit))).drops("ipv4_checksum")
    t.send(ipv4(chksum=0)).drops("ipv4_checksum")
    options = FROM_CLIENT / IP(src=CLIENT4, dst=VIP4, options=[IPOption_NOP()] * 40) / UDP()
    frame = bytearray(raw(options))
    frame[14 + 59] ^= 4  # the options' last byte
    t.send(bytes(frame)).drops("ipv4_checksum")


@case("malformed: IPv6 of another version", CONFIG)
def _(t):
    for version in (0, 4, 5, 7, 15):
        t.send(FROM_CLIENT / IPv6(src=CLIENT6, dst=VIP6, version=version) / TCP(dport=80)).drops("ipv6_version")


@case("malformed: IPv6 payload length beyond the frame", CONFIG)
def _(t):
    for length in (21, 22, 1500, 65535):
        t.send(FROM_CLIENT / IPv6(src=CLIENT6, dst=VIP6, plen=length) / TCP(dport=80)).drops("ipv6_payload_length")


@case("malformed: TCP data offset under 5 words or beyond the packet", CONFIG)
def _(t):
    for offset in list(range(0, 5)) + list(range(6, 16)):
        t.send(FROM_CLIENT / IP(src=CLIENT4, dst=VIP4) / TCP(sport=1, dport=80, dataofs=offset)).drops("tcp_data_offset")
        t.send(FROM_CLIENT / IPv6(src=CLIENT6, dst=VIP6) / TCP(sport=1, dport=80, dataofs=offset)).drops("tcp_data_offset")


@case("malformed: UDP length under 8 or beyond the packet", CONFIG)
def _(t):
    for length in list(range(0, 8)) + [13, 14, 1500, 65535]:
        t.send(FROM_CLIENT / IP(src=CLIENT4, dst=VIP4) / UDP(sport=1, dport=80, len=length) / Raw(b"data")).drops("udp_length")
        t.send(FROM_CLIENT / IPv6(src=CLIENT6, dst=VIP6) / UDP(sport=1, dport=80, len=length) / Raw(b"data")).drops(
            "udp_length")


@case("malformed: a later fragment that would end past 65,535 bytes", CONFIG)
def _(t):
    for offset, size in ((8191, 8), (8190, 16), (8180, 1000)):
        t.send(FROM_CLIENT / IP(src=CLIENT4, dst=VIP4, frag=offset, proto=17) / Raw(bytes(size))).drops("fragment_overflow")
        t.send(FROM_CLIENT / IPv6(src=CLIENT6, dst=VIP6) / IPv6ExtHdrFragment(offset=offset, nh=17) /
               Raw(bytes(size))).drops("fragment_overflow")


@case("malformed: a first fragment without its ports and flags is tiny", CONFIG)
def _(t):
    for header in (TCP(sport=1, dport=80), UDP(sport=1, dport=80), SCTP(sport=1, dport=80)):
        whole, proto = raw(header), IP(raw(IP() / header)).proto
        for length in range(0, len(whole)):
            t.send(FROM_CLIENT / IP(src=CLIENT4, dst=VIP4, flags="MF", proto=proto, id=length) / Raw(whole[:length])).drops(
                "fragment_tiny")
    whole = raw(TCP(sport=1, dport=80))
    for length in range(0, len(whole)):
        t.send(FROM_CLIENT / IPv6(src=CLIENT6, dst=VIP6) / IPv6ExtHdrFragment(m=1, nh=6, id=length) /
               Raw(whole[:length])).drops("fragment_tiny")
