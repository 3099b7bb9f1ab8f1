#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""DPDK devices of several queues: workers where the plan says, and no flow lost whichever worker it meets."""

import concurrent.futures
import os
import pathlib
import re

import programs
from case import LabCase, main
from daemon import Daemon, service
from dpdk_lab import DpdkLab, missing
from topology import VIP4

QUEUES = 2
CONNECTIONS = 240
AT_ONCE = 16


def threads(process):
    """Thread number of each worker, by its name."""
    found = {}
    for task in pathlib.Path(f"/proc/{process.pid}/task").iterdir():
        found[(task / "comm").read_text().strip()] = int(task.name)
    return found


class SeveralQueues(LabCase):
    def setUp(self):
        super().setUp()
        if missing():
            self.skipTest(missing())
        self.cores = sorted(os.sched_getaffinity(0))[:2]
        if len(self.cores) < 2:
            self.skipTest("needs two processors for two workers")
        self.lab = DpdkLab("af_packet")
        self.addCleanup(self.lab.close)
        for backend in self.lab.backends:
            programs.nginx(backend)

    def start(self, workers):
        entries = self.lab.dpdk_interfaces()
        for entry in entries:
            entry["dpdk"] |= {"device": f"{entry['dpdk']['device']},qpairs={QUEUES}", "rx_queues": QUEUES}
        daemon = Daemon(self.lab, {"interfaces": entries, "services": [service(self.lab)], "workers": workers})
        self.addCleanup(self._show_log, daemon)
        daemon.start()
        self.lab.after_start()
        return daemon

    def connect(self, _number):
        connection = programs.keep_alive(self.lab.client, VIP4)
        try:
            return programs.ask(connection) + programs.ask(connection)
        finally:
            connection.close()

    def received_by_queue(self, daemon, name):
        extended = daemon.interface(name)["dpdk"]["extended"]
        return [extended[f"rx_q{queue}_packets"] for queue in range(QUEUES)]

    def test_flows_whose_directions_meet_different_workers_are_all_served(self):
        daemon = self.start({"cores": ",".join(map(str, self.cores))})
        answers = [self.connect(0)]
        # A namespace is entered by a whole thread: connect() does it in each thread of the pool.
        with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
            answers += pool.map(self.connect, range(CONNECTIONS))
        self.assertEqual(len(answers), CONNECTIONS + 1)
        self.assertTrue(all(answer.count("backend") == 2 for answer in answers))
        workers = daemon.ctl_json("status")["workers"]
        self.assertEqual([worker["thread"] for worker in workers], ["sluice-d0", "sluice-d1"])
        for worker in workers:
            self.assertGreater(worker["frames"], CONNECTIONS)
        # Replies hash by other addresses than requests, so that a flow's directions meet the same worker by chance only.
        self.assertTrue(all(self.received_by_queue(daemon, "p0")), "requests came by both queues")
        replies = [self.received_by_queue(daemon, f"p{b.number}") for b in self.lab.backends]
        self.assertTrue(all(map(sum, zip(*replies))), "replies came by both queues")
        drops = {labels["reason"]: value for labels, value in daemon.metrics().all("sluice_drops_total", tier="dpdk") if value}
        self.assertEqual(drops, {})

    def test_the_plan_of_workers_and_buffers_is_told_and_kept(self):
        daemon = self.start({"cores": ",".join(map(str, self.cores))})
        status = daemon.ctl_json("status")
        found = threads(daemon.process)
        for worker in status["workers"]:
            affinity = self.lab.node.run("taskset", "-cp", found[worker["thread"]]).stdout
            self.assertEqual(re.search(r"list: (.*)", affinity)[1], str(worker["core"]))
            self.assertEqual(worker["placement"], "configured")
        lines = " ".join(status["placement"]["lines"])
        for number, core in enumerate(self.cores):
            self.assertRegex(lines, rf"dpdk worker {number}: core {core} of node \d+.*p0 queue \d")
        for interface in status["interfaces"]:
            self.assertEqual(sum(interface["dpdk"]["memory_percent"]), 100)
            self.assertIn(interface["dpdk"]["pages"], ("huge", "normal"))
            self.assertEqual(interface["dpdk"]["elsewhere"], "")

    def test_more_queues_than_cores_are_polled_several_by_a_worker(self):
        daemon = self.start({"cores": str(self.cores[-1])})
        self.assertIn("backend", self.connect(0))
        status = daemon.ctl_json("status")
        self.assertEqual(len(status["workers"]), 1)
        self.assertRegex(" ".join(status["placement"]["lines"]), r"p0 queues 0-1.*workers serve several")


if __name__ == "__main__":
    main()
