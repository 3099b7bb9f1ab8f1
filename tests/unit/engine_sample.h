// SPDX-License-Identifier: Apache-2.0
//
// The node that the engine's tests run packets through.
#pragma once

#include "tests/support/node.h"

namespace sluice::test {

// eth0 is device 1 (port 1, 02:..:01; its VLAN 200 is port 2), eth1 device 3 (port 3, 02:..:02).
inline std::string sample(const std::string& rules = "", const std::string& more = "") {
    return R"(
version: 1
interfaces:
  - { name: eth0, mac: "02:00:00:00:00:01", vlan: [200], addresses: [10.0.0.254/24, "2001:db8:0:1::fe/64"] }
  - { name: eth1, mac: "02:00:00:00:00:02", mtu: 1400 }
policy:
  managed: [10.50.0.0/16, "2001:db8:50::/48"]
  rules: [)" +
           rules + R"(]
services:
  - { name: web, vip: 192.0.2.10, protocol: tcp, ports: "80", mode: nat, backends: [{ address: 10.0.1.11, port: 8080 }] }
  - { name: dns, vip: 192.0.2.10, protocol: udp, ports: "53", mode: nat, backends: [{ address: 10.0.1.12, port: 5353 }] }
  - { name: web6, vip: "2001:db8::10", protocol: tcp, ports: "80", mode: nat, backends: [{ address: "2001:db8:1::11", port: 8080 }] }
  - { name: dns6, vip: "2001:db8::10", protocol: udp, ports: "53", mode: nat, backends: [{ address: "2001:db8:1::12", port: 5353 }] }
  - { name: full, vip: 192.0.2.11, protocol: tcp, ports: "80", mode: fullnat, backends: [{ address: 10.0.1.13, port: 80 }] }
  - { name: ipip, vip: 192.0.2.12, protocol: udp, ports: any, mode: dsr_ipip, tunnel: { source4: 172.16.0.1 }, backends: [{ address: 10.0.1.14 }] }
  - { name: gue, vip: 192.0.2.13, protocol: udp, ports: any, mode: dsr_gue, tunnel: { source4: 172.16.0.1 }, backends: [{ address: 10.0.1.15 }] }
  - { name: l2, vip: 192.0.2.14, protocol: udp, ports: any, mode: dsr_l2, backends: [{ address: 10.0.1.16 }] }
  - { name: empty, vip: 192.0.2.15, protocol: udp, ports: "53", mode: nat, backends: [] }
  - { name: narrow, vip: 192.0.2.16, protocol: udp, ports: "53", mode: nat, backends: [{ address: 10.9.0.1, port: 53 }] }
  - { name: full6, vip: "2001:db8::11", protocol: tcp, ports: "80", mode: fullnat, backends: [{ address: "2001:db8:1::13", port: 80 }] }
routes:
  - { prefix: 0.0.0.0/0, via: 10.0.0.1, mac: "02:00:00:00:00:fe", interface: eth0 }
  - { prefix: 10.9.0.0/16, via: 10.9.0.9, mac: "02:00:00:00:00:99", interface: eth1 }
  - { prefix: 10.50.7.0/24, via: 10.0.0.7, interface: eth0 }
  - { prefix: 10.50.8.0/24, via: 10.0.0.8, mac: "02:00:00:00:00:88", interface: eth0.200 }
  - { prefix: "2001:db8::/32", via: "2001:db8:0:1::1", mac: "02:00:00:00:00:fe", interface: eth0 }
neighbors: [{ address: 10.0.1.11, mac: "02:00:00:00:00:11", interface: eth0 }]
tables: { flows: 4096, sources: 256, backends: 64, fragments: 256 }
)" + more;
}

inline u32 ip_checked(const Bytes& frame, size_t link = 14) {
    EXPECT_EQ(checksum_faults(packet_of(frame, link)), "");
    return 0;
}

inline std::string dotted(const Bytes& frame, size_t at) {
    return fmt::format("{}.{}.{}.{}", frame.at(at), frame.at(at + 1), frame.at(at + 2), frame.at(at + 3));
}

// Of an untagged IPv4 frame without options.
struct Ipv4View {
    explicit Ipv4View(const Bytes& frame, size_t link = 14)
        : source(dotted(frame, link + 12)),
          destination(dotted(frame, link + 16)),
          ttl(frame.at(link + 8)),
          protocol(frame.at(link + 9)),
          source_port(get16(frame, link + 20)),
          destination_port(get16(frame, link + 22)) {}

    std::string source, destination;
    u8 ttl, protocol;
    u16 source_port, destination_port;
};

inline Bytes dns_query(u16 source_port = 40000) {
    return ethernet(ipv4({}, udp({.source_port = source_port})));
}

}  // namespace sluice::test
