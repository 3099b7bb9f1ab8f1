# SPDX-License-Identifier: Apache-2.0
"""Starting, stopping, crashing and configuring the daemon."""

import json
import os

import programs
from case import LabCase, main
from daemon import METRICS_PORT, PROGRAMS, check, interfaces, service
from topology import VIP4, run, wait_until, xdp_mode


def objects_of(lab):
    """Ids of the maps pinned by the daemon on LAB, and of the programs that use them."""
    pins = [path for path in (lab.bpffs / "sluice").iterdir() if path.is_file()]
    maps, programs_ = set(), set()
    for pin in pins:
        shown = run("bpftool", "-j", "map", "show", "pinned", pin, check=False)
        if shown.returncode == 0:
            maps.add(json.loads(shown.stdout)["id"])
    for entry in json.loads(run("bpftool", "-j", "prog", "show").stdout):
        if maps & set(entry.get("map_ids", [])):
            programs_.add(entry["id"])
    return maps, programs_


def ids(kind):
    return {entry["id"] for entry in json.loads(run("bpftool", "-j", kind, "show").stdout or "[]")}


class OperationsCase(LabCase):
    def web_lab(self, **options):
        lab = self.make_lab(**options)
        for backend in lab.backends:
            programs.nginx(backend)
        return lab

    def web(self, lab, **options):
        return self.start_daemon(lab, {"services": [service(lab)]}, **options)

    def answers(self, lab):
        return programs.curl(lab.client, VIP4, check=False) is not None

    def connection(self, lab):
        connection = programs.keep_alive(lab.client, VIP4)
        self.addCleanup(connection.close)
        programs.ask(connection)
        return connection


class Stop(OperationsCase):
    def test_a_stop_with_detach_leaves_nothing_behind(self):
        lab = self.web_lab()
        links = {link["ifname"] for link in lab.node.ip_json("link")}
        namespaces = {name for name in os.listdir("/run/netns") if lab.tag in name}  # others come and go
        daemon = self.web(lab, arguments=["--detach"])
        self.assertTrue(self.answers(lab))
        maps, progs = objects_of(lab)
        self.assertGreater(len(maps), 8)
        self.assertGreater(len(progs), 0)
        self.assertEqual(daemon.stop(), 0, daemon.log())
        wait_until(lambda: not maps & ids("map") and not progs & ids("prog"), "maps and programs are gone", 10)
        self.assertEqual([str(path) for path in lab.bpffs.rglob("*")
                          if path.name not in ("maps.debug", "progs.debug")], [])
        for name in ("cl0", "be1", "be2"):
            self.assertIsNone(lab.program_id(name))
        self.assertEqual({link["ifname"] for link in lab.node.ip_json("link")}, links)
        self.assertEqual(set(os.listdir("/run/netns")) & namespaces, namespaces)
        self.assertFalse(daemon.socket.exists())
        self.assertEqual(programs.ping(lab.client, "198.51.100.1")[0], 3)

    def test_a_stop_with_detach_leaves_what_others_have_beside_the_dispatcher(self):
        lab = self.web_lab(backends=1)
        others = lab.bpffs / "xdp" / "others"
        others.mkdir(parents=True)
        daemon = self.web(lab, arguments=["--detach"])
        self.assertEqual(daemon.stop(), 0, daemon.log())
        self.assertTrue(others.is_dir())
        self.assertEqual([path.name for path in (lab.bpffs / "xdp").iterdir()], ["others"])
        others.rmdir()

    def test_after_a_plain_stop_forwarding_goes_on(self):
        lab = self.web_lab()
        daemon = self.web(lab)
        connection = self.connection(lab)
        self.assertEqual(daemon.stop(), 0, daemon.log())
        programs.ask(connection)
        for _ in range(5):
            self.assertTrue(self.answers(lab))

    def test_clean_takes_off_what_a_stopped_daemon_left(self):
        lab = self.web_lab()
        daemon = self.web(lab)
        daemon.stop()
        self.assertIsNotNone(lab.program_id("cl0"))
        lab.node.run(PROGRAMS["sluiced"], "--config", daemon.path, "--clean", env={**os.environ, **daemon.environment()})
        self.assertIsNone(lab.program_id("cl0"))
        self.assertFalse((lab.bpffs / "sluice").exists())

    def test_after_kill_9_the_host_answers_and_flows_and_new_connections_go_on(self):
        lab = self.web_lab()
        daemon = self.web(lab)
        connection = self.connection(lab)
        daemon.kill()
        self.assertEqual(programs.ping(lab.client, "198.51.100.1")[0], 3)
        self.assertEqual(programs.ping(lab.client, "2001:db8:c::1")[0], 3)
        programs.ask(connection)
        for _ in range(5):
            self.assertTrue(self.answers(lab))

    def test_after_kill_9_of_an_engine_only_daemon_the_host_stays_reachable(self):
        self.tier = "af_xdp"
        lab = self.web_lab()
        daemon = self.web(lab)
        self.assertTrue(self.answers(lab))
        daemon.kill()
        self.assertEqual(programs.ping(lab.client, "198.51.100.1")[0], 3)

    def test_a_restarted_daemon_adopts_programs_and_flows(self):
        lab = self.web_lab()
        daemon = self.web(lab)
        connection = self.connection(lab)
        port = connection.getsockname()[1]
        before = lab.program_id("cl0")
        received = daemon.metrics().sum("sluice_received_packets_total", tier="xdp", interface="cl0")
        daemon.kill()
        again = self.start_daemon(lab, {"services": [service(lab)]})
        self.assertEqual(lab.program_id("cl0"), before, "the program was replaced")
        programs.ask(connection)
        flows = again.ctl_json("flows")["flows"]
        self.assertIn(f"198.51.100.2:{port}", [flow["initiator"] for flow in flows])
        self.assertGreaterEqual(again.metrics().sum("sluice_received_packets_total", tier="xdp", interface="cl0"), received)


    def test_flows_and_counters_keep_their_names_when_a_reload_reordered_and_the_daemon_was_killed(self):
        lab = self.web_lab()
        web, other = service(lab), service(lab, "other", ports="81")
        daemon = self.start_daemon(lab, {"services": [web]})
        connection = self.connection(lab)
        self.assertTrue(self.answers(lab))
        daemon.reload({**daemon.config, "services": [other, {**web, "backends": web["backends"][::-1]}]})
        wait_until(lambda: daemon.metrics().has("sluice_service_packets_total", service="other"), "the reload")
        before = service_counts(daemon)
        daemon.kill()
        again = self.start_daemon(lab, daemon.config)
        self.assertEqual(service_counts(again), before)
        programs.ask(connection)
        port = connection.getsockname()[1]
        flow = next(f for f in again.ctl_json("flows")["flows"] if f["initiator"] == f"198.51.100.2:{port}")
        self.assertEqual(flow["service"], "web")
        self.assertEqual(sum(count for (name, _), count in service_counts(again).items() if name == "other"), 0)


def service_counts(daemon):
    counts = {}
    for labels, value in daemon.metrics().all("sluice_service_packets_total"):
        key = labels["service"], labels["backend"]
        counts[key] = counts.get(key, 0) + int(value)
    return counts


class Exclusive(OperationsCase):
    def test_a_second_daemon_refuses_and_the_first_goes_on(self):
        lab = self.web_lab(backends=1)
        first = self.web(lab)
        second = self.make_daemon(lab, {"services": [service(lab)]})
        status, log = second.refused()
        self.assertEqual(status, 1)
        self.assertIn("another sluiced runs", log)
        self.assertIn(str(first.process.pid), log)
        self.assertTrue(self.answers(lab))
        self.assertEqual(first.ctl_json("status")["pid"], first.process.pid)

    def test_socket_and_lock_of_a_killed_daemon_are_no_obstacle(self):
        lab = self.web_lab(backends=1)
        first = self.web(lab)
        first.kill()
        self.assertTrue(first.socket.exists())
        second = self.web(lab)
        self.assertEqual(second.ctl_json("status")["pid"], second.process.pid)

    def test_a_daemon_with_other_sockets_does_not_share_the_metrics_address(self):
        lab = self.make_lab(backends=1)
        first = self.web(lab)
        second = self.make_daemon(lab, {"interfaces": [], "state": {"bpffs": str(lab.bpffs / "second")}}, name="second")
        status, log = second.refused()
        self.assertEqual(status, 1)
        self.assertIn(f"metrics.listen: 127.0.0.1:{METRICS_PORT}: cannot listen", log)
        self.assertEqual(first.http("/healthz")[0], 200)

    def test_the_control_socket_is_for_root_only(self):
        lab = self.make_lab(backends=1)
        daemon = self.web(lab)
        self.assertEqual(oct(daemon.socket.stat().st_mode & 0o777), "0o600")


class Reload(OperationsCase):
    def test_counters_do_not_fall_when_a_reload_adds_an_interface(self):
        self.tier = "af_xdp"
        lab = self.web_lab()
        both = interfaces(lab, ["af_xdp"])
        web = {**service(lab), "backends": [{"address": lab.backends[0].address(4)}]}
        daemon = self.start_daemon(lab, {"interfaces": both[:-1], "services": [web]})
        for _ in range(20):
            self.assertTrue(self.answers(lab))
        before = counters_of(daemon.metrics())
        for name in ("sluice_xsk_received_packets_total", "sluice_xsk_sent_packets_total", "sluice_worker_frames_total",
                     "sluice_packets_total", "sluice_service_packets_total", "sluice_flows_created_total"):
            self.assertGreater(sum(value for key, value in before.items() if key[0] == name), 10, name)
        sockets = len(daemon.interface("be2")["queues"]) if self.has(daemon, "be2") else 0
        self.assertEqual(sockets, 0)
        daemon.reload({"interfaces": both, "services": [web]})
        self.assertGreater(len(daemon.interface("be2")["queues"]), 0)
        self.assertEqual(fallen(before, counters_of(daemon.metrics())), [])
        self.assertTrue(self.answers(lab))
        again = counters_of(daemon.metrics())
        cl0 = ("sluice_received_packets_total", "interface=cl0", "tier=af_xdp")
        self.assertGreater(again[cl0], before[cl0])
        daemon.reload({"interfaces": both[:-1], "services": [web]})
        self.assertEqual([each for each in fallen(again, counters_of(daemon.metrics())) if "interface=be2" not in each], [])

    def has(self, daemon, name):
        return name in [interface["name"] for interface in daemon.ctl_json("status")["interfaces"]]


def counters_of(metrics):
    """Every counter's value, by name and labels."""
    return {(name, *(f"{key}={value}" for key, value in sorted(labels.items()))): value
            for name, labels, value in metrics.samples if name.startswith("sluice_") and name.endswith("_total")}


def fallen(before, after):
    return [key for key, value in before.items() if after.get(key, -1) < value]


class Flags(OperationsCase):
    def check_flags(self, xdp, af_xdp, expected_xdp, expected_af_xdp):
        lab = self.web_lab(backends=1)
        daemon = self.start_daemon(lab, {"services": [service(lab)], "interfaces": interfaces(lab)},
                                   flags={"ENABLE_XDP": xdp, "ENABLE_AF_XDP": af_xdp})
        link = lab.node.ip_json("link", "show", "dev", "cl0")[0]
        self.assertEqual(xdp_mode(link), "native" if expected_xdp or expected_af_xdp else None)
        metrics = daemon.metrics()
        for tier, value, expected in (("xdp", xdp, expected_xdp), ("af_xdp", af_xdp, expected_af_xdp)):
            status = daemon.tier("cl0", tier)
            self.assertEqual(status["active"], expected, f"{tier}: {status}")
            self.assertIn("auto" if value == "auto" else f"{value} (environment", status["decided"])
            self.assertEqual(metrics.sum("sluice_tier_active", interface="cl0", tier=tier), int(expected))
            if not expected:
                self.assertTrue(metrics.has("sluice_tier_refused", interface="cl0", tier=tier))
        serves = "xdp" if expected_xdp else "af_xdp" if expected_af_xdp else "epoll"
        self.assertTrue(self.answers(lab))
        self.assertGreater(daemon.metrics().sum("sluice_packets_total", interface="cl0", tier=serves, verdict="forward"), 0)
        self.assertEqual(programs.ping(lab.client, "198.51.100.1")[0], 3)

    def test_auto_gives_both_tiers(self):
        self.check_flags("auto", "auto", True, True)

    def test_true_gives_both_tiers(self):
        self.check_flags("true", "true", True, True)

    def test_xdp_alone(self):
        self.check_flags("true", "false", True, False)

    def test_af_xdp_alone_serves_all_traffic_in_the_engine(self):
        self.check_flags("false", "true", False, True)

    def test_both_off_fall_back_to_packet_sockets(self):
        self.check_flags("false", "false", False, False)

    def test_a_flag_that_is_neither_true_nor_false_nor_auto_is_an_error(self):
        lab = self.make_lab(backends=1)
        status, log = self.make_daemon(lab, flags={"ENABLE_XDP": "perhaps"}).refused()
        self.assertEqual(status, 1)
        self.assertRegex(log, "ENABLE_XDP.*perhaps.*true, false or auto")


class Configuration(OperationsCase):
    """What is wrong is said with file, line and column, by the check and by the daemon in the same words."""

    def refused(self, text, *expected):
        lab = self.make_lab(backends=1)
        daemon = self.make_daemon(lab)
        if callable(text):
            text = text(daemon.path.read_text())
        daemon.path.write_bytes(text if isinstance(text, bytes) else text.encode())
        status, said = check(daemon.path)
        self.assertEqual(status, 1)
        for word in expected:
            self.assertIn(word, said)
        status, log = daemon.refused()
        self.assertEqual(status, 1)
        for word in expected:
            self.assertIn(word, log)
        self.assertIsNone(lab.program_id("cl0"))

    def test_an_unknown_key(self):
        self.refused("version: 1\nservices:\n  - name: web\n    vipp: 192.0.2.10\n", "sluice.yaml:4:5", "vipp")

    def test_a_wrong_value(self):
        self.refused("version: 1\ninterfaces:\n  - name: cl0\n    mtu: big\n", "sluice.yaml:4:10", "mtu", "big", "68 to 65535")

    def test_a_key_given_twice(self):
        self.refused("version: 1\nlog: { level: info }\nlog: { level: debug }\n", "sluice.yaml:3:1", "log")

    def test_one_vip_and_port_on_two_services(self):
        def twice(text):
            config = json.loads(text)
            one = {"name": "one", "vip": "192.0.2.10", "protocol": "tcp", "ports": "80", "backends": [{"address": "10.0.1.2"}]}
            config["services"] = [one, one | {"name": "two", "ports": "79-81"}]
            return json.dumps(config, indent=2)
        self.refused(twice, "sluice.yaml:", "services[1].ports", 'service "one"', "192.0.2.10")

    def test_an_empty_file(self):
        self.refused("", "sluice.yaml", "version")

    def test_a_binary_file(self):
        self.refused(bytes(range(256)) * 16, "sluice.yaml")

    def test_a_bad_reload_changes_nothing_and_is_told(self):
        lab = self.web_lab(backends=1)
        daemon = self.web(lab)
        connection = self.connection(lab)
        generation = daemon.metrics().sum("sluice_config_generation")
        good = daemon.path.read_text()
        daemon.path.write_text(good.replace('"nat"', '"gnat"'))
        done = daemon.ctl("reload", check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("gnat", done.stderr)
        metrics = daemon.metrics()
        self.assertEqual(metrics.sum("sluice_config_last_reload_successful"), 0)
        self.assertEqual(metrics.sum("sluice_config_generation"), generation)
        programs.ask(connection)
        self.assertTrue(self.answers(lab))
        daemon.path.write_text(good)
        daemon.ctl("reload")
        self.assertEqual(daemon.metrics().sum("sluice_config_last_reload_successful"), 1)
        programs.ask(connection)


if __name__ == "__main__":
    main()
