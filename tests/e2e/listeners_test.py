# SPDX-License-Identifier: Apache-2.0
"""Listening for services in mode proxy: prefixes and thousands of ports by an sk_lookup program, and without one."""

import contextlib
import os
import socket

from case import main
from programs import curl, nginx
from proxying import ProxyCase, read_all, udp_server
from topology import wait_until

PORTS = "20000-29999"
PREFIX, PREFIX6 = "192.0.2.16/28", "2001:db8:a::/120"


class Listeners(ProxyCase):
    def sockets(self, lab):
        """Listening TCP sockets of the proxy on the node."""
        lines = lab.node.run("ss", "-Hltnp").stdout.splitlines()
        return [line for line in lines if "sluiced" in line and "127.0.0.1:8082" not in line and "127.0.0.1:4100" not in line]

    def ask(self, lab, address, port):
        with contextlib.closing(self.connect(lab, address, port)) as connection:
            connection.sendall(b"where")
            connection.shutdown(socket.SHUT_WR)
            return read_all(connection).decode()

    def name_server(self, backend, port):
        """Says at which of its ports it was asked, and what."""
        def handler(connection):
            connection.sendall(b"%d " % connection.getsockname()[1] + read_all(connection))
        return self.serve(backend, handler, port)

    def test_ten_thousand_ports_take_one_socket_for_each_thread(self):
        lab = self.make_lab(backends=1)
        self.name_server(lab.backends[0], 80)
        one = {"backends": [{"address": lab.backends[0].address4, "port": 80}]}
        daemon = self.start(lab, self.proxied(lab, ports=PORTS) | one)
        self.assertEqual(len(self.sockets(lab)), os.cpu_count())
        for port in (20000, 20001, 24711, 29998, 29999):
            self.assertEqual(self.ask(lab, "192.0.2.10", port), "80 where")
        for port in (19999, 30000, 80):
            with self.assertRaises(ConnectionRefusedError):
                self.connect(lab, "192.0.2.10", port)
        self.assertEqual({line["vip"].rsplit(":", 1)[1] for line in self.log_lines(5)}, {"20000", "20001", "24711", "29998", "29999"})
        self.assertEqual(daemon.tier("cl0", "epoll")["mode"], "proxy, sk_lookup")

    def test_a_prefix_as_vip_is_served_at_all_its_addresses_and_no_other(self):
        lab = self.make_lab(backends=1)
        nginx(lab.backends[0])
        four = self.proxied(lab, "four") | {"vip": PREFIX}
        six = self.proxied(lab, "six", 6) | {"vip": PREFIX6}
        self.start(lab, four, six)
        for address in ("192.0.2.16", "192.0.2.20", "192.0.2.31", "2001:db8:a::", "2001:db8:a::ff"):
            self.assertIn("backend 1", curl(lab.client, address), address)
        for address in ("192.0.2.15", "192.0.2.32"):
            with self.assertRaises(OSError):
                self.connect(lab, address, timeout=1)
        with self.assertRaises(ConnectionRefusedError):
            self.connect(lab, "192.0.2.20", 81)

    def test_the_longer_prefix_and_what_a_reload_adds_and_takes_away(self):
        lab = self.make_lab(backends=2)
        for backend in lab.backends:
            nginx(backend)

        def at(name, vip, backend, **more):
            return self.proxied(lab, name, **more) | {"vip": vip, "backends": [{"address": backend.address4, "port": 80}]}
        wide = at("wide", PREFIX, lab.backends[0], ports="80-90")
        host = at("host", "192.0.2.20", lab.backends[1])
        daemon = self.start(lab, wide, host)
        self.assertIn("backend 2", curl(lab.client, "192.0.2.20"))
        self.assertIn("backend 1", curl(lab.client, "192.0.2.21"))
        self.assertIn("backend 1", curl(lab.client, "192.0.2.20", 85))
        daemon.reload({**daemon.config, "services": [wide, at("new", "192.0.2.10", lab.backends[1], ports="any")]})
        self.assertIn("backend 1", curl(lab.client, "192.0.2.20"))
        self.assertIn("backend 2", curl(lab.client, "192.0.2.10", 12345))
        daemon.reload({**daemon.config, "services": [host]})
        self.assertIn("backend 2", curl(lab.client, "192.0.2.20"))
        with self.assertRaises(OSError):
            self.connect(lab, "192.0.2.21", timeout=1)

    def test_udp_answers_come_from_the_port_and_address_that_were_asked(self):
        lab = self.make_lab(backends=1)
        udp_server(self, lab.backends[0], lambda data: [b"echo " + data])
        udp = self.proxied(lab, "udp", protocol="udp", ports=PORTS) | {
            "vip": PREFIX, "backends": [{"address": lab.backends[0].address4, "port": 9000}]}
        daemon = self.start(lab, udp, timeouts={"udp": "1s"})
        with lab.client.inside():
            client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(client.close)
        client.settimeout(5)
        pid, targets = daemon.process.pid, [(f"192.0.2.{host}", port) for host in (16, 25, 31) for port in (20000, 23456, 29999)]
        for target in targets:
            client.sendto(b"%d" % target[1], target)
            self.assertEqual(client.recvfrom(100), (b"echo %d" % target[1], target))
        open_now = len(os.listdir(f"/proc/{pid}/fd"))
        wait_until(lambda: daemon.metrics().sum("sluice_proxy_connections") == 0, "silence ends the sessions", 5)
        wait_until(lambda: len(os.listdir(f"/proc/{pid}/fd")) <= open_now - 2 * len(targets), "no socket is left behind")

    def test_without_programs_there_is_a_socket_per_port_and_the_reason_is_shown(self):
        lab = self.make_lab(backends=1)
        nginx(lab.backends[0])
        few = self.proxied(lab, ports="80-180") | {"backends": [{"address": lab.backends[0].address4, "port": 80}]}
        daemon = self.make_daemon(lab, {"services": [few]}, flags={"ENABLE_EBPF": "false"}).start()
        self.assertIn("backend 1", curl(lab.client, "192.0.2.10", 133))
        self.assertEqual(len(self.sockets(lab)), 101 * os.cpu_count())
        tier = daemon.tier("cl0", "epoll")
        self.assertEqual((tier["active"], tier["mode"]), (True, "proxy, sockets"))
        self.assertIn("ENABLE_EBPF is false", tier["reason"])
        for change, expected in (({"ports": PORTS}, "10000 ports"), ({"vip": PREFIX}, "a prefix")):
            refused = daemon.reload({**daemon.config, "services": [few | change]}, check=False)
            self.assertNotEqual(refused.returncode, 0)
            self.assertIn(expected, refused.stdout + refused.stderr)
            self.assertIn("backend 1", curl(lab.client, "192.0.2.10", 133), "the configuration before is in force")

    def test_a_backend_within_its_own_service_is_not_connected_to(self):
        lab = self.make_lab(backends=1)
        loop = self.proxied(lab, "loop") | {"vip": PREFIX, "backends": [{"address": "192.0.2.17", "port": 80}]}
        self.start(lab, loop)
        with self.assertRaises(ConnectionResetError):
            self.connect(lab, "192.0.2.20").recv(1)
        self.assertEqual(self.ended("loop"), 1)


if __name__ == "__main__":
    main()
