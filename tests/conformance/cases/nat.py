# SPDX-License-Identifier: Apache-2.0
"""Mode nat: the destination becomes the backend's, the reply's source the VIP's again; one hop less to live."""

from scapy.all import IP, TCP, UDP, IPv6, Raw

from model import case
from network import *

CONFIG = NETWORK + f"""
services:
  - {{ name: web, vip: {VIP4}, protocol: tcp, ports: "80", backends: [{{ address: {B11}, port: 8080 }}] }}
  - {{ name: web6, vip: "{VIP6}", protocol: tcp, ports: "80", backends: [{{ address: "{B11_6}", port: 8080 }}] }}
  - {{ name: dns, vip: {VIP4}, protocol: udp, ports: "53", backends: [{{ address: {B12}, port: 5353 }}] }}
  - {{ name: dns6, vip: "{VIP6}", protocol: udp, ports: "53", backends: [{{ address: "{B12_6}", port: 5353 }}] }}
  - {{ name: rest, vip: {VIP4}, protocol: tcp, ports: any, backends: [{{ address: {B13} }}] }}
  - {{ name: range, vip: {VIP4}, protocol: udp, ports: "8000-8100,9000", backends: [{{ address: {B13} }}] }}
  - {{ name: net, vip: 192.0.2.128/28, protocol: tcp, ports: "443", backends: [{{ address: {B12}, port: 8443 }}] }}
  - {{ name: one-of-net, vip: 192.0.2.130, protocol: tcp, ports: "443", backends: [{{ address: {B13}, port: 9443 }}] }}
"""

FAMILIES = {4: (CLIENT4, VIP4, B11, B12), 6: (CLIENT6, VIP6, B11_6, B12_6)}


def tcp_connection(t, family):
    client, vip, backend, _ = FAMILIES[family]
    layer = ip(family)
    service = "web" if family == 4 else "web6"
    said = {"service": service, "backend": endpoint(backend, 8080)}
    offered = [("MSS", 1460), ("SAckOK", b""), ("WScale", 7)]

    def request(data=b"", **fields):
        t.send(FROM_CLIENT / layer(src=client, dst=vip) / TCP(sport=40000, dport=80, **fields) / Raw(data)).forwards(
            to_backend(backend) / layer(src=client, dst=backend, ttl=63) / TCP(sport=40000, dport=8080, **fields) /
            Raw(data), **said)

    def reply(data=b"", **fields):
        t.send(from_backend(backend) / layer(src=backend, dst=client) / TCP(sport=8080, dport=40000, **fields) /
               Raw(data)).forwards(
            TO_CLIENT / layer(src=vip, dst=client, ttl=63) / TCP(sport=80, dport=40000, **fields) / Raw(data), **said)

    request(flags="S", seq=1000, options=offered)
    reply(flags="SA", seq=7000, ack=1001, options=offered)
    request(flags="A", seq=1001, ack=7001)
    request(b"GET / HTTP/1.0\r\n\r\n", flags="PA", seq=1001, ack=7001)
    reply(b"HTTP/1.0 200 OK\r\n\r\nodd", flags="PA", seq=7001, ack=1019)
    reply(flags="FA", seq=7023, ack=1019)
    request(flags="FA", seq=1019, ack=7024)
    reply(flags="A", seq=7024, ack=1020)


@case("nat: a TCP connection over IPv4 from SYN to FIN, both directions", CONFIG)
def _(t):
    tcp_connection(t, 4)


@case("nat: a TCP connection over IPv6 from SYN to FIN, both directions", CONFIG)
def _(t):
    tcp_connection(t, 6)


def udp_exchange(t, family):
    client, vip, _, backend = FAMILIES[family]
    layer = ip(family)
    said = {"service": "dns" if family == 4 else "dns6", "backend": endpoint(backend, 5353)}
    for data in (b"question", b"an odd one", b""):
        t.send(FROM_CLIENT / layer(src=client, dst=vip) / UDP(sport=5000, dport=53) / Raw(data)).forwards(
            to_backend(backend) / layer(src=client, dst=backend, ttl=63) / UDP(sport=5000, dport=5353) / Raw(data), **said)
        t.send(from_backend(backend) / layer(src=backend, dst=client) / UDP(sport=5353, dport=5000) / Raw(data)).forwards(
            TO_CLIENT / layer(src=vip, dst=client, ttl=63) / UDP(sport=53, dport=5000) / Raw(data), **said)


@case("nat: UDP requests and replies over IPv4", CONFIG)
def _(t):
    udp_exchange(t, 4)


@case("nat: UDP requests and replies over IPv6", CONFIG)
def _(t):
    udp_exchange(t, 6)


@case("nat: of two services on one VIP each takes its protocol and port", CONFIG)
def _(t):
    t.send(FROM_CLIENT / IP(src=CLIENT4, dst=VIP4) / TCP(sport=1024, dport=80)).forwards(
        to_backend(B11) / IP(src=CLIENT4, dst=B11, ttl=63) / TCP(sport=1024, dport=8080), service="web")
    t.send(FROM_CLIENT / IP(src=CLIENT4, dst=VIP4) / UDP(sport=1024, dport=53)).forwards(
        to_backend(B12) / IP(src=CLIENT4, dst=B12, ttl=63) / UDP(sport=1024, dport=5353), service="dns")
    t.send(FROM_CLIENT / IP(src=CLIENT4, dst=VIP4) / UDP(sport=1024, dport=80)).passes()


@case("nat: an exact port goes before `any`, which keeps the port", CONFIG)
def _(t):
    for port in (1, 79, 81, 53, 65535):
        t.send(FROM_CLIENT / IP(src=CLIENT4, dst=VIP4) / TCP(sport=1025, dport=port)).forwards(
            to_backend(B13) / IP(src=CLIENT4, dst=B13, ttl=63) / TCP(sport=1025, dport=port), service="rest",
            backend=(endpoint(B13, port), B13))
        t.send(from_backend(B13) / IP(src=B13, dst=CLIENT4) / TCP(sport=port, dport=1025, flags="SA")).forwards(
            TO_CLIENT / IP(src=VIP4, dst=CLIENT4, ttl=63) / TCP(sport=port, dport=1025, flags="SA"), service="rest")
    t.send(FROM_CLIENT / IP(src=CLIENT4, dst=VIP4) / TCP(sport=1025, dport=80)).forwards(
        to_backend(B11) / IP(src=CLIENT4, dst=B11, ttl=63) / TCP(sport=1025, dport=8080), service="web")


@case("nat: a range of ports from its first to its last, and no further", CONFIG)
def _(t):
    for port in (8000, 8050, 8100, 9000):
        t.send(FROM_CLIENT / IP(src=CLIENT4, dst=VIP4) / UDP(sport=1026, dport=port)).forwards(
            to_backend(B13) / IP(src=CLIENT4, dst=B13, ttl=63) / UDP(sport=1026, dport=port), service="range")
        t.send(from_backend(B13) / IP(src=B13, dst=CLIENT4) / UDP(sport=port, dport=1026)).forwards(
            TO_CLIENT / IP(src=VIP4, dst=CLIENT4, ttl=63) / UDP(sport=port, dport=1026), service="range")
    for port in (7999, 8101, 8999, 9001):
        t.send(FROM_CLIENT / IP(src=CLIENT4, dst=VIP4) / UDP(sport=1026, dport=port)).passes()


@case("nat: a prefix as VIP serves all its addresses, and replies come from the one that was asked", CONFIG)
def _(t):
    for number, vip in enumerate(("192.0.2.128", "192.0.2.129", "192.0.2.143")):
        sport = 1027 + number
        t.send(FROM_CLIENT / IP(src=CLIENT4, dst=vip) / TCP(sport=sport, dport=443, flags="S")).forwards(
            to_backend(B12) / IP(src=CLIENT4, dst=B12, ttl=63) / TCP(sport=sport, dport=8443, flags="S"), service="net")
        t.send(from_backend(B12) / IP(src=B12, dst=CLIENT4) / TCP(sport=8443, dport=sport, flags="SA")).forwards(
            TO_CLIENT / IP(src=vip, dst=CLIENT4, ttl=63) / TCP(sport=443, dport=sport, flags="SA"), service="net")
    t.send(FROM_CLIENT / IP(src=CLIENT4, dst="192.0.2.144") / TCP(sport=1031, dport=443, flags="S")).passes()
    t.send(FROM_CLIENT / IP(src=CLIENT4, dst="192.0.2.127") / TCP(sport=1031, dport=443, flags="S")).passes()


@case("nat: the longer VIP prefix goes before the shorter", CONFIG)
def _(t):
    t.send(FROM_CLIENT / IP(src=CLIENT4, dst="192.0.2.130") / TCP(sport=1032, dport=443)).forwards(
        to_backend(B13) / IP(src=CLIENT4, dst=B13, ttl=63) / TCP(sport=1032, dport=9443), service="one-of-net")


@case("nat: a VIP's address on a port that no service claims passes", CONFIG)
def _(t):
    t.send(FROM_CLIENT / IP(src=CLIENT4, dst=VIP4) / UDP(sport=1033, dport=54)).passes()
    t.send(FROM_CLIENT / IPv6(src=CLIENT6, dst=VIP6) / TCP(sport=1033, dport=81)).passes()
    t.send(FROM_CLIENT / IP(src=CLIENT4, dst=VIP4, proto=47) / Raw(b"\0\0\x08\0")).passes()
    t.send(FROM_CLIENT / IPv6(src=CLIENT6, dst=VIP6, nh=59)).passes()


@case("nat: a packet from a backend that is no reply passes", CONFIG)
def _(t):
    t.send(from_backend(B11) / IP(src=B11, dst=CLIENT4) / TCP(sport=8080, dport=40000, flags="SA")).passes()
    t.send(from_backend(B11) / IP(src=B11, dst=CLIENT4) / TCP(sport=22, dport=40000, flags="SA")).passes()
    t.send(from_backend(B12_6) / IPv6(src=B12_6, dst=CLIENT6) / UDP(sport=5353, dport=40000)).passes()


@case("nat: a backend that is a client of the same service is served as one", CONFIG)
def _(t):
    t.send(from_backend(B12) / IP(src=B12, dst=VIP4) / TCP(sport=8080, dport=80, flags="S")).forwards(
        to_backend(B11) / IP(src=B12, dst=B11, ttl=63) / TCP(sport=8080, dport=8080, flags="S"), service="web")
    t.send(from_backend(B11) / IP(src=B11, dst=B12) / TCP(sport=8080, dport=8080, flags="SA")).forwards(
        to_backend(B12) / IP(src=VIP4, dst=B12, ttl=63) / TCP(sport=80, dport=8080, flags="SA"), service="web")


@case("nat: the outermost time to live and any TOS byte", CONFIG)
def _(t):
    for ttl, tos in ((255, 0), (2, 0xFF), (128, 0xB8), (64, 3)):
        t.send(FROM_CLIENT / IP(src=CLIENT4, dst=VIP4, ttl=ttl, tos=tos, id=0xFFFF) / TCP(sport=1034, dport=80)).forwards(
            to_backend(B11) / IP(src=CLIENT4, dst=B11, ttl=ttl - 1, tos=tos, id=0xFFFF) / TCP(sport=1034, dport=8080))
        t.send(FROM_CLIENT / IPv6(src=CLIENT6, dst=VIP6, hlim=ttl, tc=tos, fl=0xABCDE) / TCP(sport=1034, dport=80)).forwards(
            to_backend(B11_6) / IPv6(src=CLIENT6, dst=B11_6, hlim=ttl - 1, tc=tos, fl=0xABCDE) /
            TCP(sport=1034, dport=8080))


@case("nat: checksums over every value that carries", CONFIG)
def _(t):
    for number in range(0, 256):
        data = bytes([0xFF, 0xFF, number, 255 - number])
        sport = 2000 + number * 240
        t.send(FROM_CLIENT / IP(src=CLIENT4, dst=VIP4, id=number * 257) / UDP(sport=sport, dport=53) / Raw(data)).forwards(
            to_backend(B12) / IP(src=CLIENT4, dst=B12, ttl=63, id=number * 257) / UDP(sport=sport, dport=5353) / Raw(data))
