# SPDX-License-Identifier: Apache-2.0
"""SCTP: ports change, and with them the CRC32c over the packet (RFC 9260, 6.8)."""

from scapy.all import IP, SCTP, IPv6, Raw, SCTPChunkData, SCTPChunkInit

from model import case
from network import *

CONFIG = NETWORK + f"""
services:
  - {{ name: diameter, vip: {VIP4}, protocol: sctp, ports: "3868", backends: [{{ address: {B11}, port: 13868 }}] }}
  - {{ name: diameter6, vip: "{VIP6}", protocol: sctp, ports: "3868", backends: [{{ address: "{B11_6}", port: 13868 }}] }}
  - {{ name: s1ap, vip: {VIP4}, protocol: sctp, ports: "36412", backends: [{{ address: {B11} }}] }}
"""
CRC = "a CRC32c over the packet is taken by the engine"


def crc32c(data):
    """CRC32c (Castagnoli), bit by bit as RFC 9260, appendix A defines it."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def sctp(sport, dport, payload, wrong=0):
    """An SCTP packet with the right checksum, or one that is off by WRONG."""
    data = bytearray(raw(SCTP(sport=sport, dport=dport, tag=0x1234, chksum=0)) + payload)
    data[8:12] = (crc32c(bytes(data)) ^ wrong).to_bytes(4, "little")
    return Raw(bytes(data))


def exchange(t, layer, client, vip, backend):
    protocol = {"proto": 132} if ":" not in client else {"nh": 132}
    for payload in (raw(SCTPChunkInit(init_tag=1)), raw(SCTPChunkData(data=b"odd")), bytes(range(256)) * 5, b""):
        t.send(FROM_CLIENT / layer(src=client, dst=vip, **protocol) / sctp(9, 3868, payload)).forwards(
            to_backend(backend) / layer(src=client, dst=backend, ttl=63, **protocol) / sctp(9, 13868, payload))
        t.send(from_backend(backend) / layer(src=backend, dst=client, **protocol) / sctp(13868, 9, payload)).forwards(
            TO_CLIENT / layer(src=vip, dst=client, ttl=63, **protocol) / sctp(3868, 9, payload))


@case("sctp: nat over IPv4, both directions, CRC32c right", CONFIG, engine=CRC)
def _(t):
    exchange(t, ip(4), CLIENT4, VIP4, B11)


@case("sctp: nat over IPv6, both directions, CRC32c right", CONFIG, engine=CRC)
def _(t):
    exchange(t, ip(6), CLIENT6, VIP6, B11_6)


@case("sctp: a wrong CRC32c stays wrong", CONFIG, engine=CRC)
def _(t):
    t.send(FROM_CLIENT / IP(src=CLIENT4, dst=VIP4, proto=132) / sctp(9, 3868, b"data", 0x40)).forwards(
        to_backend(B11) / IP(src=CLIENT4, dst=B11, ttl=63, proto=132) / sctp(9, 13868, b"data", 0x40))


@case("sctp: padding behind the packet is not in the CRC32c", CONFIG, engine=CRC)
def _(t):
    def packet(dst, dport, ttl):
        return IP(src=CLIENT4, dst=dst, ttl=ttl, proto=132, len=36) / sctp(9, dport, b"data") / Raw(bytes(10))

    t.send(FROM_CLIENT / packet(VIP4, 3868, 64)).forwards(to_backend(B11) / packet(B11, 13868, 63))


def fragments(src, dst, dport, ttl):
    whole = IP(src=src, dst=dst, ttl=ttl, proto=132) / sctp(9, dport, bytes(range(256)) * 8)
    link = FROM_CLIENT if dst == VIP4 else to_backend(dst)
    return fragments_of(link / whole, IP, (1400,), 90 + dport % 2)


@case("sctp: fragments keep their CRC32c where the port stays", CONFIG, engine=CRC)
def _(t):
    for sent, left in zip(fragments(CLIENT4, VIP4, 36412, 64), fragments(CLIENT4, B11, 36412, 63)):
        t.send(sent).forwards(left, service="s1ap")


@case("sctp: fragments whose port would change drop, for want of what the CRC32c covers", CONFIG, engine=CRC)
def _(t):
    for sent in fragments(CLIENT4, VIP4, 3868, 64):
        t.send(sent).drops("sctp_fragment")
