# SPDX-License-Identifier: Apache-2.0
"""What a conformance case is: packets in order, and what must become of each.

A case is a function of a script. The script sends frames (scapy packets or bytes) and states for each the verdict and the
exact frame that leaves, as a scapy packet that scapy itself builds: lengths and checksums are computed here, never taken
from what is being tested. Where a field is left open, the expectation is a function from the frame that left to the frame
that was expected, which reads exactly that field:

    @case("nat: a datagram goes to the backend", CONFIG)
    def _(t):
        t.send(FROM_CLIENT / IP(src=CLIENT, dst=VIP) / UDP(sport=4242, dport=53)).forwards(
            TO_BACKEND / IP(src=CLIENT, dst=BACKEND, ttl=63) / UDP(sport=4242, dport=53))

An executor carries a script out in one tier (replay.py, live.py). It is asked for outcomes of a growing list of steps, so
that a step may depend on what left before (the backend that was chosen).
"""

import collections
import dataclasses

from scapy.all import Ether, raw

TICK = 0.001  # seconds between two frames, where the case does not say

CASES = []


@dataclasses.dataclass
class Case:
    title: str
    config: str
    body: object
    tiers: tuple  # names of tiers that run it; empty: all
    why: str      # why only these
    engine: str   # why the XDP program hands packets of it to the engine; empty: it hands over none but answers


def case(title, config, tiers=(), why="", engine=""):
    """Registers the decorated function of a script as a case under CONFIG (YAML text). TIERS, with the reason WHY, are
    those that run it (default: all). ENGINE is the reason if the XDP program may hand its packets to the engine: a RST or
    an ICMP error it may always leave to it, anything else only where a case says so."""

    def register(body):
        CASES.append(Case(title, config, body, tuple(tiers), why, engine))
        return body

    return register


@dataclasses.dataclass
class Outcome:
    """What a tier did with one frame. None: this tier cannot tell (live, a frame on the wire carries no verdict)."""

    verdict: str = None
    reason: str = None
    rule: str = None
    service: str = None
    backend: str = None
    tier: str = None
    whole: bool = True  # False: only the verdict and the frames are known (live, the rest shows in the counters)
    frames: list = dataclasses.field(default_factory=list)  # what left because of it, bytes


class Mismatch(Exception):
    """The tier under test did something else than the case says."""


class Step:
    """One frame sent, and what is expected of it."""

    def __init__(self, script, number, frame, at):
        self.script = script
        self.number = number  # from 1
        self.frame = raw(frame)
        self.at = at  # seconds since the script's first frame
        self.verdict = None
        self.expected = {}  # field of Outcome -> value, or a tuple of those allowed
        self.out = None  # packet, or function from the frame that left to the packet expected; or a list of these
        self.held = False

    def _expect(self, verdict, out=None, **fields):
        self.verdict = verdict
        self.out = out
        self.expected = {key: value for key, value in fields.items() if value is not None}
        return self

    def forwards(self, out, service=None, backend=None, rule=None):
        return self._expect("forward", out, service=service, backend=backend, rule=rule)

    def rejects(self, out, rule=None):
        return self._expect("reject", out, rule=rule)

    def drops(self, reason, rule=None):
        return self._expect("drop", reason=reason, rule=rule)

    def passes(self):
        return self._expect("pass")

    def waits_first(self):
        """The frame is held until another arrives: when and in which order the held leave is left open."""
        self.held = True
        return self

    def output(self):
        """The frame that left, as a packet: for cases that go on with what was chosen."""
        frames = self.script.outcome_of(self).frames
        if len(frames) != 1:
            raise Mismatch(f"packet {self.number}: {len(frames)} frames left, expected one\n  in   {describe(self.frame)}")
        return Ether(frames[0])


class Script:
    """The frames of one case in order. EXECUTOR carries them out."""

    def __init__(self, executor):
        self.executor = executor
        self.steps = []
        self.now = 0.0

    def send(self, frame):
        step = Step(self, len(self.steps) + 1, frame, round(self.now, 6))
        self.steps.append(step)
        self.now += TICK
        return step

    def wait(self, seconds):
        """Time passes before the next frame."""
        self.now += seconds - TICK

    def outcome_of(self, step):
        return self.executor.outcomes(self.steps)[step.number - 1]

    def check(self):
        """Carries out what was not yet, and compares. Raises Mismatch with every difference."""
        for step in self.steps:
            if step.verdict is None:
                raise Mismatch(f"packet {step.number}: the case does not say what is expected")
        outcomes = self.executor.outcomes(self.steps)
        held = any(step.held for step in self.steps)
        problems = []
        for step, outcome in zip(self.steps, outcomes):
            problems += differences_of_verdict(step, outcome)
            if not held:
                problems += differences_of_frames(step, outcome.frames)
        if held:
            problems += differences_of_all(self.steps, outcomes)
        problems += self.executor.closing_differences(self.steps)
        if problems:
            raise Mismatch("\n".join(problems))


def describe(frame):
    """One line about FRAME (bytes), as scapy reads it, and its bytes."""
    return f"{Ether(frame).summary()}\n         {frame.hex()}"


def differences_of_verdict(step, outcome):
    problems = []
    if outcome.verdict is not None and outcome.verdict != step.verdict:
        problems.append(f"packet {step.number}: verdict {outcome.verdict} ({outcome.reason}), expected {step.verdict} "
                        f"({step.expected.get('reason')})\n  in   {describe(step.frame)}")
    elif outcome.verdict is not None and outcome.whole:
        for field, wanted in step.expected.items():
            got = getattr(outcome, field)
            allowed = wanted if isinstance(wanted, tuple) else (wanted,)
            if got not in allowed:
                problems.append(f"packet {step.number}: {field} {got}, expected {wanted}\n  in   {describe(step.frame)}")
    return problems


def frames_expected(step):
    """What must leave because of STEP, one by one."""
    if step.out is None:
        return []
    return step.out if isinstance(step.out, list) else [step.out]


def expected_frame(out, got):
    """The bytes that must have left, given the frame GOT that did (for the fields a case leaves open)."""
    return raw(out(Ether(got)) if callable(out) else out)


def field_differences(got, wanted):
    """Where GOT and WANTED (bytes) first differ, named by layer and field as scapy reads both."""
    a, b = Ether(got), Ether(wanted)
    lines = []
    while a and b and type(a) is type(b):
        for field in b.fields:
            if a.fields.get(field) != b.fields[field] and field != "load":
                lines.append(f"         {type(b).__name__}.{field}: {a.fields.get(field)}, expected {b.fields[field]}")
        a, b = a.payload, b.payload
    return lines[:12]


def differences_of_frames(step, frames):
    wanted = frames_expected(step)
    if len(frames) != len(wanted):
        lines = [f"packet {step.number}: {len(frames)} frames left, expected {len(wanted)}", f"  in   {describe(step.frame)}"]
        return ["\n".join(lines + [f"  out  {describe(frame)}" for frame in frames])]
    return [problem for frame, out in zip(frames, wanted) for problem in differences_of_frame(step, frame, out)]


def differences_of_frame(step, frame, out):
    try:
        expected = expected_frame(out, frame)
    except (Mismatch, IndexError) as error:  # IndexError: scapy's word for a layer that is not there
        return [f"packet {step.number}: {error}\n  in   {describe(step.frame)}\n  out  {describe(frame)}"]
    if expected == frame:
        return []
    lines = [f"packet {step.number}: another frame left than expected", f"  in   {describe(step.frame)}",
             f"  out  {describe(frame)}", f"  want {describe(expected)}"]
    return ["\n".join(lines + field_differences(frame, expected))]


def differences_of_all(steps, outcomes):
    """The frames of all steps together, in any order."""
    got = collections.Counter(frame for outcome in outcomes for frame in outcome.frames)
    wanted = collections.Counter(raw(out) for step in steps for out in frames_expected(step))
    return ([f"left, but was not expected: {describe(frame)}" for frame in (got - wanted).elements()] +
            [f"expected, but did not leave: {describe(frame)}" for frame in (wanted - got).elements()])


def one_of(value, allowed, what):
    """VALUE, if it is among ALLOWED; else the case fails. For fields that a case leaves open within bounds."""
    if value not in allowed:
        raise Mismatch(f"{what} is {value}, expected one of {allowed}")
    return value
