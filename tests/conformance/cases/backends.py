# SPDX-License-Identifier: Apache-2.0
"""Which backend a new flow gets: weights, states, kinds of hash; and that a flow keeps it."""

import collections

from scapy.all import IP, TCP, UDP, IPv6

from model import case, one_of
from network import *

BACKENDS = f"[{{ address: {B11} }}, {{ address: {B12} }}, {{ address: {B13} }}]"
CONFIG = NETWORK + f"""
services:
  - {{ name: even, vip: {VIP4}, protocol: tcp, ports: "80", backends: {BACKENDS} }}
  - name: even6
    vip: "{VIP6}"
    protocol: udp
    ports: "53"
    backends: [{{ address: "{B11_6}" }}, {{ address: "{B12_6}" }}, {{ address: "{B13_6}" }}]
  - name: weighted
    vip: 192.0.2.11
    protocol: udp
    ports: "53"
    backends: [{{ address: {B11}, weight: 3 }}, {{ address: {B12}, weight: 1 }}, {{ address: {B13}, weight: 0 }}]
  - name: states
    vip: 192.0.2.12
    protocol: udp
    ports: "53"
    backends:
      - {{ address: {B11}, state: disabled }}
      - {{ address: {B12}, state: draining }}
      - {{ address: {B13}, state: active }}
  - {{ name: empty, vip: 192.0.2.13, protocol: udp, ports: "53", backends: [] }}
  - {{ name: down, vip: 192.0.2.14, protocol: udp, ports: "53", backends: [{{ address: {B11}, state: disabled }}] }}
  - {{ name: by-source, vip: 192.0.2.15, protocol: udp, ports: any, hash: source, backends: {BACKENDS} }}
  - {{ name: by-source-port, vip: 192.0.2.16, protocol: udp, ports: any, hash: source_and_port, backends: {BACKENDS} }}
  - {{ name: by-port, vip: 192.0.2.17, protocol: udp, ports: any, hash: destination_port, backends: {BACKENDS} }}
"""
# Apart: the reply of a service without flows tells its VIP by the backend's address and port alone.
STATELESS = NETWORK + f"""
services:
  - name: stateless
    vip: 192.0.2.19
    protocol: udp
    ports: "53"
    flow_table: false
    backends: [{{ address: {B11}, port: 1053 }}, {{ address: {B12}, port: 1053 }}, {{ address: {B13}, port: 1053 }}]
"""


def chosen(t, packet, layer, among=(B11, B12, B13)):
    """Sends PACKET (nat) and answers the backend it went to; all but that is checked as any other forwarded packet."""
    step = t.send(FROM_CLIENT / packet)

    def expected(got):
        backend = one_of(got[layer].dst, among, "backend")
        out = packet.copy()
        out.dst = backend
        if layer is IP:
            out.ttl = packet.ttl - 1
        else:
            out.hlim = packet.hlim - 1
        return to_backend(backend) / out

    step.forwards(expected)
    return step


def backends_of(steps, layer=IP):
    return [step.output()[layer].dst for step in steps]


@case("backend: all packets of a connection go to one backend, many connections to all", CONFIG)
def _(t):
    flows = [[chosen(t, IP(src=CLIENT4, dst=VIP4) / TCP(sport=sport, dport=80, flags=flags), IP)
              for flags in ("S", "A", "PA", "A", "FA")] for sport in range(10000, 10040)]
    went = [set(backends_of(flow)) for flow in flows]
    one_of({len(backends) for backends in went}, ({1},), "numbers of backends per connection")
    one_of(set.union(*went), ({B11, B12, B13},), "backends in use")


@case("backend: all packets of a flow go to one backend over IPv6, too", CONFIG)
def _(t):
    flows = [[chosen(t, IPv6(src=CLIENT6, dst=VIP6) / UDP(sport=sport, dport=53), IPv6, (B11_6, B12_6, B13_6))
              for _ in range(3)] for sport in range(10000, 10040)]
    went = [set(backends_of(flow, IPv6)) for flow in flows]
    one_of({len(backends) for backends in went}, ({1},), "numbers of backends per flow")
    one_of(set.union(*went), ({B11_6, B12_6, B13_6},), "backends in use")


@case("backend: new flows spread by weight, weight 0 gets none", CONFIG)
def _(t):
    steps = [chosen(t, IP(src=f"203.0.113.{number % 250}", dst="192.0.2.11") / UDP(sport=20000 + number, dport=53), IP)
             for number in range(800)]
    shares = collections.Counter(backends_of(steps))
    one_of(shares[B13], (0,), "flows on the backend of weight 0")
    # 800 trials at 3/4: five standard deviations are 61.
    one_of(shares[B11], range(539, 662), "flows on the backend with 3/4 of the weight")


@case("backend: disabled and draining ones get no new flows", CONFIG)
def _(t):
    for sport in range(20000, 20050):
        t.send(FROM_CLIENT / IP(src=CLIENT4, dst="192.0.2.12") / UDP(sport=sport, dport=53)).forwards(
            to_backend(B13) / IP(src=CLIENT4, dst=B13, ttl=63) / UDP(sport=sport, dport=53), service="states")


@case("backend: without any the service's packets drop with their own reason", CONFIG)
def _(t):
    t.send(FROM_CLIENT / IP(src=CLIENT4, dst="192.0.2.13") / UDP(sport=1, dport=53)).drops("no_backend")
    t.send(FROM_CLIENT / IP(src=CLIENT4, dst="192.0.2.14") / UDP(sport=1, dport=53)).drops("no_backend")
    t.send(FROM_CLIENT / IP(src=CLIENT4, dst="192.0.2.14") / UDP(sport=1, dport=54)).passes()


def same(packets, t):
    return len(set(backends_of([chosen(t, packet, IP) for packet in packets])))


@case("backend: hash source: a client's flows share a backend, whatever their ports", CONFIG)
def _(t):
    packets = [IP(src=CLIENT4, dst="192.0.2.15") / UDP(sport=1000 + n, dport=2000 + n * 7) for n in range(32)]
    one_of(same(packets, t), (1,), "number of backends of one client")
    packets = [IP(src=f"203.0.113.{n}", dst="192.0.2.15") / UDP(sport=1000, dport=2000) for n in range(100, 164)]
    one_of(same(packets, t), (3,), "number of backends of many clients")


@case("backend: hash source_and_port: a client's port counts, the VIP's does not", CONFIG)
def _(t):
    packets = [IP(src=CLIENT4, dst="192.0.2.16") / UDP(sport=1000, dport=2000 + n) for n in range(32)]
    one_of(same(packets, t), (1,), "number of backends of one client port")
    packets = [IP(src=CLIENT4, dst="192.0.2.16") / UDP(sport=3000 + n, dport=2000) for n in range(64)]
    one_of(same(packets, t), (3,), "number of backends of many client ports")


@case("backend: hash destination_port: the client does not count", CONFIG)
def _(t):
    packets = [IP(src=f"203.0.113.{n}", dst="192.0.2.17") / UDP(sport=1000 + n, dport=2000) for n in range(32)]
    one_of(same(packets, t), (1,), "number of backends of one destination port")
    packets = [IP(src=CLIENT4, dst="192.0.2.17") / UDP(sport=1000, dport=3000 + n) for n in range(64)]
    one_of(same(packets, t), (3,), "number of backends of many destination ports")


@case("backend: a service without flow table chooses by the hash alone, and its replies come from the VIP", STATELESS)
def _(t):
    sports = list(range(30000, 30020)) * 2
    steps = [t.send(FROM_CLIENT / IP(src=CLIENT4, dst="192.0.2.19") / UDP(sport=sport, dport=53)) for sport in sports]
    went = set()
    for sport, step in zip(sports, steps):
        backend = one_of(step.output()[IP].dst, (B11, B12, B13), "backend")
        went.add((sport, backend))
        step.forwards(to_backend(backend) / IP(src=CLIENT4, dst=backend, ttl=63) / UDP(sport=sport, dport=1053),
                      service="stateless", backend=endpoint(backend, 1053))
    one_of(len(went), (20,), "number of pairs of flow and backend of 20 flows")
    one_of({backend for _, backend in went}, ({B11, B12, B13},), "backends in use")
    for sport, backend in sorted(went):
        t.send(from_backend(backend) / IP(src=backend, dst=CLIENT4) / UDP(sport=1053, dport=sport)).forwards(
            TO_CLIENT / IP(src="192.0.2.19", dst=CLIENT4, ttl=63) / UDP(sport=53, dport=sport), service="stateless")
