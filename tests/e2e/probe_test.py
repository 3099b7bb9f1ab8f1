# SPDX-License-Identifier: Apache-2.0
"""`sluicectl probe` against interfaces that are made good and bad for the purpose."""

import json

from case import LabCase, main
from daemon import PROGRAMS
from topology import run


class Probe(LabCase):
    def probe(self, lab, *words):
        done = lab.node.run(PROGRAMS["sluicectl"], "--json", "probe", *words, check=False)
        return done.returncode, json.loads(done.stdout)

    def check(self, lab, interface, name, *words):
        checks = self.probe(lab, interface, *words)[1]["interfaces"][interface]
        return next(each for each in checks if each["name"] == name)

    def test_the_machine_is_told_check_by_check(self):
        lab = self.make_lab(backends=1)
        _, told = self.probe(lab, "cl0")
        checks = {each["name"]: each for each in told["machine"]}
        self.assertEqual(checks["kernel"]["found"], run("uname", "-r").stdout.strip())
        for name in ("kernel", "BTF", "capabilities", "program types", "map types", "XDP helpers", "forwarding, IPv4"):
            self.assertEqual(checks[name]["result"], "pass", checks[name])
        for each in told["machine"]:
            self.assertIn(each["result"], ("pass", "fail", "note", "unknown"))
            self.assertTrue(each["result"] != "fail" or each["remedy"], each)

    def test_forwarding_that_is_off_fails_with_its_remedy(self):
        lab = self.make_lab(backends=1)
        lab.node.sysctl({"net.ipv4.ip_forward": 0})
        status, told = self.probe(lab, "cl0")
        check = next(each for each in told["machine"] if each["name"] == "forwarding, IPv4")
        self.assertEqual((status, check["result"]), (1, "fail"))
        self.assertIn("enable-xdp.sh", check["remedy"])

    def test_a_strict_rp_filter_fails_and_a_loose_one_passes(self):
        lab = self.make_lab(backends=1)
        lab.node.sysctl({"net.ipv4.conf.cl0.rp_filter": 1})
        strict = self.check(lab, "cl0", "rp_filter")
        self.assertEqual((strict["result"], strict["found"]), ("fail", "strict"))
        self.assertIn("net.ipv4.conf.cl0.rp_filter=2", strict["remedy"])
        lab.node.sysctl({"net.ipv4.conf.cl0.rp_filter": 2})
        self.assertEqual(self.check(lab, "cl0", "rp_filter")["result"], "pass")

    def test_a_veth_has_native_xdp_and_no_zero_copy(self):
        lab = self.make_lab(backends=1)
        native = self.check(lab, "cl0", "native XDP")
        self.assertIn("driver veth: programs yes, redirect yes", native["found"])
        self.assertEqual(self.check(lab, "cl0", "zero-copy")["found"], "the driver says no")
        tried = self.check(lab, "cl0", "zero-copy", "--try")
        self.assertEqual(tried["result"], "note")
        self.assertIn("interface cl0 queue 0: zero-copy XDP socket", tried["found"])

    def test_packet_sockets_pass_and_the_probe_leaves_nothing(self):
        lab = self.make_lab(backends=1)
        self.assertEqual(self.check(lab, "cl0", "packet sockets")["result"], "pass")
        self.assertEqual(lab.node.run("nft", "list", "ruleset").stdout, "")

    def test_an_interface_without_xdp_fails(self):
        lab = self.make_lab(backends=1)
        lab.node.ip("tuntap", "add", "tap9", "mode", "tun")
        lab.node.ip("link", "add", "br9", "type", "bridge", check=False)
        name = "br9" if lab.node.run("ip", "link", "show", "br9", check=False).returncode == 0 else None
        if name is None:
            self.skipTest("the kernel has no bridges")
        native = self.check(lab, name, "native XDP")
        self.assertEqual(native["result"], "fail", native)

    def test_mtu_queues_and_offloads_are_the_devices(self):
        lab = self.make_lab(backends=1, queues=2)
        self.assertEqual(self.check(lab, "cl0", "queues")["found"], "2 to receive")
        self.assertIn("1500; in tunnels whole up to 1480 (ipip), 1452 (gue over IPv6)", self.check(lab, "cl0", "MTU")["found"])
        self.assertIn("tso off", self.check(lab, "cl0", "offloads")["found"])

    def test_an_interface_that_is_not_there_fails(self):
        lab = self.make_lab(backends=1)
        status, told = self.probe(lab, "nosuch0")
        self.assertEqual(status, 1)
        self.assertIn("nosuch0", told["interfaces"]["nosuch0"][0]["found"])

    def test_the_text_fits_eighty_columns(self):
        lab = self.make_lab(backends=1)
        done = lab.node.run(PROGRAMS["sluicectl"], "probe", check=False)
        self.assertEqual([line for line in done.stdout.splitlines() if len(line) > 80], [])
        self.assertIn("cl0", done.stdout)


if __name__ == "__main__":
    main()
