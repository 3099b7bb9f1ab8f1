#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""DPDK ports on vfio-pci behind the emulated IOMMU: igb, e1000e, virtio-net, vmxnet3, a virtual function of igb.

    client (198.51.100.2, on FRONT's other end) --- p0 = FRONT | node | p1 = BACK --- backend (10.0.1.2, on BACK's other end)
"""

import json
import os
import pathlib
import re
import subprocess
import time
import unittest

import nics
from forwarding import BACKEND, CONFIG, SOCKET, VIP, other_end, wait_until
from nics import run

BIND = nics.TREE / "scripts/bind-device.sh"
LOG = pathlib.Path("/run/sluiced.log")
ENDS = {"p0": ("client", "198.51.100.1", "198.51.100.2"), "p1": ("backend", "10.0.1.1", "10.0.1.2")}
NODE_SERVICE = BACKEND.replace("10.0.1.2", "0.0.0.0").replace(", 80)", ", 8022)")
VF_MAC = "52:54:00:01:00:01"
SOME_BUFFERS = 2  # MiB on the port's node: the mempool alone has more
places = {}  # PCI address of each NIC, told while it was the kernel's


def prepare():
    """Loads drivers, once; returns with every NIC the kernel's."""
    if not places:
        nics.load_drivers()
        for module in ("vfio-pci", "tun"):
            run("modprobe", module)
        run("ip", "link", "set", "lo", "up")
        pathlib.Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
        for name in (letter + side for letter in os.environ.get("PAIRS", "iexv") for side in "01"):
            places[name] = nics.pci(name).name
            run("ethtool", "-K", name, "tx", "off", "tso", "off", "gso", "off", "gro", "off", "lro", "off", check=False)


def end(name, device, own, other, own_mac):
    """The namespace at the far end, with the kernel's driver on DEVICE."""
    if run("ip", "netns", "add", name, check=False).returncode:
        run("ip", "netns", "del", name)
        time.sleep(0.5)  # its NIC comes back
        run("ip", "netns", "add", name)
    run("ip", "link", "set", device, "netns", name)
    run("ip", "-n", name, "addr", "add", f"{other}/24", "dev", device)
    run("ip", "-n", name, "link", "set", device, "up")
    run("ip", "-n", name, "link", "set", "lo", "up")
    run("ip", "-n", name, "route", "add", "default", "via", own)
    # Nobody pads frames on a wire inside QEMU, and igb takes none as short as ARP's.
    run("ip", "-n", name, "neigh", "replace", own, "lladdr", own_mac, "dev", device, "nud", "permanent")


def daemon(interfaces, services):
    CONFIG.write_text(json.dumps({
        "version": 1, "interfaces": interfaces, "services": services,
        "tables": {"flows": 16384, "sources": 64, "services": 64, "backends": 64, "fragments": 64},
        "metrics": {"listen": "127.0.0.1:8082"}, "control": {"socket": SOCKET},
        "state": {"bpffs": "/sys/fs/bpf/sluice"}}))
    with open(LOG, "wb") as log:
        return subprocess.Popen([os.environ["SLUICED"], "--config", CONFIG], stdout=log, stderr=log)


def port(name, device):
    return {"name": name, "tiers": ["dpdk"], "require": ["dpdk"], "addresses": [f"{ENDS[name][1]}/24"],
            "dpdk": {"device": device, "host_path": "tap"}}


class Ports(unittest.TestCase):
    """Subclasses say which NICs."""

    front = back = ""

    @classmethod
    def devices(cls):
        """PCI address and MAC of both ports, once they are bound to vfio-pci."""
        found = []
        for name in (cls.front, cls.back):
            address = nics.mac_of(name) if (nics.NET / name).exists() else None
            run(BIND, "bind", places[name])
            found.append((places[name], address))
        return found

    @classmethod
    def setUpClass(cls):
        prepare()
        cls.addClassCleanup(cls.give_back)
        cls.processes = []
        far = [other_end(name) for name in (cls.front, cls.back)]
        peers = [nics.mac_of(name) for name in far]
        found = cls.devices()
        addresses = [address for address, _ in found]
        for (space, own, other), device, (_, own_mac) in zip(ENDS.values(), far, found):
            end(space, device, own, other, own_mac)
        cls.processes += [subprocess.Popen(["ip", "netns", "exec", "backend", "python3", "-c", BACKEND]),
                          subprocess.Popen(["python3", "-c", NODE_SERVICE])]
        cls.process = daemon([port(name, address) for name, address in zip(ENDS, addresses)],
                             [{"name": "web", "vip": VIP, "protocol": "tcp", "ports": "80", "mode": "nat",
                               "backends": [{"address": ENDS["p1"][2]}]}])
        cls.processes.append(cls.process)
        wait_until(cls.ready, "sluiced is ready", 120)
        for (name, (_, _, other)), peer in zip(ENDS.items(), peers):
            run("ip", "neigh", "replace", other, "lladdr", peer, "dev", name, "nud", "permanent")
        wait_until(lambda: all(cls.interface(name)["up"] for name in ENDS), "the links are up", 30)

    @classmethod
    def ready(cls):
        if cls.process.poll() is not None:
            raise AssertionError(LOG.read_text(errors="replace")[-4000:])
        return run("curl", "-sf", "--max-time", "5", "http://127.0.0.1:8082/readyz", check=False).returncode == 0

    @classmethod
    def give_back(cls):
        text = LOG.read_text(errors="replace") if LOG.exists() else ""
        print("\n".join(f"# {line}" for line in text.splitlines() if "DPDK port" in line or "error" in line or "warn" in line))
        for process in reversed(cls.processes):
            process.terminate()
            process.wait(60)
        for name in (cls.front, cls.back):
            run(BIND, "unbind", places[name])
        for space, *_ in ENDS.values():
            run("ip", "netns", "del", space, check=False)
        time.sleep(1)
        nics.load_drivers()
        if cls.process.returncode:
            raise AssertionError(f"sluiced ended with status {cls.process.returncode}")

    @classmethod
    def status(cls):
        return json.loads(run(os.environ["SLUICECTL"], "--socket", SOCKET, "--json", "status").stdout)

    @classmethod
    def interface(cls, name):
        return next(entry for entry in cls.status()["interfaces"] if entry["name"] == name)

    def from_client(self, *command):
        return run("ip", "netns", "exec", "client", *command, check=False)

    def fetch(self, address=VIP, number=80, limit=10):
        return self.from_client("curl", "-sS", "--max-time", limit, f"http://{address}:{number}/")

    def await_answer(self, what):
        def answered():
            self.answer = self.fetch()
            return self.answer.returncode == 0
        try:
            wait_until(answered, what, 60)
        except AssertionError as error:
            raise AssertionError(f"{error}: {self.answer.stderr}\n{json.dumps(self.status()['interfaces'])}") from None

    def test_1_a_nat_service_carries_tcp(self):
        self.await_answer("the VIP answers")
        for _ in range(10):
            answer = self.fetch()
            self.assertEqual(answer.stdout, f"{ENDS['p0'][2]} " + "x" * 20000, answer.stderr)
        for name in ENDS:
            forwarded = self.interface(name)["traffic"]["dpdk"]["verdicts"]["forward"]["packets"]
            self.assertGreater(forwarded, 100, name)

    def test_2_the_kernel_answers_ping_and_tcp_by_the_exception_device(self):
        ping = self.from_client("ping", "-c", "5", "-i", "0.3", "-W", "5", ENDS["p0"][1]).stdout
        self.assertIn(" 5 received", ping)
        answer = self.fetch(ENDS["p0"][1], 8022)
        self.assertTrue(answer.stdout.startswith(ENDS["p0"][2]), answer.stderr)

    def test_3_workers_and_buffers_are_on_the_nodes_of_their_devices(self):
        status = self.status()
        threads = {(task / "comm").read_text().strip(): task.name
                   for task in pathlib.Path(f"/proc/{self.process.pid}/task").iterdir()}
        for worker in status["workers"]:
            said = run("taskset", "-cp", threads[worker["thread"]]).stdout.rsplit(":", 1)[1].strip()
            self.assertEqual(said, str(worker["core"]))
            cpus = pathlib.Path(f"/sys/devices/system/node/node{worker['node']}/cpulist").read_text().strip()
            low, high = (int(cpu) for cpu in cpus.split("-"))
            self.assertTrue(low <= worker["core"] <= high, f"{worker} not of {cpus}")
        self.assertEqual(sorted(worker["node"] for worker in status["workers"]), [0, 1])
        megabytes = [0, 0]
        for line in pathlib.Path(f"/proc/{self.process.pid}/numa_maps").read_text().splitlines():
            size = int(re.search(r"kernelpagesize_kB=(\d+)", line)[1]) if "kernelpagesize_kB" in line else 4
            if size == 2048:
                for node, pages in re.findall(r" N(\d)=(\d+)", line):
                    megabytes[int(node)] += int(pages) * 2
        for node, name in enumerate(ENDS):
            told = self.interface(name)["dpdk"]
            self.assertEqual(told["memory_percent"][node], 100, told)
            self.assertEqual(told["pages"], "huge")
            self.assertGreaterEqual(megabytes[node], SOME_BUFFERS, megabytes)

    def check_counters(self):
        """No counter of any port is as no link could have made it: 2^32 packets, or less than it was."""
        for name in ENDS:
            told = self.interface(name)["dpdk"]
            for counter in ("received", "sent", "missed", "receive_errors", "transmit_errors"):
                self.assertLess(told[counter], 1 << 31, f"{name}: {counter}")
            for counter, value in told["extended"].items():
                self.assertLess(value, 1 << 31, f"{name}: {counter}")

    def check_interruption(self, name, interrupt, restore):
        """Nothing passes after one, everything after the other, and the daemon is the same."""
        before = self.interface(name)["dpdk"]
        interrupt()
        wait_until(lambda: self.fetch(limit=2).returncode != 0, "nothing passes", 30)
        wait_until(lambda: not self.interface(name)["up"], f"{name} is seen down", 30)
        self.check_counters()
        restore()
        wait_until(lambda: self.interface(name)["up"], f"{name} is seen up", 60)
        self.await_answer("the VIP answers again")
        self.assertIsNone(self.process.poll())
        self.check_counters()
        after = self.interface(name)["dpdk"]
        for counter in ("received", "sent"):
            self.assertGreater(after[counter], before[counter])

    def test_4_a_link_that_goes_and_comes_back_carries_on(self):
        for name, device in zip(ENDS, (self.front, self.back)):
            self.check_interruption(name, lambda d=device: nics.set_link(d, "off"), lambda d=device: nics.set_link(d, "on"))


class IgbAndE1000e(Ports):
    front, back = "i0", "e1"


class VirtioAndVmxnet3(Ports):
    front, back = "v0", "x1"


class VirtualFunction(Ports):
    """Of igb i0, whose physical function stays with the kernel."""

    front, back = "i0", "e1"

    @classmethod
    def devices(cls):
        physical = nics.pci("i0")
        run("ip", "link", "set", "i0", "up")
        (physical / "sriov_numvfs").write_text("1")
        time.sleep(1)
        run("ip", "link", "set", "i0", "vf", "0", "mac", VF_MAC)
        function = (physical / "virtfn0").resolve().name
        run(BIND, "bind", function)
        back = (places["e1"], nics.mac_of("e1"))
        run(BIND, "bind", places["e1"])
        return [(function, VF_MAC), back]

    def test_5_a_physical_function_that_goes_down_and_comes_back(self):
        def down():
            run("ip", "link", "set", "i0", "down")

        def up():
            self.assertIn("its physical function i0 is down", json.dumps(self.interface("p0")["tiers"]))
            self.assertTrue(self.interface("p1")["up"])
            run("ip", "link", "set", "i0", "up")
        for _ in range(3):
            self.check_interruption("p0", down, up)


class Refused(unittest.TestCase):
    def test_a_device_that_the_kernel_drives_stays_with_it(self):
        prepare()
        run("ip", "addr", "add", "10.5.0.1/24", "dev", "i0")
        run("ip", "link", "set", "i0", "up")
        run("ip", "route", "add", "default", "via", "10.5.0.2", "dev", "i0", "onlink")
        done = run(BIND, "bind", "--force", "i0", check=False)
        self.assertIn("carries the default route: refused", done.stderr)
        process = daemon([port("p0", places["i0"])], [])
        self.assertNotEqual(process.wait(60), 0)
        said = LOG.read_text(errors="replace")
        self.assertIn(f"interface p0: device {places['i0']}", said)
        self.assertEqual((nics.pci("i0") / "driver").resolve().name, "igb")
        self.assertIn("dev i0", run("ip", "route", "show", "default").stdout)
        run("ip", "route", "del", "default")
        run("ip", "addr", "flush", "dev", "i0")


if __name__ == "__main__":
    del Ports  # a base, no case
    nics.main()
