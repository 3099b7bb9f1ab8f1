#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""UDP sessions in numbers: more of them than the daemon may have descriptors."""

import os
import socket
import struct

from case import main
from proxying import ProxyCase, resident, udp_server
from topology import CLIENT4, VIP4, wait_until

SESSIONS = 100_000
CHUNK = 4_000
BACKENDS = 12
CLIENTS = ("203.0.113.1", "203.0.113.2")  # behind the client; nobody there answers what comes back
FIRST_PORT = 1024
VIP_PORT = 9000


def datagram(number):
    """From the address and port of session NUMBER, with its number as the data. No checksum (RFC 768)."""
    source, port = CLIENTS[number % 2], FIRST_PORT + number // 2
    data = struct.pack("!I", number)
    udp = struct.pack("!HHHH", port, VIP_PORT, 8 + len(data), 0)
    return struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + 8 + len(data), 0, 0, 64, 17, 0, socket.inet_aton(source),
                       socket.inet_aton(VIP4)) + udp + data


class Sessions(ProxyCase):
    def start_sessions(self):
        lab = self.make_lab(backends=1)
        for number in range(BACKENDS):
            udp_server(self, lab.backends[0], lambda data: [data + b"!"], VIP_PORT + number)
        lab.node.ip("route", "add", "203.0.113.0/24", "via", CLIENT4)
        udp = self.proxied(lab, "udp", protocol="udp", ports=str(VIP_PORT)) | {
            "backends": [{"address": lab.backends[0].address4, "port": VIP_PORT + number} for number in range(BACKENDS)]}
        daemon = self.start(lab, udp, timeouts={"udp": "30m"})
        with lab.client.inside():
            self.raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
        self.addCleanup(self.raw.close)
        return daemon

    def open_chunk(self, daemon, first):
        """Datagrams of sessions from FIRST on, again and again until each has had its answer: what a full buffer loses is sent anew."""
        last = first + CHUNK

        def all_answered():
            for number in range(first, last):
                self.raw.sendto(datagram(number), (VIP4, 0))
            return self.answered(daemon, last)
        wait_until(all_answered, f"sessions {first} to {last} have their answers", 60)

    def answered(self, daemon, count):
        try:
            return wait_until(lambda: daemon.metrics().sum("sluice_proxy_first_byte_seconds_count", service="udp") >= count, "", 2)
        except AssertionError:
            return False

    def test_a_hundred_thousand_sessions_share_sockets_and_each_gets_its_answers(self):
        daemon = self.start_sessions()
        pid = daemon.process.pid
        before = resident(pid)
        for first in range(0, SESSIONS, CHUNK):
            self.open_chunk(daemon, first)
        metrics = daemon.metrics()
        self.assertEqual(metrics.sum("sluice_proxy_connections", service="udp"), SESSIONS)
        self.assertEqual(metrics.sum("sluice_proxy_first_byte_seconds_count", service="udp"), SESSIONS)
        descriptors = len(os.listdir(f"/proc/{pid}/fd"))
        self.assertLess(descriptors, SESSIONS / 4, "sessions share sockets")
        each = (resident(pid) - before) / SESSIONS
        print(f"{SESSIONS} sessions: {descriptors} descriptors, {each:.0f} bytes of user memory each")
        self.assertLess(each, 1024)
        daemon.stop()
        self.assertEqual(len(self.log_lines(1)[0]["client"].split(":")), 2)


if __name__ == "__main__":
    main()
