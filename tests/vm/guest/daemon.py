#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""One daemon on two igb NICs of two queues: a worker on each NUMA node."""

import forwarding
import nics


class Igb(forwarding.Forwarding):
    front, back, queues = "i0", "j1", 2

    def test_7_there_is_a_worker_on_each_node(self):
        self.assertIn("worker 1: core 2 of node 1, memory on node 1", forwarding.pathlib.Path("/run/sluiced.log").read_text())


if __name__ == "__main__":
    del forwarding.Forwarding
    nics.main()
