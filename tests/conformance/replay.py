# SPDX-License-Identifier: Apache-2.0
"""Carries a script out by sluice-replay, natively or by the loaded XDP program."""

import json
import pathlib
import struct
import subprocess

from model import Mismatch, Outcome, describe

EPOCH = 1_700_000_000  # seconds: the captures' first packet
MAGIC_NANOSECONDS = 0xA1B23C4D
ETHERNET = 1


def write_pcap(path, frames):
    """FRAMES: (seconds since the first, bytes) each; nanosecond pcap, since frames are told apart by their time."""
    with open(path, "wb") as file:
        file.write(struct.pack("<IHHiIII", MAGIC_NANOSECONDS, 2, 4, 0, 0, 262144, ETHERNET))
        for at, frame in frames:
            nanoseconds = EPOCH * 10**9 + round(at * 10**9)
            file.write(struct.pack("<IIII", *divmod(nanoseconds, 10**9), len(frame), len(frame)) + frame)


def read_pcap(path):
    """(nanoseconds since the first frame, bytes) of each frame."""
    data = pathlib.Path(path).read_bytes()
    magic, = struct.unpack_from("<I", data)
    unit = {MAGIC_NANOSECONDS: 1, 0xA1B2C3D4: 1000}[magic]
    at, frames = 24, []
    while at < len(data):
        seconds, fraction, length, _ = struct.unpack_from("<IIII", data, at)
        frames.append(((seconds - EPOCH) * 10**9 + fraction * unit, data[at + 16:at + 16 + length]))
        at += 16 + length
    return frames


def run(program, tier, config, frames, directory):
    """FRAMES ((seconds, bytes) each) through TIER. Answers (verdicts as read, output frames as read_pcap() has them)."""
    directory = pathlib.Path(directory)
    (directory / "config.yaml").write_text(config)
    write_pcap(directory / "in.pcap", frames)
    done = subprocess.run([program, "--config", directory / "config.yaml", "--in", directory / "in.pcap", "--tier", tier,
                           "--out", directory / "out.pcap", "--verdicts", directory / "verdicts.jsonl"],
                          capture_output=True, text=True, timeout=120, check=False)
    if done.returncode:
        raise Mismatch(f"sluice-replay: exit status {done.returncode}: {done.stdout}{done.stderr}")
    verdicts = [json.loads(line) for line in (directory / "verdicts.jsonl").read_text().splitlines()]
    if [verdict["n"] for verdict in verdicts] != list(range(1, len(frames) + 1)):
        raise Mismatch(f"{len(frames)} packets in, verdicts about {[verdict['n'] for verdict in verdicts]}")
    return verdicts, read_pcap(directory / "out.pcap")


class ReplayExecutor:
    """Runs all steps so far in one go, anew whenever there are more."""

    def __init__(self, program, tier, config, directory, engine=""):
        self.program, self.tier, self.config, self.directory = program, tier, config, directory
        self.may_hand_over = tier == "native" or engine
        self.done = []

    def outcomes(self, steps):
        if len(steps) > len(self.done):
            self.done = self._run(steps)
        return self.done

    def _run(self, steps):
        frames = [(step.at, step.frame) for step in steps]
        verdicts, left = run(self.program, self.tier, self.config, frames, self.directory)
        outcomes = [Outcome(*[verdict[key] for key in ("verdict", "reason", "rule", "service", "backend", "tier")])
                    for verdict in verdicts]
        by_time = {round(step.at * 10**9): outcome for step, outcome in zip(steps, outcomes)}
        for at, frame in left:
            if at not in by_time:  # microseconds, if that is what it writes
                at = next((time for time in by_time if time // 1000 == at // 1000), None)
            if at is None:
                raise Mismatch(f"a frame left at a time at which none came: {frame.hex()}")
            by_time[at].frames.append(frame)
        return outcomes

    def closing_differences(self, steps):
        if self.may_hand_over:
            return []
        return [f"packet {step.number}: decided by tier {outcome.tier}, expected {self.tier}\n  in   {describe(step.frame)}"
                for step, outcome in zip(steps, self.done) if outcome.tier != self.tier and outcome.verdict != "reject"]
