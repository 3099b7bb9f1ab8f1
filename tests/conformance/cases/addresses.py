# SPDX-License-Identifier: Apache-2.0
"""What is not ours passes to the host untouched: other stations, other addresses, other protocols."""

from scapy.all import ARP, IP, LLC, STP, TCP, UDP, Dot3, ICMPv6ND_NS, IPv6, Raw

from model import case
from network import *

CONFIG = NETWORK + f"""
policy: {{ managed: [10.0.0.0/8, 198.18.0.0/15, "2001:db8:ff::/48"] }}
services:
  - {{ name: web, vip: {VIP4}, protocol: tcp, ports: "80", backends: [{{ address: {B11} }}] }}
  - {{ name: web6, vip: "{VIP6}", protocol: tcp, ports: "80", backends: [{{ address: "{B11_6}" }}] }}
"""
TO_VIP = IP(src=CLIENT4, dst=VIP4) / TCP(sport=40000, dport=80, flags="S")


@case("addresses: the node's own pass, also under a managed prefix", CONFIG)
def _(t):
    t.send(FROM_CLIENT / IP(src=CLIENT4, dst=OWN4) / TCP(dport=22)).passes()
    t.send(FROM_CLIENT / IPv6(src=CLIENT6, dst=OWN6) / TCP(dport=22)).passes()
    t.send(FROM_CLIENT / IP(src=CLIENT4, dst="198.18.1.1") / UDP(dport=1)).passes()
    t.send(FROM_CLIENT / IP(src=CLIENT4, dst="10.200.0.1") / UDP(dport=1)).passes()
    t.send(FROM_CLIENT / IP(src=CLIENT4, dst=OWN4, ttl=1) / UDP(dport=1)).passes()


@case("addresses: what nothing in the configuration claims passes", CONFIG)
def _(t):
    t.send(FROM_CLIENT / IP(src=CLIENT4, dst="192.0.2.9") / TCP(dport=80)).passes()
    t.send(FROM_CLIENT / IP(src=CLIENT4, dst="255.255.255.255") / UDP(dport=67)).passes()
    t.send(FROM_CLIENT / IP(src=CLIENT4, dst="203.0.113.1", ttl=1) / UDP(dport=67)).passes()
    t.send(FROM_CLIENT / IPv6(src=CLIENT6, dst="2001:db8:a::11") / TCP(dport=80)).passes()
    t.send(FROM_CLIENT / IPv6(src=CLIENT6, dst="fe80::1") / ICMPv6ND_NS(tgt="fe80::1")).passes()


@case("addresses: what is not IP passes", CONFIG)
def _(t):
    t.send(Ether(src=ROUTER, dst="ff:ff:ff:ff:ff:ff") / ARP(pdst=OWN4)).passes()
    t.send(Ether(src=ROUTER, dst=NODE) / ARP(op="is-at", psrc=ROUTER4, pdst=OWN4)).passes()
    t.send(Ether(src=ROUTER, dst=NODE, type=0x88CC) / Raw(b"lldp" * 12)).passes()
    t.send(Ether(src=ROUTER, dst=NODE, type=0x8847) / Raw(b"mpls" * 12)).passes()
    t.send(Dot3(src=ROUTER, dst="01:80:c2:00:00:00") / LLC() / STP()).passes()


@case("addresses: frames to another station, to a group, or to all pass", CONFIG)
def _(t):
    for mac in ("02:00:00:00:00:02", NODE1, "ff:ff:ff:ff:ff:ff", "01:00:5e:00:00:01", "03:00:00:00:00:01",
                "02:00:00:00:01:01", "02:01:00:00:00:01"):
        t.send(Ether(src=ROUTER, dst=mac) / TO_VIP).passes()
    t.send(Ether(src=ROUTER, dst=NODE) / TO_VIP).forwards(
        to_backend(B11) / IP(src=CLIENT4, dst=B11, ttl=63) / TCP(sport=40000, dport=80, flags="S"))


PROMISCUOUS = CONFIG.replace("mtu: 1500,", "mtu: 1500, promiscuous: true,")


@case("addresses: on a promiscuous interface frames to another station are served, those to a group are not", PROMISCUOUS)
def _(t):
    t.send(Ether(src=ROUTER, dst="02:00:00:00:00:02") / TO_VIP).forwards(
        to_backend(B11) / IP(src=CLIENT4, dst=B11, ttl=63) / TCP(sport=40000, dport=80, flags="S"))
    t.send(Ether(src=ROUTER, dst="ff:ff:ff:ff:ff:ff") / TO_VIP).passes()
    t.send(Ether(src=ROUTER, dst="01:00:5e:00:00:01") / TO_VIP).passes()
