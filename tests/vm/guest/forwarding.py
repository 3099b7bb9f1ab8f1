# SPDX-License-Identifier: Apache-2.0
"""A daemon on two NICs, one of each NUMA node, between a client and a backend: what smoke.py and daemon.py share.

    client (198.51.100.2, behind FRONT's other end) --- FRONT node BACK --- backend (10.0.1.2, behind BACK's other end)
"""

import json
import os
import pathlib
import re
import subprocess
import time
import unittest

import nics
from nics import run

VIP = "192.0.2.10"
CONFIG = pathlib.Path("/run/sluice.yaml")
SOCKET = "/run/sluice.sock"
BACKEND = """
import http.server
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = (self.client_address[0] + " " + "x" * 20000).encode()
        self.send_response(200); self.send_header("Content-Length", str(len(body))); self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args): pass
http.server.ThreadingHTTPServer(("10.0.1.2", 80), Answer).serve_forever()
"""


def other_end(name):
    return name[0] + ("1" if name[1] == "0" else "0")


def wait_until(condition, what, timeout=30):
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout} s: {what}")
        time.sleep(0.1)


class Forwarding(unittest.TestCase):
    """Subclasses say which NICs; the daemon runs while their cases do."""

    front, back, queues = "v0", "w1", 1
    flags = {}

    @classmethod
    def setUpClass(cls):
        nics.load_drivers()
        run("modprobe", "tun")
        run("ip", "link", "set", "lo", "up")
        for name in (cls.front, cls.back, other_end(cls.front), other_end(cls.back)):
            run("ethtool", "-L", name, "combined", cls.queues, check=False)  # one is all that virtio has here
            run("ethtool", "-K", name, "tx", "off", "tso", "off", "gso", "off", "gro", "off", "lro", "off", check=False)
        cls.wire("client", cls.front, "198.51.100.1", "198.51.100.2")
        cls.wire("backend", cls.back, "10.0.1.1", "10.0.1.2")
        pathlib.Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
        cls.server = subprocess.Popen(["ip", "netns", "exec", "backend", "python3", "-c", BACKEND])
        cls.irqs_before = cls.interrupts()
        cls.start()

    @classmethod
    def wire(cls, name, device, own, other):
        run("ip", "netns", "add", name)
        end = other_end(device)
        peer = nics.mac_of(end)
        run("ip", "link", "set", end, "netns", name)
        run("ip", "addr", "add", f"{own}/24", "dev", device)
        run("ip", "link", "set", device, "up")
        run("ip", "-n", name, "addr", "add", f"{other}/24", "dev", end)
        run("ip", "-n", name, "link", "set", end, "up")
        run("ip", "-n", name, "link", "set", "lo", "up")
        run("ip", "-n", name, "route", "add", "default", "via", own)
        # Nobody pads frames on a wire inside QEMU, and igb takes none as short as ARP's.
        address = nics.mac_of(device)
        run("ip", "-n", name, "neigh", "replace", own, "lladdr", address, "dev", end, "nud", "permanent")
        run("ip", "neigh", "replace", other, "lladdr", peer, "dev", device, "nud", "permanent")

    @classmethod
    def start(cls):
        CONFIG.write_text(json.dumps({
            "version": 1, "interfaces": [{"name": name, "tiers": ["af_xdp"]} for name in (cls.front, cls.back)],
            "services": [{"name": "web", "vip": VIP, "protocol": "tcp", "ports": "80", "mode": "nat",
                          "backends": [{"address": "10.0.1.2"}]}],
            "tables": {"flows": 16384, "sources": 64, "services": 64, "backends": 64, "fragments": 64},
            "metrics": {"listen": "127.0.0.1:8082"}, "control": {"socket": SOCKET},
            "state": {"bpffs": "/sys/fs/bpf/sluice"}}))
        cls.log = open("/run/sluiced.log", "wb")
        cls.daemon = subprocess.Popen([os.environ["SLUICED"], "--config", CONFIG], stdout=cls.log, stderr=cls.log,
                                      env={**os.environ, "LIBXDP_SKIP_DISPATCHER": "1", **cls.flags})
        def ready():
            if cls.daemon.poll() is not None:
                raise AssertionError(cls.log_text())
            return run("curl", "-sf", "http://127.0.0.1:8082/readyz", check=False).returncode == 0
        wait_until(ready, "sluiced is ready", 300)
        nics.wait_carrier(cls.front, cls.back)

    @classmethod
    def log_text(cls):
        return pathlib.Path("/run/sluiced.log").read_text(errors="replace")[-4000:]

    @classmethod
    def tearDownClass(cls):
        (nics.RESULTS / "sluiced.log").write_text(cls.log_text())
        print("\n".join(f"# {line}" for line in cls.log_text().splitlines()[-40:]))
        for process in (cls.daemon, cls.server):
            process.kill()
            process.wait()

    @classmethod
    def interrupts(cls):
        """Affinity of each interrupt of the daemon's NICs."""
        found = {}
        for name in (cls.front, cls.back):
            for entry in (nics.pci(name) / "msi_irqs").iterdir():
                file = pathlib.Path(f"/proc/irq/{entry.name}/smp_affinity_list")
                if file.exists():
                    found[int(entry.name)] = file.read_text().strip()
        return found

    def status(self):
        return json.loads(run(os.environ["SLUICECTL"], "--socket", SOCKET, "--json", "status").stdout)

    def sockets(self):
        return run("ss", "--xdp", "-ae").stdout

    def fetch(self):
        return run("ip", "netns", "exec", "client", "curl", "-sS", "--max-time", "20", f"http://{VIP}/", check=False)

    def told(self):
        """What a failure wants to know of the wires."""
        interfaces = [{key: i[key] for key in ("name", "queues", "traffic")} for i in self.status()["interfaces"]]
        ends = [run(*(["ip", "netns", "exec", name] if name else []), "ip", "-s", "-s", "link").stdout
                for name in ("", "client", "backend")]
        return "\n".join([json.dumps(interfaces), *ends])

    def test_1_sockets_are_zero_copy_by_xdp_options(self):
        for interface in self.status()["interfaces"]:
            tier = next(t for t in interface["tiers"] if t["tier"] == "af_xdp")
            self.assertEqual((tier["active"], tier["mode"]), (True, "zero-copy"), f"{interface['name']}: {tier}")
            self.assertTrue(all(queue["zero_copy"] for queue in interface["queues"]))
        run("modprobe", "xsk_diag", check=False)
        self.assertEqual(self.sockets().count("zc:1"), 2 * self.queues, self.sockets())

    def test_2_a_nat_service_carries_tcp(self):
        def answered():
            self.answer = self.fetch()
            return self.answer.returncode == 0
        try:
            wait_until(answered, "the VIP answers", 40)
        except AssertionError as error:
            raise AssertionError(f"{error}: {self.answer.stderr}\n{self.told()}") from None
        for _ in range(10):
            answer = self.fetch()
            self.assertEqual(answer.returncode, 0, answer.stderr)
            self.assertEqual(answer.stdout, "198.51.100.2 " + "x" * 20000, "the backend sees the client's address")
        traffic = {i["name"]: i["traffic"]["af_xdp"]["verdicts"] for i in self.status()["interfaces"]}
        for name in (self.front, self.back):
            self.assertGreater(traffic[name]["forward"]["packets"], 100, traffic)

    def test_3_workers_are_on_their_nodes_by_taskset(self):
        status = self.status()
        self.assertTrue(status["placement"]["numa"], status["placement"])
        threads = {(task / "comm").read_text().strip(): task.name
                   for task in pathlib.Path(f"/proc/{self.daemon.pid}/task").iterdir()}
        self.assertEqual(len(status["workers"]), self.queues)
        for worker in status["workers"]:
            said = run("taskset", "-cp", threads[f"sluice-w{worker['id']}"]).stdout.rsplit(":", 1)[1].strip()
            self.assertEqual(said, str(worker["core"]))
            cpus = pathlib.Path(f"/sys/devices/system/node/node{worker['node']}/cpulist").read_text().strip()
            low, high = (int(cpu) for cpu in cpus.split("-"))
            self.assertTrue(low <= worker["core"] <= high, f"{worker} not of {cpus}")

    def test_4_packet_buffers_are_on_their_nodes_by_numa_maps(self):
        workers = self.status()["workers"]
        wanted = {}  # MiB by node
        for worker in workers:
            self.assertEqual(worker["memory_percent"][worker["memory_node"]], 100, worker)
            wanted[worker["memory_node"]] = wanted.get(worker["memory_node"], 0) + 8 * len(self.sides())
        found = {}
        for line in pathlib.Path(f"/proc/{self.daemon.pid}/numa_maps").read_text().splitlines():
            pages = {int(node): int(count) for node, count in re.findall(r" N(\d+)=(\d+)", line)}
            size = int(re.search(r"kernelpagesize_kB=(\d+)", line)[1]) if "kernelpagesize_kB" in line else 4
            if sum(pages.values()) * size >= 8 << 10 and (" file=" not in line or "anon_hugepage" in line):
                self.assertEqual(len(pages), 1, f"spread over nodes: {line}")
                for node, count in pages.items():
                    found[node] = found.get(node, 0) + count * size // 1024
        for node, size in wanted.items():
            self.assertGreaterEqual(found.get(node, 0), size, f"{found} MiB by node, expected {wanted}")

    def sides(self):
        return (self.front, self.back)

    def test_5_what_is_served_from_afar_is_stated(self):
        lines = self.status()["placement"]["lines"]
        afar = [line for line in lines if "distance 21 (10 is local)" in line]
        self.assertTrue(afar, lines)
        metrics = run("curl", "-s", "http://127.0.0.1:8082/metrics").stdout
        self.assertRegex(metrics, r'sluice_worker_memory_ratio\{[^}]*node="[01]"[^}]*\} 1\b')

    def test_6_interrupts_follow_the_workers_and_are_put_back(self):
        cores = {str(worker["core"]) for worker in self.status()["workers"]}
        moved = {irq: now for irq, now in self.interrupts().items() if now != self.irqs_before.get(irq)}
        self.assertTrue(moved, self.log_text())
        self.assertLessEqual(set(moved.values()), cores, moved)
        self.daemon.terminate()
        self.assertEqual(self.daemon.wait(30), 0)
        now = self.interrupts()
        for irq in moved:
            self.assertEqual(now.get(irq, self.irqs_before.get(irq)), self.irqs_before.get(irq), f"interrupt {irq}")
