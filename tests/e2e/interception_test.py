# SPDX-License-Identifier: Apache-2.0
"""Transparent interception: connections that go to somebody else are taken by the proxy, and reach whom they were for."""

import os
import socket

from case import main
from daemon import PROGRAMS
from programs import curl
from proxying import ProxyCase, read_all
from topology import CLIENT4, CLIENT6, GATEWAY4, GATEWAY6, VIP4, wait_until

OWN4, OWN6 = "10.0.1.1", "2001:db8:1::1"  # the node's addresses towards backend 1


def nginx_that_tells(namespace, port=8080):
    """Answers with its own address and port, and whom it takes for the client."""
    home = namespace.home / f"tells-{namespace.name}-{port}"
    home.mkdir()
    (home / "config").write_text(f"""\
daemon off; master_process off; pid {home}/pid; error_log stderr warn;
events {{ worker_connections 64; }}
http {{
  access_log off; client_body_temp_path {home}/b; proxy_temp_path {home}/p; fastcgi_temp_path {home}/f;
  uwsgi_temp_path {home}/u; scgi_temp_path {home}/s;
  server {{ listen {port}; listen [::]:{port};
    location / {{ return 200 "$server_addr $server_port from $remote_addr\\n"; }} }}
}}
""")
    namespace.spawn("nginx", "-c", home / "config", "-p", home)
    wait_until(lambda: f":{port}" in namespace.run("ss", "-Hlnt").stdout, "nginx listens")


class Interception(ProxyCase):
    def intercept(self, lab, *services, **settings):
        settings = {"enabled": True, **settings}
        return self.start(lab, *services, interception=settings)

    def opened(self, which):
        return self.daemon.metrics().sum("sluice_proxy_connections_opened_total", service=which)

    def rules_of(self, lab):
        """What the kernel has of rules and routes beside those of interfaces."""
        node = lab.node
        return [node.run("nft", "list", "ruleset").stdout] + [
            node.ip(family, *words).stdout for family in ("-4", "-6")
            for words in (("rule", "show"), ("route", "show", "table", "all", "proto", "186"))]

    def servers(self, lab):
        for space in [lab.node] + [backend.namespace for backend in lab.backends]:
            nginx_that_tells(space)

    def test_redirected_connections_reach_where_they_were_going(self):
        lab = self.make_lab()
        self.servers(lab)
        self.intercept(lab)
        self.assertEqual(curl(lab.client, GATEWAY4, 8080).split(), [GATEWAY4, "8080", "from", GATEWAY4])
        self.assertEqual(curl(lab.client, GATEWAY6, 8080).split(), [GATEWAY6, "8080", "from", GATEWAY6])
        self.assertEqual(self.opened("(inbound)"), 2)
        self.assertEqual(curl(lab.client, "10.0.1.2", 8080).split(), ["10.0.1.2", "8080", "from", OWN4])
        self.assertEqual(curl(lab.client, "2001:db8:1::2", 8080).split(), ["2001:db8:1::2", "8080", "from", OWN6])
        self.assertEqual(curl(lab.node, "10.0.1.2", 8080).split(), ["10.0.1.2", "8080", "from", OWN4])
        self.assertEqual(curl(lab.node, "2001:db8:1::2", 8080).split(), ["2001:db8:1::2", "8080", "from", OWN6])
        self.assertEqual(self.opened("(outbound)"), 4)
        self.assertEqual({line["vip"] for line in self.log_lines(6)},
                         {f"{GATEWAY4}:8080", f"[{GATEWAY6}]:8080", "10.0.1.2:8080", "[2001:db8:1::2]:8080"})

    def test_transparent_connections_keep_their_source(self):
        lab = self.make_lab()
        self.servers(lab)
        self.intercept(lab, transparent=True)
        for target, source in ((GATEWAY4, CLIENT4), (GATEWAY6, CLIENT6), ("10.0.1.2", CLIENT4), ("2001:db8:1::2", CLIENT6)):
            self.assertEqual(curl(lab.client, target, 8080).split(), [target, "8080", "from", source])
        self.assertEqual((self.opened("(inbound)"), self.opened("(outbound)")), (2, 2))
        self.assertEqual(curl(lab.node, "10.0.1.2", 8080).split(), ["10.0.1.2", "8080", "from", OWN4])
        self.assertEqual(self.opened("(outbound)"), 3)
        data = os.urandom(4 << 20)
        self.serve(lab.backends[1], lambda c: c.sendall(read_all(c)), 9000)
        connection = self.connect(lab, "10.0.2.2", 9000, timeout=30)
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        self.assertEqual(read_all(connection), data)

    def test_a_transparent_service_shows_its_backends_the_client(self):
        lab = self.make_lab(backends=1)
        nginx_that_tells(lab.backends[0].namespace, 80)
        before = self.rules_of(lab)
        daemon = self.start(lab, self.proxied(lab, proxy={"transparent": True}),
                            self.proxied(lab, "six", 6, proxy={"transparent": True}))
        self.assertEqual(curl(lab.client, VIP4).split()[-1], CLIENT4)
        self.assertEqual(curl(lab.client, "2001:db8:a::10").split()[-1], CLIENT6)
        daemon.reload({**daemon.config, "services": [self.proxied(lab)]})
        self.assertEqual(curl(lab.client, VIP4).split()[-1], OWN4)
        self.assertNotIn("sluice", lab.node.run("nft", "list", "ruleset").stdout)
        self.assertEqual(daemon.stop(), 0)
        self.assertEqual(self.rules_of(lab), before)

    def test_a_connection_to_the_proxys_own_ports_is_refused_and_counted(self):
        lab = self.make_lab(backends=1)
        for transparent in (False, True):
            daemon = self.intercept(lab, transparent=transparent)
            for space, address, port in ((lab.client, GATEWAY4, 4143), (lab.client, GATEWAY6, 4140), (lab.node, "127.0.0.1", 4140)):
                with self.assertRaises(ConnectionResetError), space.inside():
                    with socket.create_connection((address, port), timeout=5) as connection:
                        connection.recv(1)
            self.assertEqual(self.ended("loop"), 3)
            self.assertEqual(self.opened("(outbound)") + self.opened("(inbound)"), 0)
            self.assertEqual(daemon.stop(), 0)

    def test_what_is_excepted_is_not_touched(self):
        lab = self.make_lab()
        self.servers(lab)
        nginx_that_tells(lab.backends[0].namespace, 9090)
        bypass = {"destinations": ["10.0.2.0/24", "10.0.2.2", "2001:db8:2::/64"], "ports": "9090,9100-9200"}
        daemon = self.intercept(lab, bypass=bypass)
        for target, port in (("10.0.2.2", 8080), ("2001:db8:2::2", 8080), ("10.0.1.2", 9090)):
            self.assertEqual(curl(lab.client, target, port).split()[-1], CLIENT6 if ":" in target else CLIENT4)
        self.assertEqual(self.opened("(outbound)"), 0)
        self.assertEqual(curl(lab.client, "10.0.1.2", 8080).split()[-1], OWN4)
        daemon.reload({**daemon.config, "interception": {"enabled": True, "bypass": {"sources": [f"{CLIENT4}/32"]}}})
        self.assertEqual(curl(lab.client, "10.0.1.2", 8080).split()[-1], CLIENT4)
        self.assertEqual(curl(lab.client, "2001:db8:2::2", 8080).split()[-1], "2001:db8:2::1")
        daemon.reload({**daemon.config, "interception": {"enabled": False}})
        self.assertEqual(curl(lab.client, "2001:db8:2::2", 8080).split()[-1], CLIENT6)

    def test_rules_and_routes_go_as_they_came(self):
        lab = self.make_lab(backends=1)
        nginx_that_tells(lab.backends[0].namespace)
        lab.node.run("nft", "add table inet others; add chain inet others c { type filter hook input priority 5; }; "
                            "add rule inet others c counter accept")
        lab.node.run("nft", "reset", "counters", check=False)
        lab.node.ip("rule", "add", "fwmark", "7", "lookup", "77", "pref", "777")

        def rules():
            return [line for text in self.rules_of(lab) for line in text.splitlines() if "counter packets" not in line]
        before = rules()
        for transparent in (False, True):
            daemon = self.intercept(lab, transparent=transparent)
            self.assertIn(f"table inet sluice_{daemon.process.pid}", "\n".join(rules()))
            self.assertIn("from", curl(lab.client, "10.0.1.2", 8080))
            self.assertEqual(daemon.stop(), 0)
            self.assertEqual(rules(), before)
        daemon = self.intercept(lab, transparent=True)
        daemon.kill()
        self.assertNotIn("sluice_", "\n".join(rules()), "the kernel takes the table of a killed daemon away")
        self.assertEqual(curl(lab.client, "10.0.1.2", 8080).split()[-1], CLIENT4, "and connections go on without the proxy")
        self.assertNotEqual(rules(), before, "a rule for a mark that nobody sets is left")
        daemon.start()
        self.assertEqual(curl(lab.client, "10.0.1.2", 8080).split()[-1], CLIENT4)
        daemon.kill()
        lab.node.run(PROGRAMS["sluiced"], "--config", daemon.path, "--clean")
        self.assertEqual(rules(), before)
        daemon = self.intercept(lab, transparent=True)
        daemon.kill()
        daemon.write({**daemon.config, "interception": {"enabled": False}})
        daemon.start()
        self.assertEqual(rules(), before, "the next daemon removes what it does not need")

    def test_the_policy_is_asked_and_a_changed_one_ends_live_connections(self):
        lab = self.make_lab()
        for backend in lab.backends:
            self.serve(backend, read_all, 8080)
        denied = {"name": "no-two", "to": ["10.0.2.0/24"], "protocol": "tcp", "ports": "8080", "action": "reject"}
        daemon = self.intercept(lab)
        daemon.reload({**daemon.config, "policy": {"rules": [denied]}})
        with self.assertRaises(ConnectionResetError):
            self.connect(lab, "10.0.2.2", 8080).recv(1)
        live = self.connect(lab, "10.0.1.2", 8080)
        live.sendall(b"x")
        wait_until(lambda: daemon.metrics().sum("sluice_proxy_connections") == 1, "it is open")
        daemon.reload({**daemon.config, "policy": {"rules": [denied | {"to": ["10.0.0.0/8"]}]}})
        with self.assertRaises(ConnectionResetError):
            live.recv(1)
        self.assertEqual(self.ended("policy"), 2)

    def test_open_connections_outlive_the_rules_while_draining(self):
        lab = self.make_lab(backends=1)
        nginx_that_tells(lab.backends[0].namespace)
        self.serve(lab.backends[0], lambda c: c.sendall(read_all(c)), 9000)
        daemon = self.intercept(lab, transparent=True)
        live = self.connect(lab, "10.0.1.2", 9000)
        live.sendall(b"before ")
        wait_until(lambda: daemon.metrics().sum("sluice_proxy_connections") == 1, "it is open")
        daemon.process.terminate()
        wait_until(lambda: daemon.http("/readyz")[0] != 200, "it drains")
        self.assertEqual(curl(lab.client, "10.0.1.2", 8080).split()[-1], CLIENT4)
        live.sendall(b"after")
        live.shutdown(socket.SHUT_WR)
        self.assertEqual(read_all(live), b"before after")
        daemon.process.wait(10)


if __name__ == "__main__":
    main()
