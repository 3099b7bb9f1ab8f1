# SPDX-License-Identifier: Apache-2.0
"""What goes wrong around the daemon: interfaces, tables, bpffs, other programs."""

import pathlib

import programs
from case import LabCase, for_each_tier, main
from daemon import interfaces, service
from topology import VIP4, run, text_of, wait_until
from traffic import UdpStream

class Faults:
    def web(self, lab, config=None, **options):
        for backend in lab.backends:
            programs.nginx(backend)
        return self.start_daemon(lab, {"services": [service(lab)], **(config or {})}, **options)

    def seen(self, lab, number=16):
        return {programs.curl(lab.client, VIP4, check=False, timeout=1) for _ in range(number)}

    def test_an_interface_that_vanishes_and_comes_back_is_served_again(self):
        lab = self.make_lab()
        daemon = self.web(lab)
        self.assertEqual(len(self.seen(lab)), 2)
        lab.node.ip("link", "del", "be2")
        wait_until(lambda: daemon.interface("be2")["ifindex"] == 0, "status shows that be2 is gone")
        self.assertEqual(daemon.metrics().sum("sluice_interface_up", interface="be2"), 0)
        backend = lab.backends[1]
        lab.wire(backend.namespace, "be2", backend.address4, backend.address6, "10.0.2.1", "2001:db8:2::1")
        wait_until(lambda: daemon.tier("be2", self.tier)["active"], "be2 is served again", 10)
        lab.resolve()
        self.assertEqual({answer.split(" client")[0] for answer in self.seen(lab, 24)}, {"backend 1", "backend 2"})

    def test_an_interface_that_is_not_there_at_start_is_served_when_it_comes(self):
        lab = self.make_lab()
        lab.node.ip("link", "del", "be2")
        daemon = self.make_daemon(lab, {"services": [service(lab)]}).launch()
        wait_until(lambda: daemon.socket.exists() and daemon.ctl("status", check=False).returncode == 0, "sluiced answers", 20)
        self.assertEqual(daemon.interface("be2")["ifindex"], 0)
        backend = lab.backends[1]
        lab.wire(backend.namespace, "be2", backend.address4, backend.address6, "10.0.2.1", "2001:db8:2::1")
        wait_until(lambda: daemon.tier("be2", self.tier)["active"], "be2 is served", 10)
        wait_until(lambda: daemon.http("/readyz")[0] == 200, "sluiced is ready")

    def test_a_changed_mtu_shows_and_is_used(self):
        lab = self.make_lab(backends=1)
        daemon = self.web(lab)
        lab.node.ip("link", "set", "be1", "mtu", "1300")
        wait_until(lambda: daemon.interface("be1")["mtu"] == 1300, "status shows the new MTU")
        sent = programs.curl(lab.client, VIP4, 80, "/", "--data-binary", "x" * 100_000, "-o", "/dev/null", "-w", "%{http_code}")
        self.assertEqual(sent, "200")

    def test_a_device_that_was_renamed_is_let_go_and_taken_again_when_it_has_its_name_back(self):
        lab = self.make_lab()
        daemon = self.web(lab)
        self.rename(lab, "be2", "other0")
        wait_until(lambda: daemon.interface("be2")["ifindex"] == 0, "status shows that be2 is gone")
        wait_until(lambda: lab.program_id("other0") is None, "the program is off the device")
        self.rename(lab, "other0", "be2")
        wait_until(lambda: daemon.tier("be2", self.tier)["active"], "be2 is served again", 10)
        lab.node.run("ping", "-c1", "-W1", lab.backends[1].address4, check=False)
        self.assertEqual({answer.split(" client")[0] for answer in self.seen(lab, 24)}, {"backend 1", "backend 2"})

    def rename(self, lab, old, new):
        lab.node.ip("link", "set", old, "down")
        lab.node.ip("link", "set", old, "name", new)
        lab.node.ip("link", "set", new, "up")

    def test_sockets_come_back_with_an_mtu_that_they_can_serve(self):
        lab = self.make_lab()
        daemon = self.web(lab)
        lab.node.ip("link", "set", "be1", "mtu", "9000")
        wait_until(lambda: not daemon.tier("be1", "af_xdp")["active"], "9000 bytes are too much for a socket")
        self.assertIn("MTU 9000", daemon.tier("be1", "af_xdp")["reason"])
        lab.node.ip("link", "set", "be1", "mtu", "1500")
        wait_until(lambda: daemon.tier("be1", "af_xdp")["active"], "be1 has sockets again", 10)
        wait_until(lambda: daemon.http("/readyz")[0] == 200, "sluiced is ready")
        self.assertEqual(len(self.seen(lab, 24)), 2)

    def test_a_larger_mtu_is_served_from_then_on(self):
        lab = self.make_lab(backends=1)
        daemon = self.start_daemon(lab, {"services": [service(lab, protocol="udp", ports="9000")]})
        for space, device in ((lab.node, "cl0"), (lab.client, "eth0"), (lab.node, "be1"), (lab.backends[0].namespace, "eth0")):
            space.ip("link", "set", device, "mtu", "3000")
        wait_until(lambda: daemon.interface("be1")["mtu"] == 3000, "status shows the new MTU")
        with UdpStream(lab) as stream:
            self.assertEqual(stream.send(100, size=2800), 100)

    def test_a_full_flow_table_still_forwards_and_counts_what_it_replaced(self):
        lab = self.make_lab(backends=1)
        tables = {"flows": 1024, "sources": 64, "services": 64, "backends": 64, "fragments": 64}
        udp = [service(lab, protocol="udp", ports="9000")]
        daemon = self.start_daemon(lab, {"services": udp, "tables": tables})
        with UdpStream(lab, flows=4000) as stream:
            self.assertEqual(stream.send(12_000), 12_000)
        metrics = daemon.metrics()
        self.assertEqual(metrics.sum("sluice_flow_table_capacity"), 1024)
        self.assertGreater(metrics.sum("sluice_flows_evicted_total"), 4000 - 1024 - 1)

    def test_without_bpffs_one_is_mounted(self):
        lab = self.make_lab(backends=1)
        place = lab.home / "own" / "sluice"
        daemon = self.web(lab, {"state": {"bpffs": str(place)}})
        self.assertEqual(run("stat", "-f", "-c", "%T", place).stdout.strip(), "bpf_fs")
        self.assertEqual(len(self.seen(lab, 3)), 1)
        daemon.stop()

    def test_where_bpffs_cannot_be_the_reason_is_told_and_the_host_left_alone(self):
        lab = self.make_lab(backends=1)
        (lab.home / "file").write_text("in the way")
        daemon = self.make_daemon(lab, {"services": [service(lab)], "state": {"bpffs": str(lab.home / "file" / "sluice")}})
        daemon.launch()
        wait_until(lambda: daemon.socket.exists() and daemon.ctl("status", check=False).returncode == 0, "sluiced answers", 20)
        self.assertIn(str(lab.home / "file"), daemon.tier("cl0", self.tier)["reason"])
        self.assertEqual(daemon.http("/readyz")[0], 503)
        self.assertTrue(daemon.metrics().has("sluice_tier_refused", interface="cl0", tier=self.tier))
        self.assertEqual(programs.ping(lab.client, "198.51.100.1")[0], 3)

    def test_another_xdp_program_is_left_alone_and_named(self):
        lab = self.make_lab(backends=1)
        lab.node.attach_other_program("cl0")
        before = lab.program_id("cl0")
        daemon = self.make_daemon(lab, {"services": [service(lab)]}).launch()
        wait_until(lambda: daemon.socket.exists() and daemon.ctl("status", check=False).returncode == 0, "sluiced answers", 20)
        self.assertEqual(lab.program_id("cl0"), before)
        tier = daemon.tier("cl0", self.tier)
        self.assertFalse(tier["active"])
        self.assertNotEqual(tier["reason"], "")
        self.assertTrue(daemon.tier("be1", self.tier)["active"])
        self.assertEqual(programs.ping(lab.client, "198.51.100.1")[0], 3)

    def test_requirements_that_are_not_met_stop_the_start(self):
        lab = self.make_lab(backends=1)
        status, log = self.make_daemon(lab, require=["af_xdp_zero_copy"]).refused()
        self.assertEqual(status, 1)
        self.assertIn("require af_xdp_zero_copy", log)

    def test_a_reload_whose_requirements_are_not_met_changes_nothing(self):
        lab = self.make_lab(backends=1)
        daemon = self.web(lab)
        before = dict(daemon.config)
        for settings in ([{"name": "absent", "require": ["xdp_native"]}], [{"name": "be1", "require": ["af_xdp_zero_copy"]}]):
            names = {each["name"] for each in settings}
            kept = [each for each in before["interfaces"] if each["name"] not in names]
            refused = daemon.reload({**before, "interfaces": kept + settings, "policy": {"default": "drop"}}, check=False)
            self.assertNotEqual(refused.returncode, 0)
            self.assertIn("require", refused.stderr)
            self.assertEqual(daemon.ctl_json("policy")["default"], "allow")
            self.assertIsNotNone(programs.curl(lab.client, VIP4))
            self.assertEqual(daemon.http("/readyz")[0], 200)


class Generic(LabCase):
    """A veth whose peer's MTU is over what fits into a page has no native XDP."""

    def make_lab(self):
        lab = super().make_lab(backends=1)
        lab.client.ip("link", "set", "eth0", "mtu", "9000")
        return lab

    def test_without_native_xdp_it_serves_and_says_so(self):
        lab = self.make_lab()
        programs.nginx(lab.backends[0])
        daemon = self.start_daemon(lab, {"services": [service(lab)]})
        told = daemon.tier("cl0", "xdp")
        self.assertEqual((told["active"], told["mode"]), (True, "generic"))
        self.assertRegex(told["reason"], "native")
        self.assertEqual(daemon.tier("be1", "xdp")["mode"], "native")
        self.assertTrue(daemon.metrics().has("sluice_tier_active", interface="cl0", tier="xdp", mode="generic"))
        self.assertRegex(text_of(daemon.process), "interface cl0: .*generic")
        self.assertIsNotNone(programs.curl(lab.client, VIP4))

    def test_a_requirement_of_native_xdp_refuses_to_start(self):
        status, log = self.make_daemon(self.make_lab(), require=["xdp_native"]).refused()
        self.assertEqual(status, 1)
        self.assertIn("require xdp_native", log)


class ZeroCopy(LabCase):
    tier = "af_xdp"

    def test_zero_copy_is_required_of_the_interface_that_asks_and_a_reload_that_asks_in_vain_costs_nobody_his_sockets(self):
        lab = self.make_lab(backends=1)
        programs.nginx(lab.backends[0])
        plain = interfaces(lab, ["af_xdp"])
        asking = [{**plain[0], "require": ["af_xdp_zero_copy"]}, *plain[1:]]
        status, log = self.make_daemon(lab, {"interfaces": asking}).refused()
        self.assertEqual(status, 1)
        self.assertRegex(log, "interface cl0: require af_xdp_zero_copy: .*share one mode: .*zero-copy mode")
        daemon = self.start_daemon(lab, {"interfaces": plain, "services": [service(lab)]})
        done = daemon.reload({"interfaces": asking, "services": [service(lab)]}, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("interface cl0: require af_xdp_zero_copy", done.stderr)
        for name in ("cl0", "be1"):
            self.assertEqual(len(daemon.interface(name)["queues"]), 1, name)
            self.assertTrue(daemon.tier(name, "af_xdp")["active"], name)
        self.assertTrue(programs.curl(lab.client, "192.0.2.10"))


class Overlap(LabCase):
    def loader_status(self, lab):
        status = lab.node.spawn("xdp-loader", "status", "cl0", env={"LIBXDP_BPFFS": str(lab.bpffs)})
        status.wait(20)
        return status.log.read_text()

    def test_a_dispatchers_other_program_runs_beside_sluices(self):
        lab = self.make_lab(backends=1)
        if not programs.has_program(lab.node, "xdp-loader"):
            self.skipTest("no xdp-loader here (package xdp-tools)")
        found = [path for path in (pathlib.Path("/usr/lib/x86_64-linux-gnu/bpf/xdpfilt_alw_all.o"),
                                   pathlib.Path("/usr/lib/bpf/xdpfilt_alw_all.o")) if path.exists()]
        if not found:
            self.skipTest("no XDP object with dispatcher metadata here (package xdp-tools)")
        loader = lab.node.spawn("xdp-loader", "load", "cl0", found[0], "--prog-name", "xdpfilt_alw_all",
                                env={"LIBXDP_BPFFS": str(lab.bpffs)})
        if loader.wait(20):
            self.skipTest(f"xdp-loader cannot load its program here: {loader.log.read_text()[-200:]}")
        if self.loader_status(lab).count("xdp_dispatcher") == 0:
            self.skipTest("this kernel does not load libxdp's dispatcher, so that an interface has one program only")
        for backend in lab.backends:
            programs.nginx(backend)
        daemon = self.start_daemon(lab, {"services": [service(lab)]})
        self.assertTrue(daemon.tier("cl0", "xdp")["active"])
        shown = self.loader_status(lab)
        self.assertIn("xdpfilt_alw_all", shown)
        self.assertIn("sluice_xdp", shown)
        self.assertIsNotNone(programs.curl(lab.client, VIP4))


for_each_tier(globals(), Faults)

if __name__ == "__main__":
    main()
