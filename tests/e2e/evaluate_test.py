# SPDX-License-Identifier: Apache-2.0
"""Rules whose conditions no header tells: a connection's first packet waits for its verdict."""

import contextlib
import datetime
import http.server
import json
import socket
import threading
import time

import programs
from case import LabCase, for_each_tier, main
from daemon import service
from topology import CLIENT4, VIP4, wait_until

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def rule(when, **match):
    return {"name": "gate", "protocol": "tcp", **match, "action": "evaluate", "when": when}


def schedule(is_open):
    """Open, or closed, for the test's time whatever the hour."""
    now = datetime.datetime.now(datetime.timezone.utc)
    day = now.weekday() if is_open else (now.weekday() + 3) % 7
    return f"{DAYS[day]} 00:00-24:00 UTC"


def books(metrics):
    """Interfaces and tiers where received is not the sum of the verdicts."""
    return [labels for labels, received in metrics.all("sluice_received_packets_total")
            if metrics.sum("sluice_packets_total", interface=labels["interface"], tier=labels["tier"]) != received]


class Gate:
    """A web service behind one evaluate rule."""

    def start(self, when, **more):
        self.lab = self.make_lab(backends=1)
        programs.nginx(self.lab.backends[0])
        self.web = service(self.lab, "web")
        self.daemon = self.start_daemon(self.lab, self.config(when, **more))

    def config(self, when, **more):
        return {"services": [self.web], "policy": {"rules": [rule(when)]}, **more}

    def reload(self, when):
        self.daemon.reload({**self.daemon.config, "policy": {"rules": [rule(when)]}})

    def curl(self, timeout=3):
        return programs.curl(self.lab.client, VIP4, check=False, timeout=timeout)

    def outcomes(self):
        evaluation = self.daemon.ctl_json("policy")["rules"][0]["evaluation"]
        return {name: count for name, count in evaluation["outcomes"].items() if count}

    def connect(self, timeout=2):
        """A connection through the VIP; None when nothing answers."""
        with self.lab.client.inside():
            connection = socket.socket()
        connection.settimeout(timeout)
        try:
            connection.connect((VIP4, 80))
        except TimeoutError:
            connection.close()
            return None
        self.addCleanup(connection.close)
        connection.settimeout(5)
        return connection


class FirstPacket(Gate):
    def test_it_gets_its_verdict_and_the_rest_of_the_flow_runs_without_questions(self):
        self.start({"schedule": schedule(True)})
        connection = self.connect()
        for _ in range(20):
            self.assertIn("backend 1", programs.ask(connection))
        self.assertEqual(self.outcomes(), {"allowed": 1})
        flow = next(f for f in self.daemon.ctl_json("flows")["flows"] if f["initiator"].startswith(CLIENT4))
        self.assertEqual((flow["mode"], flow["rule"]), ("nat", "gate"))
        metrics = self.daemon.metrics()
        self.assertEqual(metrics.sum("sluice_evaluation_questions_total"), 1)
        if self.tier == "xdp":
            punts = metrics.sum("sluice_punts_total", interface="cl0", kind="evaluate")
            self.assertEqual(punts, 1)
            forwarded = metrics.sum("sluice_packets_total", interface="cl0", tier="xdp", verdict="forward")
            self.assertGreaterEqual(forwarded, 20)
        wait_until(lambda: books(self.daemon.metrics()) == [], "the books to close", 5)

    def test_verdict_rule_and_latency_are_shown(self):
        self.start({"schedule": schedule(True)})
        for _ in range(5):
            self.assertIsNotNone(self.curl())
        metrics = self.daemon.metrics()
        self.assertEqual(metrics.sum("sluice_evaluations_total", rule="gate", outcome="allowed"), 5)
        self.assertEqual(metrics.sum("sluice_evaluation_latency_seconds_count", rule="gate"), 5)
        self.assertGreater(metrics.sum("sluice_evaluation_latency_seconds_sum", rule="gate"), 0)
        text = self.daemon.ctl("policy").stdout
        self.assertRegex(text, r"gate: allowed 5; verdict within \d+us \(p50\), \d+us \(p99\)")

    def test_a_closed_schedule_denies_and_a_reload_opens_it(self):
        self.start({"schedule": schedule(False)})
        connection = self.connect(timeout=1.5)
        self.assertIsNone(connection)
        self.assertEqual(self.outcomes(), {"schedule": 1})  # the repeated SYN is the flow's own verdict
        metrics = self.daemon.metrics()
        self.assertGreaterEqual(metrics.sum("sluice_drops_total", reason="evaluation"), 2)
        modes = {f["mode"] for f in self.daemon.ctl_json("flows")["flows"]}
        self.assertIn("denied", modes)
        self.reload({"schedule": schedule(True)})
        self.assertIsNotNone(self.curl())
        wait_until(lambda: books(self.daemon.metrics()) == [], "the books to close", 5)

    def test_a_reload_that_closes_the_rule_ends_open_connections_and_others_go_on_without_a_loss(self):
        self.start({"schedule": schedule(True)})
        connection = self.connect()
        self.assertIn("backend 1", programs.ask(connection))
        self.reload({"schedule": schedule(True), "new_connections": "100/s"})
        self.assertIn("backend 1", programs.ask(connection))
        self.reload({"schedule": schedule(False)})
        connection.settimeout(1)
        with self.assertRaises((TimeoutError, AssertionError)):
            for _ in range(100):  # the packets that go by until the verdict has come
                programs.ask(connection)
                time.sleep(0.05)

    def test_a_source_holds_so_many_connections_and_may_have_another_when_one_has_ended(self):
        self.start({"max_connections_per_source": 2}, timeouts={"tcp_closing": "1s"})
        held = [self.connect(), self.connect()]
        self.assertNotIn(None, held)
        time.sleep(1.1)  # until then they count without an entry
        self.assertIsNone(self.connect(timeout=1))
        self.assertEqual(self.outcomes(), {"allowed": 2, "connections": 1})
        held[0].close()
        wait_until(lambda: self.connect(timeout=0.9) is not None, "another connection is let in", 10)

    def test_a_quota_of_new_connections_is_kept(self):
        self.start({"new_connections": "1/m"})
        answers = [self.curl(timeout=0.8) for _ in range(3)]
        self.assertEqual([answer is not None for answer in answers], [True, False, False])
        self.assertEqual(self.outcomes(), {"allowed": 1, "new_connections": 2})


class Overload(Gate, LabCase):
    tier = "xdp"

    def fallback(self, overload):
        """What becomes of a connection where no engine can be asked."""
        self.lab = self.make_lab(backends=1)
        programs.nginx(self.lab.backends[0])
        self.web = service(self.lab, "web")
        config = self.config({"schedule": schedule(True), "overload": overload})
        self.daemon = self.make_daemon(self.lab, config, flags={"ENABLE_AF_XDP": "false"}).start()
        return self.curl(timeout=1)

    def test_without_an_engine_the_rules_fallback_decides_and_is_counted(self):
        self.assertIsNone(self.fallback("drop"))
        metrics = self.daemon.metrics()
        self.assertGreaterEqual(metrics.sum("sluice_drops_total", reason="evaluation_overload"), 1)
        self.assertGreaterEqual(metrics.sum("sluice_evaluation_unasked_total"), 1)

    def test_a_fallback_that_allows_does(self):
        self.assertIsNotNone(self.fallback("allow"))
        self.assertGreaterEqual(self.daemon.metrics().sum("sluice_evaluation_unasked_total"), 1)

    def test_a_flood_of_new_flows_is_held_within_bounds_and_the_books_close(self):
        self.lab = self.make_lab(backends=1)
        self.web = service(self.lab, "udp", protocol="udp", ports="9000")
        flood = {"name": "gate", "protocol": "udp", "action": "evaluate", "when": {"new_connections": "100000/s"}}
        self.daemon = self.start_daemon(self.lab, {"services": [self.web], "policy": {"rules": [flood]}})
        with self.lab.client.inside():
            sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(500)]
        for sock in sockets:
            with contextlib.suppress(OSError), sock:
                for _ in range(6):
                    sock.sendto(b"x" * 32, (VIP4, 9000))
        wait_until(lambda: books(self.daemon.metrics()) == [], "the books to close", 10)
        metrics = self.daemon.metrics()
        self.assertGreaterEqual(metrics.sum("sluice_evaluations_total", rule="gate"), 100)
        self.assertIsNone(self.daemon.process.poll())


TTL = 3


class DomainNames:
    """Backend 1 resolves, backend 2 is what a name stands for."""

    def setUp(self):
        super().setUp()
        self.lab = self.make_lab()
        self.resolver, self.target = self.lab.backends
        programs.dnsmasq(self.resolver, f"--local-ttl={TTL}", f"--address=/api.partner.example/{self.target.address4}",
                         f"--address=/api.partner.example/{self.target.address6}",
                         f"--address=/other.example/{self.target.address4}")
        programs.nginx(self.target)
        rules = [{"name": "resolver", "to": [self.resolver.address4], "protocol": "udp", "ports": "53", "action": "allow"},
                 {"name": "partners", "to": ["set:partners"], "protocol": "tcp", "ports": "80", "action": "allow"}]
        policy = {"default": "drop", "rules": rules,
                  "managed": ["10.0.1.0/24", "10.0.2.0/24", "198.51.100.0/24", "2001:db8:2::/64", "2001:db8:c::/64"],
                  "sets": {"partners": {"fqdn": ["API.partner.example", "*.cdn.example"]}}}
        self.daemon = self.start_daemon(self.lab, {"policy": policy})

    def dig(self, name="api.partner.example", kind="A"):
        done = self.lab.client.run("dig", "+short", "+tries=2", "+time=2", f"@{self.resolver.address4}", name, kind)
        return done.stdout.split()

    def curl(self, address=None):
        return programs.curl(self.lab.client, address or self.target.address4, check=False, timeout=0.8)

    def test_a_names_answers_open_the_rule_and_their_ttl_closes_it(self):
        self.assertIsNone(self.curl())
        self.assertEqual(self.dig(), [self.target.address4])
        told = time.monotonic()
        self.assertIsNotNone(self.curl(), "at once after the answer")
        self.assertIsNone(self.curl(self.target.address6), "the other family was not asked for")
        self.assertEqual(self.dig(kind="AAAA"), [self.target.address6])
        self.assertIsNotNone(self.curl(self.target.address6))
        time.sleep(max(0, told + TTL + 0.2 - time.monotonic()))
        self.assertIsNone(self.curl(), "after its time to live")
        self.dig()
        self.assertIsNotNone(self.curl())
        metrics = self.daemon.metrics()
        self.assertGreaterEqual(metrics.sum("sluice_dns_answers_total"), 3)
        self.assertGreaterEqual(metrics.sum("sluice_policy_packets_total", rule="partners"), 3)
        wait_until(lambda: books(self.daemon.metrics()) == [], "the books to close", 5)

    def test_answers_about_other_names_open_nothing(self):
        self.assertEqual(self.dig("other.example"), [self.target.address4])
        self.assertIsNone(self.curl())

    def test_an_open_connection_outlives_its_names_ttl(self):
        self.dig()
        connection = programs.keep_alive(self.lab.client, self.target.address4)
        self.addCleanup(connection.close)
        programs.ask(connection)
        time.sleep(TTL + 0.5)
        self.assertIsNone(self.curl())
        self.assertIn("backend 2", programs.ask(connection))


class Server(http.server.ThreadingHTTPServer):
    """An authorizer that does as `mode` says, and keeps what it was asked."""

    daemon_threads = True

    def __init__(self, namespace, port=8181):
        self.mode, self.asked = "allow", []
        with namespace.inside():
            super().__init__(("127.0.0.1", port), Answers)
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Answers(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    BODIES = {"allow": b'{"result": true}', "deny": b'{"result": {"allow": false}}', "garbage": b"\xff\x00 not json",
              "lie": b'{"result": "true"}', "huge": b'{"result": true, "x": "' + b"x" * (8 << 20) + b'"}', "error": b'{"result": true}'}

    def do_POST(self):
        self.server.asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        mode = self.server.mode
        if mode == "hang":
            time.sleep(3)
            return
        if mode == "break":
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
            self.close_connection = True
            return
        body = self.BODIES[mode]
        self.send_response(500 if mode == "error" else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with contextlib.suppress(OSError):
            self.wfile.write(body)

    def log_message(self, *_arguments):
        pass


class ExternalAuthorizer(Gate, LabCase):
    def ask_server(self, **settings):
        self.start({"authorizer": {"url": "http://127.0.0.1:8181/v1/data/gate", "timeout": "300ms", **settings}})
        self.server = Server(self.lab.node)
        self.addCleanup(self.server.server_close)
        self.addCleanup(self.server.shutdown)

    def test_it_is_told_who_wants_what_and_its_word_holds(self):
        self.ask_server()
        self.assertIsNotNone(self.curl())
        asked = self.server.asked[0]["input"]
        self.assertEqual((asked["rule"], asked["source"], asked["destination"], asked["destination_port"], asked["protocol"]),
                         ("gate", CLIENT4, VIP4, 80, "tcp"))
        self.server.mode = "deny"
        self.assertIsNone(self.curl(timeout=1))
        self.assertEqual(self.outcomes(), {"allowed": 1, "authorizer": 1})

    def test_an_answer_is_kept_for_its_time(self):
        self.ask_server(cache="2s")
        for _ in range(4):
            self.assertIsNotNone(self.curl())
        self.assertEqual(len(self.server.asked), 1)
        time.sleep(2.1)
        self.assertIsNotNone(self.curl())
        self.assertEqual(len(self.server.asked), 2)
        self.assertEqual(self.daemon.metrics().sum("sluice_evaluation_cached_total", rule="gate"), 3)

    def hostile(self, on_failure):
        self.ask_server(on_failure=on_failure)
        for mode in ("hang", "garbage", "lie", "huge", "error", "break"):
            self.server.mode = mode
            with self.subTest(mode):
                answer = self.curl(timeout=2 if on_failure == "allow" else 1)
                (self.assertIsNotNone if on_failure == "allow" else self.assertIsNone)(answer)
        self.server.shutdown()
        self.server.server_close()  # refused from now on
        (self.assertIsNotNone if on_failure == "allow" else self.assertIsNone)(self.curl(timeout=1))
        outcomes = self.outcomes()
        self.assertEqual(list(outcomes), ["failed_open" if on_failure == "allow" else "failed_closed"])
        self.assertEqual(sum(outcomes.values()), 7) if on_failure == "allow" else self.assertIn(sum(outcomes.values()), range(7, 15))
        wait_until(lambda: books(self.daemon.metrics()) == [], "the books to close", 5)

    def test_a_hostile_authorizer_closes_the_rule(self):
        self.hostile("drop")

    def test_or_leaves_it_open_where_that_is_configured(self):
        self.hostile("allow")


for_each_tier(globals(), FirstPacket, DomainNames)

if __name__ == "__main__":
    main()
