#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Native pipeline against the loaded XDP program: frames mutated from those of the case list, under each configuration of
it, must get the same verdict and leave with the same bytes. Root; prints TAP, a line per configuration.

    differential_test.py --replay PATH [--seed N] [--packets N]
"""

import argparse
import logging
import os
import pathlib
import random
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).parent))
logging.getLogger("scapy").setLevel(logging.ERROR)

import cases  # noqa: E402,F401
from model import CASES, Mismatch, Script, describe  # noqa: E402
from replay import ReplayExecutor, run  # noqa: E402

SHORTEST = 14  # a kernel takes no frame without an Ethernet header
LONGEST = 1514
INTERESTING = (0, 1, 4, 6, 17, 0x20, 0x40, 0x45, 0x46, 0x4F, 0x60, 0x7F, 0x80, 0xFF)


def frames_of_cases(program, directory):
    """Configuration -> frames that the cases under it send."""
    by_config = {}
    for one in CASES:
        script = Script(ReplayExecutor(program, "native", one.config, directory))
        try:
            one.body(script)
        except Mismatch:
            pass  # that it fails is the case's own matter; what it sent so far serves here
        if "rate_limit" in one.config:
            continue  # the program's clock is the machine's, the engine's in replay is the capture's
        by_config.setdefault(one.config, []).extend(step.frame for step in script.steps)
    return by_config


def network_offset(frame):
    """Where the IP header would begin, behind up to two tags."""
    offset = 12
    while frame[offset:offset + 2] in (b"\x81\x00", b"\x88\xa8") and offset < 20:
        offset += 4
    return offset + 2


def repair_checksum(frame):
    """Makes the IPv4 header's checksum right again, where there is such a header, so that more lies behind it."""
    start = network_offset(frame)
    if len(frame) < start + 20 or frame[start] >> 4 != 4:
        return
    length = (frame[start] & 15) * 4
    if length < 20 or len(frame) < start + length:
        return
    frame[start + 10:start + 12] = b"\0\0"
    words = sum(int.from_bytes(frame[i:i + 2], "big") for i in range(start, start + length, 2))
    words = (words & 0xFFFF) + (words >> 16)
    words = (words & 0xFFFF) + (words >> 16)
    frame[start + 10:start + 12] = (~words & 0xFFFF).to_bytes(2, "big")


def mutated(rng, frames):
    frame = bytearray(rng.choice(frames))
    kind = rng.randrange(8)
    if kind == 0 and len(frame) > SHORTEST:
        del frame[rng.randrange(SHORTEST, len(frame)):]
    elif kind == 1:
        frame += rng.randbytes(rng.randrange(1, 64))
    elif kind == 2:
        other = rng.choice(frames)
        at = rng.randrange(SHORTEST, max(min(len(frame), len(other)), SHORTEST + 1))
        frame[at:] = other[at:]
    elif kind < 7:
        for _ in range(rng.choice((1, 1, 2, 4))):
            at = min(int(rng.expovariate(1 / 30)) + rng.choice((0, 14)), len(frame) - 1)
            frame[at] = rng.choice((rng.choice(INTERESTING), rng.randrange(256), frame[at] ^ 1 << rng.randrange(8)))
    if rng.random() < 0.75:
        repair_checksum(frame)
    return bytes(frame[:LONGEST]).ljust(SHORTEST, b"\0")


def verdict_differences(frames, native, xdp):
    keys = ("verdict", "reason", "rule", "service", "backend")
    lines = []
    for frame, one, other in zip(frames, native, xdp):
        ours, theirs = [one[key] for key in keys], [other[key] for key in keys]
        if ours != theirs:
            lines.append(f"packet {one['n']}: native {ours}, xdp {theirs} (by {other['tier']})\n  in   {describe(frame[1])}")
    return lines


def frame_differences(native, xdp):
    lines = []
    if len(native) != len(xdp):
        lines.append(f"native: {len(native)} frames left, xdp: {len(xdp)}")
    for (at, one), (_, other) in zip(native, xdp):
        if one != other:
            lines.append(f"the frame of {at} ns\n  native {describe(one)}\n  xdp    {describe(other)}")
    return lines


def compare(program, config, frames, directory):
    timed = [(number / 1000, frame) for number, frame in enumerate(frames)]
    native_verdicts, native_frames = run(program, "native", config, timed, directory)
    xdp_verdicts, xdp_frames = run(program, "xdp", config, timed, directory)
    if not any(verdict["tier"] == "xdp" for verdict in xdp_verdicts):
        raise Mismatch("no packet was decided by the XDP program")
    return verdict_differences(timed, native_verdicts, xdp_verdicts) or frame_differences(native_frames, xdp_frames)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--replay")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--packets", type=int, default=1500, help="per configuration")
    options = parser.parse_args()
    if os.geteuid() != 0 or not options.replay or not os.access(options.replay, os.X_OK):
        print(f"1..0 # SKIP needs root and sluice-replay ({options.replay})")
        return
    failed = 0
    with tempfile.TemporaryDirectory(prefix="sluice-differential-") as directory:
        by_config = frames_of_cases(options.replay, directory)
        print(f"1..{len(by_config)}")
        for number, (config, frames) in enumerate(by_config.items(), 1):
            rng = random.Random(options.seed * 1000 + number)
            title = f"differential: {options.packets} packets mutated from {len(frames)}, seed {options.seed}"
            sent = [mutated(rng, frames) for _ in range(options.packets)]
            try:
                lines = compare(options.replay, config, sent, directory)
            except Mismatch as mismatch:
                lines = [str(mismatch)]
            failed += bool(lines)
            print(f"{'not ok' if lines else 'ok'} {number} - {title}", flush=True)
            if lines:
                print("\n".join("# " + line for line in "\n".join(lines[:20]).splitlines()), flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
