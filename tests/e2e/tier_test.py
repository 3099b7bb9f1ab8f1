#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""An interface moves between tiers while connections run through it."""

import contextlib
import socket
import struct
import threading
import time

import programs
from case import LabCase, main
from daemon import service
from topology import CLIENT4, GATEWAY4, VIP4, wait_until

NAMES = ["cl0", "be1", "be2"]
PORT = 9000
PAUSE_SECONDS = 0.001
SETTLED_SECONDS = 0.3
MOST_LOST_SECONDS = 0.25  # of the stream, per move between tiers that take packets


class Echoes:
    """A datagram every millisecond from the client to the VIP; the backends send each back to where it came from."""

    def __init__(self, lab):
        self.sent, self.back = 0, set()
        self.backends = set()
        self.stopping = False
        self.ends = []
        for backend in lab.backends:
            with backend.namespace.inside():
                end = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            end.bind(("", PORT))
            end.settimeout(0.2)
            self.ends.append(end)
        with lab.client.inside():
            self.client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.client.connect((VIP4, PORT))
        self.client.settimeout(0.2)
        self.threads = [threading.Thread(target=self._echo, args=(n, end)) for n, end in enumerate(self.ends)]
        self.threads += [threading.Thread(target=self._send), threading.Thread(target=self._take)]
        for thread in self.threads:
            thread.start()

    def _echo(self, number, end):
        while not self.stopping:
            with contextlib.suppress(OSError):
                data, sender = end.recvfrom(64)
                self.backends.add(number)
                end.sendto(data, sender)

    def _send(self):
        while not self.stopping:
            with contextlib.suppress(OSError):
                self.client.send(struct.pack("!I", self.sent))
                self.sent += 1
            time.sleep(PAUSE_SECONDS)

    def _take(self):
        while not self.stopping:
            with contextlib.suppress(OSError):
                self.back.add(struct.unpack("!I", self.client.recv(64))[0])

    def lost(self, first, last):
        return sum(number not in self.back for number in range(first, last))

    def close(self):
        self.stopping = True
        for thread in self.threads:
            thread.join()
        for end in [*self.ends, self.client]:
            end.close()


class Transfer:
    """One TCP connection that downloads again and again."""

    def __init__(self, lab):
        self.connection = programs.keep_alive(lab.client, VIP4)
        self.connection.settimeout(20)
        self.bytes, self.failure, self.stopping = 0, None, False
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self):
        try:
            while not self.stopping:
                self.bytes += len(programs.ask(self.connection, "/large"))
        except (OSError, AssertionError) as error:
            self.failure = repr(error)

    def close(self):
        self.stopping = True
        self.thread.join()
        self.connection.close()


class MovesCase(LabCase):
    def start(self, **settings):
        self.lab = self.make_lab()
        for backend in self.lab.backends:
            programs.nginx(backend)
        config = {"services": [service(self.lab, **settings), service(self.lab, "echo", protocol="udp", ports=str(PORT))]}
        daemon = self.start_daemon(self.lab, config)
        self.assertIn("backend", programs.curl(self.lab.client, VIP4))
        return daemon

    def active(self, daemon, name):
        return [tier["tier"] for tier in daemon.interface(name)["tiers"] if tier["active"] and tier["tier"] != "epoll"]

    def forwarded(self, daemon, name):
        return {tier: daemon.metrics().sum("sluice_packets_total", interface=name, tier=tier, verdict="forward")
                for tier in ("xdp", "af_xdp", "dpdk")}

    def move(self, daemon, name, tier, expected):
        """Moves, and sees that what should carry the packets now does: seconds that it took."""
        begin = time.monotonic()
        said = daemon.ctl("tier", "set", name, tier).stdout
        took = time.monotonic() - begin
        self.assertIn(f"{name}: served", said)
        self.assertEqual(self.active(daemon, name), expected)
        return took

    def backends_of(self, daemon):
        """Backend and begin of each flow that the client has."""
        return {(f["protocol"], f["initiator"]): f["backend"] for f in daemon.ctl_json("flows", "--address", CLIENT4)["flows"]
                if f["protocol"] == "udp" or f["state"] == "tcp_established"}


    def start_traffic(self):
        echoes, transfer = Echoes(self.lab), Transfer(self.lab)
        self.addCleanup(echoes.close)
        self.addCleanup(transfer.close)
        wait_until(lambda: echoes.back and transfer.bytes, "both run")
        return echoes, transfer


class Moves(MovesCase):
    def test_connections_survive_every_move_and_each_tier_counts_what_it_carried(self):
        daemon = self.start()
        echoes, transfer = self.start_traffic()
        before = self.backends_of(daemon)
        self.assertEqual({key[0] for key in before}, {"tcp", "udp"})
        report = []
        for tier, expected in (("af_xdp", ["af_xdp"]), ("dpdk", ["dpdk"]), ("xdp", ["xdp", "af_xdp"]), ("dpdk", ["dpdk"]),
                               ("af_xdp", ["af_xdp"]), ("xdp", ["xdp", "af_xdp"])):
            for name in NAMES:
                first, forwarded = echoes.sent, self.forwarded(daemon, name)
                took = self.move(daemon, name, tier, expected)
                if name == "cl0":  # a backend that has no flow gets no packet
                    wait_until(lambda n=name, f=forwarded, e=expected: self.forwarded(daemon, n)[e[0]] > f[e[0]],
                               f"{name}'s packets are forwarded by {tier}", 10)
                time.sleep(SETTLED_SECONDS)
                last = echoes.sent
                time.sleep(SETTLED_SECONDS)
                report.append((name, tier, round(took * 1000), echoes.lost(first, last), last - first))
        for name, tier, milliseconds, lost, sent in report:
            print(f"# {name} to {tier}: {milliseconds} ms, {lost} of {sent} datagrams lost")
        self.assertIsNone(transfer.failure)
        self.assertEqual(self.backends_of(daemon), before, "flows have the backends that they had")
        self.assertEqual(len(echoes.backends), 1)
        worst = max(lost for _, _, _, lost, _ in report)
        self.assertLess(worst * PAUSE_SECONDS, MOST_LOST_SECONDS)
        received = transfer.bytes
        wait_until(lambda: transfer.bytes > received or transfer.failure, "the transfer goes on", 20)
        self.assertIsNone(transfer.failure)

    def test_without_a_program_packet_sockets_carry_a_flow_on_and_the_host_stays_reachable(self):
        daemon = self.start()
        connection = programs.keep_alive(self.lab.client, VIP4)
        self.addCleanup(connection.close)
        answer = programs.ask(connection)
        self.move(daemon, "cl0", "epoll", [])
        self.assertIsNone(self.lab.program_id("cl0"))
        self.assertIn("packet sockets", daemon.tier("cl0", "epoll")["mode"])
        self.assertIn("3 received", self.lab.client.run("ping", "-c3", "-i0.2", GATEWAY4).stdout)
        self.assertEqual(programs.ask(connection), answer)
        self.assertIn("backend", programs.curl(self.lab.client, VIP4))
        self.move(daemon, "cl0", "auto", ["xdp", "af_xdp"])
        self.assertEqual(programs.ask(connection), answer)

    def test_a_proxied_connection_does_not_notice(self):
        daemon = self.start(mode="proxy")
        connection = programs.keep_alive(self.lab.client, VIP4)
        self.addCleanup(connection.close)
        answer = programs.ask(connection)
        for tier, expected in (("epoll", []), ("af_xdp", ["af_xdp"]), ("dpdk", ["dpdk"]), ("auto", ["xdp", "af_xdp"])):
            self.move(daemon, "cl0", tier, expected)
            self.assertEqual(programs.ask(connection), answer)

    def test_a_move_outlives_a_reload_and_auto_ends_it(self):
        daemon = self.start()
        self.move(daemon, "cl0", "af_xdp", ["af_xdp"])
        daemon.ctl("reload")
        self.assertEqual(self.active(daemon, "cl0"), ["af_xdp"])
        self.assertIn("tier set af_xdp", daemon.tier("cl0", "xdp")["decided"])
        self.assertIn("moved to af_xdp", daemon.tier("cl0", "xdp")["reason"])
        self.move(daemon, "cl0", "auto", ["xdp", "af_xdp"])
        self.assertEqual(daemon.tier("cl0", "xdp")["decided"], "true (file)")


class Refused(MovesCase):
    def refused(self, daemon, *words):
        done = daemon.ctl("tier", "set", *words, check=False)
        self.assertNotEqual(done.returncode, 0)
        return done.stderr

    def test_what_cannot_be_is_refused_with_the_reason_and_the_old_tier_goes_on(self):
        daemon = self.start()
        connection = programs.keep_alive(self.lab.client, VIP4)
        self.addCleanup(connection.close)
        answer = programs.ask(connection)
        self.assertIn("interface eth9: expected one of the configuration's", self.refused(daemon, "eth9", "xdp"))
        self.assertIn("TIER", self.refused(daemon, "cl0", "vpp"))
        entries = daemon.config["interfaces"]
        entries[0] |= {"tiers": ["dpdk", "xdp", "af_xdp"], "dpdk": {"device": "net_af_xdp7,iface=nowhere"}}
        daemon.reload({**daemon.config, "interfaces": entries})
        self.assertRegex(self.refused(daemon, "cl0", "dpdk"), r"interface cl0: .*net_af_xdp7,iface=nowhere: iface=nowhere: expected cl0")
        self.assertEqual(self.active(daemon, "cl0"), ["xdp", "af_xdp"])
        self.assertEqual(programs.ask(connection), answer)

    def test_a_flag_of_the_environment_beats_a_move(self):
        self.lab = self.make_lab()
        daemon = self.start_daemon(self.lab, flags={"ENABLE_DPDK": "false", "ENABLE_XDP": "true"})
        self.assertIn("interface cl0: tier dpdk: dpdk is switched off by the environment", self.refused(daemon, "cl0", "dpdk"))
        self.assertIn("interface cl0: tier epoll: xdp is switched on by the environment", self.refused(daemon, "cl0", "epoll"))

    def test_what_the_configuration_requires_stays(self):
        self.lab = self.make_lab()
        daemon = self.start_daemon(self.lab, require=["xdp_native"])
        self.assertIn("interface cl0: require xdp_native", self.refused(daemon, "cl0", "epoll"))
        self.assertEqual(self.active(daemon, "cl0"), ["xdp", "af_xdp"])


if __name__ == "__main__":
    main()
