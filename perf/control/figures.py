#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How long the control side takes, and what packets notice of it.

    figures.py --sluiced PATH --sluicectl PATH --tools PATH [--rounds N] [--seconds S] [--json FILE] [PART ...]

    start     from exec to packets forwarded by XDP and by an AF_XDP worker, two interfaces
    reload    10,000 rules and 1,000 services until packets meet the new rules; round trips meanwhile
    scrape    /metrics with 1,000 services x 10 backends
    flap      one of 10,000 backends changes its state
    restart   kill -9, 5 s without a daemon, restart, under connections and datagrams
    beside    what a worker's packets cost while flows are listed, metrics scraped, packets captured (beside.py)
"""

import argparse
import json
import os
import pathlib
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
for place in ("perf/live", "perf", "tests/support", "tests/e2e"):  # the last one first: both have a topology.py
    sys.path.insert(0, str(ROOT / place))

import beside  # noqa: E402
import clock  # noqa: E402
from daemon import METRICS_PORT, PROGRAMS, Daemon, interfaces, service  # noqa: E402
from soak_test import Echo, Talkers, datagrams  # noqa: E402
from suite import figures  # noqa: E402
from topology import VIP4, Lab, wait_until  # noqa: E402

TABLES = {"flows": 65536, "sources": 4096, "services": 4096, "backends": 65536, "fragments": 1024}
ECHO, ENGINE_ECHO, PROBE = 7000, 7001, 7002
BOTH = ["xdp", "af_xdp"]
QUIET = {"level": "warn"}


def many_services(count, backends, **more):
    return [{"name": f"s{i}", "vip": f"192.0.{2 + i // 250}.{1 + i % 250}", "protocol": "tcp", "ports": "80", "mode": "nat",
             "backends": [{"address": f"10.0.{1 + b % 2}.{10 + i % 200}", "port": 1000 + i + b} for b in range(backends)], **more}
            for i in range(count)]


def many_rules(count):
    return [{"name": f"r{i}", "from": [f"11.{i // 250}.{i % 250}.0/24"], "protocol": "tcp", "ports": str(1000 + i % 5000),
             "action": "drop"} for i in range(count)]


def udp_service(lab, name, port, **more):
    return service(lab, name, protocol="udp", ports=str(port), **more)


def start(arguments):
    """From nothing each time: --detach takes everything off the node again."""
    lab = Lab(backends=1)
    for port in (ECHO, ENGINE_ECHO):
        clock.Echo(lab.backends[0], port).start()
    services = [udp_service(lab, "program", ECHO), udp_service(lab, "engine", ENGINE_ECHO, tier="af_xdp")]
    config = {"interfaces": interfaces(lab, BOTH), "services": services, "tables": TABLES, "log": QUIET}
    times, spent = {ECHO: [], ENGINE_ECHO: []}, []
    for _ in range(arguments.rounds):
        daemon = Daemon(lab, config, arguments=["--detach"])
        begin = time.monotonic()
        daemon.launch()
        answered = clock.first_answers(lab.client, VIP4, list(times), 20)
        spent.append(clock.cpu_ms(daemon.process.pid))
        for port, when in answered.items():
            times[port].append((when - begin) * 1e3)
        wait_until(daemon._ready, "sluiced is ready", 20)
        tiers = {tier["tier"] for name in ("cl0", "be1") for tier in daemon.interface(name)["tiers"] if tier["active"]}
        assert tiers == {"xdp", "af_xdp"}, tiers
        daemon.stop()
    lab.close()
    return [figures.series("start to a datagram forwarded by the XDP program, ms", times[ECHO]),
            figures.series("start to forwarding by XDP and AF_XDP on two interfaces, ms",
                           [max(pair) for pair in zip(times[ECHO], times[ENGINE_ECHO], strict=True)]),
            figures.series("start to forwarding, daemon's CPU ms", spent)]


def reload(arguments):
    lab = Lab(backends=1)
    clock.Echo(lab.backends[0], PROBE).start()
    first = ("chrt", "-f", "5")  # who measures must not wait for who else would run
    lab.backends[0].namespace.spawn(*first, f"{arguments.tools}/round_trip/round-trip", "serve", "0.0.0.0", ECHO)
    rest = many_services(999, 2)[1:]
    services = [udp_service(lab, "echo", ECHO), udp_service(lab, "probe", PROBE), *rest]
    rules = many_rules(9999)
    daemon = Daemon(lab, {"interfaces": interfaces(lab, BOTH), "services": services, "tables": TABLES, "log": QUIET}, arguments=["--no-watch"])
    daemon.start(60)

    def take(action):
        last = {"name": "probe", "to": [f"{VIP4}/32"], "protocol": "udp", "ports": str(PROBE), "action": action}
        daemon.write({**daemon.config, "policy": {"default": "allow", "rules": [*rules, last]}})
        begin = time.monotonic()
        probes = clock.Prober(lab.client, VIP4, PROBE) if action == "allow" else None
        daemon.ctl("reload")
        done = time.monotonic()
        return (done - begin) * 1e3, (probes.first_answer(20) - begin) * 1e3 if probes else None, daemon.ctl_json("status")["config"]["compile_ms"]

    def trips(words=()):
        """p99 of round trips, µs; WORDS: reloads meanwhile."""
        ask = lab.client.spawn(*first, f"{arguments.tools}/round_trip/round-trip", "ask", VIP4, ECHO, "--rate", 1000, "--seconds", arguments.seconds)
        count = 0
        while ask.poll() is None:
            if words:
                take(words[count % len(words)])
                count += 1
            else:
                time.sleep(0.05)
        found = json.loads(ask.log.read_text())
        assert found["answered"], found
        return {"p50": found["p50"], "p99": found["p99"], "lost": found["lost"], "reloads": count}

    take("drop")
    taken, effect, compiled = [], [], []
    for _ in range(arguments.rounds):
        for action in ("allow", "drop"):
            whole, seen, compiling = take(action)
            taken.append(whole)
            compiled.append(compiling)
            if seen is not None:
                effect.append(seen)
    meanwhile = figures.interleaved({"at rest": (), "under reloads": ("drop", "drop")}, arguments.rounds, trips)
    daemon.stop()
    lab.close()
    name = "reload of 10,000 rules and 1,000 services"
    rows = [figures.series(f"{name} to effect on packets, ms", effect), figures.series(f"{name}, sluicectl reload, ms", taken),
            figures.series(f"{name}, of it compiling, ms", compiled)]
    for which, found in meanwhile.items():
        rows += [figures.series(f"round trip, 1,000/s, {which}, {key} µs", [one[key] for one in found]) for key in ("p50", "p99")]
        rows.append(figures.series(f"round trips lost, {which}", [one["lost"] for one in found]))
    rows.append(figures.series("reloads in that time", [one["reloads"] for one in meanwhile["under reloads"]]))
    return rows


def scrape(arguments):
    lab = Lab(backends=1)
    daemon = Daemon(lab, {"interfaces": interfaces(lab, BOTH), "services": many_services(1000, 10), "tables": TABLES, "log": QUIET})
    daemon.start(60)
    times, spent, size = [], [], 0
    for _ in range(4 * arguments.rounds):
        before = clock.cpu_ms(daemon.process.pid)
        told = lab.node.run("curl", "-sS", "-o", "/dev/null", "-w", "%{time_total} %{size_download}", f"http://127.0.0.1:{METRICS_PORT}/metrics").stdout
        times.append(float(told.split()[0]) * 1e3)
        size = int(told.split()[1])
        spent.append(clock.cpu_ms(daemon.process.pid) - before)
    daemon.stop()
    lab.close()
    return [figures.series("scrape with 1,000 services x 10 backends, ms", times),
            figures.series("scrape with 1,000 services x 10 backends, daemon's CPU ms", spent), figures.series("what it answers, KiB", [size / 1024])]


def flap(arguments):
    """A backend drained and back: the way of a health check that changes its mind."""
    lab = Lab(backends=1)
    services = many_services(1000, 10)
    daemon = Daemon(lab, {"interfaces": interfaces(lab, BOTH), "services": services, "tables": TABLES, "log": QUIET})
    daemon.start(60)
    backend = "{address}:{port}".format(**services[500]["backends"][3])
    spent, took = [], []
    for _ in range(2 * arguments.rounds):
        for word in ("drain", "undrain"):
            before, begin = clock.cpu_ms(daemon.process.pid), time.monotonic()
            daemon.ctl(word, "s500", backend)
            took.append((time.monotonic() - begin) * 1e3)
            spent.append(clock.cpu_ms(daemon.process.pid) - before)
    daemon.stop()
    lab.close()
    return [figures.series("one of 10,000 backends changes state, daemon's CPU ms", spent),
            figures.series("one of 10,000 backends changes state, sluicectl drain, ms", took)]


def restart(arguments):
    lab = Lab()
    for backend in lab.backends:
        Echo(backend, ECHO).start()
    server = lab.backends[0].namespace.spawn("iperf3", "-s", "-p", 5201, "--forceflush")
    only = {"backends": [{"address": lab.backends[0].address(4)}]}
    services = [service(lab, ports=str(ECHO)), {**service(lab, "stream", ports="5201"), **only}, {**udp_service(lab, "datagrams", 5201), **only}]
    config = {"interfaces": interfaces(lab, BOTH), "services": services, "log": QUIET}
    daemon = Daemon(lab, config).start()
    talkers = Talkers(lab.client, VIP4, ECHO, 1000)
    stream = lab.client.spawn("iperf3", "-u", "-c", VIP4, "-b", arguments.rate, "-l", "1200", "-t", 3600, "-w", "4M")
    talkers.start()
    time.sleep(2)
    daemon.kill()
    gap, opened, failed = time.monotonic(), 0, 0
    while time.monotonic() - gap < 5:
        try:
            new = Talkers(lab.client, VIP4, ECHO, 10)
            new.round()
            failed += len(new.faults)
        except OSError:
            failed += 10
        opened += 10
    Daemon(lab, config).start()
    time.sleep(3)
    talkers.ended = True
    talkers.join(60)
    stream.send_signal(2)
    stream.wait(20)
    lost, sent = datagrams(server)
    overflowed = lab.backends[0].namespace.counters("UdpRcvbufErrors")["UdpRcvbufErrors"]
    lab.close()
    return [figures.series("kill -9, 5 s, restart: faults on 1,000 connections", [len(talkers.faults)]),
            figures.series("kill -9, 5 s, restart: questions and answers on them", [1000 * talkers.rounds]),
            figures.series("kill -9, 5 s, restart: connections opened in the gap", [opened]),
            figures.series("kill -9, 5 s, restart: of these, failed", [failed]),
            figures.series("kill -9, 5 s, restart: datagrams sent", [sent]),
            figures.series("kill -9, 5 s, restart: datagrams lost, less those the receiver's socket had no room for", [lost - overflowed])]


PARTS = {"start": start, "reload": reload, "scrape": scrape, "flap": flap, "restart": restart, "beside": beside.measure}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sluiced", required=True)
    parser.add_argument("--sluicectl", required=True)
    parser.add_argument("--tools", required=True, help="the build's perf/")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--rate", default="20M", help="of the datagrams under `restart`, bits per second")
    parser.add_argument("--json")
    parser.add_argument("part", nargs="*", choices=[[], *PARTS])
    arguments = parser.parse_args()
    PROGRAMS.update(sluiced=os.path.abspath(arguments.sluiced), sluicectl=os.path.abspath(arguments.sluicectl))
    rows = []
    for part in arguments.part or PARTS:
        rows += PARTS[part](arguments)
    figures.show(rows, "", arguments.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
