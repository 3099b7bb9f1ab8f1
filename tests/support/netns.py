# SPDX-License-Identifier: Apache-2.0
"""Network namespaces, programs that run in them, and that both go when the test program ends, however it ends."""

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

CLONE_NEWNET = 0x40000000

PASS_PROGRAM = """
#define SEC(name) __attribute__((section(name), used))
SEC("xdp") int other_pass(void *context) { return 2; }
char _license[] SEC("license") = "GPL";
"""

_open = []


def opened(place):
    """PLACE.close() is called when the program ends, also by SIGTERM, unless closed(PLACE) comes first."""
    _open.append(place)


def closed(place):
    """Whether PLACE was still open."""
    if place not in _open:
        return False
    _open.remove(place)
    return True


def close_all():
    for place in list(_open):
        place.close()


def _terminated(_number, _frame):
    """Unwinds, so that what the program held (a Popen's lock) is free when it cleans up. unittest lets this one through."""
    for each in (signal.SIGTERM, signal.SIGHUP):  # a second one must not end the cleaning up
        signal.signal(each, signal.SIG_IGN)
    raise KeyboardInterrupt


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


class Home:
    """A directory of a test's own with a BPF file system in it, and the namespaces that were made under it."""

    def __init__(self, prefix):
        self.home = pathlib.Path(tempfile.mkdtemp(prefix=prefix))
        self.bpffs = self.home / "bpf"
        self.namespaces = []
        opened(self)
        self.bpffs.mkdir()
        run("mount", "-t", "bpf", "bpf", self.bpffs)

    def namespace(self, name):
        namespace = Namespace(name, self.home)
        self.namespaces.append(namespace)
        return namespace

    def close(self):
        """Takes everything down; the second time does nothing."""
        if not closed(self):
            return
        for namespace in self.namespaces:
            namespace.remove()
        with open("/proc/self/mounts", encoding="utf-8") as mounts:
            mounted = [line.split()[1] for line in mounts if line.split()[1].startswith(f"{self.home}/")]
        for place in reversed(mounted):
            run("umount", "-l", place, check=False)
        shutil.rmtree(self.home, ignore_errors=True)
