# SPDX-License-Identifier: Apache-2.0
"""Mode fullnat: the source becomes the node's own address and a port of its choice, too."""

from scapy.all import IP, TCP, UDP, IPv6, Raw

from model import case, one_of
from network import *

CONFIG = NETWORK + f"""
services:
  - name: web
    vip: {VIP4}
    protocol: tcp
    ports: "80"
    mode: fullnat
    backends: [{{ address: {B11}, port: 8080 }}]
  - name: dns
    vip: {VIP4}
    protocol: udp
    ports: "53"
    mode: fullnat
    backends: [{{ address: {B12} }}]
  - name: web6
    vip: "{VIP6}"
    protocol: tcp
    ports: "80"
    mode: fullnat
    backends: [{{ address: "{B11_6}", port: 8080 }}]
"""
EPHEMERAL = range(1024, 65536)


def connection(t, family, client, vip, own, backend, sport):
    """One connection's first packets; answers the source port that the node chose."""
    layer = ip(family)
    first = t.send(FROM_CLIENT / layer(src=client, dst=vip) / TCP(sport=sport, dport=80, flags="S", seq=5))
    port = one_of(first.output()[TCP].sport, EPHEMERAL, "source port")
    first.forwards(to_backend(backend) / layer(src=own, dst=backend, ttl=63) /
                   TCP(sport=port, dport=8080, flags="S", seq=5), backend=endpoint(backend, 8080))
    t.send(from_backend(backend) / layer(src=backend, dst=own) / TCP(sport=8080, dport=port, flags="SA")).forwards(
        TO_CLIENT / layer(src=vip, dst=client, ttl=63) / TCP(sport=80, dport=sport, flags="SA"))
    t.send(FROM_CLIENT / layer(src=client, dst=vip) / TCP(sport=sport, dport=80, flags="PA") / Raw(b"abc")).forwards(
        to_backend(backend) / layer(src=own, dst=backend, ttl=63) / TCP(sport=port, dport=8080, flags="PA") / Raw(b"abc"))
    t.send(from_backend(backend) / layer(src=backend, dst=own) / TCP(sport=8080, dport=port, flags="FA")).forwards(
        TO_CLIENT / layer(src=vip, dst=client, ttl=63) / TCP(sport=80, dport=sport, flags="FA"))
    return port


@case("fullnat: a TCP connection over IPv4, both directions, by one source port", CONFIG)
def _(t):
    connection(t, 4, CLIENT4, VIP4, OWN4, B11, 40000)


@case("fullnat: a TCP connection over IPv6, both directions, by one source port", CONFIG)
def _(t):
    connection(t, 6, CLIENT6, VIP6, OWN6, B11_6, 40000)


@case("fullnat: two clients with one source port get different ones towards the backend", CONFIG)
def _(t):
    ports = [connection(t, 4, client, VIP4, OWN4, B11, 40000) for client in (CLIENT4, OTHER4)]
    one_of(len(set(ports)), (2,), "number of different source ports")


@case("fullnat: UDP, with and without a checksum", CONFIG)
def _(t):
    first = t.send(FROM_CLIENT / IP(src=CLIENT4, dst=VIP4) / UDP(sport=5000, dport=53) / Raw(b"one"))
    port = one_of(first.output()[UDP].sport, EPHEMERAL, "source port")
    first.forwards(to_backend(B12) / IP(src=OWN4, dst=B12, ttl=63) / UDP(sport=port, dport=53) / Raw(b"one"))
    t.send(from_backend(B12) / IP(src=B12, dst=OWN4) / UDP(sport=53, dport=port) / Raw(b"two")).forwards(
        TO_CLIENT / IP(src=VIP4, dst=CLIENT4, ttl=63) / UDP(sport=53, dport=5000) / Raw(b"two"))
    t.send(FROM_CLIENT / IP(src=CLIENT4, dst=VIP4) / UDP(sport=5000, dport=53, chksum=0) / Raw(b"three")).forwards(
        to_backend(B12) / IP(src=OWN4, dst=B12, ttl=63) / UDP(sport=port, dport=53, chksum=0) / Raw(b"three"))


@case("fullnat: traffic to the node's own address that is no reply passes", CONFIG)
def _(t):
    t.send(from_backend(B11) / IP(src=B11, dst=OWN4) / TCP(sport=8080, dport=33333, flags="SA")).passes()
    t.send(FROM_CLIENT / IP(src=CLIENT4, dst=OWN4) / TCP(sport=8080, dport=22, flags="S")).passes()
    t.send(FROM_CLIENT / IPv6(src=CLIENT6, dst=OWN6) / TCP(sport=8080, dport=22, flags="S")).passes()
