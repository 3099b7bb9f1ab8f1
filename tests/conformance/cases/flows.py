# SPDX-License-Identifier: Apache-2.0
"""How long a flow is remembered. What tells: without tcp_pickup only a remembered connection goes on without a SYN, and
under a default of drop only the replies of a remembered flow are let through."""

from scapy.all import ICMP, IP, TCP, UDP

from model import case
from network import *

CONFIG = NETWORK + f"""
timeouts: {{ tcp_syn: 5s, tcp_established: 100s, tcp_closing: 2s, udp: 10s, icmp: 3s }}
policy:
  default: drop
  tcp_pickup: false
  managed: [10.0.0.0/8, 203.0.113.0/24]
  rules:
    - {{ name: clients, from: [203.0.113.0/24], action: allow }}
services:
  - {{ name: web, vip: {VIP4}, protocol: tcp, ports: "80", backends: [{{ address: {B11} }}] }}
"""


def client_sends(t, flags):
    return t.send(FROM_CLIENT / IP(src=CLIENT4, dst=VIP4) / TCP(sport=40000, dport=80, flags=flags))


def request(t, flags):
    client_sends(t, flags).forwards(
        to_backend(B11) / IP(src=CLIENT4, dst=B11, ttl=63) / TCP(sport=40000, dport=80, flags=flags))


def reply(t, flags):
    t.send(from_backend(B11) / IP(src=B11, dst=CLIENT4) / TCP(sport=80, dport=40000, flags=flags)).forwards(
        TO_CLIENT / IP(src=VIP4, dst=CLIENT4, ttl=63) / TCP(sport=80, dport=40000, flags=flags))


def handshake(t):
    request(t, "S")
    reply(t, "SA")
    request(t, "A")


@case("flow: without tcp_pickup a segment that opens no connection drops", CONFIG)
def _(t):
    for flags in ("A", "PA", "FA", "R", "SA", ""):
        client_sends(t, flags).drops("tcp_not_syn")
    request(t, "S")
    request(t, "A")
    for flags in ("SEC", "SP", "SU"):
        t.send(FROM_CLIENT / IP(src=OTHER4, dst=VIP4) / TCP(sport=1, dport=80, flags=flags)).forwards(
            to_backend(B11) / IP(src=OTHER4, dst=B11, ttl=63) / TCP(sport=1, dport=80, flags=flags))


@case("flow: an unanswered SYN is forgotten after tcp_syn", CONFIG, tiers=("native",), why="takes simulated time")
def _(t):
    request(t, "S")
    t.wait(4.9)
    request(t, "S")
    t.wait(5.1)
    client_sends(t, "A").drops("tcp_not_syn")


@case("flow: an established connection is forgotten after tcp_established of silence", CONFIG, tiers=("native",),
      why="takes simulated time")
def _(t):
    handshake(t)
    for _ in range(3):
        t.wait(99)
        request(t, "PA")
        reply(t, "A")
    t.wait(99)
    reply(t, "PA")
    t.wait(101)
    client_sends(t, "A").drops("tcp_not_syn")


@case("flow: a connection closed from both sides is forgotten after tcp_closing", CONFIG, tiers=("native",),
      why="takes simulated time")
def _(t):
    handshake(t)
    request(t, "FA")
    t.wait(50)
    reply(t, "PA")
    request(t, "A")
    reply(t, "FA")
    request(t, "A")
    t.wait(1.8)
    reply(t, "FA")
    t.wait(2.2)
    client_sends(t, "A").drops("tcp_not_syn")


@case("flow: after RST the connection is forgotten after tcp_closing", CONFIG, tiers=("native",), why="takes simulated time")
def _(t):
    handshake(t)
    reply(t, "R")
    t.wait(2.2)
    client_sends(t, "A").drops("tcp_not_syn")
    handshake(t)


@case("flow: the endpoints of a closed connection are free for a new one at once", CONFIG)
def _(t):
    for _ in range(3):
        handshake(t)
        request(t, "FA")
        reply(t, "FA")
        request(t, "A")


@case("flow: a UDP flow is forgotten after udp of silence, and either direction keeps it", CONFIG, tiers=("native",),
      why="takes simulated time")
def _(t):
    def there():
        t.send(FROM_CLIENT / IP(src=CLIENT4, dst=B11) / UDP(sport=9, dport=7)).forwards(
            to_backend(B11) / IP(src=CLIENT4, dst=B11, ttl=63) / UDP(sport=9, dport=7))

    def back():
        return t.send(from_backend(B11) / IP(src=B11, dst=CLIENT4) / UDP(sport=7, dport=9))

    def forwarded(step):
        step.forwards(TO_CLIENT / IP(src=B11, dst=CLIENT4, ttl=63) / UDP(sport=7, dport=9))

    back().drops("policy")
    there()
    t.wait(9.9)
    forwarded(back())
    t.wait(9.9)
    forwarded(back())
    t.wait(9.9)
    there()
    t.wait(10.1)
    back().drops("policy")


@case("flow: a ping's flow is forgotten after icmp", CONFIG, tiers=("native",), why="takes simulated time")
def _(t):
    def back():
        return t.send(from_backend(B11) / IP(src=B11, dst=CLIENT4) / ICMP(type="echo-reply", id=5))

    back().drops("policy")
    t.send(FROM_CLIENT / IP(src=CLIENT4, dst=B11) / ICMP(id=5)).forwards(
        to_backend(B11) / IP(src=CLIENT4, dst=B11, ttl=63) / ICMP(id=5))
    t.wait(2.9)
    back().forwards(TO_CLIENT / IP(src=B11, dst=CLIENT4, ttl=63) / ICMP(type="echo-reply", id=5))
    t.wait(3.1)
    back().drops("policy")
