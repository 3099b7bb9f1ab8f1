#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the case list through one tier and prints TAP, a line per case.

    conformance_test.py --tier native --replay PATH          sluice-replay, no root
    conformance_test.py --tier dpdk --replay PATH            the same, by DPDK ports over rings, in segments; no root
    conformance_test.py --tier xdp --replay PATH             the same, by BPF_PROG_TEST_RUN; root
    conformance_test.py --tier live-xdp --sluiced PATH       a running daemon over veth, XDP tier; root
    conformance_test.py --tier live-af_xdp --sluiced PATH    the same, AF_XDP tier; root
    conformance_test.py --tier live-dpdk --sluiced PATH      the same, DPDK ports (net_pcap over veth); root
    conformance_test.py --tier live-packet --sluiced PATH    the same, packet sockets; root

PATTERN arguments choose cases whose title contains one of them.
"""

import argparse
import logging
import os
import pathlib
import shutil
import signal
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).parent))
logging.getLogger("scapy").setLevel(logging.ERROR)  # it complains about interfaces that a namespace does not have

import cases  # noqa: E402,F401
from live import LiveExecutor  # noqa: E402
from live_dpdk import LiveDpdkExecutor  # noqa: E402
from live_packet import LivePacketExecutor  # noqa: E402
from model import CASES, Mismatch, Script  # noqa: E402
from replay import ReplayExecutor  # noqa: E402

LINES_SHOWN = 40  # of what differs in one case
TIERS = ("native", "dpdk", "xdp", "live-xdp", "live-af_xdp", "live-dpdk", "live-packet")
LIVE = {"live-dpdk": LiveDpdkExecutor, "live-packet": LivePacketExecutor}


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--tier", choices=TIERS, required=True)
    parser.add_argument("--replay")
    parser.add_argument("--sluiced")
    parser.add_argument("pattern", nargs="*")
    return parser.parse_args()


def missing(options):
    """Why no case can run here; None: they can."""
    if options.tier not in ("native", "dpdk") and os.geteuid() != 0:
        return "needs root"
    if options.tier == "live-dpdk" and not shutil.which("nft"):
        return "needs nft (package nftables)"
    program = options.sluiced if options.tier.startswith("live") else options.replay
    if not program or not os.access(program, os.X_OK):
        return f"no program: {program}"
    return None


def executor_of(options, one, directory):
    if options.tier.startswith("live"):
        live = LIVE.get(options.tier, LiveExecutor)
        return live(options.sluiced, options.tier.removeprefix("live-"), one.config)
    return ReplayExecutor(options.replay, options.tier, one.config, directory, one.engine)


def skip_reason(options, one):
    tier = "native" if options.tier == "dpdk" else options.tier  # the same engine, in the capture's time
    if one.tiers and tier not in one.tiers:
        return one.why
    return None


def run_case(options, one):
    """None when the case holds, else what differs."""
    with tempfile.TemporaryDirectory(prefix="sluice-conformance-") as directory:
        try:
            script = Script(executor_of(options, one, directory))
            one.body(script)
            script.check()
        except Mismatch as mismatch:
            return str(mismatch)
    return None


def run_all(options):
    """The number of cases that failed."""
    chosen = [one for one in CASES if not options.pattern or any(part in one.title for part in options.pattern)]
    print(f"1..{len(chosen)}")
    nothing, failed = missing(options), 0
    for number, one in enumerate(chosen, 1):
        reason = nothing or skip_reason(options, one)
        if reason:
            print(f"ok {number} - {one.title} # SKIP {reason}", flush=True)
            continue
        difference = run_case(options, one)
        failed += difference is not None
        print(f"{'not ok' if difference else 'ok'} {number} - {one.title}", flush=True)
        if difference:
            print("\n".join("# " + line for line in difference.splitlines()[:LINES_SHOWN]), flush=True)
    return failed


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that namespaces go, too, when the run is ended
    try:
        failed = run_all(arguments())
    finally:
        for live in (LiveExecutor, *LIVE.values()):
            live.remove_network()
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
