# SPDX-License-Identifier: Apache-2.0
"""What cases about services in mode proxy have in common."""

import contextlib
import json
import socket
import struct
import threading

from case import LabCase
from daemon import service
from topology import VIP4, wait_until

MIB = 1 << 20
SO_LINGER_NOW = struct.pack("ii", 1, 0)


def listening(space, port, family=socket.AF_INET6):
    """A listening socket of a namespace, for both families."""
    with space.inside():
        return socket.create_server(("::", port), family=family, dualstack_ipv6=True, backlog=1024)


class Server:
    """Takes connections at a backend and hands each to HANDLER on a thread of its own."""

    def __init__(self, backend, handler, port=80):
        self.socket = listening(backend.namespace, port)
        self.handler = handler
        self.taken = 0
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.socket.accept()
                self.taken += 1
                threading.Thread(target=self._handle, args=(connection,), daemon=True).start()

    def _handle(self, connection):
        with connection, contextlib.suppress(OSError):
            self.handler(connection)

    def close(self):
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()


def keep_accepting(server, taken):
    with contextlib.suppress(OSError):
        while True:
            taken.append(server.accept()[0])


def udp_server(case, backend, answers, port=9000):
    """Sends all of ANSWERS(data) back for every datagram, until the case ends."""
    with backend.namespace.inside():
        server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    case.addCleanup(server.close)
    server.bind(("", port))

    def run():
        with contextlib.suppress(OSError):
            while True:
                data, peer = server.recvfrom(65536)
                for answer in answers(data):
                    server.sendto(answer, peer)
    threading.Thread(target=run, daemon=True).start()


def read_all(connection):
    data = bytearray()
    while more := connection.recv(1 << 18):
        data += more
    return bytes(data)


class ProxyCase(LabCase):
    def proxied(self, lab, name="web", family=4, **settings):
        return service(lab, name, family, mode="proxy", **settings)

    def start(self, lab, *services, **config):
        self.daemon = self.start_daemon(lab, {"services": list(services),
                                              "log": {"level": "debug", "access": str(lab.home / "access.log")},
                                              **config})
        self.log_path = lab.home / "access.log"
        return self.daemon

    def serve(self, backend, handler, port=80):
        server = Server(backend, handler, port)
        self.addCleanup(server.close)
        return server

    def connect(self, lab, address=VIP4, port=80, timeout=10):
        with lab.client.inside():
            connection = socket.create_connection((address, port), timeout=timeout)
        self.addCleanup(connection.close)
        return connection

    def log_lines(self, count, timeout=5):
        """The access log's lines, once there are COUNT."""
        def lines():
            found = self.log_path.read_text().splitlines() if self.log_path.exists() else []
            return found if len(found) >= count else None
        found = wait_until(lines, f"{count} lines in the access log", timeout)
        return [dict(word.split("=", 1) for word in line.split()[1:]) for line in found]

    def connections(self, **query):
        """The table of connections as served on the node's loopback."""
        text = self.daemon.lab.node.run("curl", "-sS", "http://127.0.0.1:4100/connections").stdout
        return json.loads(text)

    def ended(self, ending):
        return self.daemon.metrics().sum("sluice_proxy_connections_closed_total", reason=ending)


def proxy_protocol_server(backend, kind):
    """A web server behind a PROXY header on port 8000 that says who the client is."""
    home = backend.namespace.home / f"{kind}{backend.number}-pp"
    home.mkdir()
    config = home / "config"
    if kind == "nginx":
        config.write_text(f"""\
daemon off; master_process off; pid {home}/pid; error_log stderr warn;
events {{ worker_connections 64; }}
http {{
  access_log off; client_body_temp_path {home}/b; proxy_temp_path {home}/p; fastcgi_temp_path {home}/f;
  uwsgi_temp_path {home}/u; scgi_temp_path {home}/s;
  server {{ listen 8000 proxy_protocol; location / {{ return 200 "client $proxy_protocol_addr\\n"; }} }}
}}
""")
        process = backend.namespace.spawn("nginx", "-c", config, "-p", home)
    else:
        config.write_text("""\
defaults
  mode http
  timeout connect 5s
  timeout client 5s
  timeout server 5s
frontend f
  bind :8000 accept-proxy
  http-request return status 200 content-type text/plain lf-string "client %[src]"
""")
        process = backend.namespace.spawn("haproxy", "-db", "-f", config)
    wait_until(lambda: ":8000" in backend.namespace.run("ss", "-Hlnt").stdout, f"{kind} listens: {process.log.read_text()}")
    return process


def resident(pid):
    """Bytes of anonymous memory of a process."""
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("RssAnon:"))


def cpu_ticks(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])
