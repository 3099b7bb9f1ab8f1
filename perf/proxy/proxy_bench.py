#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""TCP proxies side by side: sluiced's epoll tier, HAProxy with splice-auto, nginx stream. Beside them, by name only, sluiced
with 10 and with 10,000 rules of policy: --only sluice-10-rules,sluice-10000-rules --tests rate.

    proxy_bench.py --sluiced PATH --load PATH [--udp-load PATH] [--rounds N] [--seconds S] [--only NAME,...] [--out FILE]

Each proxy is alone on core 1; client and server share core 0; three network namespaces joined by veth, offloads as
the kernel sets them. Subjects take turns within every round; figures are medians over rounds. CPU seconds are those of
all threads of the proxy's processes, by the scheduler's account.
"""

import argparse
import json
import os
import pathlib
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

VIP, CLIENT, NODE_C, NODE_S, SERVER = "10.61.0.1", "10.61.0.2", "10.61.0.1", "10.62.0.1", "10.62.0.2"
PORTS = {"bulk": (5201, 5201), "requests": (9000, 9000)}  # at the proxy, at the server
UDP_PORT = 9001
CLIENT_CORE, PROXY_CORE = "0", "1"


def run(*command, check=True, timeout=120):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False,
                          stdin=subprocess.DEVNULL, timeout=timeout)
    if check and done.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))}: {(done.stderr or done.stdout).strip()}")
    return done.stdout


class Lab:
    def __init__(self):
        self.home = pathlib.Path(tempfile.mkdtemp(prefix="sl-pp-"))
        self.tag = str(os.getpid())
        self.names = {kind: f"sl-pp-{kind}-{self.tag}" for kind in ("client", "node", "server")}
        self.processes = []

    def __enter__(self):
        for name in self.names.values():
            run("ip", "netns", "add", name)
            run("ip", "-n", name, "link", "set", "lo", "up")
        for kind, device, node, own in (("client", "c0", NODE_C, CLIENT), ("server", "s0", NODE_S, SERVER)):
            run("ip", "link", "add", device, "netns", self.names["node"], "type", "veth", "peer", "eth0",
                "netns", self.names[kind])
            run("ip", "-n", self.names["node"], "addr", "add", f"{node}/24", "dev", device)
            run("ip", "-n", self.names["node"], "link", "set", device, "up")
            run("ip", "-n", self.names[kind], "addr", "add", f"{own}/24", "dev", "eth0")
            run("ip", "-n", self.names[kind], "link", "set", "eth0", "up")
            run("ip", "-n", self.names[kind], "route", "add", "default", "via", node)
        for name in self.names.values():
            for key, value in (("net/ipv4/ip_local_port_range", "1024 65000"), ("net/ipv4/tcp_tw_reuse", "1"),
                               ("net/ipv4/tcp_max_syn_backlog", "8192"), ("net/core/somaxconn", "8192")):
                run("ip", "netns", "exec", name, "sh", "-c", f"echo '{value}' > /proc/sys/{key}")
        return self

    def command(self, kind, core, *command, realtime=True):
        priority = ["chrt", "-f", "5"] if realtime else []
        return ["nsenter", f"--net=/run/netns/{self.names[kind]}", *priority, "taskset", "-c", core, *map(str, command)]

    def spawn(self, kind, core, *command, realtime=True, env=None):
        log = open(self.home / f"{kind}.{len(self.processes)}.log", "wb")
        process = subprocess.Popen(self.command(kind, core, "setpriv", "--pdeathsig", "KILL", *command, realtime=realtime),
                                   stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={**os.environ, **(env or {})},
                                   start_new_session=True)
        self.processes.append(process)
        return process

    def end(self, process):
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(3)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def __exit__(self, *_exception):
        for process in self.processes:
            if process.poll() is None:
                process.kill()
                process.wait()
        for name in self.names.values():
            run("ip", "netns", "del", name, check=False)
        shutil.rmtree(self.home, ignore_errors=True)


def family(pid):
    """PID and its children."""
    found, queue = [], [pid]
    while queue:
        one = queue.pop()
        found.append(one)
        for task in pathlib.Path(f"/proc/{one}/task").glob("*/children"):
            queue += map(int, task.read_text().split())
    return found


def cpu_seconds(pid):
    total = 0
    for one in family(pid):
        for task in pathlib.Path(f"/proc/{one}/task").glob("*/schedstat"):
            total += int(task.read_text().split()[0])
    return total / 1e9


def memory_kib(pid):
    """PSS of PID and its children."""
    total = 0
    for one in family(pid):
        for line in pathlib.Path(f"/proc/{one}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1])
    return total


def rules(count):
    """Rules over sources, destinations and ports that no connection of the benchmark matches."""
    return [{"name": f"r{i}", "from": [f"172.{16 + i // 4096}.{i // 16 % 256}.{i % 16 * 16}/28"], "to": [f"10.{128 + i % 64}.0.0/16"],
             "protocol": "tcp", "ports": str(1 + i % 1000), "action": "drop"} for i in range(count)]


def sluice(lab, options, rule_count=0):
    path = lab.home / "sluice.yaml"
    services = [{"name": name, "vip": VIP, "protocol": "tcp", "ports": str(at), "mode": "proxy",
                 "backends": [{"address": SERVER, "port": to}]} for name, (at, to) in PORTS.items()]
    services.append({**services[0], "name": "datagrams", "protocol": "udp", "ports": str(UDP_PORT),
                     "backends": [{"address": SERVER, "port": UDP_PORT}]})
    path.write_text(json.dumps({"version": 1, "services": services, "policy": {"rules": rules(rule_count)}, "log": {"level": "warn"},
                                "metrics": {"listen": "127.0.0.1:8082"},
                                "control": {"socket": str(lab.home / "sluice.sock")},
                                "state": {"bpffs": str(lab.home / "bpf")}}))
    flags = {name: "false" for name in ("ENABLE_XDP", "ENABLE_AF_XDP", "ENABLE_DPDK")}
    return lab.spawn("node", PROXY_CORE, options.sluiced, "--config", path, env=flags)


def haproxy(lab, _options):
    path = lab.home / "haproxy.cfg"
    sections = "".join(f"listen {name}\n  bind {VIP}:{at}\n  server s {SERVER}:{to}\n" for name, (at, to) in PORTS.items())
    path.write_text(f"""\
global
  maxconn 9300
  maxpipes 500
  nbthread 1
  tune.pipesize 1048576
defaults
  mode tcp
  option splice-auto
  maxconn 9300
  timeout connect 5s
  timeout client 1h
  timeout server 1h
{sections}""")
    return lab.spawn("node", PROXY_CORE, "haproxy", "-db", "-f", path)


def nginx(lab, _options):
    path = lab.home / "nginx.conf"
    servers = "".join(f"  server {{ listen {VIP}:{at} backlog=4096; proxy_pass {SERVER}:{to}; proxy_timeout 1h; }}\n"
                      for at, to in PORTS.values())
    servers += f"  server {{ listen {VIP}:{UDP_PORT} udp; proxy_pass {SERVER}:{UDP_PORT}; }}\n"
    path.write_text(f"""\
load_module /usr/lib/nginx/modules/ngx_stream_module.so;
daemon off; worker_processes 1; pid {lab.home}/nginx.pid; error_log {lab.home}/nginx.log; worker_rlimit_nofile 20000;
user root;
events {{ worker_connections 19900; multi_accept on; }}
stream {{
{servers}}}
""")
    return lab.spawn("node", PROXY_CORE, "nginx", "-c", path, "-p", lab.home)


def direct(_lab, _options):
    return None


PEERS = {"sluice": sluice, "haproxy": haproxy, "nginx": nginx}
# Only by name: what authorization costs.
SUBJECTS = PEERS | {f"sluice-{count}-rules": lambda lab, options, count=count: sluice(lab, options, count) for count in (10, 10000)}


def wait_for(lab, address, port):
    for _ in range(100):
        probe = f"import socket; socket.create_connection(('{address}', {port}), 1).close()"
        if subprocess.run(lab.command("client", CLIENT_CORE, sys.executable, "-c", probe, realtime=False),
                          capture_output=True, check=False).returncode == 0:
            return
        time.sleep(0.05)
    told = "".join(path.read_text(errors="replace") for path in sorted(lab.home.glob("node*.log"))[-1:] + sorted(lab.home.glob("nginx.log")))
    raise RuntimeError(f"nothing listens at {address}:{port}\n{told}")


def bulk(lab, options, process, streams):
    for _ in range(5):  # the server may still be busy with a test that was cut off
        before = cpu_seconds(process.pid)
        end = json.loads(run(*lab.command("client", CLIENT_CORE, "iperf3", "-c", VIP, "-p", PORTS["bulk"][0], "-t", options.seconds,
                                          "-P", streams, "-J", realtime=False), check=False))["end"].get("sum_received")
        used = cpu_seconds(process.pid) - before
        if end:
            break
        time.sleep(1)
    return {"cpu_s_per_gb": used / (end["bytes"] / 1e9), "gbit_per_s": end["bits_per_second"] / 1e9}


def rate(lab, options, process):
    before = cpu_seconds(process.pid)
    got = json.loads(run(*lab.command("client", CLIENT_CORE, options.load, "rate", VIP, PORTS["requests"][0], options.seconds, 64)))
    used = cpu_seconds(process.pid) - before
    return {"per_second": got["per_second"], "failed": got["failed"], "cpu_us_each": used / max(got["connections"], 1) * 1e6}


def latency(lab, options, process, size):
    before = cpu_seconds(process.pid)
    got = json.loads(run(*lab.command("client", CLIENT_CORE, options.load, "latency", VIP, PORTS["requests"][0], options.seconds, 50,
                                      5000, size)))
    used = cpu_seconds(process.pid) - before
    return {name: got[name] for name in ("p50", "p99", "p999")} | {"cpu_us_each": used / max(got["samples"], 1) * 1e6}


def udp(lab, options, process):
    """Questions and answers of 64 bytes by 200 clients. HAProxy does not relay datagrams."""
    before = cpu_seconds(process.pid)
    got = json.loads(run(*lab.command("client", CLIENT_CORE, options.udp_load, "ask", VIP, UDP_PORT, options.seconds, 200)))
    used = cpu_seconds(process.pid) - before
    return {"per_second": got["per_second"], "lost": got["lost"], "cpu_us_each": used / max(got["answers"], 1) * 1e6}


def idle(lab, options, process):
    before = memory_kib(process.pid)
    holder = lab.spawn("client", CLIENT_CORE, options.load, "idle", VIP, PORTS["requests"][0], options.idle, 6)
    time.sleep(4)
    during = memory_kib(process.pid)
    lab.end(holder)
    return {"kib_before": before, "bytes_each": (during - before) * 1024 / options.idle}


TESTS = {
    "bulk1": lambda *a: bulk(*a, 1),
    "bulk10": lambda *a: bulk(*a, 10),
    "rate": rate,
    "latency1": lambda *a: latency(*a, 1),
    "latency1024": lambda *a: latency(*a, 1024),
    "idle": idle,
    "udp": udp,
}
WITHOUT = {("haproxy", "udp")}


def one_round(lab, options, subject, results):
    process = SUBJECTS[subject](lab, options)
    try:
        wait_for(lab, VIP, PORTS["requests"][0])
        wait_for(lab, VIP, PORTS["bulk"][0])
        time.sleep(0.3)
        for name in options.tests:
            if (subject, name) in WITHOUT:
                continue
            for key, value in TESTS[name](lab, options, process).items():
                results.setdefault(subject, {}).setdefault(name, {}).setdefault(key, []).append(value)
    finally:
        lab.end(process)
        time.sleep(0.2)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sluiced", required=True)
    parser.add_argument("--load", required=True)
    parser.add_argument("--udp-load", type=os.path.abspath, help="without it nothing is measured of UDP")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--idle", type=int, default=9000)
    parser.add_argument("--only", default=",".join(PEERS))
    parser.add_argument("--tests", default=",".join(TESTS), type=lambda text: text.split(","))
    parser.add_argument("--out")
    options = parser.parse_args()
    if isinstance(options.tests, str):
        options.tests = options.tests.split(",")
    options.sluiced, options.load = os.path.abspath(options.sluiced), os.path.abspath(options.load)
    if not options.udp_load:
        options.tests = [name for name in options.tests if name != "udp"]
    results = {}
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with Lab() as lab:
        lab.spawn("server", CLIENT_CORE, options.load, "serve", PORTS["requests"][1])
        lab.spawn("server", CLIENT_CORE, "iperf3", "-s", "-p", PORTS["bulk"][1], realtime=False)
        if options.udp_load:
            lab.spawn("server", CLIENT_CORE, options.udp_load, "serve", UDP_PORT)
        time.sleep(0.3)
        for number in range(options.rounds):
            subjects = options.only.split(",")
            for subject in subjects[number % len(subjects):] + subjects[:number % len(subjects)]:
                one_round(lab, options, subject, results)
    summary = {subject: {test: {key: statistics.median(values) for key, values in keys.items()} for test, keys in tests.items()}
               for subject, tests in results.items()}
    for test in options.tests:
        for subject, tests in summary.items():
            if test not in tests:
                continue
            print(f"{test:12} {subject:18} " + "  ".join(f"{key} {value:.4g}" for key, value in tests[test].items()))
    if options.out:
        pathlib.Path(options.out).write_text(json.dumps({"medians": summary, "all": results}, indent=1))


if __name__ == "__main__":
    main()
