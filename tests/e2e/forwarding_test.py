# SPDX-License-Identifier: Apache-2.0
"""Real programs through a virtual IP, on each tier."""

import json

import programs
from case import LabCase, for_each_tier, main
from daemon import service
from topology import CLIENT4, CLIENT6, VIP4, VIP6, run
from traffic import UdpStream

REQUESTS = 12


def web_and_dns(lab):
    return {"services": [service(lab, "web4"), service(lab, "web6", 6), service(lab, "dns", protocol="udp", ports="53"),
                         service(lab, "dns6", 6, protocol="udp", ports="53")]}


class Nat:
    def setUp(self):
        super().setUp()
        self.lab = self.make_lab()
        for backend in self.lab.backends:
            programs.nginx(backend)
            programs.dnsmasq(backend)
        self.daemon = self.start_daemon(self.lab, web_and_dns(self.lab))

    def seen_by(self, address):
        return {programs.curl(self.lab.client, address) for _ in range(REQUESTS)}

    def expected(self, client, family):
        return {f"backend {b.number} client {client} server {b.address(family)}\n" for b in self.lab.backends}

    def test_curl_over_ipv4_reaches_all_backends_which_see_client_and_own_address(self):
        self.assertEqual(self.seen_by(VIP4), self.expected(CLIENT4, 4))

    def test_curl_over_ipv6_reaches_all_backends_which_see_client_and_own_address(self):
        self.assertEqual(self.seen_by(VIP6), self.expected(CLIENT6, 6))

    def test_dns_queries_over_udp_are_answered_over_ipv4_and_ipv6(self):
        for address in (VIP4, VIP6):
            with self.subTest(address):
                answers = {tuple(programs.dig(self.lab.client, address)) for _ in range(REQUESTS)}
                self.assertEqual(answers, {("203.0.113.1",), ("203.0.113.2",)})

    def test_the_host_stack_sees_none_of_the_traffic(self):
        counters = ("IpForwDatagrams", "Ip6OutForwDatagrams")
        before = self.lab.node.counters(*counters)
        with programs.Tcpdump(self.lab.node, "port 80 or port 53") as seen:
            self.seen_by(VIP4)
            self.seen_by(VIP6)
            programs.dig(self.lab.client, VIP4)
        self.assertEqual(seen.lines(), [])
        self.assertEqual(self.lab.node.counters(*counters), before)

    def test_the_kernel_counts_the_runs_of_the_program(self):
        def runs():
            return json.loads(run("bpftool", "-j", "prog", "show", "id", self.lab.program_id("cl0")).stdout).get("run_cnt", 0)

        with open("/proc/sys/kernel/bpf_stats_enabled", encoding="ascii") as file:
            if file.read().strip() == "0":
                run("sysctl", "-q", "kernel.bpf_stats_enabled=1")
                self.addCleanup(run, "sysctl", "-q", "kernel.bpf_stats_enabled=0")
        before = runs()
        programs.curl(self.lab.client, VIP4)
        self.assertGreaterEqual(runs() - before, 5)  # SYN, ACK, request, FIN, ACK

    def test_a_large_download_and_a_large_upload_arrive_whole(self):
        size = programs.curl(self.lab.client, VIP4, 80, "/large", "-o", "/dev/null", "-w", "%{size_download}", timeout=20)
        self.assertEqual(int(size), 8 << 20)
        large = self.lab.home / "upload"
        with open(large, "wb") as file:
            file.truncate(8 << 20)
        sent = programs.curl(self.lab.client, VIP6, 80, "/", "--data-binary", f"@{large}", "-o", "/dev/null", "-w",
                             "%{size_upload}", timeout=20)
        self.assertEqual(int(sent), 8 << 20)

    def test_ping_to_the_vip_is_answered_also_without_a_backend(self):
        for address in (VIP4, VIP6):
            with self.subTest(address):
                self.assertEqual(programs.ping(self.lab.client, address)[0], 3)
        web = {**service(self.lab, "web4"), "backends": []}
        self.daemon.reload({**self.daemon.config, "services": [web]})
        self.assertEqual(programs.ping(self.lab.client, VIP4)[0], 3)

    def test_flows_services_and_status_tell_of_the_traffic(self):
        connection = programs.keep_alive(self.lab.client, VIP4)
        self.addCleanup(connection.close)
        programs.ask(connection)
        port = connection.getsockname()[1]
        flows = self.daemon.ctl_json("flows", "--service", "web4")["flows"]
        flow = next(f for f in flows if f["initiator"] == f"{CLIENT4}:{port}")
        self.assertEqual((flow["protocol"], flow["responder"], flow["mode"], flow["state"]),
                         ("tcp", f"{VIP4}:80", "nat", "tcp_established"))
        services = {s["name"]: s for s in self.daemon.ctl_json("services")["services"]}
        self.assertGreater(sum(b["to"]["packets"] for b in services["web4"]["backends"]), 0)
        self.assertGreater(sum(b["from"]["packets"] for b in services["web4"]["backends"]), 0)
        traffic = self.daemon.interface("cl0")["traffic"][self.tier]
        self.assertGreater(traffic["verdicts"]["forward"]["packets"], 0)
        for words in (["status"], ["services"], ["flows"], ["policy"]):
            text = self.daemon.ctl(*words).stdout
            self.assertLessEqual(max(map(len, text.splitlines())), 80, f"sluicectl {words[0]} is wider than 80 columns")


class Iperf:
    def test_iperf3_runs_through_the_vip_with_tcp_and_udp(self):
        lab = self.make_lab(backends=1)
        programs.iperf3_server(lab.backends[0])
        self.start_daemon(lab, {"services": [service(lab, "tcp", ports="5201"),
                                             service(lab, "udp", protocol="udp", ports="5201")]})
        tcp = json.loads(lab.client.run("iperf3", "-J", "-t", 2, "-c", VIP4, timeout=30).stdout)
        self.assertGreater(tcp["end"]["sum_received"]["bytes"], 1 << 20)
        udp = json.loads(lab.client.run("iperf3", "-J", "-u", "-b", "20M", "-l", 1000, "-t", 2, "-c", VIP4, timeout=30).stdout)
        self.assertGreater(udp["end"]["sum"]["packets"], 4000)
        # Sockets on a busy machine lose some of their own; that sluice loses none is counted in counters_test.py.
        self.assertLessEqual(udp["end"]["sum"]["lost_packets"], udp["end"]["sum"]["packets"] // 20)


class Reload:
    def test_established_connections_stay_where_they_are_when_a_backend_goes_and_comes(self):
        lab = self.make_lab(backends=3)
        for backend in lab.backends:
            programs.nginx(backend)
        daemon = self.start_daemon(lab, {"services": [service(lab)]})
        connections = [programs.keep_alive(lab.client, VIP4) for _ in range(30)]
        for connection in connections:
            self.addCleanup(connection.close)
        before = [programs.ask(connection) for connection in connections]
        gone = "backend 3 "
        kept = [index for index, answer in enumerate(before) if not answer.startswith(gone)]
        self.assertGreater(len(kept), 0)
        self.assertLess(len(kept), 30)
        config = daemon.config
        less = {**config, "services": [{**config["services"][0], "backends": config["services"][0]["backends"][:2]}]}
        daemon.reload(less)
        for _ in range(3):
            self.assertEqual([programs.ask(connections[index]) for index in kept], [before[index] for index in kept])
        new = {programs.curl(lab.client, VIP4).split(" client")[0] for _ in range(20)}
        self.assertEqual(new, {"backend 1", "backend 2"})
        daemon.reload(config)
        self.assertEqual([programs.ask(connections[index]) for index in kept], [before[index] for index in kept])
        new = {programs.curl(lab.client, VIP4).split(" client")[0] for _ in range(30)}
        self.assertEqual(new, {"backend 1", "backend 2", "backend 3"})

    def test_a_draining_backend_keeps_its_connections_and_gets_no_new_ones(self):
        lab = self.make_lab()
        for backend in lab.backends:
            programs.nginx(backend)
        daemon = self.start_daemon(lab, {"services": [service(lab)]})
        connections = [programs.keep_alive(lab.client, VIP4) for _ in range(16)]
        for connection in connections:
            self.addCleanup(connection.close)
        before = [programs.ask(connection) for connection in connections]
        web = service(lab)
        web["backends"][0]["state"] = "draining"
        daemon.reload({**daemon.config, "services": [web]})
        self.assertEqual([programs.ask(connection) for connection in connections], before)
        new = {programs.curl(lab.client, VIP4).split(" client")[0] for _ in range(20)}
        self.assertEqual(new, {"backend 2"})


class Inspection(LabCase):
    def test_bpftool_shows_program_and_flows_in_words(self):
        lab = self.make_lab()
        for backend in lab.backends:
            programs.nginx(backend)
        self.start_daemon(lab, {"services": [service(lab)]})
        connection = programs.keep_alive(lab.client, VIP4)
        self.addCleanup(connection.close)
        programs.ask(connection)
        pins = lab.bpffs / "sluice"
        shown = json.loads(run("bpftool", "-j", "prog", "show", "pinned", pins / "sluice_xdp").stdout)
        self.assertEqual(shown["name"], "sluice_xdp")
        dump = run("bpftool", "map", "dump", "pinned", pins / "flows").stdout
        self.assertIn('"initiator"', dump)
        live = [entry["value"] for entry in json.loads(dump) if entry["value"]["initiator"]["port"] ==
                connection.getsockname()[1]]
        self.assertEqual([flow["initiator"]["address"] for flow in live], [[int(part) for part in CLIENT4.split(".")]])
        self.assertEqual([flow["responder"]["port"] for flow in live], [80])
        names = {path.name for path in pins.iterdir()}
        self.assertLessEqual({"flows", "snapshot", "port_counters", "backend_counters", "sockets", "egress"}, names)


class Balance(LabCase):
    def test_new_connections_spread_by_weight(self):
        lab = self.make_lab()
        web = service(lab, protocol="udp", ports="9000")
        web["backends"][0]["weight"], web["backends"][1]["weight"] = 3, 1
        self.start_daemon(lab, {"services": [web]})
        with UdpStream(lab, flows=800) as stream:
            self.assertEqual(stream.send(800), 800)
            self.assertAlmostEqual(stream.received[0] / 800, 0.75, delta=0.07)


for_each_tier(globals(), Nat, Iperf, Reload)

if __name__ == "__main__":
    main()
