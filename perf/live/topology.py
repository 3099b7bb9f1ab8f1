#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The same service straight, through one node and through two in a row, by 1, 2 and 8 clients at a time.

    topology.py --sluiced PATH --tools PATH --load PATH [--rounds N] [--seconds S] [--json FILE]

    client -- server            client -- node -- server            client -- node -- node -- server

Each node is a sluiced with its XDP program, nat; the first one's backend is the second one's VIP. Gbit/s by iperf3, which sends
without offloads on every path alike (packets of a local stack carry partial checksums over veth); new connections per second and round
trips, closed loop, by proxy-load and round-trip.
"""

import argparse
import json
import os
import subprocess
import sys
import time

from lab import Lab, inside, run, wait_until, write_in
from suite import figures

CLIENTS = (1, 2, 8)
BULK, REQUESTS, ECHO = 5201, 9000, 9001
CONFIG = """version: 1
interfaces: [{{ name: left, tiers: [xdp] }}, {{ name: right, tiers: [xdp] }}]
policy: {{ default: allow }}
services:
{services}
tables: {{ flows: 262144 }}
metrics: {{ listen: "127.0.0.1:18090" }}
control: {{ socket: {home}/{name}.sock }}
state: {{ bpffs: {pins} }}
"""
SERVICE = '  - {{ name: {kind}, vip: {vip}, protocol: {protocol}, ports: "{ports}", mode: nat, backends: [{{ address: {to} }}] }}'


class Chain:
    """client, NODES nodes, server: segment i is 10.70.i.0/24, its left end .1, its right end .2."""

    def __init__(self, lab, sluiced, nodes):
        self.lab, self.nodes, self.daemons = lab, nodes, []
        self.spaces = [f"sl-perf-t{nodes}{part}" for part in ("c", *range(nodes), "s")]
        for space in self.spaces:
            lab.add_namespace(space)
        for segment in range(nodes + 1):
            self.join(segment)
        for place in range(nodes):
            self.start(place, sluiced)
        self.server = f"10.70.{nodes}.2"
        self.target = f"10.71.{nodes}.1" if nodes else self.server
        run("ip", "-n", self.spaces[0], "route", "add", "10.71.0.0/16", "via", "10.70.0.2", check=False)
        self.serve()

    def join(self, segment):
        left, right = self.spaces[segment], self.spaces[segment + 1]
        run("ip", "link", "add", "right", "netns", left, "type", "veth", "peer", "left", "netns", right)
        for space, device, address in ((left, "right", 1), (right, "left", 2)):
            run("ip", "-n", space, "address", "add", f"10.70.{segment}.{address}/24", "dev", device)
            run("ip", "-n", space, "link", "set", device, "up")
            run(*inside(space, "ethtool", "-K", device, "gro", "on", "tx", "off", "tso", "off", "gso", "off"))
            write_in(space, "/proc/sys/net/ipv4/ip_forward", 1)
        for space in self.spaces[segment + 1:]:
            if segment and space == right:
                run("ip", "-n", space, "route", "add", "10.70.0.0/24", "via", f"10.70.{segment}.1", check=False)

    def start(self, place, sluiced):
        """The first node's VIP is 10.71.<nodes>.1; its backend the next node's VIP, the last one's the server."""
        vip = f"10.71.{self.nodes - place}.1"
        to = f"10.71.{self.nodes - place - 1}.1" if place + 1 < self.nodes else f"10.70.{self.nodes}.2"
        space = self.spaces[place + 1]
        if place + 1 < self.nodes:
            run("ip", "-n", space, "route", "add", "10.71.0.0/16", "via", f"10.70.{place + 1}.2")
        services = [SERVICE.format(kind=f"s-{protocol}", vip=vip, protocol=protocol, ports=f"{BULK},{REQUESTS}-{ECHO}", to=to) for protocol in ("tcp", "udp")]
        name = f"t{self.nodes}{place}"
        config = self.lab.home / f"{name}.yaml"
        config.write_text(CONFIG.format(services="\n".join(services), home=self.lab.home, name=name, pins=f"/sys/fs/bpf/sl-perf-{name}-{os.getpid()}"))
        with open(self.lab.home / f"{name}.log", "wb") as log:
            self.lab.spawn(space, sluiced, "--config", config, "--detach", core="0,1", stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        ready = inside(space, "curl", "-fsS", "-m", "2", "http://127.0.0.1:18090/readyz")
        wait_until(lambda: subprocess.run(ready, capture_output=True, check=False).returncode == 0, f"{name} is ready", 60)

    def serve(self):
        load, tools = self.lab.load, self.lab.tools
        for words in (["iperf3", "-s", "-p", BULK], [load, "serve", REQUESTS], [f"{tools}/round_trip/round-trip", "serve", "0.0.0.0", ECHO, "--tcp"]):
            self.lab.spawn(self.spaces[-1], *words, core=1, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        for port in (BULK, REQUESTS, ECHO):
            probe = [sys.executable, "-c", f"import socket; socket.create_connection(('{self.target}', {port}), 2).close()"]
            wait_until(lambda probe=probe: subprocess.run(inside(self.spaces[0], *probe), capture_output=True, check=False).returncode == 0,
                       f"{self.target}:{port} answers through {self.nodes} nodes")

    def ask(self, *words):
        return json.loads(run("taskset", "-c", "0", *inside(self.spaces[0], *words)))

    def measure(self, clients, seconds):
        trips = self.ask(f"{self.lab.tools}/round_trip/round-trip", "ask", self.target, ECHO, "--tcp", "--connections", clients, "--seconds", seconds)
        rate = self.ask(self.lab.load, "rate", self.target, REQUESTS, seconds, clients)
        bulk = self.ask("iperf3", "-c", self.target, "-p", BULK, "-t", max(1, round(seconds)), "-P", clients, "-J")["end"]["sum_received"]
        return {"Gbit/s": bulk["bits_per_second"] / 1e9, "connections/s": rate["per_second"], "p50 µs": trips["p50"], "p99 µs": trips["p99"]}


NAMES = ("direct", "one node", "two nodes")


def measure(arguments):
    with Lab(arguments.tools) as lab:
        lab.load = arguments.load
        chains = {name: Chain(lab, arguments.sluiced, nodes) for nodes, name in enumerate(NAMES)}
        found = {}
        for clients in CLIENTS:
            found[clients] = figures.interleaved(chains, arguments.rounds, lambda one, clients=clients: one.measure(clients, arguments.seconds))
        time.sleep(0.2)
    return [figures.series(f"{name}, {clients} clients, {key}", [one[key] for one in rounds], **place(name, clients, key))
            for clients, contenders in found.items() for name, rounds in contenders.items() for key in rounds[0]]


def place(name, clients, key):
    return {} if figures.TWIN in name else {"curve": name, "x": clients, "of": f"clients, {key}".replace("/", " per ")}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sluiced", required=True)
    parser.add_argument("--tools", required=True, help="the build's perf/")
    parser.add_argument("--load", required=True, help="proxy-load")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--json")
    arguments = parser.parse_args()
    figures.show(measure(arguments), "", arguments.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
