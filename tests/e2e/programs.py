# SPDX-License-Identifier: Apache-2.0
"""Real programs for both ends: nginx, dnsmasq, iperf3, curl, dig, ping, tcpdump."""

import re
import signal
import socket

from topology import stop, text_of, wait_until


def _listens(namespace, port, kind):
    return re.search(rf":{port}\s", namespace.run("ss", "-Hln" + ("t" if kind == "tcp" else "u")).stdout)


def nginx(backend, port=80):
    """Answers with its own number, and the addresses it sees; serves /large, 8 MiB, and takes uploads."""
    home = backend.namespace.home / f"nginx{backend.number}"
    home.mkdir()
    large = home / "large"
    with open(large, "wb") as file:
        file.truncate(8 << 20)
    config = home / "nginx.conf"
    config.write_text(f"""\
daemon off; master_process off; worker_processes 1; pid {home}/pid; error_log stderr warn;
events {{ worker_connections 512; }}
http {{
  log_format addresses '$remote_addr $server_addr $server_port $status';
  access_log {home}/access.log addresses;
  client_body_temp_path {home}/body; proxy_temp_path {home}/proxy; fastcgi_temp_path {home}/fastcgi;
  uwsgi_temp_path {home}/uwsgi; scgi_temp_path {home}/scgi;
  client_max_body_size 64m; keepalive_timeout 60; keepalive_requests 100000;
  server {{
    listen {port}; listen [::]:{port};
    location = / {{ return 200 "backend {backend.number} client $remote_addr server $server_addr\\n"; }}
    location = /large {{ alias {large}; }}
  }}
}}
""")
    process = backend.namespace.spawn("nginx", "-c", config, "-p", home)
    process.access = home / "access.log"
    wait_until(lambda: _listens(backend.namespace, port, "tcp"), f"nginx listens on {port}: {text_of(process)}")
    return process


def dnsmasq(backend, *options):
    """Answers every name under test.example with 203.0.113.BACKEND, and logs its queries."""
    process = backend.namespace.spawn(
        "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--user=root", "--pid-file",
        "--log-queries", "--log-facility=-", f"--address=/test.example/203.0.113.{backend.number}", *options)
    wait_until(lambda: _listens(backend.namespace, 53, "udp"), "dnsmasq listens")
    return process


def iperf3_server(backend, port=5201):
    process = backend.namespace.spawn("iperf3", "-s", "-p", port)
    wait_until(lambda: _listens(backend.namespace, port, "tcp"), "iperf3 listens")
    return process


def url(address, port=80, path="/"):
    host = f"[{address}]" if ":" in address else address
    return f"http://{host}:{port}{path}"


def curl(client, address, port=80, path="/", *options, check=True, timeout=5):
    """What the server answered; None when CHECK is off and nothing came."""
    done = client.run("curl", "-sS", "--max-time", timeout, *options, url(address, port, path), check=check)
    return done.stdout if done.returncode == 0 else None


def dig(client, address, name="a.test.example", check=True):
    """The addresses that the server at ADDRESS gives for NAME."""
    done = client.run("dig", "+short", "+tries=2", "+time=2", f"@{address}", name, "A", check=check)
    return done.stdout.split()


def ping(client, address, *options, count=3):
    """How many of COUNT echoes were answered."""
    done = client.run("ping", "-n", "-c", count, "-i", "0.1", "-W", "1", *options, address, check=False)
    return int(re.search(r"(\d+) received", done.stdout)[1]), done.stdout


class Tcpdump:
    """Counts what the kernel shows in a namespace while it lasts."""

    def __init__(self, namespace, expression, device="any"):
        self.process = namespace.spawn("tcpdump", "-n", "-l", "-i", device, expression)
        wait_until(lambda: "listening on" in text_of(self.process), f"tcpdump listens: {expression}")

    def __enter__(self):
        return self

    def __exit__(self, *_exception):
        stop(self.process, signal.SIGINT)

    def lines(self):
        """The packets; call it after the end."""
        return [line for line in text_of(self.process).splitlines() if re.match(r"\d\d:\d\d:\d\d\.", line)]


def has_program(namespace, name):
    return namespace.run("sh", "-c", f"command -v {name}", check=False).returncode == 0


def keep_alive(client, address, port=80):
    """A connected socket of CLIENT's, on which `ask` speaks HTTP."""
    with client.inside():
        connection = socket.create_connection((address, port), timeout=5)
    connection.settimeout(5)
    return connection


def ask(connection, path="/"):
    """One request on an open connection; the answer's body."""
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: sluice.test\r\n\r\n".encode())
    data = b""
    while b"\r\n\r\n" not in data:
        more = connection.recv(65536)
        assert more, "the server closed the connection"
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    length = int(re.search(rb"Content-Length: (\d+)", head)[1])
    while len(body) < length:
        more = connection.recv(65536)
        assert more, "the server closed the connection"
        body += more
    return body.decode()
