#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Huge pages on one NUMA node only: the DPDK port on the other node starts as well as it can, and says what it did."""

import pathlib
import re

import dpdk
import nics

PAGES = "/sys/devices/system/node/node{}/hugepages/hugepages-2048kB/{}"


class FarPages(dpdk.Ports):
    """p0 = i0 on node 0, which has none; p1 = e1 on node 1, which has all."""

    front, back = "i0", "e1"

    @classmethod
    def devices(cls):
        pathlib.Path(PAGES.format(0, "nr_hugepages")).write_text("0")
        return super().devices()

    def tier_reason(self, name):
        return next(tier["reason"] for tier in self.interface(name)["tiers"] if tier["tier"] == "dpdk")

    def test_1_a_nat_service_carries_tcp(self):
        self.assertEqual([pathlib.Path(PAGES.format(0, kind)).read_text().strip() for kind in ("nr_hugepages", "free_hugepages")], ["0", "0"])
        super().test_1_a_nat_service_carries_tcp()

    def test_3_workers_and_buffers_are_on_the_nodes_of_their_devices(self):
        """The workers are; the buffers of p0 are where the pages are, which is told."""
        status = self.status()
        self.assertEqual(sorted(worker["node"] for worker in status["workers"]), [0, 1])
        for name in dpdk.ENDS:
            told = self.interface(name)["dpdk"]
            self.assertEqual((told["memory_percent"], told["pages"]), ([0, 100], "huge"), told)
        said = self.interface("p0")["dpdk"]["elsewhere"]
        self.assertRegex(said, r"node 0 has no pages for \d+ buffers of 2048 bytes: they lie on node 1, distance 21 \(10 is local\)$")
        self.assertIn(said, self.tier_reason("p0"))
        self.assertNotIn("pages", self.tier_reason("p1"))
        self.assertEqual(self.interface("p1")["dpdk"]["elsewhere"], "")
        self.assertIn(said, dpdk.LOG.read_text(errors="replace"))
        metrics = nics.run("curl", "-sf", "http://127.0.0.1:8082/metrics").stdout
        ratio = re.search(r'sluice_dpdk_memory_ratio{interface="p0",node="1"} (\S+)', metrics)
        self.assertEqual(float(ratio[1]), 1.0)

    test_2_the_kernel_answers_ping_and_tcp_by_the_exception_device = None
    test_4_a_link_that_goes_and_comes_back_carries_on = None


if __name__ == "__main__":
    nics.main()
