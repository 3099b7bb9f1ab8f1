#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What an idle worker costs: the first packet's round trip after idleness, and that of packets a millisecond later.

A datagram goes from a client through the node to a backend and back (nat), over veths. Workers: af_packet and net_af_xdp
are DPDK workers that their drivers' sockets wake, af_xdp is one of XDP sockets; memif, where asked for, is a DPDK worker
that nothing can wake, which naps: its round trips are those of testpmd too, which carries frames between it and the veths
on the core of the others. They are adaptive, and the round trips after the first millisecond are those of a busy worker,
so the difference is what waking costs. Real-time priority for both ends and the daemon; rounds are interleaved; needs root.

    wake_bench.py --sluiced build/control/sluiced/sluiced --sluicectl build/control/sluicectl/sluicectl [WORKER ...]
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
WORKERS = ["af_packet", "net_af_xdp", "af_xdp"]
IN_DPDK_LABS = ("memif", "af_packet")


def real_time(core):
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(5))
    os.sched_setaffinity(0, {core})


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


class Path:
    """A lab and a daemon on it."""

    def __init__(self, worker, core):
        from daemon import Daemon, service  # noqa: PLC0415 - read where the programs are from the environment
        self.lab, interfaces = self.lab_of(worker)
        config = {"interfaces": interfaces, "workers": {"cores": str(core), "poll": "adaptive"},
                  "services": [service(self.lab, protocol="udp", ports=str(PORT))], "log": {"level": "warn"}}
        self.daemon = Daemon(self.lab, config).start(60)
        if worker in IN_DPDK_LABS:
            self.lab.after_start()
        else:
            self.lab.resolve()
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

    @staticmethod
    def lab_of(worker):
        from dpdk_lab import DpdkLab  # noqa: PLC0415
        from topology import Lab  # noqa: PLC0415
        if worker in IN_DPDK_LABS:
            lab = DpdkLab(worker, backends=1)
            return lab, lab.dpdk_interfaces()
        names = ["cl0", "be1"]
        if worker == "af_xdp":
            return Lab(backends=1), [{"name": name, "tiers": ["af_xdp"]} for name in names]
        return Lab(backends=1), [{"name": name, "tiers": ["dpdk"], "dpdk": {"device": f"net_af_xdp{n},iface={name}", "host_path": "tap"}}
                                 for n, name in enumerate(names)]

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


def measured(worker):
    """Samples, and the idle daemon's percent of a core."""
    path = Path(worker, 1)
    try:
        real_time(0)
        return [path.sample() for _ in range(SAMPLES_PER_ROUND)], path.idle_cpu()
    finally:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
        path.close()


def summary(samples, cpu):
    result = {"idle_cpu_percent": statistics.median(cpu)}
    for name, column in (("first", 0), ("after 1 ms", 1)):
        values = [sample[column] for sample in samples if sample[column] is not None]
        result[name] = {"p50": round(percentile(values, 0.5)), "p99": round(percentile(values, 0.99)),
                        "within 1 ms": round(sum(value <= 1000 for value in values) / len(values), 3),
                        "samples": len(values), "none": len(samples) - len(values)}
    return result


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--sluiced", required=True)
    parser.add_argument("--sluicectl", required=True)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("worker", nargs="*", choices=[[], "memif", *WORKERS], help="all but memif when none is named")
    options = parser.parse_args()
    os.environ |= {"SLUICED": options.sluiced, "SLUICECTL": options.sluicectl}
    samples, cpu = {}, {}
    for number in range(options.rounds):
        for worker in options.worker or WORKERS:
            some, percent = measured(worker)
            samples.setdefault(worker, []).extend(some)
            cpu.setdefault(worker, []).append(percent)
            print(f"round {number + 1}: {worker}: idle CPU {percent:.1f} %", flush=True)
    print(json.dumps({"unit": "us", "load": os.getloadavg()[0]} | {each: summary(samples[each], cpu[each]) for each in samples}, indent=2))


if __name__ == "__main__":
    main()
