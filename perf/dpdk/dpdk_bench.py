#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""sluice's worker beside testpmd on the same virtual devices, interleaved in one run; root for real-time priority.

    dpdk_bench.py --bench PATH --sluiced PATH [--rounds N] [--seconds S] [--only WORD] [--json FILE]

net_pcap and net_ring run in one process on one core. net_memif is a pair of processes: a generator (testpmd, which plays
the capture of 1,024 flows from net_pcap) on the first core, the device under test on the second; what counts is what
comes back to the generator. Everything runs without huge pages.
"""

import argparse
import itertools
import json
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import tempfile
import time

GENERATOR_CORE, TEST_CORE = 0, 1
TESTPMD = ["--no-pci", "--no-huge", "--no-shconf", "--no-telemetry"]
CONFIG = """
version: 1
interfaces:
  - name: port0
    tiers: [dpdk]
    mac: "02:00:00:00:00:01"
    addresses: [192.0.2.254/24]
    dpdk: {{ device: "net_memif0,role=client,id=0,socket={home}/memif.sock,socket-abstract=no" }}
workers: {{ cores: "{core}", poll: busy }}
policy:
  default: allow
  rules:
    - {{ name: no-bogons, from: [198.18.0.0/15, 240.0.0.0/4], action: drop }}
{rules}
    - {{ name: web, to: [192.0.2.0/24], protocol: tcp, ports: "80", action: allow }}
services:
  - {{ name: web, vip: 192.0.2.10, protocol: tcp, ports: "80", mode: nat, backends: [{{ address: 10.0.1.1, port: 8080 }}, {{ address: 10.0.1.2, port: 8080 }}] }}
routes: [{{ prefix: 0.0.0.0/0, via: 192.0.2.1, mac: "02:00:00:00:00:02", interface: port0 }}]
tables: {{ flows: 65536, backends: 64, sources: 64 }}
metrics: {{ listen: "127.0.0.1:18099" }}
control: {{ socket: {home}/sluice.sock }}
state: {{ bpffs: /sys/fs/bpf/sl-perf-dpdk }}
"""


# Before all else on the core, where allowed. In turns: EAL waits for a thread that it has started in naps of a microsecond,
# which never leave the core, and by first-in-first-out that thread would not get it either.
AHEAD = ["chrt", "-r", "5"] if os.geteuid() == 0 else []


def real_time(core, *command):
    return [*AHEAD, "taskset", "-c", str(core), *map(str, command)]


class Bench:
    def __init__(self, options, home):
        self.options, self.home = options, home
        self.capture = home / "flows.pcap"
        subprocess.run([options.bench, "--capture", self.capture], check=True)
        self.number = 0

    def pcap(self):
        return f"net_pcap0,rx_pcap={self.capture},infinite_rx=1"

    def testpmd(self, core, mode, vdevs, *more):
        """Starts testpmd; its lines go to a file. The generator shares its core with its own main thread, which a
        real-time spinner would starve."""
        ahead = [] if core == GENERATOR_CORE else AHEAD
        self.number += 1
        log = self.home / f"testpmd{self.number}.log"
        devices = [word for vdev in vdevs for word in ("--vdev", vdev)]
        with open(log, "wb") as output:
            process = subprocess.Popen(
                [*ahead, "dpdk-testpmd", "--lcores", f"0@{GENERATOR_CORE},1@{core}", "--main-lcore", "0", *TESTPMD, "-m", "192",
                 "--file-prefix", f"sl-bench-{os.getpid()}-{self.number}", *devices, "--", f"--forward-mode={mode}",
                 "--stats-period", "1", "--auto-start", "--total-num-mbufs=16384", "--burst=64", "--no-lsc-interrupt", *more],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        process.log = log
        return process

    def rates(self, process, port):
        """Rx-pps of a port, one per second since frames came."""
        text = process.log.read_text(errors="replace")
        parts = re.split(r"NIC statistics for port (\d+)", text)
        found = [int(re.search(r"Rx-pps:\s+(\d+)", body)[1]) for number, body in zip(parts[1::2], parts[2::2])
                 if int(number) == port and re.search(r"Rx-pps:\s+(\d+)", body)]
        return list(itertools.dropwhile(lambda rate: rate == 0, found))

    def settled_rate(self, process, port=0):
        """Mpps: the median of the seconds after the second one."""
        deadline = time.monotonic() + 20 + self.options.seconds
        while len(self.rates(process, port)) < 3 + self.options.seconds and time.monotonic() < deadline:
            if process.poll() is not None:
                raise RuntimeError(f"testpmd ended:\n{process.log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.1)
        if len(self.rates(process, port)) < 3:
            raise RuntimeError(f"nothing came through:\n{process.log.read_text(errors='replace')[-2000:]}")
        return statistics.median(self.rates(process, port)[2:]) / 1e6

    def sluice(self, device):
        done = subprocess.run(real_time(TEST_CORE, self.options.bench, "--device", device, "--seconds",
                                        self.options.seconds), capture_output=True, text=True, check=True)
        return json.loads(done.stdout.splitlines()[-1])["mpps"]

    def peer(self, mode, device, *more):
        process = self.testpmd(TEST_CORE, mode, [device], *more)
        try:
            return self.settled_rate(process)
        finally:
            stop(process)

    def memif(self, under_test):
        for path in self.home.glob("memif.sock"):
            path.unlink()
        server = f"net_memif0,role=server,id=0,socket={self.home}/memif.sock,socket-abstract=no"
        # Port 0 plays, port 1 sends and gets back; what comes back goes nowhere.
        generator = self.testpmd(GENERATOR_CORE, "io", [self.pcap(), server])
        test = None
        try:
            # A client whose server listens but has not started is refused, and testpmd does not try again.
            while "Port statistics" not in generator.log.read_text(errors="replace"):
                if generator.poll() is not None:
                    raise RuntimeError(f"testpmd ended:\n{generator.log.read_text(errors='replace')[-2000:]}")
                time.sleep(0.05)
            test = under_test()
            return self.settled_rate(generator, 1)
        finally:
            for process in (test, generator):
                if process:
                    stop(process)

    def memif_peer(self):
        return self.memif(lambda: self.testpmd(
            TEST_CORE, "macswap", [f"net_memif1,role=client,id=0,socket={self.home}/memif.sock,socket-abstract=no"],
            "--port-topology=loop"))

    def memif_sluice(self):
        rules = "\n".join(f'    - {{ name: r{i}, from: [10.1.{i}.0/24], protocol: tcp, ports: "{1000 + i}", action: drop }}'
                          for i in range(8))
        config = self.home / "sluice.yaml"
        config.write_text(CONFIG.format(home=self.home, core=TEST_CORE, rules=rules))

        def start():
            with open(self.home / "sluiced.log", "wb") as log:
                return subprocess.Popen([*AHEAD, self.options.sluiced, "--config", config, "--detach"], stdin=subprocess.DEVNULL,
                                        stdout=log, stderr=log)

        return self.memif(start)


def stop(process):
    process.terminate()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def scenarios(bench):
    yield "net_pcap, 1,024 flows: sluice nat", lambda: bench.sluice(bench.pcap())
    for mode in ("macswap", "5tswap", "csum"):
        yield f"net_pcap, 1,024 flows: testpmd {mode}", lambda mode=mode: bench.peer(mode, bench.pcap())
    yield "net_ring: sluice nat, 1,000 flows", lambda: bench.sluice("ring")
    for mode in ("macswap", "5tswap", "csum"):
        yield f"net_ring: testpmd {mode}", lambda mode=mode: bench.peer(mode, "net_ring0", "--tx-first")
    yield "net_memif: sluice nat, 1,024 flows", bench.memif_sluice
    yield "net_memif: testpmd macswap", bench.memif_peer


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bench", required=True)
    parser.add_argument("--sluiced", required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=2)
    parser.add_argument("--only", default="")
    parser.add_argument("--json")
    options = parser.parse_args()
    home = pathlib.Path(tempfile.mkdtemp(prefix="sl-perf-dpdk-"))
    series = {}
    try:
        bench = Bench(options, home)
        chosen = [each for each in scenarios(bench) if options.only in each[0]]
        for number in range(options.rounds):
            for name, measure in chosen:
                series.setdefault(name, []).append(measure())
                print(f"round {number + 1}: {name}: {series[name][-1]:.2f} Mpps", flush=True)
    finally:
        shutil.rmtree(home, ignore_errors=True)
        for left in pathlib.Path("/run/dpdk").glob(f"sl-bench-{os.getpid()}-*"):
            shutil.rmtree(left, ignore_errors=True)
    for name, values in series.items():
        print(f"{name:45} {statistics.median(values):8.2f} Mpps  ({min(values):.2f} to {max(values):.2f})")
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps({"unit": "Mpps", "series": [
            {"name": name, "median": statistics.median(values), "values": values} for name, values in series.items()]}))


if __name__ == "__main__":
    main()
