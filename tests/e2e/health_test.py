# SPDX-License-Identifier: Apache-2.0
"""Health checks and draining, with real servers behind the services."""

import time

import programs
from case import LabCase, main
from daemon import service
from topology import VIP4, VIP6, wait_until
from traffic import TunnelEnd

HTTP = {"type": "http", "path": "/", "interval": "100ms", "timeout": "80ms", "unhealthy": 3, "healthy": 2}
TCP = {"type": "tcp", "interval": "100ms", "timeout": "80ms"}
UDP = {"type": "udp", "interval": "100ms", "timeout": "80ms"}


class HealthCase(LabCase):
    def web_lab(self, **options):
        self.lab = self.make_lab(**options)
        self.servers = [programs.nginx(backend) for backend in self.lab.backends]
        return self.lab

    def start(self, check, daemon_options=None, **settings):
        self.config = {"services": [service(self.lab, health_check=check, **settings)]}
        self.daemon = self.start_daemon(self.lab, self.config, **(daemon_options or {}))

    def backend(self, number, name="web"):
        services = self.daemon.ctl_json("services")["services"]
        found = next(s for s in services if s["name"] == name)
        return found["backends"][number - 1]

    def wait_state(self, number, state, timeout=5):
        wait_until(lambda: self.backend(number)["state"] == state, f"backend {number} is {state}", timeout)

    def wait_probed(self):
        for backend in self.lab.backends:
            wait_until(lambda b=backend: (self.backend(b.number)["health"] or {}).get("successes", 0) >= 2,
                       f"backend {backend.number} is probed")

    def stop_server(self, number):
        server = self.servers[number - 1]
        server.kill()
        server.wait()

    def start_server(self, number):
        home = self.lab.home / f"nginx{number}"
        self.servers[number - 1] = self.lab.backends[number - 1].namespace.spawn("nginx", "-c", home / "nginx.conf", "-p", home)

    def dig(self, port):
        """The backend that answers a query from the client's PORT; None without an answer."""
        done = self.lab.client.run("dig", "+short", "+tries=1", "+time=1", "-b", f"0.0.0.0#{port}", f"@{VIP4}", "a.test.example",
                                   check=False)
        return int(done.stdout.strip().rsplit(".", 1)[1]) if done.returncode == 0 and done.stdout.strip() else None

    def answers(self, count=24, vip=VIP4):
        """The backends that answered COUNT connections; None for one without an answer."""
        bodies = [programs.curl(self.lab.client, vip, check=False, timeout=2) for _ in range(count)]
        return [int(body.split()[1]) if body else None for body in bodies]


class Checks(HealthCase):
    def test_a_backend_is_out_after_three_failed_probes_and_back_after_two_good_ones(self):
        self.web_lab()
        self.start(HTTP)
        self.wait_probed()
        self.assertEqual(set(self.answers()), {1, 2})
        before = self.backend(1)["health"]["probes"]["failure"]
        self.stop_server(1)
        self.wait_state(1, "down")
        self.assertEqual(self.backend(1)["health"]["went_down"], 1)
        self.assertGreaterEqual(self.backend(1)["health"]["probes"]["failure"], before + 3)
        self.assertEqual(set(self.answers()), {2})
        shown = self.daemon.ctl("services").stdout
        self.assertIn("Connection refused", shown)
        self.assertLessEqual(max(map(len, shown.splitlines())), 80)
        self.start_server(1)
        self.wait_state(1, "active")
        self.assertEqual(self.backend(1)["health"]["went_up"], 1)
        self.assertEqual(set(self.answers()), {1, 2})

    def test_two_failures_are_not_enough(self):
        self.web_lab()
        self.start({**HTTP, "interval": "400ms", "timeout": "300ms"})
        self.wait_probed()
        self.stop_server(1)
        wait_until(lambda: self.backend(1)["health"]["failures"] == 2, "two failures", every=0.01)
        self.assertEqual(self.backend(1)["state"], "active")
        self.start_server(1)
        wait_until(lambda: self.backend(1)["health"]["successes"] >= 2, "it answers again")
        self.assertEqual(self.backend(1)["health"]["went_down"], 0)

    def test_flapping_is_damped(self):
        self.web_lab()
        self.start(HTTP)
        self.wait_probed()
        for _ in range(2):
            self.stop_server(1)
            self.wait_state(1, "down")
            self.start_server(1)
            self.wait_state(1, "active")
        self.stop_server(1)
        self.wait_state(1, "down")
        self.assertTrue(self.backend(1)["health"]["damped"])
        self.start_server(1)
        wait_until(lambda: self.backend(1)["health"]["successes"] >= 5, "its probes are good again")
        self.assertEqual(self.backend(1)["state"], "down")
        self.assertEqual(set(self.answers(8)), {2})
        self.assertIn("flapping", self.daemon.ctl("services").stdout)
        self.wait_state(1, "active", 12)  # one and a half half-lives of 30 intervals
        self.assertFalse(self.backend(1)["health"]["damped"])

    def test_only_the_flows_of_the_backend_that_went_down_move(self):
        lab = self.make_lab(backends=3)
        self.lab = lab
        servers = [programs.dnsmasq(backend) for backend in lab.backends]
        for backend in lab.backends:  # a kernel tells of a closed port once a second; probes come more often here
            backend.namespace.sysctl({"net.ipv4.icmp_ratelimit": 0})
        self.start(UDP, name="dns", protocol="udp", ports="53")
        ports = range(20000, 20040)

        def chosen():
            return {port: self.dig(port) for port in ports}
        before = chosen()
        self.assertEqual(set(before.values()), {1, 2, 3})
        servers[2].kill()
        servers[2].wait()
        wait_until(lambda: self.backend(3, "dns")["state"] == "down", "backend 3 is down")
        wait_until(lambda: "flows of backends that are down" in self.daemon.log(), "its flows are ended")
        after = chosen()
        self.assertEqual(set(after.values()), {1, 2})
        self.assertEqual([port for port in ports if before[port] != 3 and before[port] != after[port]], [])

    def test_all_down_drops_as_no_backend_and_comes_back(self):
        self.web_lab()
        self.start(TCP)
        self.wait_probed()
        for number in (1, 2):
            self.stop_server(number)
            self.wait_state(number, "down")
        time.sleep(0.3)
        before = self.daemon.metrics().sum("sluice_drops_total", reason="no_backend")
        self.assertEqual(self.answers(1), [None])
        self.assertGreater(self.daemon.metrics().sum("sluice_drops_total", reason="no_backend"), before)
        self.start_server(2)
        self.wait_state(2, "active")
        self.assertEqual(set(self.answers(6)), {2})

    def test_metrics_tell_state_and_probes(self):
        self.web_lab()
        self.start(HTTP)
        self.wait_probed()
        self.stop_server(1)
        self.wait_state(1, "down")
        metrics = self.daemon.metrics()
        down, up = (f"10.0.{n}.2" for n in (1, 2))
        self.assertEqual(metrics.sum("sluice_service_backend_up", service="web", backend=down), 0)
        self.assertEqual(metrics.sum("sluice_service_backend_up", service="web", backend=up), 1)
        self.assertGreaterEqual(metrics.sum("sluice_health_probes_total", backend=down, outcome="failure"), 3)
        self.assertEqual(metrics.sum("sluice_health_changes_total", backend=down, to="down"), 1)

    def test_a_flow_of_a_backend_that_went_down_finds_another(self):
        lab = self.web_lab()
        self.start(UDP, name="dns", protocol="udp", ports="53")
        servers = [programs.dnsmasq(backend) for backend in lab.backends]
        port = next(p for p in range(30000, 30100) if self.dig(p) == 1)
        servers[0].kill()
        servers[0].wait()
        wait_until(lambda: self.backend(1, "dns")["state"] == "down", "the server's port refuses")
        wait_until(lambda: self.dig(port) == 2, "the other answers the same client port")

    def test_a_host_that_is_gone_is_down_by_udp_too(self):
        lab = self.web_lab()
        self.start(UDP, name="dns", protocol="udp", ports="53")
        for backend in lab.backends:
            programs.dnsmasq(backend)
        wait_until(lambda: self.backend(1, "dns")["health"]["successes"] >= 2, "it is probed")
        lab.backends[0].namespace.ip("addr", "flush", "dev", "eth0")
        lab.node.ip("neigh", "flush", "dev", "be1")
        wait_until(lambda: self.backend(1, "dns")["state"] == "down", "nobody answers for its address", 20)

    def test_dsr_probes_the_backends_own_address(self):
        lab = self.make_lab(backends=2)
        self.lab = lab
        for backend in lab.backends:
            end = TunnelEnd(backend, [VIP4])
            self.addCleanup(end.close)
        self.servers = [programs.nginx(backend) for backend in lab.backends]
        self.start(TCP, mode="dsr_ipip", tunnel={"source4": "172.16.0.9"})
        self.wait_probed()
        self.assertEqual(set(self.answers()), {1, 2})
        self.stop_server(2)
        self.wait_state(2, "down")
        time.sleep(0.3)
        self.assertEqual(set(self.answers(8)), {1})

    def test_ipv6_fullnat_and_proxied_services_are_checked(self):
        lab = self.web_lab()
        services = [service(lab, "six", 6, health_check=HTTP), service(lab, "full", ports="81", mode="fullnat", port=80,
                                                                       health_check=HTTP),
                    service(lab, "prox", ports="82", mode="proxy", port=80, health_check=HTTP)]
        self.daemon = self.start_daemon(lab, {"services": services})
        for name in ("six", "full", "prox"):
            for number in (1, 2):
                wait_until(lambda n=name, i=number: self.backend(i, n)["health"]["successes"] >= 2, f"{name} {number} is probed")
        self.stop_server(1)
        for name in ("six", "full", "prox"):
            wait_until(lambda n=name: self.backend(1, n)["state"] == "down", f"{name} 1 is down")
        time.sleep(0.3)
        self.assertEqual(set(self.answers(6, VIP6)), {2})
        for port in (81, 82):
            bodies = {programs.curl(lab.client, VIP4, port).split()[1] for _ in range(6)}
            self.assertEqual(bodies, {"2"}, port)

    def test_a_stateless_services_backends_are_checked(self):
        lab = self.web_lab()
        self.start(HTTP, flow_table=False)
        for backend in lab.backends:
            wait_until(lambda b=backend: self.backend(b.number)["health"]["successes"] >= 2, "its answers reach the node")


class ChecksAfXdp(HealthCase):
    tier = "af_xdp"

    def test_checks_work_where_the_engine_serves(self):
        self.web_lab()
        self.start(HTTP)
        self.wait_probed()
        self.stop_server(1)
        self.wait_state(1, "down")
        time.sleep(0.3)
        self.assertEqual(set(self.answers(8)), {2})


class Kept(HealthCase):
    def test_what_is_down_stays_down_over_reload_and_restart(self):
        self.web_lab()
        self.start({**HTTP, "interval": "300ms", "timeout": "200ms"})
        self.stop_server(1)
        self.wait_state(1, "down", 10)
        self.daemon.ctl("reload")
        self.assertEqual(self.backend(1)["state"], "down")
        self.daemon.stop()
        self.daemon.start()
        self.assertEqual(self.backend(1)["state"], "down")
        self.assertEqual(self.backend(2)["state"], "active")
        self.start_server(1)
        self.wait_state(1, "active", 10)

    def test_without_checks_nothing_is_taken_out(self):
        self.web_lab()
        self.start(HTTP)
        self.stop_server(1)
        self.wait_state(1, "down")
        self.daemon.reload({"services": [service(self.lab)]})
        self.assertEqual(self.backend(1)["state"], "active")
        self.assertIsNone(self.backend(1)["health"])


class Drain(HealthCase):
    def drain(self, number, word="drain", check=True):
        return self.daemon.ctl(word, "web", f"10.0.{number}.2", check=check)

    def test_new_flows_avoid_a_drained_backend_and_old_ones_finish(self):
        self.web_lab()
        self.config = {"services": [service(self.lab)]}
        self.daemon = self.start_daemon(self.lab, self.config)
        connections = [programs.keep_alive(self.lab.client, VIP4) for _ in range(12)]
        self.addCleanup(lambda: [c.close() for c in connections])
        before = [programs.ask(c).split()[1] for c in connections]
        self.assertEqual(set(before), {"1", "2"})
        self.assertIn("draining", self.drain(1).stdout)
        self.assertEqual(self.backend(1)["state"], "draining")
        self.assertEqual(set(self.answers()), {2})
        self.assertEqual([programs.ask(c).split()[1] for c in connections], before)
        self.assertEqual(self.daemon.metrics().sum("sluice_service_backend_draining", backend="10.0.1.2"), 1)
        self.assertIn("drained by command", self.daemon.ctl("services").stdout)
        self.daemon.ctl("reload")
        self.assertEqual(self.backend(1)["state"], "draining")
        self.daemon.stop()
        self.daemon.start()
        self.assertEqual(self.backend(1)["state"], "draining")
        self.assertEqual(set(self.answers(8)), {2})
        self.assertEqual([programs.ask(c).split()[1] for c in connections], before)
        self.drain(1, "undrain")
        self.assertEqual(set(self.answers()), {1, 2})

    def test_what_cannot_be_drained_is_refused_by_name(self):
        self.web_lab()
        config = service(self.lab)
        config["backends"][1]["state"] = "disabled"
        self.daemon = self.start_daemon(self.lab, {"services": [config]})
        refused = self.daemon.ctl("drain", "web", "10.9.9.9", check=False)
        self.assertEqual(refused.returncode, 1)
        self.assertIn("expected one of service web: 10.0.1.2, 10.0.2.2", refused.stderr)
        self.assertIn("expected one that is configured", self.daemon.ctl("drain", "nothing", "10.0.1.2", check=False).stderr)
        self.assertIn("the configuration says disabled", self.drain(2, check=False).stderr)


if __name__ == "__main__":
    main()
