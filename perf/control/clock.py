# SPDX-License-Identifier: Apache-2.0
"""When packets begin to come through, and what a process has spent."""

import os
import pathlib
import select
import socket
import threading
import time

EVERY = 0.001  # seconds between probes
TICK_MS = 1000 / os.sysconf("SC_CLK_TCK")


class Echo(threading.Thread):
    """Answers datagrams at a backend's port."""

    def __init__(self, backend, port):
        super().__init__(daemon=True)
        with backend.namespace.inside():
            self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("", port))

    def run(self):
        while True:
            data, peer = self.socket.recvfrom(2048)
            self.socket.sendto(data, peer)


class Prober(threading.Thread):
    """Asks every millisecond, each time from a new port and so as a new flow, until one is answered."""

    def __init__(self, client, address, port):
        super().__init__(daemon=True)
        self.client, self.target, self.answered, self.ended = client, (address, port), None, False
        self.start()

    def _socket(self):
        with self.client.inside():
            return socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)

    def run(self):
        waiting, limit = [], time.monotonic() + 60
        while self.answered is None and not self.ended and time.monotonic() < limit:
            waiting.append(self._socket())
            try:
                waiting[-1].sendto(b"?", self.target)
            except OSError:  # no route yet, or the network's answer to an earlier one
                pass
            for one in select.select(waiting[-50:], [], [], EVERY)[0]:
                try:
                    one.recv(16)
                    self.answered = time.monotonic()
                except OSError:
                    pass
            if len(waiting) > 50:
                waiting.pop(0).close()
        for one in waiting:
            one.close()

    def first_answer(self, timeout):
        self.join(timeout)
        self.ended = True
        if self.answered is None:
            raise RuntimeError(f"{self.target}: no answer within {timeout} s")
        return self.answered


def first_answers(client, address, ports, timeout):
    """{port: when its first answer came}."""
    probers = {port: Prober(client, address, port) for port in ports}
    return {port: prober.first_answer(timeout) for port, prober in probers.items()}


def cpu_ms(pid):
    """CPU time of all threads of a process so far."""
    return sum(int(task.joinpath("schedstat").read_text().split()[0]) for task in pathlib.Path(f"/proc/{pid}/task").iterdir()) / 1e6
