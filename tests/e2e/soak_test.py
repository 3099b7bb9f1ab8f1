# SPDX-License-Identifier: Apache-2.0
"""Reloads, half of them refused, under TCP connections and a stream of datagrams: none may notice.

SLUICE_SOAK_RELOADS and SLUICE_SOAK_FLOWS make it longer (1000 each for the record); SLUICE_SOAK_RATE is iperf3's, per second.
"""

import contextlib
import os
import re
import select
import socket
import threading
import time

from case import LabCase, main
from daemon import service
from topology import VIP4, text_of

RELOADS = int(os.environ.get("SLUICE_SOAK_RELOADS", "40"))
FLOWS = int(os.environ.get("SLUICE_SOAK_FLOWS", "100"))
LEAST_SECONDS = 3  # iperf3 tells of whole seconds
RATE = os.environ.get("SLUICE_SOAK_RATE", "20M")


def datagrams(server):
    """Lost and all, as an iperf3 server counted them second by second."""
    lines = [line for line in text_of(server).splitlines() if "receiver" not in line]
    found = [re.search(r" (\d+)/(\d+) \(", line) for line in lines]
    return sum(int(each[1]) for each in found if each), sum(int(each[2]) for each in found if each)


class Echo(threading.Thread):
    """Sends back what it gets, on every connection to a backend's port."""

    def __init__(self, backend, port):
        super().__init__(daemon=True)
        with backend.namespace.inside():
            self.listener = socket.create_server(("", port), backlog=4096)
        self.ended = False

    def run(self):
        poll = select.epoll()
        poll.register(self.listener.fileno(), select.EPOLLIN)
        connections = {}
        while not self.ended:
            for number, _ in poll.poll(0.2):
                if number == self.listener.fileno():
                    connection, _ = self.listener.accept()
                    connections[connection.fileno()] = connection
                    poll.register(connection.fileno(), select.EPOLLIN)
                    continue
                with contextlib.suppress(OSError):
                    data = connections[number].recv(4096)
                    if data:
                        connections[number].sendall(data)
                        continue
                poll.unregister(number)
                connections.pop(number).close()


class Talkers(threading.Thread):
    """Asks over each of its connections in turn, for as long as it lasts; what went wrong is in `faults`."""

    def __init__(self, client, address, port, count):
        super().__init__(daemon=True)
        with client.inside():
            self.connections = [socket.create_connection((address, port), timeout=20) for _ in range(count)]
        self.faults, self.rounds, self.ended = [], 0, False

    def run(self):
        while not self.ended:
            self.round()

    def round(self):
        for number, connection in enumerate(self.connections):
            word = f"{number}/{self.rounds}".encode()
            try:
                connection.sendall(word)
                got = connection.recv(4096)
                if got != word:
                    self.faults.append(f"connection {number}: {got!r} for {word!r}")
            except OSError as error:
                self.faults.append(f"connection {number}: {error}")
        self.rounds += 1


class Reloads(LabCase):
    def drops(self, daemon):
        """What sluice or its sockets lost, by reason."""
        metrics = daemon.metrics()
        names = ("sluice_drops_total", "sluice_xsk_rx_dropped_total", "sluice_worker_transmit_refused_total")
        return {name: metrics.sum(name) for name in names if metrics.has(name)}

    def check_reloads(self, daemon, good):
        times, before = [], int(daemon.metrics().sum("sluice_config_generation"))
        for number in range(RELOADS):
            wrong = number % 2 == 1
            services = good if not wrong else [{**good[0], "mode": "gnat"}, *good[1:]]
            backends = services[0]["backends"]
            services = [{**services[0], "backends": [{**each, "weight": 1 + number % 7} for each in backends]}, *services[1:]]
            start = time.monotonic()
            done = daemon.reload({"services": services}, check=False)
            times.append(time.monotonic() - start)
            self.assertEqual(done.returncode, int(wrong), done.stderr)
        metrics = daemon.metrics()
        self.assertEqual(int(metrics.sum("sluice_config_generation")) - before, RELOADS - RELOADS // 2)
        self.assertEqual(metrics.sum("sluice_config_reload_failures_total"), RELOADS // 2)
        return sorted(times)

    def test_nothing_is_reset_and_no_datagram_is_lost(self):
        lab = self.make_lab()
        echoes = [Echo(backend, 7000) for backend in lab.backends]
        server = lab.backends[0].namespace.spawn("iperf3", "-s", "-p", 5201, "--forceflush")
        only = {"backends": [{"address": lab.backends[0].address(4)}]}
        good = [service(lab, ports="7000"), {**service(lab, "stream", ports="5201"), **only},
                {**service(lab, "datagrams", protocol="udp", ports="5201"), **only}]
        daemon = self.start_daemon(lab, {"services": good, "log": {"level": "warn"}}, arguments=["--no-watch"])
        for echo in echoes:
            echo.start()
            self.addCleanup(setattr, echo, "ended", True)
        talkers = Talkers(lab.client, VIP4, 7000, FLOWS)
        stream = lab.client.spawn("iperf3", "-u", "-c", VIP4, "-b", RATE, "-l", "1200", "-t", 3600, "-w", "4M")
        talkers.start()
        before = self.drops(daemon)
        start = time.monotonic()
        times = self.check_reloads(daemon, good)
        took = time.monotonic() - start
        time.sleep(max(0.0, LEAST_SECONDS - took))
        after = self.drops(daemon)
        talkers.ended = True
        talkers.join(60)
        stream.send_signal(2)
        stream.wait(20)
        self.assertEqual(talkers.faults, [])
        self.assertGreater(talkers.rounds, 1)
        self.assertEqual(after, before)
        overflowed = lab.backends[0].namespace.counters("UdpRcvbufErrors")["UdpRcvbufErrors"]  # the receiver's own
        lost, sent = datagrams(server)
        self.assertGreater(sent, 100)
        self.assertEqual(lost - overflowed, 0, f"{lost} of {sent} datagrams lost, {overflowed} by the receiver's socket")
        print(f"# {RELOADS} reloads in {took:.1f} s, median {times[len(times) // 2] * 1e3:.0f} ms, longest {times[-1] * 1e3:.0f} ms; "
              f"{FLOWS} connections, {talkers.rounds} rounds, {len(talkers.faults)} faults; "
              f"{sent} datagrams, {lost} lost, {overflowed} of them by the receiver's socket; drops {after}")


if __name__ == "__main__":
    main()
