#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Keeps a tier of sluice between veth devices under full load, until its time is up or SIGTERM: for perf/profile.sh."""

import argparse
import pathlib
import time

from lab import Lab, Path, Sluiced

FLOWS = 65536


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sluiced", required=True)
    parser.add_argument("--tools", required=True, help="the build's perf/")
    parser.add_argument("--tier", choices=("xdp", "af_xdp"), required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--ready", type=pathlib.Path, required=True, help="file to make once packets flow")
    arguments = parser.parse_args()
    with Lab(arguments.tools) as lab:
        path = Path(lab, "pu", threaded=arguments.tier == "xdp")
        if arguments.tier == "af_xdp":
            path.poll_busily()
        daemon = Sluiced(path, arguments.sluiced, f"[{arguments.tier}]", poll="busy" if arguments.tier == "af_xdp" else "adaptive")
        try:
            path.start_traffic(FLOWS)
            time.sleep(2)
            arguments.ready.touch()
            time.sleep(arguments.seconds)
        finally:
            daemon.stop()


if __name__ == "__main__":
    main()
