#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What an idle DPDK worker costs: the first packet's round trip after idleness, and that of packets a millisecond later.

A datagram goes from a client through the node to a backend and back (nat), over veths that the node's DPDK ports
(net_af_packet) have. Workers are adaptive; the round trips after the first millisecond are those of a busy worker, so the
difference is the nap. Real-time priority for both ends and the daemon; needs root.

    wake_bench.py --sluiced build/control/sluiced/sluiced --sluicectl build/control/sluicectl/sluicectl
"""

import argparse
import json
import os
import pathlib
import random
import socket
import statistics
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tests" / "e2e"))

IDLE_SECONDS = (0.02, 0.04)
LATER_SECONDS = 0.001
SAMPLES_PER_ROUND = 100
BURST_SECONDS = 0.003
PATIENCE_SECONDS = 0.2
CPU_SECONDS = 3
PORT = 9000


def real_time(core):
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(5))
    os.sched_setaffinity(0, {core})


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


class Path:
    """A lab and a daemon on it."""

    def __init__(self, core):
        from daemon import Daemon, service  # noqa: PLC0415 - read where the programs are from the environment
        from dpdk_lab import DpdkLab  # noqa: PLC0415
        self.lab = DpdkLab("af_packet", backends=1)
        config = {"interfaces": self.lab.dpdk_interfaces(), "workers": {"cores": str(core), "poll": "adaptive"},
                  "services": [service(self.lab, protocol="udp", ports=str(PORT))], "log": {"level": "warn"}}
        self.daemon = Daemon(self.lab, config).start(60)
        self.lab.after_start()
        with self.lab.backends[0].namespace.inside():
            self.backend = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.backend.bind(("", PORT))
        with self.lab.client.inside():
            self.client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.client.connect(("192.0.2.10", PORT))
        self.client.settimeout(PATIENCE_SECONDS)
        threading.Thread(target=self._echo, daemon=True).start()
        self.round_trip()
        for task in os.listdir(f"/proc/{self.daemon.process.pid}/task"):
            os.sched_setscheduler(int(task), os.SCHED_FIFO, os.sched_param(5))

    def _echo(self):
        while True:
            data, sender = self.backend.recvfrom(64)
            self.backend.sendto(data, sender)

    def round_trip(self):
        """Microseconds; None when nothing came back."""
        begin = time.perf_counter_ns()
        self.client.send(b"x")
        try:
            self.client.recv(64)
        except TimeoutError:
            return None
        return (time.perf_counter_ns() - begin) / 1e3

    def sample(self):
        """The first round trip after idleness, and the last within BURST_SECONDS of it."""
        time.sleep(random.uniform(*IDLE_SECONDS))
        begin = time.perf_counter()
        first = self.round_trip()
        later = None
        while time.perf_counter() - begin < BURST_SECONDS:
            late = time.perf_counter() - begin > LATER_SECONDS
            took = self.round_trip()
            later = took if late else later
        return first, later

    def idle_cpu(self):
        """Percent of a core over all of the daemon's threads."""
        def ticks():
            with open(f"/proc/{self.daemon.process.pid}/stat", encoding="ascii") as file:
                return sum(map(int, file.read().rsplit(")", 1)[1].split()[11:13]))
        before = ticks()
        time.sleep(CPU_SECONDS)
        return (ticks() - before) / os.sysconf("SC_CLK_TCK") / CPU_SECONDS * 100

    def close(self):
        self.daemon.stop()
        self.lab.close()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--sluiced", required=True)
    parser.add_argument("--sluicectl", required=True)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    os.environ |= {"SLUICED": options.sluiced, "SLUICECTL": options.sluicectl}
    samples, cpu = [], []
    for number in range(options.rounds):
        path = Path(1)
        try:
            real_time(0)
            samples += [path.sample() for _ in range(SAMPLES_PER_ROUND)]
            cpu.append(path.idle_cpu())
        finally:
            os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
            path.close()
        print(f"round {number + 1}: idle CPU {cpu[-1]:.1f} %", flush=True)
    result = {"unit": "us", "load": os.getloadavg()[0], "idle_cpu_percent": statistics.median(cpu)}
    for name, column in (("first", 0), ("after 1 ms", 1)):
        values = [sample[column] for sample in samples if sample[column] is not None]
        result[name] = {"p50": round(percentile(values, 0.5)), "p99": round(percentile(values, 0.99)), "samples": len(values),
                        "none": len(samples) - len(values)}
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
