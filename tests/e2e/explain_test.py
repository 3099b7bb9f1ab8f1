# SPDX-License-Identifier: Apache-2.0
"""What sluicectl explain and config diff foretell, against what then happens."""

import json

import programs
from case import LabCase, for_each_tier, main
from daemon import service
from scapy.all import IP, TCP, UDP, Ether, wrpcap
from topology import CLIENT4, VIP4
from traffic import UdpStream

RULES = [{"name": "no-telnet", "protocol": "tcp", "ports": "23", "action": "reject"},
         {"name": "web", "protocol": "tcp", "ports": "80", "action": "allow"},
         {"name": "rest", "protocol": "udp", "ports": "9999", "action": "drop"}]


class Explain:
    def start(self, **settings):
        self.lab = self.make_lab()
        for backend in self.lab.backends:
            programs.nginx(backend)
        self.config = {"services": [service(self.lab, ports="23,80"), service(self.lab, "udp", protocol="udp", ports="9000,9999")],
                       "policy": {"rules": RULES, **settings}}
        self.daemon = self.start_daemon(self.lab, self.config)

    def explain(self, *words, check=True):
        return self.daemon.ctl("--json", "explain", *words, check=check)

    def packet(self, *words):
        return json.loads(self.explain(*words).stdout)["packets"][0]

    def stages(self, packet):
        return {step["stage"]: step["says"] for step in packet["steps"]}

    def test_a_new_connection_goes_where_it_is_foretold_to_go(self):
        self.start()
        foretold = {}
        for port in range(40000, 40016):
            packet = self.packet("tcp", f"{CLIENT4}:{port}", f"{VIP4}:80")
            self.assertEqual((packet["verdict"], packet["service"], packet["rule"], packet["known"]),
                             ("forward", "web", "web", False))
            self.assertEqual((packet["interface"], packet["tier"]), ("cl0", "xdp" if self.tier == "xdp" else "af_xdp"))
            foretold[port] = packet["backend"]
            self.assertEqual(packet["egress"], "be" + packet["backend"].split(".")[2])
        self.assertEqual(len(set(foretold.values())), 2)
        for port, backend in foretold.items():
            answer = programs.curl(self.lab.client, VIP4, 80, "/", "--local-port", port)
            self.assertEqual(answer.split()[1], backend.split(".")[2])

    def test_nothing_is_created_or_counted(self):
        self.start()
        before = self.daemon.ctl_json("status")["flow_table"], self.daemon.ctl_json("policy"), self.daemon.ctl_json("services")
        for port in range(41000, 41010):
            self.explain("tcp", f"{CLIENT4}:{port}", f"{VIP4}:80")
            self.explain("udp", f"{CLIENT4}:{port}", f"{VIP4}:9000")
        after = self.daemon.ctl_json("status")["flow_table"], self.daemon.ctl_json("policy"), self.daemon.ctl_json("services")
        self.assertEqual(before[0]["created"], after[0]["created"])
        self.assertEqual(before[1:], after[1:])
        self.assertEqual(self.daemon.ctl_json("flows")["flows"], [])

    def test_a_known_flow_is_known_both_ways(self):
        self.start()
        connection = programs.keep_alive(self.lab.client, VIP4)
        self.addCleanup(connection.close)
        backend = programs.ask(connection).split()[1]
        port = connection.getsockname()[1]
        packet = self.packet("tcp", f"{CLIENT4}:{port}", f"{VIP4}:80")
        self.assertTrue(packet["known"])
        self.assertEqual(packet["backend"], f"10.0.{backend}.2")
        reply = self.packet("tcp", f"10.0.{backend}.2:80", f"{CLIENT4}:{port}")
        self.assertTrue(reply["known"])
        self.assertEqual((reply["interface"], reply["egress"]), (f"be{backend}", "cl0"))
        self.assertIn("responder", self.stages(reply)["flow"])
        programs.ask(connection)

    def test_drops_and_rejections_name_rule_and_reason(self):
        self.start()
        packet = self.packet("udp", f"{CLIENT4}:5000", f"{VIP4}:9999")
        self.assertEqual((packet["verdict"], packet["reason"], packet["rule"]), ("drop", "policy", "rest"))
        packet = self.packet("tcp", f"{CLIENT4}:5000", f"{VIP4}:23")
        self.assertEqual((packet["verdict"], packet["rule"], packet["tier"]), ("reject", "no-telnet", "af_xdp"))
        packet = self.packet("tcp", f"{CLIENT4}:5000", "198.51.100.1:22")
        self.assertEqual(packet["verdict"], "pass")
        shown = self.daemon.ctl("explain", "udp", f"{CLIENT4}:5000", f"{VIP4}:9999").stdout
        self.assertIn("rule rest (number 3): drop", shown)
        self.assertLessEqual(max(map(len, shown.splitlines())), 80)

    def test_a_capture_is_explained_in_order_with_its_flows(self):
        self.start()
        frame = Ether(dst=self.daemon.interface("cl0")["mac"])
        syn = frame / IP(src=CLIENT4, dst=VIP4) / TCP(sport=45000, dport=80, flags="S")
        ack = frame / IP(src=CLIENT4, dst=VIP4) / TCP(sport=45000, dport=80, flags="A")
        bad = frame / IP(src=CLIENT4, dst=VIP4, chksum=1) / UDP(sport=1, dport=9000)
        capture = self.lab.home / "in.pcap"
        wrpcap(str(capture), [syn, ack, bad])
        packets = json.loads(self.explain("--pcap", capture, "--interface", "cl0").stdout)["packets"]
        self.assertEqual([p["known"] for p in packets], [False, True, False])
        self.assertEqual([p["verdict"] for p in packets], ["forward", "forward", "drop"])
        self.assertEqual(packets[2]["reason"], "ipv4_checksum")

    def test_a_candidate_is_judged_without_being_taken(self):
        self.start()
        with UdpStream(self.lab, VIP4) as stream:
            stream.send(10)
            candidate = self.lab.home / "next.yaml"
            whole = json.loads(self.daemon.path.read_text())
            whole["policy"] = {"rules": [{"name": "no-udp", "protocol": "udp", "action": "drop"}]}
            candidate.write_text(json.dumps(whole))
            answer = json.loads(self.explain("udp", f"{CLIENT4}:5000", f"{VIP4}:9000", "--config", candidate).stdout)
            self.assertEqual((answer["packets"][0]["verdict"], answer["packets"][0]["rule"]), ("drop", "no-udp"))
            self.assertEqual((answer["changes"]["would_change"], answer["changes"]["denied"]), (1, 1))
            self.assertEqual(self.packet("udp", f"{CLIENT4}:5000", f"{VIP4}:9000")["verdict"], "forward")
            diff = json.loads(self.daemon.ctl("--json", "config", "diff", candidate).stdout)
            self.assertIn("rule no-udp: new", diff["changes"])
            self.assertEqual(diff["flows"]["denied"], 1)
            whole["services"] = whole["services"][:1]
            candidate.write_text(json.dumps(whole))
            shown = self.daemon.ctl("config", "diff", candidate).stdout
            self.assertIn("service udp: removed", shown)
            self.assertIn("1 live flows would change: 1 end", shown)
            self.assertEqual(stream.send(5), 5)

    def test_what_makes_no_sense_is_refused(self):
        self.start()
        for words, expected in ((("tcp", CLIENT4, f"{VIP4}:80"), "expected an address and a port"),
                                (("gre", f"{CLIENT4}:1", f"{VIP4}:80"), "expected tcp, udp, sctp, icmp or icmpv6"),
                                (("tcp", f"{CLIENT4}:1", "[2001:db8::1]:80"), "source's family"),
                                (("tcp", f"{CLIENT4}:1", f"{VIP4}:80", "--interface", "none0"), "expected one that is configured"),
                                (("--pcap", "/dev/null"), "/dev/null"),
                                (("tcp", f"{CLIENT4}:1", f"{VIP4}:80", "--config", "/no/such.yaml"), "/no/such.yaml")):
            refused = self.explain(*words, check=False)
            self.assertEqual(refused.returncode, 1, words)
            self.assertIn(expected, refused.stderr)


for_each_tier(globals(), Explain)

if __name__ == "__main__":
    main()
