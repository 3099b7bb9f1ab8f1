# SPDX-License-Identifier: Apache-2.0
"""A planned upgrade: a new daemon takes the node over, and no connection notices."""

import contextlib
import json
import socket
import threading
import time

from case import main
from daemon import Daemon, service
from programs import curl, nginx
from proxying import ProxyCase, read_all
from topology import VIP4, wait_until


class Storm:
    """Connections one after the other from several threads, each with a request and its answer."""

    def __init__(self, space, address, port, threads=4):
        self.space, self.target = space, (address, port)
        self.done, self.failed = 0, []
        self.going = True
        self.threads = [threading.Thread(target=self._run, daemon=True) for _ in range(threads)]
        for thread in self.threads:
            thread.start()

    def _run(self):
        while self.going:
            try:
                with self.space.inside():
                    connection = socket.socket()
                with connection:
                    connection.settimeout(10)
                    connection.connect(self.target)
                    connection.sendall(b"ping")
                    if connection.recv(10) != b"pong":
                        raise OSError("no answer")
                self.done += 1
            except OSError as error:
                self.failed.append(repr(error))

    def end(self):
        self.going = False
        for thread in self.threads:
            thread.join(20)


class Upgrade(ProxyCase):
    def ponging(self, lab):
        for backend in lab.backends:
            self.serve(backend, lambda c: c.sendall(b"pong" if c.recv(10) == b"ping" else b"?"))

    def successor(self, lab, name="next", **config):
        """Another daemon on the same node, control socket and state."""
        daemon = Daemon(lab, {**self.daemon.config, **config}, self.daemon.flags, ["--upgrade"], name)
        self.addCleanup(self._show_log, daemon)
        daemon.socket = self.daemon.socket
        daemon.write()
        return daemon

    def take_over(self, daemon):
        """Starts DAEMON and waits until it, and not the one before, answers."""
        daemon.launch()

        def answers():
            if daemon.process.poll() is not None:
                raise AssertionError(f"sluiced ended with status {daemon.process.returncode}:\n{daemon.log()}")
            told = daemon.ctl("--json", "status", check=False)
            return told.returncode == 0 and json.loads(told.stdout)["pid"] == daemon.process.pid
        wait_until(answers, "the new daemon serves", 90)

    def test_no_connection_is_refused_or_reset_through_three_upgrades(self):
        lab = self.make_lab()
        self.ponging(lab)
        self.serve(lab.backends[0], lambda c: c.sendall(read_all(c)), 7)
        one = [{"address": lab.backends[0].address4, "port": 7}]
        old = self.start(lab, self.proxied(lab), self.proxied(lab, "echo", ports="7-5000") | {"vip": "192.0.2.16/28", "backends": one})
        storm = Storm(lab.client, VIP4, 80)
        live = self.connect(lab, "192.0.2.20", 7, timeout=60)
        live.sendall(b"before ")
        processes = [old.process]
        for number in range(3):
            wait_until(lambda want=storm.done + 200: storm.done + len(storm.failed) >= want, "the storm goes on", 60)
            self.daemon = self.successor(lab, f"next{number}")
            self.take_over(self.daemon)
            wait_until(lambda d=self.daemon: d.metrics().sum("sluice_proxy_connections_opened_total", service="web") > 100,
                       "the new one takes connections", 60)
            processes.append(self.daemon.process)
        self.assertIsNone(processes[0].poll(), "the old one stays for its open connection")
        storm.end()
        self.assertEqual(storm.failed, [])
        self.assertGreater(storm.done, 800)
        live.sendall(b"after")
        live.shutdown(socket.SHUT_WR)
        self.assertEqual(read_all(live), b"before after")
        for process in processes[:-1]:
            self.assertEqual(process.wait(20), 0)
        self.assertIn("192.0.2.10", lab.node.ip("route", "show", "table", "local").stdout)
        print(f"# {storm.done} connections through 3 upgrades, {len(storm.failed)} failed")

    def test_flows_of_the_packet_tiers_go_on_and_are_adopted(self):
        lab = self.make_lab(backends=1)
        nginx(lab.backends[0])
        plain = service(lab, "plain", ports="81", port=80)
        old = self.start(lab, self.proxied(lab), plain)
        with self.connect(lab, VIP4, 81) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            self.assertIn(b"200 OK", connection.recv(4096))
            program = lab.program_id("cl0")
            new = self.successor(lab)
            self.take_over(new)
            self.assertEqual(old.process.wait(20), 0)
            connection.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            self.assertIn(b"200 OK", connection.recv(4096))
        self.assertEqual(lab.program_id("cl0"), program)
        self.assertEqual(len(new.ctl_json("flows")["flows"]), 1)
        self.assertIn("backend 1", curl(lab.client, VIP4))

    def test_interception_goes_over_too(self):
        lab = self.make_lab(backends=1)
        self.ponging(lab)
        self.start(lab, interception={"enabled": True})
        storm = Storm(lab.client, "10.0.1.2", 80, threads=2)
        wait_until(lambda: storm.done + len(storm.failed) > 100, "the storm goes on", 60)
        old, new = self.daemon, self.successor(lab)
        self.take_over(new)
        wait_until(lambda: new.metrics().sum("sluice_proxy_connections_opened_total", service="(outbound)") > 100, "it intercepts", 60)
        storm.end()
        self.assertEqual(storm.failed, [])
        self.assertEqual(old.process.wait(20), 0)
        ruleset = lab.node.run("nft", "list", "ruleset").stdout
        self.assertEqual((ruleset.count("table inet sluice_"), f"sluice_{new.process.pid} " in ruleset), (1, True))

    def test_when_the_new_one_cannot_begin_the_old_one_goes_on(self):
        lab = self.make_lab()
        self.ponging(lab)
        old = self.start(lab, self.proxied(lab))
        with lab.node.inside():
            occupied = socket.create_server(("127.0.0.1", 9999))
        self.addCleanup(occupied.close)
        storm = Storm(lab.client, VIP4, 80, threads=2)
        new = self.successor(lab, metrics={"listen": "127.0.0.1:9999"})
        status, log = new.refused(60)
        self.assertEqual(status, 1)
        self.assertIn("9999", log)
        wait_until(lambda: self._answers(old), "the old one answers again", 30)
        self.assertTrue(old.ctl_json("status")["ready"])
        before = storm.done
        wait_until(lambda: storm.done > before + 50, "and serves", 30)
        storm.end()
        self.assertEqual(storm.failed, [])
        old.reload({**old.config, "services": [self.proxied(lab, ports="80,82")]})
        self.assertEqual(old.stop(), 0)

    def _answers(self, daemon):
        with contextlib.suppress(OSError):
            return daemon.http("/readyz")[0] == 200
        return False

    def test_without_a_daemon_there_is_nothing_to_upgrade(self):
        lab = self.make_lab(backends=1)
        daemon = self.make_daemon(lab, {"services": [self.proxied(lab)]}, arguments=["--upgrade"])
        started = time.monotonic()
        status, log = daemon.refused(30)
        self.assertEqual(status, 1)
        self.assertIn("no sluiced runs that could be upgraded", log)
        self.assertLess(time.monotonic() - started, 20)


if __name__ == "__main__":
    main()
