#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""setup-hugepages.sh and bind-device.sh over a /sys made of files: what they change, and what they refuse."""

import os
import pathlib
import subprocess
import tempfile
import unittest

import tap

SCRIPTS = pathlib.Path(__file__).resolve().parents[2] / "scripts"


class Fake(unittest.TestCase):
    script = ""

    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.root = pathlib.Path(directory.name)
        self.sys = self.root / "sys"

    def write(self, path, text=""):
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{text}\n")
        return file

    def link(self, path, target):
        place = self.root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        (self.root / target).mkdir(parents=True, exist_ok=True)
        place.symlink_to(self.root / target)

    def run_script(self, *words, status=0):
        done = subprocess.run([SCRIPTS / self.script, *map(str, words)], capture_output=True, text=True, check=False,
                              env={**os.environ, "SLUICE_SYSFS": str(self.sys), "SLUICE_PROC": str(self.root / "proc")})
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        return done.stdout + done.stderr


class HugePages(Fake):
    script = "setup-hugepages.sh"

    def pool(self, node, kilobytes=2048, total=0, free=0):
        place = f"sys/devices/system/node/node{node}/hugepages/hugepages-{kilobytes}kB"
        self.write(f"{place}/free_hugepages", free)
        return self.write(f"{place}/nr_hugepages", total)

    def test_every_node_gets_the_pages_and_again_there_is_nothing_to_do(self):
        pools = [self.pool(0), self.pool(1, total=8, free=8)]
        self.assertIn("node 0: 0 pages of 2M before, 64 now", self.run_script("--pages", 64))
        self.assertEqual([pool.read_text().strip() for pool in pools], ["64", "64"])
        self.assertIn("node 1: has 64 pages of 2M: nothing to do", self.run_script("--pages", 64))

    def test_one_node_and_size_is_chosen(self):
        small, large = self.pool(1), self.pool(1, kilobytes=1048576)
        other = self.pool(0, kilobytes=1048576)
        self.run_script("--pages", 2, "--node", 1, "--size", "1G")
        self.assertEqual([file.read_text().strip() for file in (small, large, other)], ["0", "2", "0"])

    def test_more_are_added_to_what_there_is(self):
        pool = self.pool(0, total=10, free=1)
        self.run_script("--pages", "+6", "--node", 0)
        self.assertEqual(pool.read_text().strip(), "16")

    def test_undo_leaves_pages_that_are_used(self):
        pool = self.pool(0, total=64, free=60)
        self.assertIn("node 0: 64 pages of 2M before, 4 now (in use)", self.run_script("--undo"))
        self.assertEqual(pool.read_text().strip(), "4")

    def test_a_kernel_that_finds_fewer_is_a_failure_that_says_so(self):
        self.pool(0)
        full = self.root / "sys/devices/system/node/node0/hugepages/hugepages-2048kB/nr_hugepages"
        full.unlink()
        full.symlink_to("/dev/null")  # takes the number and forgets it, as a node without memory does
        self.assertIn("expected", self.run_script("--pages", "x", status=2))
        self.assertIn("of 64 pages", self.run_script("--pages", 64, status=1))

    def test_what_is_not_there_is_named(self):
        self.pool(0)
        self.assertIn("node 3: the kernel has no pages of 2M there", self.run_script("--pages", 1, "--node", 3, status=1))
        self.assertIn("expected 2M or 1G", self.run_script("--pages", 1, "--size", "4K", status=2))
        self.assertIn("--pages N", self.run_script("--nonsense", status=2))

    def test_a_kernel_without_numa_has_one_pool(self):
        pool = self.write("sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", 0)
        self.write("sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", 0)
        self.assertIn("node 0: 0 pages of 2M before, 3 now", self.run_script("--pages", 3))
        self.assertEqual(pool.read_text().strip(), "3")


class BindDevice(Fake):
    script = "bind-device.sh"

    def setUp(self):
        super().setUp()
        self.write("sys/bus/pci/drivers_probe")
        self.write("proc/net/route", "Iface Destination Gateway Flags RefCnt Use Metric Mask")

    def device(self, address="0000:3b:00.0", name="eth1", driver="igb", group="7", state="down"):
        place = f"sys/devices/pci0000:3a/{address}"
        self.write(f"{place}/class", "0x020000")
        self.write(f"{place}/numa_node", "1")
        self.write(f"{place}/driver_override", "(null)")
        self.link(f"sys/bus/pci/devices/{address}", place)
        self.write(f"sys/bus/pci/drivers/{driver}/unbind")
        self.link(f"{place}/driver", f"sys/bus/pci/drivers/{driver}")
        if group:
            self.link(f"{place}/iommu_group", f"sys/kernel/iommu_groups/{group}")
            self.link(f"sys/kernel/iommu_groups/{group}/devices/{address}", place)
        if name:
            self.write(f"{place}/net/{name}/operstate", state)
            self.link(f"sys/class/net/{name}", f"{place}/net/{name}")
            self.link(f"{place}/net/{name}/device", place)
        return self.root / place

    def route(self, interface):
        self.write("proc/net/route", "Iface Destination Gateway Flags RefCnt Use Metric Mask\n"
                                     f"{interface} 00000000 0100000A 0003 0 0 0 00000000")

    def untouched(self, place):
        return (place / "driver_override").read_text().strip() == "(null)"

    def test_status_shows_driver_interface_node_and_group(self):
        self.device()
        self.assertEqual(self.run_script("status"),
                         "0000:3b:00.0 driver igb, interface eth1, node 1, IOMMU group 7\n")

    def test_a_device_goes_to_vfio_by_any_of_its_names(self):
        for name in ("eth1", "3b:00.0", "0000:3b:00.0"):
            with self.subTest(name):
                self.setUp()
                place = self.device()
                self.assertIn("igb before, vfio-pci now", self.run_script("bind", name))
                self.assertEqual((place / "driver_override").read_text().strip(), "vfio-pci")
                self.assertEqual((place / "driver/unbind").read_text().strip(), "0000:3b:00.0")
                self.assertEqual((self.sys / "bus/pci/drivers_probe").read_text().strip(), "0000:3b:00.0")

    def test_a_device_that_has_the_driver_already_is_left_alone(self):
        place = self.device(driver="vfio-pci", name="")
        self.assertIn("nothing to do", self.run_script("bind", "3b:00.0"))
        self.assertTrue(self.untouched(place))

    def test_the_default_routes_device_is_refused_even_by_force(self):
        place = self.device(state="up")
        self.route("eth1")
        self.assertIn("carries the default route: refused", self.run_script("bind", "--force", "eth1", status=1))
        self.assertTrue(self.untouched(place))

    def test_so_is_one_below_the_bond_that_carries_it(self):
        place = self.device()
        self.link("sys/class/net/bond0", "sys/devices/virtual/net/bond0")
        self.link("sys/devices/pci0000:3a/0000:3b:00.0/net/eth1/upper_bond0", "sys/devices/virtual/net/bond0")
        self.route("bond0")
        self.assertIn("carries the default route (by bond0)", self.run_script("bind", "eth1", status=1))
        self.assertTrue(self.untouched(place))

    def test_the_default_route_of_ipv6_counts_as_well(self):
        self.device()
        self.write("proc/net/ipv6_route", f"{'0' * 32} 00 {'0' * 32} 00 fe80 00000400 1 0 00000003 eth1")
        self.assertIn("carries the default route", self.run_script("bind", "eth1", status=1))

    def test_an_interface_in_use_is_refused_unless_forced(self):
        place = self.device(state="up")
        self.assertIn("its interface eth1 is up", self.run_script("bind", "eth1", status=1))
        self.assertTrue(self.untouched(place))
        self.run_script("bind", "--force", "eth1")
        self.assertFalse(self.untouched(place))

    def test_without_an_iommu_it_is_refused_unless_said(self):
        place = self.device(group="")
        self.assertIn("in no IOMMU group", self.run_script("bind", "eth1", status=1))
        self.assertTrue(self.untouched(place))
        self.run_script("bind", "--no-iommu", "eth1")

    def test_a_group_shared_with_a_driven_device_is_refused(self):
        self.device()
        self.device("0000:3b:00.1", name="eth2", driver="e1000e")
        self.assertIn("shares IOMMU group 7 with 0000:3b:00.1, which e1000e drives", self.run_script("bind", "eth1", status=1))

    def test_unbind_lets_the_kernel_choose_again(self):
        place = self.device(driver="vfio-pci", name="")
        (place / "driver_override").write_text("vfio-pci\n")
        self.run_script("unbind", "3b:00.0")
        self.assertEqual((place / "driver_override").read_text().strip(), "")
        self.assertEqual((place / "driver/unbind").read_text().strip(), "0000:3b:00.0")
        self.assertIn("nothing to do", self.run_script("unbind", "3b:00.0"))

    def test_a_device_that_is_not_there_is_named(self):
        self.assertIn("nosuch: expected a PCI address or an interface", self.run_script("bind", "nosuch", status=1))
        self.run_script("bind", status=2)
        self.run_script("fold", "eth1", status=2)


if __name__ == "__main__":
    del Fake
    tap.main()
