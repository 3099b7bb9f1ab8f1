#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What sluiced forwards between veth devices on one core, against nftables and testpmd; and the memory it takes.

    live_bench.py --sluiced PROGRAM --tools DIRECTORY [--rounds N] [--seconds S] [--json FILE] [xdp | af_xdp | dpdk | packets | memory ...]

Needs root. Rounds are interleaved: every contender once per round.
"""

import argparse
import pathlib
import re
import shutil
import subprocess
import sys
import time

from lab import BACKEND, PORT, TEST_CORE, VIP, Lab, Path, Sluiced, inside, run
from suite import figures, smaps

FLOWS = (1, 65536)


def nftables(path):
    run(*inside(path.node, "nft", "add table ip nat; add chain ip nat pre { type nat hook prerouting priority -100; }; "
                f"add rule ip nat pre ip daddr {VIP} udp dport {PORT} dnat to {BACKEND}:5353"))


def testpmd(path):
    """macswap between the path's devices, on AF_XDP sockets that poll busily."""
    shutil.rmtree("/run/dpdk/sl-perf", ignore_errors=True)
    devices = [f"--vdev=net_af_xdp{i},iface={path.name}{i}" for i in (0, 1)]
    log = open(path.lab.home / "testpmd.log", "wb")
    process = path.lab.spawn(path.node, "dpdk-testpmd", "-l", f"0,{TEST_CORE}", "--no-pci", "--no-huge", "-m", "1024",
                             "--file-prefix", "sl-perf", *devices, "--", "--forward-mode=macswap", "--nb-cores=1", "--total-num-mbufs=32768",
                             "--stats-period", "1", core=f"0,{TEST_CORE}", stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    for _ in range(100):
        if "Port statistics" in (path.lab.home / "testpmd.log").read_text(errors="replace"):
            path.pin()
            return process
        time.sleep(0.1)
    raise RuntimeError((path.lab.home / "testpmd.log").read_text(errors="replace")[-2000:])


def first_on_core(process, priority=5):
    """The threads of PROCESS that may run on the core under test only, put before all else there."""
    tasks = []
    for task in pathlib.Path(f"/proc/{process.pid}/task").iterdir():
        if re.search(rf"^Cpus_allowed_list:\t{TEST_CORE}$", (task / "status").read_text(), re.MULTILINE):
            run("chrt", "-f", "-p", priority, task.name)
            tasks.append((int(task.name), process.pid))
    if not tasks:
        raise RuntimeError(f"no thread of {process.args} is bound to core {TEST_CORE}")
    return tasks


def series(results, name, values):
    results.append(figures.series(name, values))


def forwards(path):
    """Packets for the VIP are routed to the sink; nothing is translated."""
    run("ip", "-n", path.node, "route", "add", VIP, "via", BACKEND, "dev", f"{path.name}1")


def has_ipvs(path):
    """Whether this kernel can do it: a service by ipvsadm, as nat to the sink."""
    if not shutil.which("ipvsadm"):
        return False
    ipvs = inside(path.node, "ipvsadm")
    made = subprocess.run([*ipvs, "-A", "-u", f"{VIP}:{PORT}", "-s", "rr"], capture_output=True, check=False)
    if made.returncode:
        return False
    run("ip", "-n", path.node, "address", "add", f"{VIP}/32", "dev", "lo")
    run(*ipvs, "-a", "-u", f"{VIP}:{PORT}", "-r", f"{BACKEND}:5353", "-m")
    return True


def measure_all(contenders, rounds, seconds, flows):
    """{name: ([packets/s], [CPU ns per packet])} of CONTENDERS, {name: (path, tasks)}; the first once more, for noise."""
    found = figures.interleaved(contenders, rounds, lambda one: one[0].measure(flows, seconds, one[1]()))
    return {name: tuple(zip(*pairs)) for name, pairs in found.items()}


def report(found, label, results):
    for name, (rates, costs) in found.items():
        series(results, f"{label}: {name}, packets/s", rates)
        series(results, f"{label}: {name}, CPU ns per packet", costs)
    first, second = list(found)[:2]
    for position, what in ((0, "packets/s"), (1, "CPU time per packet")):
        pairs = zip(found[first][position], found[second][position], strict=True)
        series(results, f"{label}: {first} / {second}, {what}", [a / b for a, b in pairs])


def scenario_xdp(arguments, results):
    with Lab(arguments.tools) as lab:
        ours, theirs, plain, ipvs = Path(lab, "px"), Path(lab, "pn"), Path(lab, "pk"), Path(lab, "pi")
        nftables(theirs)
        forwards(plain)
        contenders = {"sluice nat in XDP": (ours, ours.napi), "nftables DNAT": (theirs, theirs.napi), "kernel forwarding": (plain, plain.napi)}
        if has_ipvs(ipvs):
            contenders["IPVS nat"] = (ipvs, ipvs.napi)
        else:
            print("left out: IPVS, which this kernel or machine has not")
        daemon = Sluiced(ours, arguments.sluiced, "[xdp]")
        try:
            for flows in FLOWS:
                found = measure_all(contenders, arguments.rounds, arguments.seconds, flows)
                report(found, f"veth to veth, {flows} clients", results)
        finally:
            daemon.stop()


def scenario_af_xdp(arguments, results):
    """The two take turns on the same devices: a queue has room for one socket."""
    found = {"sluice AF_XDP nat": ([], []), "testpmd macswap": ([], [])}
    with Lab(arguments.tools) as lab:
        path = Path(lab, "pa", threaded=False)
        path.poll_busily()
        for _ in range(arguments.rounds):
            daemon = Sluiced(path, arguments.sluiced, "[af_xdp]", poll="busy", flows=131072)
            try:
                tasks = first_on_core(daemon.process)
                rate, cost = path.measure(FLOWS[-1], arguments.seconds, tasks)
            finally:
                daemon.stop()
            found["sluice AF_XDP nat"][0].append(rate)
            found["sluice AF_XDP nat"][1].append(cost)
            process = testpmd(path)
            try:
                tasks = first_on_core(process)
                rate, cost = path.measure(FLOWS[-1], arguments.seconds, tasks)
            finally:
                lab.stop(process)
            found["testpmd macswap"][0].append(rate)
            found["testpmd macswap"][1].append(cost)
    report(found, f"AF_XDP on veth, {FLOWS[-1]} clients", results)


def scenario_dpdk(arguments, results):
    """Our AF_XDP tier and net_af_xdp behind our program take turns on the same devices."""
    contenders = {"net_af_xdp": "[dpdk]", "our AF_XDP tier": "[af_xdp]"}
    found = {name: ([], []) for name in contenders}
    with Lab(arguments.tools) as lab:
        path = Path(lab, "pd", threaded=False)
        path.poll_busily()
        for _ in range(arguments.rounds):
            for name, tiers in contenders.items():
                daemon = Sluiced(path, arguments.sluiced, tiers, poll="busy", flows=131072)
                try:
                    rate, cost = path.measure(FLOWS[-1], arguments.seconds, first_on_core(daemon.process))
                finally:
                    daemon.stop()
                found[name][0].append(rate)
                found[name][1].append(cost)
    report(found, f"nat by sockets on veth, {FLOWS[-1]} clients", results)


def scenario_packets(arguments, results):
    """Packet sockets beside our AF_XDP tier and nftables, with what the kernel's side of each costs. Who reads a ring goes
    before who fills it, and sleeps in between: else the core would only receive."""
    found = {name: ([], []) for name in ("sluice packet sockets nat", "nftables DNAT", "sluice AF_XDP nat")}
    with Lab(arguments.tools) as lab:
        packets, theirs, sockets = Path(lab, "pq"), Path(lab, "pn"), Path(lab, "pa", threaded=False)
        nftables(theirs)
        sockets.poll_busily()

        def ours(path, tiers, poll, priority, others):
            daemon = Sluiced(path, arguments.sluiced, tiers, poll=poll, flows=131072)
            try:
                return path.measure(FLOWS[-1], arguments.seconds, first_on_core(daemon.process, priority) + others())
            finally:
                daemon.stop()

        turns = {"sluice packet sockets nat": lambda: ours(packets, "[epoll]", "interrupt", 6, packets.napi),
                 "nftables DNAT": lambda: theirs.measure(FLOWS[-1], arguments.seconds, theirs.napi()),
                 "sluice AF_XDP nat": lambda: ours(sockets, "[af_xdp]", "busy", 5, list)}
        for _ in range(arguments.rounds):
            for name, turn in turns.items():
                rate, cost = turn()
                found[name][0].append(rate)
                found[name][1].append(cost)
    report(found, f"packet sockets on veth, {FLOWS[-1]} clients", results)


def scenario_memory(arguments, results):
    with Lab(arguments.tools) as lab:
        path = Path(lab, "pm")
        daemon = Sluiced(path, arguments.sluiced, "[xdp, af_xdp]", flows=65536)
        try:
            traffic = path.start_traffic(10_000)
            time.sleep(3)
            lab.stop(traffic, 2)
            time.sleep(2)
            resident = smaps.resident_kb(daemon.process.pid)
            flows = subprocess.run(inside(path.node, "curl", "-fsS", f"http://127.0.0.1:{daemon.port}/metrics"),
                                   capture_output=True, text=True, check=True).stdout
        finally:
            daemon.stop()
    print("\n".join(line for line in flows.splitlines() if re.match(r"sluice_flows(_active|_current)?[{ ]", line)))
    for (name, mapped), kb in sorted(resident.items(), key=lambda item: -item[1])[:12]:
        print(f"  {kb:>8} kB resident of {mapped:>8} kB: {name or 'anonymous'}")
    umem = [key for key in resident if key[0] in ("", "/anon_hugepage (deleted)") and key[1] == arguments.umem_kb]
    if not umem:
        raise RuntimeError(f"no anonymous mapping of {arguments.umem_kb} kB is resident: which is the UMEM (--umem-kb)?")
    series(results, "resident memory, UMEM excluded, MB", [sum(kb for key, kb in resident.items() if key not in umem) / 1024])
    series(results, "resident memory, all, MB", [sum(resident.values()) / 1024])


SCENARIOS = {"xdp": scenario_xdp, "af_xdp": scenario_af_xdp, "dpdk": scenario_dpdk, "packets": scenario_packets, "memory": scenario_memory}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sluiced", required=True, help="the daemon")
    parser.add_argument("--tools", required=True, help="the build's perf/")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.5)
    parser.add_argument("--umem-kb", type=int, default=16384, help="size of the workers' packet buffers")
    parser.add_argument("--json", help="file to write the figures to")
    parser.add_argument("scenario", nargs="*", choices=[[], *SCENARIOS], help="all when none is named")
    arguments = parser.parse_args()
    results = []
    for name in arguments.scenario or SCENARIOS:
        SCENARIOS[name](arguments, results)
    figures.show(results, "", arguments.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
