# SPDX-License-Identifier: Apache-2.0
"""Carries a script out on a running daemon: frames over veth into a namespace where sluiced drives eth0 and eth1.

    wire namespace: w0, w1, raw sockets ---- veth ---- node namespace: eth0, eth1, sluiced

The node has no addresses of its own in the kernel, so its host stack is silent: what leaves is sluiced's. What a frame met
shows by where it turns up (forward, reject: on a wire; pass: in the node's stack), and by the drop counters at the end.
"""

import collections
import contextlib
import ctypes
import os
import pathlib
import re
import shutil
import signal
import socket
import struct
import subprocess
import time
import urllib.request

from model import Mismatch, Outcome
from network import NODE, NODE1

PATIENCE = 2.0  # seconds for what is expected to turn up
SILENCE = 0.005  # for what is not; what turns up later is found at the end
METRICS_PORT = 18082
CLONE_NEWNET = 0x40000000
ETH_P_ALL, PACKET_OUTGOING = 3, 4
SOL_PACKET, PACKET_AUXDATA = 263, 8
TAG_VALID, TAG_TYPE_VALID = 1 << 4, 1 << 6


def shell(*command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")


@contextlib.contextmanager
def inside(namespace):
    """Sockets made under this belong to NAMESPACE and go on doing so."""
    libc = ctypes.CDLL(None, use_errno=True)
    with open("/proc/self/ns/net", "rb") as home, open(f"/run/netns/{namespace}", "rb") as there:
        if libc.setns(there.fileno(), CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"setns {namespace}")
        try:
            yield
        finally:
            libc.setns(home.fileno(), CLONE_NEWNET)


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


def received(sock):
    """Frames that came in since, without those that this side sent."""
    frames = []
    while True:
        try:
            frame, ancillary, _, address = sock.recvmsg(65536, 256)
        except BlockingIOError:
            return frames
        if address[2] != PACKET_OUTGOING:
            frames.append(with_tag(frame, ancillary))


class Network:
    """The two namespaces and their sockets."""

    def __init__(self):
        self.wire, self.node = f"sl-wire-{os.getpid()}", f"sl-node-{os.getpid()}"
        try:
            self._build()
        except BaseException:
            self.remove()
            raise

    def _build(self):
        for namespace in (self.wire, self.node):
            shell("ip", "netns", "add", namespace)
        with inside(self.node):
            for name in ("all", "default"):
                pathlib.Path(f"/proc/sys/net/ipv6/conf/{name}/disable_ipv6").write_text("1")
        with inside(self.wire):
            pathlib.Path("/proc/sys/net/ipv6/conf/default/disable_ipv6").write_text("1")
        for number, (mac, mtu) in enumerate(((NODE, 1500), (NODE1, 1400))):
            shell("ip", "link", "add", f"w{number}", "netns", self.wire, "mtu", "1500", "type", "veth", "peer",
                  f"eth{number}", "netns", self.node, "address", mac, "mtu", str(mtu))
            for namespace, device in ((self.wire, f"w{number}"), (self.node, f"eth{number}")):
                shell("ip", "-n", namespace, "link", "set", device, "up", "arp", "off")
                # gro makes veth use NAPI, without which it takes no redirected frame
                shell("ip", "netns", "exec", namespace, "ethtool", "-K", device, "gro", "on", "tx", "off")
        shell("ip", "-n", self.node, "link", "set", "lo", "up")
        with inside(self.wire):
            self.wires = [packet_socket("w0"), packet_socket("w1")]
        with inside(self.node):
            self.stack = packet_socket(None)

    def remove(self):
        for namespace in (self.wire, self.node):
            subprocess.run(["ip", "netns", "del", namespace], capture_output=True, check=False)

    def left(self):
        return [frame for wire in self.wires for frame in received(wire)]


class Daemon:
    """One sluiced in the node namespace, on a configuration."""

    def __init__(self, program, tier, config, namespace, directory):
        self.namespace = namespace
        self.pins = pathlib.Path(f"/sys/fs/bpf/sl-conformance-{os.getpid()}")
        self.directory = pathlib.Path(directory)
        path = self.directory / "sluice.yaml"
        path.write_text(config.replace("tiers: auto", f"tiers: [{tier}]") + f"""
metrics: {{ listen: "127.0.0.1:{METRICS_PORT}" }}
control: {{ socket: {directory}/sluice.sock }}
state: {{ bpffs: {self.pins} }}
""")
        with open(self.directory / "log", "wb") as log:
            self.process = subprocess.Popen(["nsenter", f"--net=/run/netns/{namespace}", program, "--config", path, "--detach"],
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self._wait_until_ready()

    def log(self):
        return (self.directory / "log").read_text(errors="replace")[-4000:]

    def read(self, path):
        with inside(self.namespace):
            with urllib.request.urlopen(f"http://127.0.0.1:{METRICS_PORT}{path}", timeout=5) as answer:
                return answer.read().decode()

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

    def drops(self):
        """Reason -> packets, over all interfaces and tiers."""
        counts = collections.Counter()
        for labels, value in re.findall(r"^sluice_drops_total\{([^}]*)\} (\S+)$", self.read("/metrics"), re.MULTILINE):
            counts[re.search(r'reason="([^"]*)"', labels)[1]] += int(float(value))
        return +counts

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        shutil.rmtree(self.pins, ignore_errors=True)  # of one that was killed


class LiveExecutor:
    """Sends each step when it is first asked about; a daemon for each case, so that none sees another's flows."""

    network = None

    def __init__(self, program, tier, config, directory):
        if LiveExecutor.network is None:
            LiveExecutor.network = Network()
        self.daemon = Daemon(program, tier, config, self.network.node, directory)
        self.network.left()
        received(self.network.stack)
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
                self.done[-1].frames += self._all_frames(sum(other.out is not None for other in steps))
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
        outcome = Outcome("drop", step.expected.get("reason"))  # the reasons are counted at the end
        for field in ("rule", "service", "backend"):
            setattr(outcome, field, step.expected.get(field))
        while not outcome.frames and outcome.verdict != "pass" and time.monotonic() < deadline:
            outcome.frames += self.network.left()
            if step.frame in received(self.network.stack):
                outcome.verdict = "pass"
            time.sleep(0.0005)
        if outcome.frames:
            outcome.verdict = step.verdict if step.verdict in ("forward", "reject") else "forward"
        return outcome

    def closing_differences(self, steps):
        expected_drops = collections.Counter(step.expected["reason"] for step in steps if step.verdict == "drop")
        deadline = time.monotonic() + PATIENCE
        drops = self.daemon.drops()
        while drops != expected_drops and time.monotonic() < deadline:
            time.sleep(0.05)
            drops = self.daemon.drops()
        late = self.network.left()
        problems = [f"left late, or more than expected: {frame.hex()}" for frame in late]
        if drops != expected_drops:
            problems.append(f"dropped by reason: {dict(drops)}, expected {dict(expected_drops)}")
        if self.daemon.process.poll() is not None:
            problems.append(f"sluiced ended with status {self.daemon.process.returncode}:\n{self.daemon.log()}")
        return problems

    def close(self):
        self.daemon.stop()

    @classmethod
    def remove_network(cls):
        if cls.network is not None:
            cls.network.remove()
            cls.network = None
