#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How long the control side takes: start to forwarding, a large reload, a large scrape, and what a killed daemon costs.

    sudo perf/control/figures.py [start] [reload] [scrape] [restart]      without words: all

SLUICED and SLUICECTL name the programs (default: build/). Times are medians of the rounds, milliseconds.
"""

import pathlib
import statistics
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/e2e"))

import programs  # noqa: E402
from daemon import Daemon, interfaces, service  # noqa: E402
from soak_test import Echo, Talkers, datagrams  # noqa: E402
from topology import VIP4, Lab  # noqa: E402

TABLES = {"flows": 65536, "sources": 4096, "services": 4096, "backends": 65536, "fragments": 1024}


def told(name, values, bar):
    median = statistics.median(values)
    print(f"{name}: median {median:.0f} ms, longest {max(values):.0f} ms of {len(values)} (bar {bar} ms)", flush=True)


def many_services(count, backends):
    return [{"name": f"s{i}", "vip": f"192.0.{2 + i // 250}.{1 + i % 250}", "protocol": "tcp", "ports": "80", "mode": "nat",
             "backends": [{"address": f"10.0.{1 + b % 2}.{10 + i % 200}", "port": 1000 + i + b} for b in range(backends)]}
            for i in range(count)]


def many_rules(count, last):
    return [{"name": f"r{i}", "from": [f"11.{i // 250}.{i % 250}.0/24"], "protocol": "tcp", "ports": str(1000 + i % 5000),
             "action": "drop"} for i in range(count - 1)] + [last]


def start():
    times = []
    for _ in range(5):
        lab = Lab(backends=1)
        programs.nginx(lab.backends[0])
        daemon = Daemon(lab, {"interfaces": interfaces(lab, ["xdp", "af_xdp"]), "services": [service(lab)], "tables": TABLES})
        begin = time.monotonic()
        daemon.launch()
        while lab.client.run("curl", "-sS", "--max-time", "0.2", f"http://{VIP4}/", check=False).returncode:
            time.sleep(0.01)
        times.append((time.monotonic() - begin) * 1e3)
        daemon.stop()
        lab.close()
    told("start to the first answer through XDP + AF_XDP on two interfaces", times, 500)


def reload():
    lab = Lab(backends=1)
    programs.nginx(lab.backends[0])
    web, rest = service(lab), many_services(1000, 2)[1:]
    times, probes = [], []
    daemon = Daemon(lab, {"interfaces": interfaces(lab, ["xdp", "af_xdp"]), "services": [web, *rest[:998]], "tables": TABLES})
    daemon.start()
    for number in range(6):
        action = "drop" if number % 2 == 0 else "allow"
        last = {"name": "client", "from": ["198.51.100.0/24"], "to": [f"{VIP4}/32"], "action": action}
        policy = {"default": "allow", "rules": many_rules(10000, last)}
        daemon.write({**daemon.config, "policy": policy})
        begin = time.monotonic()
        daemon.ctl("reload")
        times.append((time.monotonic() - begin) * 1e3)
        answers = lab.client.run("curl", "-sS", "--max-time", "1", f"http://{VIP4}/", check=False).returncode == 0
        probes.append(answers == (action == "allow"))
    told("reload of 10,000 rules and 1,000 services until it is in force", times, 1000)
    print(f"  in force when it said so: {sum(probes)} of {len(probes)}")
    lab.close()


def scrape():
    lab = Lab(backends=1)
    daemon = Daemon(lab, {"interfaces": interfaces(lab, ["xdp", "af_xdp"]), "services": many_services(1000, 10), "tables": TABLES})
    daemon.start(60)
    times, size = [], 0
    for _ in range(20):
        begin = time.monotonic()
        size = len(daemon.http("/metrics")[1])
        times.append((time.monotonic() - begin) * 1e3)
    told(f"scrape with 1,000 services x 10 backends, {size >> 10} KiB", times, 50)
    lab.close()


def restart():
    lab = Lab()
    echoes = [Echo(backend, 7000) for backend in lab.backends]
    for echo in echoes:
        echo.start()
    server = lab.backends[0].namespace.spawn("iperf3", "-s", "-p", 5201, "--forceflush")
    only = {"backends": [{"address": lab.backends[0].address(4)}]}
    services = [service(lab, ports="7000"), {**service(lab, "stream", ports="5201"), **only},
                {**service(lab, "datagrams", protocol="udp", ports="5201"), **only}]
    config = {"interfaces": interfaces(lab, ["xdp", "af_xdp"]), "services": services}
    daemon = Daemon(lab, config).start()
    talkers = Talkers(lab.client, VIP4, 7000, 1000)
    stream = lab.client.spawn("iperf3", "-u", "-c", VIP4, "-b", "20M", "-l", "1200", "-t", 3600, "-w", "4M")
    talkers.start()
    time.sleep(2)
    daemon.kill()
    gap, opened, failed = time.monotonic(), 0, 0
    while time.monotonic() - gap < 5:
        new = Talkers(lab.client, VIP4, 7000, 10)
        new.round()
        opened, failed = opened + 10, failed + len(new.faults)
    Daemon(lab, config).start()
    time.sleep(3)
    talkers.ended = True
    talkers.join(60)
    stream.send_signal(2)
    stream.wait(20)
    lost, sent = datagrams(server)
    overflowed = lab.backends[0].namespace.counters("UdpRcvbufErrors")["UdpRcvbufErrors"]
    print(f"kill -9, 5 s, restart: {len(talkers.faults)} faults on 1,000 connections ({talkers.rounds} rounds); "
          f"{opened} opened in the gap, {failed} failed; {lost} of {sent} datagrams lost, {overflowed} by the receiver's socket")
    lab.close()


PARTS = {"start": start, "reload": reload, "scrape": scrape, "restart": restart}

if __name__ == "__main__":
    for word in sys.argv[1:] or PARTS:
        PARTS[word]()
