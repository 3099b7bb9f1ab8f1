# SPDX-License-Identifier: Apache-2.0
"""Carries a script out on a running daemon: frames over veth into a namespace where sluiced drives eth0 and eth1.

    wire namespace: w0, w1, raw sockets ---- veth ---- node namespace: eth0, eth1, sluiced

The node has no addresses of its own in the kernel, so its host stack is silent: what leaves is sluiced's. What a frame met
shows by where it turns up (forward, reject: on a wire; pass: in the node's stack). What a wire does not show (the reason of
a drop, which rule, service and backend) is compared at the case's end, by what the daemon's counters gained.

Cases in a row under one configuration share a daemon, whose flows are forgotten between them.
"""

import collections
import ctypes
import http.client
import mmap
import os
import pathlib
import re
import signal
import socket
import struct
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))

from metrics import Metrics  # noqa: E402
from model import Mismatch, Outcome, frames_expected  # noqa: E402
from netns import Home, run, stop  # noqa: E402
from network import NODE, NODE1  # noqa: E402

PATIENCE = 2.0  # seconds for what is expected to turn up
SILENCE = 0.005  # for what is not; what turns up later is found at the end
METRICS_PORT = 18082
TIERS = {"xdp": "xdp, af_xdp", "af_xdp": "af_xdp", "packet": "epoll"}  # what an interface is asked for so that the tier serves it
SPARE = "spare"
ETH_P_ALL, PACKET_OUTGOING = 3, 4
SOL_PACKET, PACKET_AUXDATA = 263, 8
TAG_VALID, TAG_TYPE_VALID = 1 << 4, 1 << 6
SEEN = ("forward", "reject", "drop")  # verdicts that are counted for every frame of a case


def packet_socket(device):
    """Raw frames of DEVICE (None: of all devices) in the namespace at hand."""
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    sock.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    if device:
        sock.bind((device, ETH_P_ALL))
    sock.setblocking(False)
    return sock


def with_tag(frame, ancillary):
    """FRAME with the VLAN tag that the kernel took off on reception."""
    for level, kind, data in ancillary:
        if (level, kind) == (SOL_PACKET, PACKET_AUXDATA):
            status, _, _, _, _, control, tag_type = struct.unpack("<IIIHHHH", data)
            if status & TAG_VALID:
                tag_type = tag_type if status & TAG_TYPE_VALID else 0x8100
                return frame[:12] + struct.pack(">HH", tag_type, control) + frame[12:]
    return frame


def received(sock, besides=()):
    """Frames that came in since, without those that this side sent and those of devices whose name begins with one of BESIDES."""
    frames = []
    while True:
        try:
            frame, ancillary, _, address = sock.recvmsg(65536, 256)
        except BlockingIOError:
            return frames
        if address[2] != PACKET_OUTGOING and not address[0].startswith(besides):
            frames.append(with_tag(frame, ancillary))


def with_spare(config):
    """CONFIG with an interface that has the XDP program, so that flows lie in pinned maps, where they can be forgotten."""
    return re.sub(r"^tables:", f"  - {{ name: {SPARE}, tiers: [xdp] }}\ntables:", config, count=1, flags=re.MULTILINE)


class Network(Home):
    """The two namespaces and their sockets."""

    near = "eth"  # the node's devices

    def __init__(self):
        super().__init__("sl-conformance-")
        self.wire = self.namespace(f"sl-wire-{os.getpid()}")
        self.node = self.namespace(f"sl-node-{os.getpid()}")
        for namespace in (self.wire, self.node):
            namespace.sysctl({f"net.ipv6.conf.{name}.disable_ipv6": 1 for name in ("all", "default")})
        for number, (mac, mtu) in enumerate(((NODE, 1500), (NODE1, 1400))):
            run("ip", "link", "add", f"w{number}", "netns", self.wire.name, "mtu", "1500", "type", "veth", "peer",
                f"{self.near}{number}", "netns", self.node.name, "address", mac, "mtu", mtu)
            for namespace, device in ((self.wire, f"w{number}"), (self.node, f"{self.near}{number}")):
                namespace.ip("link", "set", device, "up", "arp", "off")
                # gro makes veth use NAPI, without which it takes no redirected frame
                namespace.run("ethtool", "-K", device, "gro", "on", "tx", "off")
        with self.wire.inside():
            self.wires = [packet_socket("w0"), packet_socket("w1")]
        with self.node.inside():
            self.stack = packet_socket(None)

    def add_spare(self):
        """The interface of with_spare()."""
        run("ip", "link", "add", SPARE, "netns", self.node.name, "type", "veth", "peer", SPARE, "netns", self.wire.name)
        self.node.ip("link", "set", SPARE, "up")

    def passed(self):
        """What came to the node's stack since."""
        return received(self.stack)

    def left(self):
        return [frame for wire in self.wires for frame in received(wire)]


class Daemon:
    """One sluiced in the node namespace, on a configuration."""

    def __init__(self, program, tier, config, network):
        self.config, self.network = config, network
        self.pins = network.bpffs / "sluice"
        path = network.home / "sluice.yaml"
        path.write_text(self.asking_for(tier, config) + f"""
metrics: {{ listen: "127.0.0.1:{METRICS_PORT}" }}
control: {{ socket: {network.home}/sluice.sock }}
state: {{ bpffs: {self.pins} }}
""")
        self.process = network.node.spawn(program, "--config", path, "--detach", env={"LIBXDP_BPFFS": str(network.bpffs)})
        self._wait_until_ready()

    def asking_for(self, tier, config):
        """CONFIG whose interfaces TIER serves."""
        return config.replace("tiers: auto", f"tiers: [{TIERS[tier]}]")

    def log(self):
        return self.process.log.read_text(errors="replace")[-4000:]

    def read(self, path):
        with self.network.node.inside():
            connection = http.client.HTTPConnection("127.0.0.1", METRICS_PORT, timeout=5)
            try:
                connection.request("GET", path)
                answer = connection.getresponse()
                if answer.status != 200:
                    raise OSError(f"{path}: {answer.status}")
                return answer.read().decode()
            finally:
                connection.close()

    def _wait_until_ready(self):
        deadline = time.monotonic() + 10
        while True:
            try:
                self.read("/readyz")
                return
            except OSError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    self.stop()
                    raise Mismatch(f"sluiced did not get ready:\n{self.log()}") from None
                time.sleep(0.02)

    def counts(self):
        """(what, its name or names) -> packets, over all interfaces and tiers."""
        counts = collections.Counter()
        metrics = Metrics(self.read("/metrics"))
        for name, kind, *labels in (("sluice_drops_total", "reason", "reason"), ("sluice_packets_total", "verdict", "verdict"),
                                    ("sluice_policy_packets_total", "rule", "rule"),
                                    ("sluice_service_packets_total", "service", "service"),
                                    ("sluice_service_packets_total", "backend", "backend")):
            for each, value in metrics.all(name):
                counts[(kind, *(each[label] for label in labels))] += int(value)
        return counts

    def forget_flows(self):
        """No packet finds a flow by a tag that is 0."""
        libbpf = ctypes.CDLL("libbpf.so.1", use_errno=True)
        fd = libbpf.bpf_obj_get(str(self.pins / "flow_tags").encode())
        if fd < 0:
            raise OSError(f"no map is pinned as {self.pins}/flow_tags")
        try:
            about = dict(line.split(":\t") for line in pathlib.Path(f"/proc/self/fdinfo/{fd}").read_text().splitlines())
            length = int(about["value_size"]) * int(about["max_entries"])
            with mmap.mmap(fd, -(-length // mmap.PAGESIZE) * mmap.PAGESIZE) as tags:
                tags[:length] = bytes(length)
        finally:
            os.close(fd)

    def stop(self):
        stop(self.process, signal.SIGTERM)


class LiveExecutor:
    """Sends each step when it is first asked about."""

    make_network, make_daemon = Network, Daemon
    network = None
    daemon = None

    def __init__(self, program, tier, config):
        cls = type(self)
        if cls.network is None:
            cls.network = cls.make_network()
        if cls.daemon is not None and (cls.daemon.config != config or cls.daemon.process.poll() is not None):
            cls._stop_daemon()
        if cls.daemon is None:
            cls.daemon = cls.make_daemon(program, tier, config, cls.network)
        else:
            cls.daemon.forget_flows()
        self.before = self.daemon.counts()
        self.network.left()
        self.network.passed()
        self.done = []
        self.at = 0.0

    def outcomes(self, steps):
        for step in steps[len(self.done):]:
            if step.at - self.at > 0.01:
                time.sleep(step.at - self.at)
            self.at = step.at
            self.network.wires[0].send(step.frame)
            held = any(other.held for other in steps)
            self.done.append(Outcome() if held else self._outcome(step))
            if held and len(self.done) == len(steps):
                self.done[-1].frames += self._all_frames(sum(len(frames_expected(other)) for other in steps))
        return self.done

    def _all_frames(self, expected):
        frames, deadline = [], time.monotonic() + PATIENCE
        while len(frames) < expected and time.monotonic() < deadline:
            frames += self.network.left()
            time.sleep(0.0005)
        return frames

    def _outcome(self, step):
        """Where the frame turned up; waits as long as what the case expects may take."""
        quiet = step.verdict == "drop"
        deadline = time.monotonic() + (SILENCE if quiet else PATIENCE)
        outcome = Outcome("drop", whole=False)
        while len(outcome.frames) < max(1, len(frames_expected(step))) and outcome.verdict != "pass" and time.monotonic() < deadline:
            outcome.frames += self.network.left()
            if step.frame in self.network.passed():
                outcome.verdict = "pass"
            time.sleep(0.0005)
        if outcome.frames:
            outcome.verdict = step.verdict if step.verdict in ("forward", "reject") else "forward"
        return outcome

    def closing_differences(self, steps):
        expected = collections.Counter(("reason", step.expected["reason"]) for step in steps if step.verdict == "drop")
        expected.update(("verdict", step.verdict) for step in steps if step.verdict in SEEN)
        deadline = time.monotonic() + PATIENCE
        gained = self._gained()
        while exact(gained) != expected and time.monotonic() < deadline:
            time.sleep(0.02)
            gained = self._gained()
        problems = [f"left late, or more than expected: {frame.hex()}" for frame in self.network.left()]
        if exact(gained) != expected:
            problems.append(f"counted: {dict(exact(gained))}, expected {dict(expected)}")
        problems += [problem for step in steps for problem in uncounted(step, gained)]
        if self.daemon.process.poll() is not None:
            problems.append(f"sluiced ended with status {self.daemon.process.returncode}:\n{self.daemon.log()}")
        return problems

    def _gained(self):
        gained = self.daemon.counts()
        gained.subtract(self.before)
        return +gained

    @classmethod
    def _stop_daemon(cls):
        daemon, cls.daemon = cls.daemon, None
        daemon.stop()

    @classmethod
    def remove_network(cls):
        if cls.daemon is not None:
            cls._stop_daemon()
        if cls.network is not None:
            cls.network.close()
            cls.network = None


def exact(gained):
    """Of what was GAINED, what a case says to the packet."""
    return collections.Counter({key: count for key, count in gained.items()
                                if key[0] == "reason" or key[0] == "verdict" and key[1] in SEEN})


def uncounted(step, gained):
    """Names that STEP expects and no counter gained a packet under."""
    for kind in ("rule", "service", "backend"):
        wanted = step.expected.get(kind)
        if wanted is None:
            continue
        names = wanted if isinstance(wanted, tuple) else (wanted,)
        if not any(gained[(kind, name)] for name in names if name is not None):
            yield f"packet {step.number}: no packet was counted for {kind} {' or '.join(map(str, names))}"
