# SPDX-License-Identifier: Apache-2.0
"""The network that all cases play in: one node with one arm, eth0, and a second interface, eth1, that packets leave by.

    clients --- router (198.18.0.254) --- eth0 node eth1 --- a link with an MTU of 1400
                backends (10.0.1.0/24, 2001:db8:1::/64) on eth0, too
                VLAN 200 of eth0: 10.200.0.0/24
"""

from scapy.all import IP, TCP, UDP, Ether, IPv6, IPv6ExtHdrFragment, Raw, raw

# Link addresses
NODE = "02:00:00:00:00:01"    # eth0
NODE1 = "02:00:00:00:01:01"   # eth1
ROUTER = "02:00:00:00:00:fe"  # on eth0: the default route
ROUTER1 = "02:00:00:00:01:fe"  # on eth1
MAC11 = "02:00:00:00:01:11"   # backends
MAC12 = "02:00:00:00:01:12"
MAC13 = "02:00:00:00:01:13"
MAC200 = "02:00:00:00:02:05"  # on VLAN 200

# Addresses: 4 and 6 stand for the family
CLIENT4, CLIENT6 = "203.0.113.7", "2001:db8:c::7"
OTHER4, OTHER6 = "203.0.113.8", "2001:db8:c::8"
VIP4, VIP6 = "192.0.2.10", "2001:db8:a::10"
OWN4, OWN6 = "198.18.0.1", "2001:db8:ff::1"
ROUTER4, ROUTER6 = "198.18.0.254", "2001:db8:ff::fe"
B11, B12, B13 = "10.0.1.11", "10.0.1.12", "10.0.1.13"
B11_6, B12_6, B13_6 = "2001:db8:1::11", "2001:db8:1::12", "2001:db8:1::13"
MAC_OF = {B11: MAC11, B12: MAC12, B13: MAC13, B11_6: MAC11, B12_6: MAC12, B13_6: MAC13}

# Frames
FROM_CLIENT = Ether(src=ROUTER, dst=NODE)
TO_CLIENT = Ether(src=NODE, dst=ROUTER)


def to_backend(address):
    return Ether(src=NODE, dst=MAC_OF[address])


def from_backend(address):
    return Ether(src=MAC_OF[address], dst=NODE)


def ip(family):
    """The layer of FAMILY, 4 or 6, with its time to live as scapy's `ttl=`."""
    if family == 4:
        return IP

    def ipv6(ttl=64, tos=0, **fields):
        return IPv6(hlim=ttl, tc=tos, **fields)

    return ipv6


def endpoint(address, port):
    """As verdicts print a backend."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


# Interfaces and routes. The live runner replaces the tiers.
INTERFACES = f"""\
version: 1
interfaces:
  - {{ name: eth0, tiers: auto, mac: "{NODE}", mtu: 1500, vlan: [200], addresses: [{OWN4}/24, "{OWN6}/64"] }}
  - {{ name: eth0.200, addresses: [10.200.0.1/24] }}
  - {{ name: eth1, tiers: auto, mac: "{NODE1}", mtu: 1400, addresses: [198.18.1.1/24, "2001:db8:fe::1/64"] }}
tables: {{ flows: 16384, sources: 64, services: 64, backends: 64, fragments: 64 }}
"""
ROUTES = f"""\
routes:
  - {{ prefix: 0.0.0.0/0, via: {ROUTER4}, mac: "{ROUTER}", interface: eth0 }}
  - {{ prefix: "::/0", via: "{ROUTER6}", mac: "{ROUTER}", interface: eth0 }}
  - {{ prefix: 10.0.1.0/24, interface: eth0 }}
  - {{ prefix: "2001:db8:1::/64", interface: eth0 }}
  - {{ prefix: 10.200.0.0/24, interface: eth0.200 }}
  - {{ prefix: 10.14.0.0/16, via: 198.18.1.254, mac: "{ROUTER1}", interface: eth1 }}
  - {{ prefix: "2001:db8:14::/48", via: "2001:db8:fe::fe", mac: "{ROUTER1}", interface: eth1 }}
neighbors:
  - {{ address: {B11}, mac: "{MAC11}", interface: eth0 }}
  - {{ address: {B12}, mac: "{MAC12}", interface: eth0 }}
  - {{ address: {B13}, mac: "{MAC13}", interface: eth0 }}
  - {{ address: "{B11_6}", mac: "{MAC11}", interface: eth0 }}
  - {{ address: "{B12_6}", mac: "{MAC12}", interface: eth0 }}
  - {{ address: "{B13_6}", mac: "{MAC13}", interface: eth0 }}
  - {{ address: 10.200.0.5, mac: "{MAC200}", interface: eth0.200 }}
"""
NETWORK = INTERFACES + ROUTES

# A service whose packets to the backend travel in a tunnel; for under `services:`.
TUNNELLED4 = f"""\
  - name: ipip
    vip: 192.0.2.12
    protocol: udp
    ports: "53"
    mode: dsr_ipip
    tunnel: {{ source4: 172.16.0.1 }}
    backends: [{{ address: {B13} }}]
"""


def cut(packet, length):
    """The first LENGTH bytes of PACKET's frame."""
    return raw(packet)[:length]


def quoted(packet, length=None):
    """PACKET as an ICMP error quotes it: its first LENGTH bytes (all, if not given), no layer of scapy's any more."""
    return Raw(raw(packet)[:length])


def with_checksum_off_by(packet, layer, difference):
    """PACKET whose checksum in LAYER is wrong: right one's sum plus DIFFERENCE, in one's-complement arithmetic, so that
    an incremental update of the right packet's checksum leaves the wrong one wrong by the same DIFFERENCE."""
    built = packet.__class__(raw(packet))
    total = (~built[layer].chksum & 0xFFFF) + difference
    built[layer].chksum = ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF
    return built


def fragments_of(packet, layer, sizes, ident):
    """IPv4 PACKET (LAYER is IP) or IPv6 PACKET (IPv6) cut into fragments with payloads of SIZES bytes and the rest."""
    built = packet.__class__(raw(packet))
    payload = raw(built[layer].payload)
    pieces, offset = [], 0
    for size in list(sizes) + [len(payload)]:
        piece = payload[offset:offset + size]
        if not piece:
            break
        more = offset + len(piece) < len(payload)
        if layer is IP:
            head = IP(src=built[IP].src, dst=built[IP].dst, ttl=built[IP].ttl, tos=built[IP].tos, id=ident,
                      proto=built[IP].proto, flags="MF" if more else 0, frag=offset // 8)
        else:
            head = IPv6(src=built[IPv6].src, dst=built[IPv6].dst, hlim=built[IPv6].hlim, tc=built[IPv6].tc)
            head /= IPv6ExtHdrFragment(nh=built[IPv6].nh, offset=offset // 8, m=int(more), id=ident)
        pieces.append(Ether(src=built.src, dst=built.dst) / head / Raw(piece))
        offset += len(piece)
    return pieces
