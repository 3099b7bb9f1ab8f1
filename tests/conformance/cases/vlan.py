# SPDX-License-Identifier: Apache-2.0
"""VLAN tags: a sub-interface's tag comes off and on with the port, others pass."""

from scapy.all import ARP, ICMP, IP, TCP, UDP, Dot1AD, Dot1Q, IPv6, Raw

from model import case
from network import *

CONFIG = NETWORK + f"""
policy: {{ managed: [10.0.0.0/8] }}
services:
  - {{ name: web, vip: {VIP4}, protocol: tcp, ports: "80", backends: [{{ address: {B11}, port: 8080 }}] }}
  - {{ name: tagged, vip: 192.0.2.11, protocol: tcp, ports: "80", backends: [{{ address: 10.200.0.5, port: 8080 }}] }}
  - name: ipip
    vip: 192.0.2.12
    protocol: tcp
    ports: "80"
    mode: dsr_ipip
    tunnel: {{ source4: 172.16.0.1 }}
    backends: [{{ address: 10.200.0.5 }}]
  - {{ name: web6, vip: "{VIP6}", protocol: tcp, ports: "80", backends: [{{ address: "{B11_6}", port: 8080 }}] }}
"""
TAG = Dot1Q(vlan=200, prio=5)
FROM_200 = Ether(src=MAC200, dst=NODE) / Dot1Q(vlan=200)
TO_200 = Ether(src=NODE, dst=MAC200) / Dot1Q(vlan=200)


@case("vlan: from a sub-interface to the untagged one the tag comes off, on the way back it goes on", CONFIG)
def _(t):
    t.send(FROM_200 / IP(src="10.200.0.5", dst=VIP4) / TCP(sport=4000, dport=80, flags="S") / Raw(b"x")).forwards(
        to_backend(B11) / IP(src="10.200.0.5", dst=B11, ttl=63) / TCP(sport=4000, dport=8080, flags="S") / Raw(b"x"))
    t.send(from_backend(B11) / IP(src=B11, dst="10.200.0.5") / TCP(sport=8080, dport=4000, flags="SA")).forwards(
        TO_200 / IP(src=VIP4, dst="10.200.0.5", ttl=63) / TCP(sport=80, dport=4000, flags="SA"))


@case("vlan: a backend on a sub-interface", CONFIG)
def _(t):
    t.send(FROM_CLIENT / IP(src=CLIENT4, dst="192.0.2.11") / TCP(sport=4000, dport=80, flags="S")).forwards(
        TO_200 / IP(src=CLIENT4, dst="10.200.0.5", ttl=63) / TCP(sport=4000, dport=8080, flags="S"))
    t.send(FROM_200 / IP(src="10.200.0.5", dst=CLIENT4) / TCP(sport=8080, dport=4000, flags="SA")).forwards(
        TO_CLIENT / IP(src="192.0.2.11", dst=CLIENT4, ttl=63) / TCP(sport=80, dport=4000, flags="SA"))


@case("vlan: encapsulated out by a sub-interface", CONFIG)
def _(t):
    inner = IP(src=CLIENT4, dst="192.0.2.12") / TCP(sport=4000, dport=80, flags="S")
    t.send(FROM_CLIENT / inner).forwards(TO_200 / IP(src="172.16.0.1", dst="10.200.0.5", id=0) / inner)


@case("vlan: managed traffic between the two, and back out by the sub-interface it came by", CONFIG)
def _(t):
    t.send(FROM_CLIENT / IP(src=CLIENT4, dst="10.200.0.5") / UDP(sport=1, dport=2) / Raw(b"abc")).forwards(
        TO_200 / IP(src=CLIENT4, dst="10.200.0.5", ttl=63) / UDP(sport=1, dport=2) / Raw(b"abc"))
    t.send(Ether(src="02:00:00:00:02:06", dst=NODE) / Dot1Q(vlan=200) / IP(src="10.200.0.6", dst="10.200.0.5") /
           UDP()).forwards(TO_200 / IP(src="10.200.0.6", dst="10.200.0.5", ttl=63) / UDP())


@case("vlan: an echo request under a tag is answered under it", CONFIG)
def _(t):
    t.send(Ether(src=MAC200, dst=NODE) / TAG / IP(src="10.200.0.5", dst=VIP4) / ICMP(id=1)).forwards(
        Ether(src=NODE, dst=MAC200) / TAG / IP(src=VIP4, dst="10.200.0.5") / ICMP(type="echo-reply", id=1))


@case("vlan: a tag that is none of a sub-interface passes, and so does what is not IP under one that is", CONFIG)
def _(t):
    for tag in (1, 199, 201, 456, 4095):
        t.send(Ether(src=ROUTER, dst=NODE) / Dot1Q(vlan=tag) / IP(src=CLIENT4, dst=VIP4) / TCP(sport=1, dport=80)).passes()
    t.send(Ether(src=MAC200, dst="ff:ff:ff:ff:ff:ff") / Dot1Q(vlan=200) / ARP(pdst="10.200.0.1")).passes()
    t.send(Ether(src=MAC200, dst="02:00:00:00:00:09") / Dot1Q(vlan=200) / IP(src="10.200.0.5", dst=VIP4) / TCP(dport=80)).passes()
    t.send(FROM_200 / IP(src="10.200.0.5", dst="10.200.0.1") / TCP(dport=22)).passes()


@case("vlan: what is not IP passes however short it is behind its tag", CONFIG, tiers=("native", "xdp"),
      why="the kernel itself lets go of the shortest when it takes the tag off")
def _(t):
    for length in range(4):
        t.send(Ether(src=MAC200, dst=NODE) / Dot1Q(vlan=200, type=0x88CC) / Raw(bytes(length))).passes()
    t.send(cut(Ether(src=MAC200, dst=NODE) / Dot1Q(vlan=200) / Dot1Q(vlan=7), 20)).drops("truncated")


@case("vlan: two tags: the outer one names the sub-interface, both come off", CONFIG)
def _(t):
    for outer in (Dot1AD(vlan=200), Dot1Q(vlan=200)):
        t.send(Ether(src=MAC200, dst=NODE) / outer / Dot1Q(vlan=7) / IP(src="10.200.0.5", dst=VIP4) /
               TCP(sport=4000, dport=80)).forwards(
            to_backend(B11) / IP(src="10.200.0.5", dst=B11, ttl=63) / TCP(sport=4000, dport=8080))
    t.send(Ether(src=MAC200, dst=NODE) / Dot1AD(vlan=201) / Dot1Q(vlan=200) / IP(src="10.200.0.5", dst=VIP4) /
           TCP(sport=4000, dport=80)).passes()


@case("vlan: two tags stay when the packet leaves by the sub-interface it came by", CONFIG)
def _(t):
    t.send(Ether(src="02:00:00:00:02:06", dst=NODE) / Dot1AD(vlan=200, prio=3) / Dot1Q(vlan=7, prio=2) /
           IP(src="10.200.0.6", dst="10.200.0.5") / UDP()).forwards(
        Ether(src=NODE, dst=MAC200) / Dot1AD(vlan=200, prio=3) / Dot1Q(vlan=7, prio=2) /
        IP(src="10.200.0.6", dst="10.200.0.5", ttl=63) / UDP())


@case("vlan: IPv6 under a tag", CONFIG)
def _(t):
    t.send(FROM_200 / IPv6(src=CLIENT6, dst=VIP6) / TCP(sport=4000, dport=80)).forwards(
        to_backend(B11_6) / IPv6(src=CLIENT6, dst=B11_6, hlim=63) / TCP(sport=4000, dport=8080))
