# SPDX-License-Identifier: Apache-2.0
"""A generator, a device under test and a sink, each in a namespace of its own.

    sl-perf-gen: gX ---- X0 :sl-perf-NAME: X1 ---- sX :sl-perf-sink

Core 0 generates and drains, core 1 forwards, both before all else on the machine (SCHED_FIFO). NAPI runs in threads, so
that its CPU time can be read and its core chosen. Every lab removes what it made when it is closed, or when SIGTERM ends the program.
"""

import contextlib
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

NODE_MAC0, NODE_MAC1, SINK_MAC, CLIENT_MAC = "02:00:00:00:00:01", "02:00:00:00:00:03", "02:00:00:00:00:02", "02:00:00:00:00:09"
VIP, BACKEND, PORT = "192.0.2.10", "10.0.1.2", 53
NODE, CLIENT = "198.51.100.1", "198.51.100.2"  # of a path, on the generator's side
OTHER_CORE, TEST_CORE = 0, 1
STATISTICS = pathlib.Path("/proc/sys/kernel/bpf_stats_enabled")


def run(*command, check=True):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False,
                          stdin=subprocess.DEVNULL)
    if check and done.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))}: {(done.stderr or done.stdout).strip()}")
    return done.stdout


def inside(namespace, *command):
    """COMMAND for NAMESPACE; it keeps the mounts, which `ip netns exec` would not."""
    return ["nsenter", f"--net=/run/netns/{namespace}", *map(str, command)]


def write_in(namespace, path, value):
    run("ip", "netns", "exec", namespace, "sh", "-c", f"echo {value} > {path}")


def wait_until(condition, what, timeout=15.0):
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError(f"not within {timeout:g} s: {what}")
        time.sleep(0.05)


def thread_named(prefix):
    """The id of the kernel thread whose name begins with PREFIX, or None."""
    for comm in pathlib.Path("/proc").glob("[0-9]*/comm"):
        with contextlib.suppress(OSError):
            if comm.read_text().startswith(prefix):
                return int(comm.parent.name)
    return None


def cpu_ns(task, process=None):
    """CPU time of a thread so far."""
    return int(pathlib.Path(f"/proc/{process or task}/task/{task}/schedstat").read_text().split()[0])


class Lab:
    def __init__(self, tools):
        self.tools = tools  # the build's perf/
        self.home = pathlib.Path(tempfile.mkdtemp(prefix="sl-perf-"))
        self.processes, self.namespaces = [], []
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        self.statistics = STATISTICS.read_text()

    def __enter__(self):
        STATISTICS.write_text("0")  # two clock readings per run of a program, of which nftables has none
        for namespace in ("sl-perf-gen", "sl-perf-sink"):
            self.add_namespace(namespace)
        run("ip", "-n", "sl-perf-gen", "address", "add", f"{CLIENT}/32", "dev", "lo")
        return self

    def __exit__(self, *_):
        for process in reversed(self.processes):
            self.stop(process)
        for namespace in self.namespaces:
            run("ip", "netns", "del", namespace, check=False)
        STATISTICS.write_text(self.statistics)
        shutil.rmtree(self.home, ignore_errors=True)

    def add_namespace(self, name):
        run("ip", "netns", "add", name)
        self.namespaces.append(name)
        for key in ("ipv6/conf/default/disable_ipv6", "ipv6/conf/all/disable_ipv6"):
            write_in(name, f"/proc/sys/net/{key}", 1)
        run("ip", "-n", name, "link", "set", "lo", "up")

    def spawn(self, namespace, *command, core=OTHER_CORE, **options):
        process = subprocess.Popen(["taskset", "-c", str(core), *inside(namespace, "setpriv", "--pdeathsig", "KILL", *command)],
                                   **options)
        self.processes.append(process)
        return process

    def stop(self, process, number=signal.SIGTERM):
        if process in self.processes:
            self.processes.remove(process)
        if process.poll() is None:
            process.send_signal(number)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def live_frames(self, *words):
        return [f"{self.tools}/generator/live-frames", "--object", f"{self.tools}/generator/generator.bpf.o", *words]


class Path:
    """One device under test between generator and sink, with devices <name>0 and <name>1.

    `threaded`: they receive in NAPI threads of their own. Without, whoever polls busily does it, else the generator's core.
    """

    def __init__(self, lab, name, threaded=True):
        self.lab, self.name = lab, name
        self.node = f"sl-perf-{name}"
        lab.add_namespace(self.node)
        ends = ((f"{name}0", NODE_MAC0, f"g{name}", CLIENT_MAC, "sl-perf-gen"),
                (f"{name}1", NODE_MAC1, f"s{name}", SINK_MAC, "sl-perf-sink"))
        for near, near_mac, far, far_mac, other in ends:
            run("ip", "link", "add", near, "netns", self.node, "address", near_mac, "type", "veth",
                "peer", far, "netns", other, "address", far_mac)
            for namespace, device in ((self.node, near), (other, far)):
                run("ip", "-n", namespace, "link", "set", device, "up")
        for near, _, far, _, other in ends:
            for namespace, device in ((self.node, near), (other, far)):
                run(*inside(namespace, "ethtool", "-K", device, "gro", "on", "tx", "off"))  # GRO gives a veth its NAPI
                if threaded or other == "sl-perf-sink" and namespace == other:
                    write_in(namespace, f"/sys/class/net/{device}/threaded", 1)
        write_in(self.node, "/proc/sys/net/ipv4/ip_forward", 1)  # without it the kernel's fib answers no XDP program
        for namespace, device in ((self.node, "all"), (self.node, f"{name}0"), (self.node, f"{name}1"), ("sl-perf-gen", "all"), ("sl-perf-gen", f"g{name}")):
            write_in(namespace, f"/proc/sys/net/ipv4/conf/{device}/rp_filter", 0)
        ip = ["ip", "-n", self.node]
        run(*ip, "address", "add", f"{NODE}/24", "dev", f"{name}0")
        run(*ip, "neighbor", "add", CLIENT, "lladdr", CLIENT_MAC, "dev", f"{name}0", "nud", "permanent")
        run("ip", "-n", "sl-perf-gen", "neighbor", "add", NODE, "lladdr", NODE_MAC0, "dev", f"g{name}", "nud", "permanent")
        run(*ip, "address", "add", "10.0.1.1/24", "dev", f"{name}1")
        run(*ip, "neighbor", "add", BACKEND, "lladdr", SINK_MAC, "dev", f"{name}1", "nud", "permanent")
        run(*ip, "route", "add", "11.0.0.0/8", "via", CLIENT)
        self.sink = lab.spawn("sl-perf-sink", *lab.live_frames("sink", "--device", f"s{name}"),
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.arrived()
        self.pin()

    def pin(self):
        """Receives on the core under test; the sink on the other one. Again after anything that makes NAPI anew."""
        for device, core, priority in ((f"{self.name}0", TEST_CORE, 5), (f"{self.name}1", TEST_CORE, 5),
                                       (f"s{self.name}", OTHER_CORE, 6), (f"g{self.name}", OTHER_CORE, 6)):  # above the generator, which never rests
            thread = thread_named(f"napi/{device}-")
            if thread:
                run("taskset", "-pc", core, thread)
                run("chrt", "-f", "-p", priority, thread)

    def arrived(self):
        """Time in ns, and packets at the sink so far."""
        self.sink.stdin.write("\n")
        self.sink.stdin.flush()
        return tuple(map(int, self.sink.stdout.readline().split()))

    def lead_client(self):
        """What an application beside the generator sends to the VIP goes this way from here on."""
        run("ip", "-n", "sl-perf-gen", "route", "replace", VIP, "via", NODE, "dev", f"g{self.name}", "onlink", "src", CLIENT)

    def poll_busily(self):
        """NAPI waits for whoever polls its sockets. Before anything polls."""
        for device in (f"{self.name}0", f"{self.name}1"):
            write_in(self.node, f"/sys/class/net/{device}/napi_defer_hard_irqs", 2)
            write_in(self.node, f"/sys/class/net/{device}/gro_flush_timeout", 200000)

    def start_traffic(self, flows, rate=0):
        """RATE packets per second; 0: as fast as one core makes them."""
        # The kernel gives real-time tasks 950 ms of a second: who generates without rest would stop all round trips for the others.
        ahead = ("nice", "-n", "-20") if rate else ("chrt", "-f", "5")
        words = self.lab.live_frames("send", "--device", f"g{self.name}", "--to-mac", NODE_MAC0, "--destination", VIP, "--port", PORT,
                                     "--flows", flows, "--rate", rate)
        return self.lab.spawn("sl-perf-gen", *ahead, *words)

    def measure(self, flows, seconds, tasks):
        """Packets per second at the sink, and CPU ns per packet of TASKS, (thread, process) pairs."""
        traffic = self.start_traffic(flows)
        try:
            time.sleep(0.7)
            begin, packets = self.arrived()
            spent = sum(cpu_ns(*task) for task in tasks)
            time.sleep(seconds)
            end, packets_then = self.arrived()
            spent = sum(cpu_ns(*task) for task in tasks) - spent
            if traffic.poll() is not None:
                raise RuntimeError(f"the generator ended with status {traffic.returncode}")
        finally:
            self.lab.stop(traffic, signal.SIGINT)
        if packets_then - packets < 100:
            raise RuntimeError(f"{self.name}: {packets_then - packets} packets came through in {seconds} s")
        return (packets_then - packets) * 1e9 / (end - begin), spent / (packets_then - packets)

    def napi(self):
        thread = thread_named(f"napi/{self.name}0-")
        if thread is None:
            raise RuntimeError(f"{self.name}0 has no NAPI thread")
        return [(thread, thread)]


class Sluiced:
    """A daemon on a path's two devices: one nat service, routes by the kernel."""

    def __init__(self, path, program, tiers, poll="adaptive", port=18083, flows=131072):
        self.lab, self.path, self.port = path.lab, path, port
        self.pins = pathlib.Path(f"/sys/fs/bpf/sl-perf-{path.name}-{os.getpid()}")
        config = path.lab.home / f"{path.name}.yaml"
        config.write_text(f"""version: 1
interfaces:
  - {self.interface(0, tiers)}
  - {self.interface(1, tiers)}
workers: {{ cores: "{TEST_CORE}", poll: {poll} }}
policy:
  default: allow
  sets: {{ bogons: {{ prefixes: [198.18.0.0/15, 240.0.0.0/4] }} }}
  rules:
    - {{ name: no-bogons, from: ["set:bogons"], action: drop }}
    - {{ name: dns, to: [{VIP}/32], protocol: udp, ports: "{PORT}", action: allow }}
services:
  - {{ name: dns, vip: {VIP}, protocol: udp, ports: "{PORT}", mode: nat, backends: [{{ address: {BACKEND}, port: 5353 }}] }}
tables: {{ flows: {flows} }}
metrics: {{ listen: "127.0.0.1:{port}" }}
control: {{ socket: {path.lab.home}/{path.name}.sock }}
state: {{ bpffs: {self.pins} }}
""")
        self.log = path.lab.home / f"{path.name}.log"
        with open(self.log, "wb") as log:
            self.process = path.lab.spawn(path.node, program, "--config", config, "--detach", core=f"{OTHER_CORE},{TEST_CORE}",
                                          stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            wait_until(self.is_ready, "sluiced is ready", 60)
        except RuntimeError as error:
            raise RuntimeError(f"{error}\n{self.log.read_text()[-3000:]}") from None
        path.pin()

    def interface(self, number, tiers):
        name = f"{self.path.name}{number}"
        device = f", dpdk: {{ device: 'net_af_xdp{number},iface={name}', host_path: tap }}" if "dpdk" in tiers else ""
        return f"{{ name: {name}, tiers: {tiers}{device} }}"

    def is_ready(self):
        if self.process.poll() is not None:
            raise RuntimeError(f"sluiced ended with status {self.process.returncode}")
        return subprocess.run(inside(self.path.node, "curl", "-fsS", "-m", "2", f"http://127.0.0.1:{self.port}/readyz"),
                              capture_output=True, check=False).returncode == 0

    def stop(self):
        self.lab.stop(self.process)
        shutil.rmtree(self.pins, ignore_errors=True)
