#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Resident memory of a daemon with one and with three DPDK ports, and how much of it is not their pools of buffers.

    memory_bench.py --sluiced build/control/sluiced/sluiced --sluicectl build/control/sluicectl/sluicectl

The ports are net_af_packet over veths, on plain pages, where all that is resident shows; with a nat service that has carried
a download over each port. Needs root.
"""

import argparse
import os
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests" / "e2e"), str(ROOT / "perf")]

PORTS = (1, 3)
# A buffer of 2,048 bytes, the head room, struct rte_mbuf, the pool's header
BYTES_PER_BUFFER = 2048 + 128 + 128 + 64
BAR_MB = 64


def measured(ports):
    """kB resident, and of them those of the pools."""
    import programs  # noqa: PLC0415 - read where the programs are from the environment
    from daemon import Daemon, service  # noqa: PLC0415
    from dpdk_lab import DpdkLab  # noqa: PLC0415
    from suite import smaps  # noqa: PLC0415
    lab = DpdkLab("af_packet")
    try:
        for backend in lab.backends:
            programs.nginx(backend)
        daemon = Daemon(lab, {"interfaces": lab.dpdk_interfaces()[:ports], "services": [service(lab)]}).start(60)
        if ports == len(lab.ends):
            lab.after_start()
            programs.curl(lab.client, "192.0.2.10", 80, "/large", "-o", "/dev/null", timeout=30)
        resident = smaps.resident_kb(daemon.process.pid)
        pools = daemon.metrics().sum("sluice_dpdk_buffers") * BYTES_PER_BUFFER / 1024
        daemon.stop()
    finally:
        lab.close()
    print(f"{ports} port{'s' if ports > 1 else ''}:")
    smaps.show(resident)
    return sum(resident.values()), pools


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--sluiced", required=True)
    parser.add_argument("--sluicectl", required=True)
    options = parser.parse_args()
    os.environ |= {"SLUICED": options.sluiced, "SLUICECTL": options.sluicectl}
    met = True
    for ports in PORTS:
        resident, pools = measured(ports)
        beside = (resident - pools) / 1024
        met &= beside <= BAR_MB
        print(f"{ports} DPDK ports: {resident / 1024:.1f} MB resident, {pools / 1024:.1f} MB of it buffers, {beside:.1f} MB beside them")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
