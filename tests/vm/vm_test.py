#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs this tree in emulated machines and prints the guests' cases as TAP.

    vm_test.py smoke               one boot of the newest kernel: program loads, zero-copy, traffic, placement
    vm_test.py full                all of the guest's cases on the newest kernel, the matrix on every kernel
    vm_test.py CASES [KERNEL]      one program of tests/vm/guest (its name without .py)

Needs QEMU and kernels (scripts/test-vm.sh --fetch); skips, saying what is missing, without. SLUICED and SLUICECTL are
the programs to test; BPF_OBJECTS, BPF_LOAD and SLUICE_REPLAY are for the matrix.
"""

import os
import sys

import machine

PASSED_ON = ("SLUICED", "SLUICECTL", "SLUICE_REPLAY", "BPF_LOAD", "BPF_OBJECTS")
# What each program of tests/vm/guest needs of its machine.
MACHINES = {"smoke": {"nics": "vw"}, "daemon": {"nics": "ij"}, "devices": {"nics": "viex"},
            "dpdk": {"nics": "iexv", "huge_pages": 160, "timeout": 1200},
            "far_pages": {"nics": "iexv", "huge_pages": 160, "timeout": 600},
            "move": {"nics": "ij", "huge_pages": 160, "timeout": 900},
            "matrix": {"nics": "", "cpus": 2, "memory": 512, "huge_pages": 0, "timeout": 1300}}
OLDEST = (5, 15)  # as the documentation promises
UNSETTLED = (7, 0)  # with DPDK polling, 7.3.4 has lost timers in emulation on a busy host, and stood still


def version(kernel):
    return tuple(int(part) for part in kernel.split(".")[:2])


def plan(words):
    """(program, kernel) of each guest to boot."""
    found = machine.kernels()
    settled = [kernel for kernel in found if version(kernel) < UNSETTLED] or found
    usual = dict.fromkeys(MACHINES, found[-1]) | dict.fromkeys(("dpdk", "far_pages", "move"), settled[-1])
    what = words[0] if words else "smoke"
    if what == "full":
        matrix = [("matrix", kernel) for kernel in found if version(kernel) >= OLDEST]
        return [(program, usual[program]) for program in ("smoke", "daemon", "devices", "dpdk", "far_pages", "move")] + matrix
    return [(what, words[1] if len(words) > 1 else usual[what])]


def boot(program, kernel):
    """TAP lines of one guest; a guest that died is a failed case."""
    environment = {name: os.path.abspath(os.environ[name]) for name in PASSED_ON if name in os.environ and name != "BPF_OBJECTS"}
    if "BPF_OBJECTS" in os.environ:
        environment["BPF_OBJECTS"] = ",".join(os.path.abspath(word) for word in os.environ["BPF_OBJECTS"].split())
    guest = machine.Guest(kernel, f"guest/{program}.py", environment=environment, **MACHINES[program])
    status, results, console = guest.run()
    lines = results.get("tap", "").splitlines()
    if status is None or not lines:
        lines += ["not ok - the guest ran to its end", *(f"# {line}" for line in console.splitlines()[-40:])]
    elif status:
        lines += [f"# {line}" for line in console.splitlines()[-40:]]
    return lines, console.splitlines()[-1]


def main():
    why = machine.missing()
    if why:
        print(f"1..0 # SKIP {why}")
        return 77 if os.environ.get("SLUICE_VM_STATUS") else 0
    number, failed = 0, False
    for program, kernel in plan(sys.argv[1:]):
        lines, took = boot(program, kernel)
        print(f"# {program} on {kernel} {took}", flush=True)
        for line in lines:
            if line.startswith(("ok ", "not ok ")):
                number += 1
                failed |= line.startswith("not ok")
                word, rest = ("not ok", line[7:]) if line.startswith("not ok") else ("ok", line[3:])
                print(f"{word} {number} - {kernel}: {program}: {rest.lstrip('0123456789').lstrip(' -')}", flush=True)
            elif line.startswith("#"):
                print(line, flush=True)
    print(f"1..{number}")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
