#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Devices of the emulated machine as the scripts see them: nodes, IOMMU groups, vfio-pci, virtual functions, pages."""

import pathlib
import time
import unittest

import nics
from nics import run

SCRIPTS = nics.TREE / "scripts"
PAIRS = "viex"


class Devices(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        nics.load_drivers()
        run("modprobe", "vfio-pci")

    def test_1_each_nic_has_the_node_of_its_bridge_and_a_group_of_its_own(self):
        groups = set()
        for letter in PAIRS:
            for side in (0, 1):
                self.assertEqual(nics.node_of(f"{letter}{side}"), side, f"{letter}{side}")
                groups.add((nics.pci(f"{letter}{side}") / "iommu_group").resolve().name)
        self.assertEqual(len(groups), 2 * len(PAIRS))

    def test_2_devices_go_to_vfio_and_back(self):
        for name in ("e0", "i1", "x0", "v1"):
            device = nics.pci(name)
            before = (device / "driver").resolve().name
            said = run(SCRIPTS / "bind-device.sh", "bind", name).stdout
            self.assertIn("vfio-pci now", said)
            self.assertEqual((device / "driver").resolve().name, "vfio-pci")
            self.assertFalse((nics.NET / name).exists())
            self.assertIn("nothing to do", run(SCRIPTS / "bind-device.sh", "bind", device.name).stdout)
            run(SCRIPTS / "bind-device.sh", "unbind", device.name)
            self.assertEqual((device / "driver").resolve().name, before)
        time.sleep(0.5)

    def test_3_a_device_that_is_up_or_carries_the_default_route_is_refused(self):
        run("ip", "addr", "add", "10.5.0.1/24", "dev", "i0")
        run("ip", "link", "set", "i0", "up")
        run("ip", "route", "add", "default", "via", "10.5.0.2", "dev", "i0", "onlink")
        done = run(SCRIPTS / "bind-device.sh", "bind", "--force", "i0", check=False)
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertIn("carries the default route: refused", done.stderr)
        self.assertEqual((nics.pci("i0") / "driver").resolve().name, "igb")
        run("ip", "route", "del", "default")
        run("ip", "link", "set", "i0", "down")

    def test_4_virtual_functions_bind_like_devices(self):
        run("ip", "link", "set", "i0", "up")
        device = nics.pci("i0")
        (device / "sriov_numvfs").write_text("2")
        self.addCleanup((device / "sriov_numvfs").write_text, "0")
        time.sleep(1)
        functions = [(device / f"virtfn{number}").resolve().name for number in (0, 1)]
        said = run(SCRIPTS / "bind-device.sh", "bind", functions[0]).stdout
        self.assertIn("vfio-pci now", said)
        status = run(SCRIPTS / "bind-device.sh", "status", *functions).stdout.splitlines()
        self.assertIn("driver vfio-pci, interface none, node 0", status[0])
        self.assertIn("driver igbvf", status[1])
        run(SCRIPTS / "bind-device.sh", "unbind", functions[0])

    def test_5_huge_pages_are_reserved_where_asked(self):
        pages = [pathlib.Path(f"/sys/devices/system/node/node{node}/hugepages/hugepages-2048kB/nr_hugepages")
                 for node in (0, 1)]
        before = [int(file.read_text()) for file in pages]
        said = run(SCRIPTS / "setup-hugepages.sh", "--pages", "+8", "--node", "1").stdout
        self.assertIn(f"node 1: {before[1]} pages of 2M before, {before[1] + 8} now", said)
        self.assertEqual([int(file.read_text()) for file in pages], [before[0], before[1] + 8])
        run(SCRIPTS / "setup-hugepages.sh", "--undo", "--node", "1")
        self.assertEqual([int(file.read_text()) for file in pages], [before[0], 0])


if __name__ == "__main__":
    nics.main()
