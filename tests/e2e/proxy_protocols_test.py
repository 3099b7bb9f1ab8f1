# SPDX-License-Identifier: Apache-2.0
"""Services in mode proxy: UDP sessions, PROXY headers, many connections, schedulers and limits."""

import contextlib
import resource
import socket
import struct
import threading
import time

from case import main
from programs import curl, dig, dnsmasq
from proxying import ProxyCase, keep_accepting, listening, proxy_protocol_server, read_all, resident, udp_server
from topology import VIP4, VIP6, wait_until


class ProxyProtocols(ProxyCase):
    def test_udp_sessions_carry_many_replies_and_end_by_silence(self):
        lab = self.make_lab(backends=1)
        udp_server(self, lab.backends[0], lambda data: [bytes([number]) + data for number in range(3)])
        daemon = self.start(lab, self.proxied(lab, "udp", protocol="udp", ports="9000"), timeouts={"udp": "1s"})
        clients = []
        for number in range(50):
            with lab.client.inside():
                client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.addCleanup(client.close)
            client.settimeout(5)
            client.connect((VIP4, 9000))
            client.send(b"q%d" % number)
            clients.append(client)
        for number, client in enumerate(clients):
            got = sorted(client.recv(100) for _ in range(3))
            self.assertEqual(got, [bytes([each]) + b"q%d" % number for each in range(3)])
        metrics = daemon.metrics()
        self.assertEqual(metrics.sum("sluice_proxy_datagrams_total", direction="to_backend"), 50)
        self.assertEqual(metrics.sum("sluice_proxy_datagrams_total", direction="to_client"), 150)
        wait_until(lambda: daemon.metrics().sum("sluice_proxy_connections") == 0, "silence ends the sessions", 5)
        self.assertEqual(sum(int(line["bytes_to_client"]) for line in self.log_lines(50)),
                         daemon.metrics().sum("sluice_proxy_bytes_total", direction="to_client"))

    def test_dns_answers_come_through_the_proxy_over_both_families(self):
        lab = self.make_lab(backends=1)
        dnsmasq(lab.backends[0])
        self.start(lab, self.proxied(lab, "dns4", protocol="udp", ports="53"), self.proxied(lab, "dns6", 6, protocol="udp", ports="53"))
        for vip in (VIP4, VIP6):
            self.assertEqual(dig(lab.client, vip), ["203.0.113.1"])

    def test_trains_of_datagrams_arrive_one_by_one_and_whole(self):
        lab = self.make_lab(backends=1)
        with lab.backends[0].namespace.inside():
            server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(server.close)
        server.setsockopt(socket.SOL_SOCKET, 33, 16 << 20)
        server.bind(("", 9000))
        server.settimeout(2)
        self.start(lab, self.proxied(lab, "udp", protocol="udp", ports="9000"))
        with lab.client.inside():
            client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(client.close)
        client.connect((VIP4, 9000))
        sizes = [(7 * number) % 1400 + 1 for number in range(400)]
        for number, size in enumerate(sizes):
            client.send(number.to_bytes(2, "big") * ((size + 1) // 2))
            if number % 50 == 49:
                time.sleep(0.05)
        got = [server.recv(2048) for _ in sizes]
        self.assertEqual([len(each) for each in got], [(size + 1) // 2 * 2 for size in sizes])
        self.assertEqual([int.from_bytes(each[:2], "big") for each in got], list(range(400)))

    def test_the_proxy_header_tells_nginx_and_haproxy_who_the_client_is(self):
        lab = self.make_lab(backends=2)
        for backend in lab.backends:
            proxy_protocol_server(backend, "nginx" if backend.number == 1 else "haproxy")
        one, two = ([{"address": lab.backends[i].address4, "port": 8000}] for i in (0, 1))
        services = [self.proxied(lab, f"{name}{version}", ports=str(port), proxy={"proxy_protocol": version}) | {"backends": to}
                    for name, to, first in (("nginx", one, 81), ("haproxy", two, 83))
                    for port, version in ((first, "v1"), (first + 1, "v2"))]
        self.start(lab, *services)
        for port in (81, 82, 83, 84):
            self.assertIn("client 198.51.100.2", curl(lab.client, VIP4, port), port)

    def test_a_received_proxy_header_is_the_client_and_a_malformed_one_is_refused(self):
        lab = self.make_lab(backends=1)
        proxy_protocol_server(lab.backends[0], "nginx")
        web = self.proxied(lab, proxy={"accept_proxy_protocol": True, "proxy_protocol": "v2"})
        web["backends"] = [{"address": lab.backends[0].address4, "port": 8000}]
        daemon = self.start(lab, web)
        request = b"GET / HTTP/1.0\r\n\r\n"
        headers = [b"PROXY TCP4 203.0.113.7 192.0.2.10 4242 80\r\n",
                   b"\r\n\r\n\0\r\nQUIT\n\x21\x11" + struct.pack(">H", 12 + 6) + socket.inet_aton("203.0.113.7") +
                   socket.inet_aton(VIP4) + struct.pack(">HH", 4242, 80) + b"\x05\x00\x03abc"]
        for header in headers:
            connection = self.connect(lab)
            for byte in header:  # one at a time: it is whole when it is whole
                connection.sendall(bytes([byte]))
            connection.sendall(request)
            self.assertIn(b"client 203.0.113.7", read_all(connection))
            connection.close()
        for wrong in (request, b"PROXY TCP5 1.2.3.4", b"PROXY TCP4 1.2.3.4 5.6.7.8 1 70000\r\n", headers[1][:12] + b"\x31"):
            connection = self.connect(lab)
            connection.sendall(wrong + bytes(120))
            with self.assertRaises(ConnectionResetError):
                connection.recv(1)
        self.assertEqual(daemon.metrics().sum("sluice_proxy_connections_closed_total", reason="bad_header"), 4)
        self.assertEqual({line["client"].split(":")[0] for line in self.log_lines(6) if line["ending"] == "done"}, {"203.0.113.7"})

    def test_thousands_of_idle_connections_take_little_memory(self):
        lab = self.make_lab(backends=1)
        count = 8000
        server = listening(lab.backends[0].namespace, 80)
        self.addCleanup(server.close)
        taken = []
        threading.Thread(target=keep_accepting, args=(server, taken), daemon=True).start()
        resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
        daemon = self.start(lab, self.proxied(lab))
        self.connect(lab)
        wait_until(lambda: daemon.metrics().sum("sluice_proxy_connections") == 1, "one is open")
        before = resident(daemon.process.pid)
        with lab.client.inside():
            idle = [socket.create_connection((VIP4, 80), timeout=10) for _ in range(count)]
        wait_until(lambda: daemon.metrics().sum("sluice_proxy_connections") == count + 1, "all are open", 20)
        each = (resident(daemon.process.pid) - before) / count
        for connection in idle + taken:
            connection.close()
        self.assertLess(each, 2048, "bytes of user memory for an idle connection")

    def test_least_connections_and_limits_hold(self):
        lab = self.make_lab()
        servers = [self.serve(backend, read_all) for backend in lab.backends]
        daemon = self.start(lab, self.proxied(lab, scheduler="least_connections", limits={"connections": 10}))
        held = [self.connect(lab) for _ in range(10)]
        wait_until(lambda: sum(server.taken for server in servers) == 10, "ten arrive")
        with self.assertRaises(ConnectionResetError):
            self.connect(lab).recv(1)
        self.assertEqual(daemon.metrics().sum("sluice_proxy_connections_closed_total", reason="limited"), 1)
        self.assertTrue(all(3 <= server.taken <= 7 for server in servers), [server.taken for server in servers])
        self.assertEqual(len(held), 10)


if __name__ == "__main__":
    main()
