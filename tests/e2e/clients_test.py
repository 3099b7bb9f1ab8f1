# SPDX-License-Identifier: Apache-2.0
"""Clients of the daemon's own listeners: metrics, diagnostics, control socket."""

import json
import socket
import time

from case import LabCase, main
from daemon import METRICS_PORT


class Clients(LabCase):
    """No client keeps the daemon, or another client, waiting."""

    def hold(self, make, address, text):
        for _ in range(300):
            client = make()
            self.addCleanup(client.close)
            client.connect(address)
            client.sendall(text)

    def test_half_requests_and_idle_connections_hold_nobody_up(self):
        lab = self.make_lab(backends=1)
        daemon = self.start_daemon(lab)
        for text in (b"", b"GET /healthz HTTP/1.1\r\nHost: "):
            with lab.node.inside():
                for port in (METRICS_PORT, 4100):
                    self.hold(socket.socket, ("127.0.0.1", port), text)
            self.hold(lambda: socket.socket(socket.AF_UNIX), str(daemon.socket), text)
            begin = time.monotonic()
            self.assertEqual(daemon.http("/healthz")[0], 200)
            self.assertEqual(daemon.http("/readyz")[0], 200)
            self.assertTrue(daemon.metrics().has("sluice_build_info"))
            self.assertEqual(daemon.ctl("status").returncode, 0)
            memory = lab.node.run("curl", "-sS", "--max-time", "5", "http://127.0.0.1:4100/memory").stdout
            self.assertIn("process", json.loads(memory))
            self.assertLess(time.monotonic() - begin, 3)
        begin = time.monotonic()
        self.assertEqual(daemon.stop(), 0)
        self.assertLess(time.monotonic() - begin, 3)


if __name__ == "__main__":
    main()
