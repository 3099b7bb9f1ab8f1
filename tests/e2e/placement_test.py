#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Workers run, and their memory lies, where the daemon says, and it says why."""

import os
import pathlib
import re

import case
from daemon import service
from topology import wait_until


def threads(process):
    """Number of each worker's thread, by the worker's own."""
    found = {}
    for task in pathlib.Path(f"/proc/{process.pid}/task").iterdir():
        name = (task / "comm").read_text().strip()
        if match := re.fullmatch(r"sluice-w(\d+)", name):
            found[int(match[1])] = int(task.name)
    return found


def node_cpus(node):
    directory = pathlib.Path(f"/sys/devices/system/node/node{node}/cpulist")
    text = directory.read_text().strip() if directory.exists() else f"0-{os.cpu_count() - 1}"
    return cpus_of(text)


def cpus_of(text):
    return {cpu for part in text.split(",") for cpu in range(int(part.split("-")[0]), int(part.split("-")[-1]) + 1)}


class Placement(case.LabCase):
    tier = "af_xdp"

    def affinity(self, lab, thread):
        """As `taskset` has it."""
        said = lab.node.run("taskset", "-cp", thread).stdout
        return cpus_of(said.rsplit(":", 1)[1].strip())

    def test_each_worker_thread_is_on_the_core_that_status_says(self):
        lab = self.make_lab(queues=4)
        daemon = self.start_daemon(lab, {"services": [service(lab)]})
        workers = daemon.ctl_json("status")["workers"]
        self.assertTrue(workers)
        found = threads(daemon.process)
        self.assertEqual(sorted(found), [worker["id"] for worker in workers])
        for worker in workers:
            affinity = self.affinity(lab, found[worker["id"]])
            if len(os.sched_getaffinity(0)) > 1:
                self.assertEqual(affinity, {worker["core"]})
            self.assertLessEqual(affinity, node_cpus(worker["node"]))
            self.assertIn(worker["pages"], ("normal", "transparent", "huge_2m"))
            self.assertEqual(sum(worker["memory_percent"]), 100)

    def test_configured_cores_are_used_and_those_that_are_not_there_are_named(self):
        lab = self.make_lab(queues=2)
        core = max(os.sched_getaffinity(0))
        daemon = self.start_daemon(lab, {"workers": {"cores": f"{core},1000"}})
        status = daemon.ctl_json("status")
        self.assertEqual([worker["core"] for worker in status["workers"]], [core])
        self.assertIn("workers.cores: core 1000: there is no such core: left out", status["placement"]["lines"])
        self.assertIn("placement: workers.cores: core 1000: there is no such core: left out", daemon.log())

    def test_affinity_of_the_daemon_is_respected(self):
        lab = self.make_lab()
        own = min(os.sched_getaffinity(0))
        daemon = self.make_daemon(lab)
        everything = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {own})
        try:
            daemon.launch()
        finally:
            os.sched_setaffinity(0, everything)
        wait_until(lambda: threads(daemon.process), "its workers run", 20)
        for thread in threads(daemon.process).values():
            wait_until(lambda t=thread: self.affinity(lab, t) == {own}, f"worker {thread} is on core {own}")

    def test_numa_is_on_or_says_why_not(self):
        nodes = len(list(pathlib.Path("/sys/devices/system/node").glob("node[0-9]*"))) or 1
        lab = self.make_lab()
        daemon = self.start_daemon(lab, flags={"ENABLE_NUMA": "true"})
        placement = daemon.ctl_json("status")["placement"]
        self.assertEqual(placement["numa"], nodes > 1)
        if nodes == 1:
            self.assertEqual(placement["reason"], "the machine has one node: all memory is as near to every core, "
                                                  "true (environment)")
        self.assertEqual(daemon.metrics().sum("sluice_numa_active"), int(nodes > 1))
        self.assertTrue(daemon.metrics().has("sluice_worker_node", worker="0"))
        self.assertIn(placement["lines"][0], " ".join(daemon.ctl("status").stdout.split()))

    def test_numa_switched_off_by_the_environment_is_said(self):
        lab = self.make_lab()
        daemon = self.start_daemon(lab, {"workers": {"numa": True}}, flags={"ENABLE_NUMA": "false"})
        placement = daemon.ctl_json("status")["placement"]
        self.assertFalse(placement["numa"])
        self.assertEqual(placement["reason"], "switched off, false (environment; the file says true)")


if __name__ == "__main__":
    case.main()
