# SPDX-License-Identifier: Apache-2.0
"""Policy: the first rule whose every key matches decides, else the default."""

from scapy.all import ICMP, IP, TCP, UDP, Dot1Q, ICMPv6DestUnreach, ICMPv6EchoRequest, IPv6, Raw

from model import case
from network import *

MATCH = NETWORK + f"""
policy:
  default: drop
  managed: [10.0.0.0/8, "2001:db8:1::/64"]
  sets:
    bogons: {{ prefixes: [198.51.100.0/24, "2001:db8:bad::/48", 198.51.101.7/32] }}
  rules:
    - {{ name: bogons, from: ["set:bogons"], action: drop }}
    - {{ name: one-bad, from: [203.0.113.66], action: drop }}
    - {{ name: same-again, from: [203.0.113.66], action: allow }}
    - {{ name: web-from-net, from: [203.0.113.0/24, "2001:db8:c::/64"], to: [{B11}, "{B11_6}"], protocol: tcp, ports: "80,443,8000-8010", action: allow }}
    - {{ name: low-sources, protocol: udp, source_ports: "1-1023", action: allow }}
    - {{ name: new-only, to: [{B12}], protocol: tcp, tcp_flags: "syn,!ack", action: allow }}
    - {{ name: ping, to: [{B12}], protocol: icmp, icmp_types: "0,8", action: allow }}
    - {{ name: ping6, to: ["{B12_6}"], protocol: icmpv6, icmp_types: "128", action: allow }}
    - {{ name: voice, protocol: udp, dscp: 46, action: allow }}
    - {{ name: tagged, vlan: 200, protocol: 50, action: allow }}
    - {{ name: by-interface, interface: eth0, protocol: 51, action: allow }}
    - {{ name: other-interface, interface: eth1, protocol: 89, action: allow }}
    - {{ name: bad-service, service: bad, action: drop }}
    - {{ name: any-service, to: [192.0.2.0/24], action: allow }}
services:
  - {{ name: bad, vip: {VIP4}, protocol: tcp, ports: "81", backends: [{{ address: {B11} }}] }}
  - {{ name: good, vip: {VIP4}, protocol: tcp, ports: "80", backends: [{{ address: {B11} }}] }}
  - {{ name: far, vip: 198.51.102.1, protocol: tcp, ports: "80", backends: [{{ address: {B11} }}] }}
"""


def forwarded(t, packet, mac, rule, link=FROM_CLIENT):
    left = packet.copy()
    if IP in packet:
        left.ttl = packet.ttl - 1
    else:
        left.hlim = packet.hlim - 1
    t.send(link / packet).forwards(Ether(src=NODE, dst=mac) / left, rule=rule)


@case("policy: prefixes, protocol and ports of a rule must all match; else the default", MATCH)
def _(t):
    for dport in (80, 443, 8000, 8005, 8010):
        forwarded(t, IP(src=CLIENT4, dst=B11) / TCP(sport=4000, dport=dport), MAC11, "web-from-net")
        forwarded(t, IPv6(src=CLIENT6, dst=B11_6) / TCP(sport=4000, dport=dport), MAC11, "web-from-net")
    for dport in (79, 81, 442, 7999, 8011):
        t.send(FROM_CLIENT / IP(src=CLIENT4, dst=B11) / TCP(sport=4001, dport=dport)).drops("policy")
    t.send(FROM_CLIENT / IP(src="203.0.114.7", dst=B11) / TCP(sport=4001, dport=80)).drops("policy")
    t.send(FROM_CLIENT / IP(src=CLIENT4, dst=B13) / TCP(sport=4001, dport=80)).drops("policy")
    t.send(FROM_CLIENT / IP(src=CLIENT4, dst=B11) / UDP(sport=4001, dport=80)).drops("policy")
    t.send(FROM_CLIENT / IPv6(src="2001:db8:d::1", dst=B11_6) / TCP(sport=4001, dport=80)).drops("policy")


@case("policy: named sets, of both families", MATCH)
def _(t):
    for source in ("198.51.100.0", "198.51.100.255", "198.51.101.7"):
        t.send(FROM_CLIENT / IP(src=source, dst=B11) / TCP(sport=4000, dport=80)).drops("policy", rule="bogons")
    t.send(FROM_CLIENT / IPv6(src="2001:db8:bad:1::1", dst=B11_6) / TCP(sport=4000, dport=80)).drops("policy", rule="bogons")
    t.send(FROM_CLIENT / IP(src="198.51.101.8", dst=B11) / TCP(sport=4000, dport=80)).drops("policy")


@case("policy: of two rules that match the first one decides", MATCH)
def _(t):
    t.send(FROM_CLIENT / IP(src="203.0.113.66", dst=B11) / TCP(sport=4000, dport=80)).drops("policy", rule="one-bad")


@case("policy: source ports", MATCH)
def _(t):
    for sport in (1, 500, 1023):
        forwarded(t, IP(src=CLIENT4, dst=B13) / UDP(sport=sport, dport=9), MAC13, "low-sources")
    for sport in (0, 1024, 65535):
        t.send(FROM_CLIENT / IP(src=CLIENT4, dst=B13) / UDP(sport=sport, dport=9)).drops("policy")


@case("policy: TCP flags named must be set, those with ! clear, the rest are free", MATCH)
def _(t):
    for sport, flags in enumerate(("S", "SF", "SP", "SEC"), 4000):
        forwarded(t, IP(src=CLIENT4, dst=B12) / TCP(sport=sport, dport=9, flags=flags), MAC12, "new-only")
    for sport, flags in enumerate(("SA", "A", "", "F", "R"), 5000):
        t.send(FROM_CLIENT / IP(src=CLIENT4, dst=B12) / TCP(sport=sport, dport=9, flags=flags)).drops("policy")


@case("policy: the flags of the first segment decide for its connection", MATCH)
def _(t):
    for flags in ("S", "A", "PA", "FA"):
        forwarded(t, IP(src=CLIENT4, dst=B12) / TCP(sport=4000, dport=9, flags=flags), MAC12, "new-only")


@case("policy: ICMP types, of either family", MATCH)
def _(t):
    forwarded(t, IP(src=CLIENT4, dst=B12) / ICMP(id=1), MAC12, "ping")
    forwarded(t, IP(src=CLIENT4, dst=B12) / ICMP(type=0, id=2), MAC12, "ping")
    t.send(FROM_CLIENT / IP(src=CLIENT4, dst=B12) / ICMP(type=13)).drops("policy")
    t.send(FROM_CLIENT / IP(src=CLIENT4, dst=B12) / ICMP(type=5)).drops("policy")
    forwarded(t, IPv6(src=CLIENT6, dst=B12_6) / ICMPv6EchoRequest(id=1), MAC12, "ping6")
    t.send(FROM_CLIENT / IPv6(src=CLIENT6, dst=B12_6, nh=58) / Raw(raw(ICMP(type=8)))).drops("policy")


@case("policy: DSCP, whatever the ECN bits", MATCH)
def _(t):
    for ecn in range(4):
        forwarded(t, IP(src=CLIENT4, dst=B13, tos=46 << 2 | ecn) / UDP(sport=4000 + ecn, dport=9), MAC13, "voice")
        forwarded(t, IPv6(src=CLIENT6, dst=B13_6, tc=46 << 2 | ecn) / UDP(sport=4000 + ecn, dport=9), MAC13, "voice")
    t.send(FROM_CLIENT / IP(src=CLIENT4, dst=B13, tos=45 << 2) / UDP(sport=4010, dport=9)).drops("policy")


@case("policy: VLAN tag and interface of arrival", MATCH)
def _(t):
    packet = IP(src="10.200.0.5", dst=B13, proto=50) / Raw(bytes(16))
    forwarded(t, packet, MAC13, "tagged", Ether(src=MAC200, dst=NODE) / Dot1Q(vlan=200))
    t.send(FROM_CLIENT / IP(src=CLIENT4, dst=B13, proto=50) / Raw(bytes(16))).drops("policy")
    forwarded(t, IP(src=CLIENT4, dst=B13, proto=51) / Raw(bytes(16)), MAC13, "by-interface")
    t.send(FROM_CLIENT / IP(src=CLIENT4, dst=B13, proto=89) / Raw(bytes(16))).drops("policy")


@case("policy: rules speak of the VIP, and of the service by name", MATCH)
def _(t):
    t.send(FROM_CLIENT / IP(src=CLIENT4, dst=VIP4) / TCP(sport=4000, dport=81)).drops("policy", rule="bad-service")
    t.send(FROM_CLIENT / IP(src=CLIENT4, dst=VIP4) / TCP(sport=4000, dport=80)).forwards(
        to_backend(B11) / IP(src=CLIENT4, dst=B11, ttl=63) / TCP(sport=4000, dport=80), rule="any-service", service="good")
    t.send(FROM_CLIENT / IP(src=CLIENT4, dst="198.51.102.1") / TCP(sport=4000, dport=80)).drops("policy")


@case("policy: says nothing of traffic that nothing claims", MATCH)
def _(t):
    t.send(FROM_CLIENT / IP(src="198.51.100.1", dst="192.0.2.77") / TCP(dport=80)).passes()
    t.send(FROM_CLIENT / IP(src="198.51.100.1", dst=OWN4) / TCP(dport=22)).passes()
    t.send(FROM_CLIENT / IP(src=CLIENT4, dst=VIP4) / TCP(dport=82)).passes()


EXCEPT = NETWORK + f"""
policy:
  default: drop
  managed: [10.0.0.0/8, "2001:db8:1::/64"]
  sets:
    partners: {{ prefixes: [203.0.113.128/25, "2001:db8:c::/64"] }}
  rules:
    - {{ name: tried, to: [{B12}], action: drop, dry_run: true }}
    - {{ name: tried-too, to: [{B12}], action: allow, dry_run: true }}
    - name: not-admin
      from: [203.0.113.0/24, 203.0.113.10, "2001:db8:c::/64"]
      except: {{ from: [203.0.113.8/29, "2001:db8:c::5"], to: [{B13}], ports: "22,8000-8010", source_ports: "1-1023" }}
      action: allow
    - {{ name: not-partners, protocol: 50, except: {{ from: ["set:partners"] }}, action: allow }}
services:
  - {{ name: good, vip: {VIP4}, protocol: tcp, ports: "80", backends: [{{ address: {B11} }}] }}
"""


@case("policy: what a rule excepts it does not match, longer prefixes inside included", EXCEPT)
def _(t):
    for source in ("203.0.113.7", "203.0.113.16", "203.0.113.255"):
        forwarded(t, IP(src=source, dst=B11) / TCP(sport=4000, dport=80), MAC11, "not-admin")
    for source in ("203.0.113.8", "203.0.113.10", "203.0.113.15", "198.51.100.1"):
        t.send(FROM_CLIENT / IP(src=source, dst=B11) / TCP(sport=4000, dport=80)).drops("policy")
    forwarded(t, IPv6(src="2001:db8:c::4", dst=B11_6) / TCP(sport=4000, dport=80), MAC11, "not-admin")
    t.send(FROM_CLIENT / IPv6(src="2001:db8:c::5", dst=B11_6) / TCP(sport=4000, dport=80)).drops("policy")
    t.send(FROM_CLIENT / IP(src="203.0.113.7", dst=B13) / TCP(sport=4001, dport=80)).drops("policy")
    t.send(FROM_CLIENT / IP(src="203.0.113.130", dst=B11, proto=50) / Raw(b"esp")).forwards(
        Ether(src=NODE, dst=MAC11) / IP(src="203.0.113.130", dst=B11, proto=50, ttl=63) / Raw(b"esp"), rule="not-admin")
    t.send(FROM_CLIENT / IP(src="198.51.100.1", dst=B11, proto=50) / Raw(b"esp")).forwards(
        Ether(src=NODE, dst=MAC11) / IP(src="198.51.100.1", dst=B11, proto=50, ttl=63) / Raw(b"esp"), rule="not-partners")
    t.send(FROM_CLIENT / IP(src="203.0.113.10", dst=B11, proto=50) / Raw(b"esp")).forwards(
        Ether(src=NODE, dst=MAC11) / IP(src="203.0.113.10", dst=B11, proto=50, ttl=63) / Raw(b"esp"), rule="not-partners")


@case("policy: ports that a rule excepts; what has no ports is none of them", EXCEPT)
def _(t):
    for dport in (21, 23, 7999, 8011):
        forwarded(t, IP(src=CLIENT4, dst=B11) / UDP(sport=4000, dport=dport), MAC11, "not-admin")
    for dport in (22, 8000, 8005, 8010):
        t.send(FROM_CLIENT / IP(src=CLIENT4, dst=B11) / UDP(sport=4000, dport=dport)).drops("policy")
    for sport in (1, 1023):
        t.send(FROM_CLIENT / IP(src=CLIENT4, dst=B11) / UDP(sport=sport, dport=80)).drops("policy")
    forwarded(t, IP(src=CLIENT4, dst=B11) / ICMP(id=1), MAC11, "not-admin")


@case("policy: a rule in dry run decides nothing", EXCEPT)
def _(t):
    forwarded(t, IP(src=CLIENT4, dst=B12) / TCP(sport=4000, dport=80), MAC12, "not-admin")
    t.send(FROM_CLIENT / IP(src="203.0.113.8", dst=B12) / TCP(sport=4001, dport=80)).drops("policy")


NO_PORT_LEFT = NETWORK + f"""
policy:
  managed: [10.0.0.0/8]
  rules:
    - {{ name: no-destination, protocol: tcp, ports: "80", except: {{ ports: "80" }}, action: drop }}
    - {{ name: no-source, protocol: tcp, except: {{ source_ports: "0-65535" }}, action: drop }}
services:
  - {{ name: any, vip: {VIP4}, protocol: tcp, ports: any, backends: [{{ address: {B11} }}] }}
"""


@case("policy: a rule that leaves itself no port matches nothing", NO_PORT_LEFT)
def _(t):
    for dport in (80, 85):
        forwarded(t, IP(src=CLIENT4, dst=B11) / TCP(sport=4000 + dport, dport=dport), MAC11, None)


REJECT = NETWORK + f"""
policy:
  managed: [10.0.0.0/8, "2001:db8:1::/64"]
  rules:
    - {{ name: no-telnet, protocol: tcp, ports: "23", action: reject }}
    - {{ name: no-chargen, protocol: udp, ports: "19", action: reject }}
    - {{ name: no-gre, protocol: gre, action: reject }}
    - {{ name: no-ping, protocol: icmp, icmp_types: "8", action: reject }}
services:
  - {{ name: any, vip: {VIP4}, protocol: tcp, ports: any, backends: [{{ address: {B11} }}] }}
  - {{ name: any6, vip: "{VIP6}", protocol: tcp, ports: any, backends: [{{ address: "{B11_6}" }}] }}
"""


def reset(layer, src, dst, segment, length):
    """The RST that answers SEGMENT, which carries LENGTH bytes (RFC 9293, 3.10.7.1); the window is of no meaning in it."""
    if segment.flags & 0x10:
        fields = {"seq": segment.ack, "ack": 0, "flags": "R"}
    else:
        extra = length + bool(segment.flags & 2) + bool(segment.flags & 1)
        fields = {"seq": 0, "ack": segment.seq + extra & 0xFFFFFFFF, "flags": "RA"}

    def expected(got):
        free = {"id": got[IP].id, "flags": got[IP].flags, "tos": got[IP].tos} if layer is IP else {}
        link = TO_CLIENT / (IP(src=src, dst=dst, ttl=64, **free) if layer is IP else
                            IPv6(src=src, dst=dst, hlim=64, tc=got[IPv6].tc, fl=got[IPv6].fl))
        return link / TCP(sport=segment.dport, dport=segment.sport, window=got[TCP].window, **fields)

    return expected


@case("policy: reject answers TCP with the RST that its segment asks for", REJECT)
def _(t):
    for layer, client, server in ((IP, CLIENT4, VIP4), (IP, CLIENT4, B11), (IPv6, CLIENT6, VIP6), (IPv6, CLIENT6, B11_6)):
        for flags, data in (("S", b""), ("S", b"early data"), ("A", b""), ("PA", b"abc"), ("F", b""), ("", b"abc")):
            segment = TCP(sport=4000, dport=23, flags=flags, seq=0xFFFFFFFE, ack=77 if "A" in flags else 0)
            t.send(FROM_CLIENT / layer(src=client, dst=server) / segment / Raw(data)).rejects(
                reset(layer, server, client, segment, len(data)), rule="no-telnet")


@case("policy: reject never answers a RST", REJECT, engine="the engine finds that it may not answer")
def _(t):
    for flags in ("R", "RA"):
        t.send(FROM_CLIENT / IP(src=CLIENT4, dst=B11) / TCP(sport=4000, dport=23, flags=flags)).drops("policy")


@case("policy: reject answers all else with ICMP administratively prohibited", REJECT)
def _(t):
    for inner in (IP(src=CLIENT4, dst=B11) / UDP(sport=4000, dport=19) / Raw(b"data"),
                  IP(src=CLIENT4, dst=B11, proto=47) / Raw(b"\0\0\x08\0data"),
                  IP(src=CLIENT4, dst=B11) / ICMP(id=1)):
        t.send(FROM_CLIENT / inner).rejects(
            lambda got, inner=inner: TO_CLIENT / IP(src=OWN4, dst=CLIENT4, id=got[IP].id, tos=got[IP].tos,
                                                    flags=got[IP].flags) / ICMP(type=3, code=13) / quoted(inner))
    inner6 = IPv6(src=CLIENT6, dst=B11_6) / UDP(sport=4000, dport=19) / Raw(b"data")
    t.send(FROM_CLIENT / inner6).rejects(
        lambda got: TO_CLIENT / IPv6(src=OWN6, dst=CLIENT6, tc=got[IPv6].tc, fl=got[IPv6].fl) /
        ICMPv6DestUnreach(code=1) / quoted(inner6))
