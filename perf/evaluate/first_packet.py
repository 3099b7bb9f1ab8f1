#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How long the first packet of a flow takes through a rule that asks (`action: evaluate`), beside one that allows.

    first_packet.py --sluiced PATH --load PATH [--rounds N] [--seconds S] [--per-second N] [--busy] [--realtime] [--out FILE]

A UDP service in mode nat on veth, XDP and AF_XDP live, every datagram a new flow; three network namespaces joined by
veth. `allow`: the XDP program decides. `engine`: the same, with XDP off, so that the AF_XDP worker does. `evaluate`: a
rule with a schedule that always holds, no external call: the worker asks the evaluator's thread and waits for it.
Latency is from the time due at the sender to the receiver's socket, taken outside; beside it what the daemon says of its
own part, from the packet's arrival to the verdict. Subjects take turns within every round; medians over rounds.
"""

import argparse
import json
import os
import pathlib
import shutil
import signal
import statistics
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "proxy"))
from proxy_bench import CLIENT, CLIENT_CORE, PROXY_CORE, SERVER, Lab, run  # pylint: disable=wrong-import-position

VIP, PORT, PREFIX = "192.0.2.10", 9000, "10.99.0.0"
PINS = f"/sys/fs/bpf/sl-first-{os.getpid()}"
ALWAYS = {"schedule": "Mon-Sun 00:00-24:00 UTC"}
SUBJECTS = {"allow": {"action": "allow"}, "engine": {"action": "allow"}, "evaluate": {"action": "evaluate", "when": ALWAYS}}


def wire(lab):
    """What sluiced, in XDP, needs of the lab beyond what a proxy does."""
    for kind in ("client", "server"):
        run(*lab.command(kind, CLIENT_CORE, "ethtool", "-K", "eth0", "tx", "off", "gro", "on", realtime=False))
    run("ip", "-n", lab.names["node"], "route", "add", f"{PREFIX}/16", "via", CLIENT)
    run("ip", "-n", lab.names["server"], "route", "replace", "default", "via", "10.62.0.1")
    for kind, target in (("client", "10.61.0.1"), ("server", "10.62.0.1")):
        run(*lab.command(kind, CLIENT_CORE, "ping", "-c1", "-W2", target, realtime=False))


def start(lab, options, name):
    path = lab.home / "sluice.yaml"
    tiers = ["af_xdp"] if name == "engine" else ["xdp", "af_xdp"]
    path.write_text(json.dumps({
        "version": 1, "interfaces": [{"name": device, "tiers": tiers} for device in ("c0", "s0")],
        "services": [{"name": "udp", "vip": VIP, "protocol": "udp", "ports": str(PORT), "mode": "nat",
                      "backends": [{"address": SERVER, "port": PORT}]}],
        "policy": {"rules": [{"name": "asked", "to": [f"{VIP}/32"], **SUBJECTS[name]}]},
        "workers": {"poll": "busy" if options.busy else "adaptive"}, "log": {"level": "warn"},
        "metrics": {"listen": "127.0.0.1:8082"}, "control": {"socket": str(lab.home / "sluice.sock")},
        "state": {"bpffs": PINS}}))
    process = lab.spawn("node", PROXY_CORE, options.sluiced, "--config", path, "--detach", realtime=options.realtime)
    for _ in range(200):
        if "sluice_config_last_reload_successful 1" in scrape(lab):
            return process
        time.sleep(0.05)
    raise RuntimeError((sorted(lab.home.glob("node*.log"))[-1]).read_text())


def scrape(lab):
    return run(*lab.command("node", CLIENT_CORE, "curl", "-s", "http://127.0.0.1:8082/metrics", realtime=False), check=False)


def own_percentile(text, share):
    """Upper end, in microseconds, of the bucket of the daemon's histogram that holds the share."""
    buckets = []
    for line in text.splitlines():
        if line.startswith("sluice_evaluation_latency_seconds_bucket"):
            edge = line.split(',le="')[1].split('"')[0]
            buckets.append((float("inf") if edge == "+Inf" else float(edge), float(line.rsplit(" ", 1)[1])))
    total = max((count for _, count in buckets), default=0)
    return next((edge * 1e6 for edge, count in sorted(buckets) if total and count >= share * total), 0.0)


def measure(lab, options, name):
    process = start(lab, options, name)
    try:
        receiver = subprocess.Popen(lab.command("server", CLIENT_CORE, options.load, "receive", PORT, options.seconds + 2),
                                    stdout=subprocess.PIPE, text=True)
        sent = json.loads(run(*lab.command("client", CLIENT_CORE, options.load, "send", PREFIX, VIP, PORT, options.per_second,
                                           options.seconds)))
        got = json.loads(receiver.communicate(timeout=30)[0])
        text = scrape(lab)
        return {"lost": sent["sent"] - got["received"], **{key: got[key] for key in ("p50", "p99", "p999", "max")},
                "own_p50": own_percentile(text, 0.5), "own_p99": own_percentile(text, 0.99)}
    finally:
        lab.end(process)
        shutil.rmtree(PINS, ignore_errors=True)  # there, if it had to be killed


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sluiced", required=True, type=os.path.abspath)
    parser.add_argument("--load", required=True, type=os.path.abspath)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--per-second", type=int, default=10_000)
    parser.add_argument("--realtime", action="store_true", help="sluiced under SCHED_FIFO, as both ends are: for a machine that is busy")
    parser.add_argument("--busy", action="store_true", help="workers never sleep")
    parser.add_argument("--out")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    results = {name: [] for name in SUBJECTS}
    names = list(SUBJECTS)
    with Lab() as lab:
        wire(lab)
        for number in range(options.rounds):
            for name in names[number % len(names):] + names[:number % len(names)]:
                results[name].append(measure(lab, options, name))
    medians = {name: {key: statistics.median(one[key] for one in rounds) for key in rounds[0]} for name, rounds in results.items()}
    for name, keys in medians.items():
        print(f"{name:10} " + "  ".join(f"{key} {value:.0f}" for key, value in keys.items()))
    if options.out:
        pathlib.Path(options.out).write_text(json.dumps({"medians": medians, "all": results}, indent=1))


if __name__ == "__main__":
    main()
