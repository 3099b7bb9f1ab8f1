# SPDX-License-Identifier: Apache-2.0
"""Network namespaces around one node, and programs that run in them.

    client (198.51.100.2, 2001:db8:c::2) --- cl0 node be1 --- backend 1 (10.0.1.2, 2001:db8:1::2)
                                                  be2 --- backend 2 (10.0.2.2, 2001:db8:2::2)

Namespaces, processes, mounts and files of a lab are its own, and go with it: when it is closed, when the test program
ends, and when SIGTERM ends it. Sending ends have checksum and segmentation offload off, since a packet that XDP forwards
takes along what its sender left for the hardware to do; receiving ends have GRO on, without which a veth has no NAPI and
takes no redirected frame.
"""

import atexit
import contextlib
import ctypes
import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time

CLIENT4, CLIENT6 = "198.51.100.2", "2001:db8:c::2"
GATEWAY4, GATEWAY6 = "198.51.100.1", "2001:db8:c::1"
VIP4, VIP6 = "192.0.2.10", "2001:db8:a::10"
CLONE_NEWNET = 0x40000000

PASS_PROGRAM = """
#define SEC(name) __attribute__((section(name), used))
SEC("xdp") int other_pass(void *context) { return 2; }
char _license[] SEC("license") = "GPL";
"""

_open_labs = []


def close_all():
    for lab in list(_open_labs):
        lab.close()


def _terminated(number, _frame):
    for each in (signal.SIGTERM, signal.SIGHUP):  # a second one must not end the cleaning up
        signal.signal(each, signal.SIG_IGN)
    close_all()
    os._exit(128 + number)


atexit.register(close_all)
for _number in (signal.SIGTERM, signal.SIGHUP):
    signal.signal(_number, _terminated)


def run(*command, check=True, timeout=60, **options):
    """Carries COMMAND out and returns it done, with its output as text."""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False, timeout=timeout,
                          stdin=subprocess.DEVNULL, **options)
    if check and done.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))}: status {done.returncode}: {(done.stderr or done.stdout).strip()}")
    return done


def wait_until(condition, what, timeout=5.0, every=0.02):
    """CONDITION's first true answer; AssertionError naming WHAT after TIMEOUT seconds."""
    deadline = time.monotonic() + timeout
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout:g} s: {what}")
        time.sleep(every)


class Namespace:
    """A network namespace."""

    def __init__(self, name, home):
        self.name, self.home = name, home
        self.processes = []
        run("ip", "netns", "add", name)
        try:
            self.sysctl({"net.ipv6.conf.all.accept_dad": 0, "net.ipv6.conf.default.accept_dad": 0,
                         "net.ipv4.conf.all.rp_filter": 0, "net.ipv4.conf.default.rp_filter": 0})
            self.run("ip", "link", "set", "lo", "up")
        except BaseException:
            self.remove()
            raise

    @contextlib.contextmanager
    def inside(self):
        """Sockets made under this belong to the namespace and go on doing so."""
        libc = ctypes.CDLL(None, use_errno=True)
        with open("/proc/self/ns/net", "rb") as here, open(f"/run/netns/{self.name}", "rb") as there:
            if libc.setns(there.fileno(), CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), f"setns {self.name}")
            try:
                yield
            finally:
                libc.setns(here.fileno(), CLONE_NEWNET)

    def command(self, *command):
        """COMMAND in this namespace. It keeps the mounts, bpffs among them, which `ip netns exec` would not."""
        return ["nsenter", f"--net=/run/netns/{self.name}", *map(str, command)]

    def run(self, *command, **options):
        return run(*self.command(*command), **options)

    def ip(self, *words, **options):
        return run("ip", "-n", self.name, *words, **options)

    def ip_json(self, *words):
        return json.loads(run("ip", "-n", self.name, "-json", *words).stdout or "[]")

    def sysctl(self, values):
        with self.inside():
            for name, value in values.items():
                pathlib.Path("/proc/sys", name.replace(".", "/")).write_text(str(value))

    def spawn(self, *command, name=None, env=None):
        """Starts COMMAND; it dies with this test. Its output is in its `log`."""
        log = self.home / f"{self.name}.{name or pathlib.Path(str(command[0])).name}.{len(self.processes)}.log"
        with open(log, "wb") as output:
            process = subprocess.Popen(self.command("setpriv", "--pdeathsig", "KILL", *command),
                                       stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                                       env={**os.environ, **(env or {})})
        process.log = log
        self.processes.append(process)
        return process

    def attach_other_program(self, device):
        """Puts an XDP program that passes everything onto DEVICE."""
        source, program = self.home / "other.c", self.home / "other.o"
        source.write_text(PASS_PROGRAM)
        run("clang-14", "-target", "bpf", "-O2", "-c", source, "-o", program)
        self.ip("link", "set", "dev", device, "xdp", "obj", program, "sec", "xdp")

    def counters(self, *names):
        """The kernel's counters as nstat names them."""
        known = json.loads(self.run("nstat", "-jasz").stdout)["kernel"]
        return {name: known.get(name, 0) for name in names}

    def remove(self):
        for process in self.processes:
            stop(process, signal.SIGKILL)
        run("ip", "netns", "del", self.name, check=False)


def stop(process, number=signal.SIGTERM, timeout=10):
    """Ends a process of ours and returns its status."""
    if process.poll() is None:
        process.send_signal(number)
        try:
            process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError(f"{process.args}: still there {timeout} s after {signal.Signals(number).name}") from None
    return process.returncode


def text_of(process):
    return process.log.read_text(errors="replace")


class Backend:
    def __init__(self, number, namespace):
        self.number, self.namespace = number, namespace
        self.address4, self.address6 = f"10.0.{number}.2", f"2001:db8:{number}::2"

    def address(self, family):
        return self.address4 if family == 4 else self.address6


class Lab:
    """A client, a node and some backends; the daemon is started on the node by `daemon.Daemon`."""

    count = 0

    def __init__(self, backends=2, queues=1, backend_mtu=1500):
        Lab.count += 1
        self.tag = f"{os.getpid()}-{Lab.count}"
        self.home = pathlib.Path(tempfile.mkdtemp(prefix="sl-e2e-"))
        self.bpffs = self.home / "bpf"
        self.namespaces = []
        self.queues = queues
        _open_labs.append(self)
        try:
            self.bpffs.mkdir()
            run("mount", "-t", "bpf", "bpf", self.bpffs)
            self._build(backends, backend_mtu)
        except BaseException:
            self.close()
            raise

    def _namespace(self, name):
        namespace = Namespace(f"sl-{name}-{self.tag}", self.home)
        self.namespaces.append(namespace)
        return namespace

    def _build(self, backends, backend_mtu):
        self.client, self.node = self._namespace("client"), self._namespace("node")
        self.node.sysctl({"net.ipv4.ip_forward": 1, "net.ipv6.conf.all.forwarding": 1})
        self.wire(self.client, "cl0", CLIENT4, CLIENT6, GATEWAY4, GATEWAY6)
        self.backends = []
        for number in range(1, backends + 1):
            backend = Backend(number, self._namespace(f"backend{number}"))
            self.wire(backend.namespace, f"be{number}", backend.address4, backend.address6, f"10.0.{number}.1",
                      f"2001:db8:{number}::1", backend_mtu)
            self.backends.append(backend)
        self.resolve()

    def wire(self, namespace, device, address4, address6, node4, node6, mtu=1500):
        """A veth from the node's DEVICE to eth0 of NAMESPACE, whose default route it becomes."""
        queues = ["numrxqueues", str(self.queues), "numtxqueues", str(self.queues)]
        run("ip", "link", "add", device, "netns", self.node.name, "mtu", str(mtu), *queues, "type", "veth",
            "peer", "eth0", "netns", namespace.name, "mtu", str(mtu), *queues)
        for space, name, own4, own6 in ((self.node, device, node4, node6), (namespace, "eth0", address4, address6)):
            space.ip("addr", "add", f"{own4}/24", "dev", name)
            space.ip("addr", "add", f"{own6}/64", "dev", name, "nodad")
            space.ip("link", "set", name, "up")
            space.run("ethtool", "-K", name, "tx", "off", "tso", "off", "gso", "off", "gro", "on")
        namespace.ip("route", "add", "default", "via", node4)
        namespace.ip("route", "add", "default", "via", node6)

    def resolve(self):
        """Lets the node and its neighbours know each other."""
        targets = [CLIENT4, CLIENT6] + [b.address(f) for b in self.backends for f in (4, 6)]
        for target in targets:
            wait_until(lambda t=target: self.node.run("ping", "-c1", "-W1", t, check=False).returncode == 0,
                       f"{target} answers the node", 10)

    def program_id(self, device):
        """Of the XDP program on the node's DEVICE; None without one."""
        link = self.node.ip_json("link", "show", "dev", device)[0]
        return link.get("xdp", {}).get("prog", {}).get("id")

    def close(self):
        """Takes everything down; the second time does nothing."""
        if self not in _open_labs:
            return
        _open_labs.remove(self)
        for namespace in self.namespaces:
            namespace.remove()
        with open("/proc/self/mounts", encoding="utf-8") as mounts:
            mounted = [line.split()[1] for line in mounts if line.split()[1].startswith(f"{self.home}/")]
        for place in reversed(mounted):
            run("umount", "-l", place, check=False)
        shutil.rmtree(self.home, ignore_errors=True)


def xdp_mode(link):
    """native, generic or None, out of `ip -json link`."""
    modes = {1: "native", 2: "generic", 3: "offload", 4: "several"}
    return modes.get(link.get("xdp", {}).get("mode")) if "xdp" in link else None
