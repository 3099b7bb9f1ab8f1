# SPDX-License-Identifier: Apache-2.0
"""sluiced on a lab's node, its configuration, and what it says of itself."""

import http.client
import json
import os
import signal
import subprocess

from topology import run, stop, text_of, wait_until  # also puts tests/support on the path

from metrics import Metrics

PROGRAMS = {"sluiced": os.environ.get("SLUICED", "build/control/sluiced/sluiced"),
            "sluicectl": os.environ.get("SLUICECTL", "build/control/sluicectl/sluicectl")}
METRICS_PORT = 8082
FLAGS = ("ENABLE_XDP", "ENABLE_AF_XDP", "ENABLE_DPDK", "ENABLE_EBPF", "ENABLE_NUMA")


class Daemon:
    """One configuration and the process on it. `config` is a mapping; it is written as JSON, which is YAML."""

    def __init__(self, lab, config=None, flags=None, arguments=(), name="sluice"):
        self.lab, self.flags, self.arguments, self.name = lab, dict(flags or {}), list(arguments), name
        self.path = lab.home / f"{name}.yaml"
        self.socket = lab.home / f"{name}.sock"
        self.process = None
        self.config = config or {}
        self.write()

    def write(self, config=None):
        """Puts a configuration (the same again, without CONFIG) into the file; reload() or a start takes it up."""
        if config is not None:
            self.config = config
        whole = {"version": 1, "interfaces": interfaces(self.lab),
                 "tables": {"flows": 16384, "sources": 64, "services": 64, "backends": 64, "fragments": 64},
                 "metrics": {"listen": f"127.0.0.1:{METRICS_PORT}"}, "control": {"socket": str(self.socket)},
                 "state": {"bpffs": str(self.lab.bpffs / "sluice")}, "log": {"level": "debug"}}
        whole.update(self.config)
        self.path.write_text(json.dumps(whole, indent=2))

    def environment(self):
        # libxdp keeps its dispatchers under a directory of its own
        environment = {"LIBXDP_BPFFS": str(self.lab.bpffs)}
        environment.update({flag: "auto" for flag in FLAGS})
        environment.update(self.flags)
        return environment

    def launch(self):
        """Starts without waiting for anything."""
        self.process = self.lab.node.spawn(PROGRAMS["sluiced"], "--config", self.path, *self.arguments, name=self.name,
                                           env=self.environment())
        return self

    def start(self, timeout=20):
        self.launch()
        wait_until(self._ready, "sluiced is ready", timeout)
        return self

    def _ready(self):
        if self.process.poll() is not None:
            raise AssertionError(f"sluiced ended with status {self.process.returncode}:\n{self.log()}")
        try:
            return self.http("/readyz")[0] == 200
        except OSError:
            return False

    def refused(self, timeout=20):
        """Starts what is expected to end by itself: its status and log."""
        self.launch()
        try:
            return self.process.wait(timeout), self.log()
        except subprocess.TimeoutExpired:
            raise AssertionError(f"sluiced runs, though it should refuse to:\n{self.log()}") from None

    def log(self):
        return text_of(self.process)[-6000:] if self.process else ""

    def http(self, path):
        """Status and text."""
        with self.lab.node.inside():
            connection = http.client.HTTPConnection("127.0.0.1", METRICS_PORT, timeout=5)
            try:
                connection.request("GET", path)
                answer = connection.getresponse()
                return answer.status, answer.read().decode()
            finally:
                connection.close()

    def metrics(self):
        status, text = self.http("/metrics")
        assert status == 200, f"/metrics answered {status}"
        return Metrics(text)

    def ctl(self, *words, check=True):
        return self.lab.node.run(PROGRAMS["sluicectl"], "--socket", self.socket, *words, check=check)

    def ctl_json(self, *words):
        return json.loads(self.ctl("--json", *words).stdout)

    def interface(self, name):
        return next(i for i in self.ctl_json("status")["interfaces"] if i["name"] == name)

    def tier(self, interface, tier):
        return next((t for t in self.interface(interface)["tiers"] if t["tier"] == tier), None)

    def reload(self, config, check=True):
        self.write(config)
        return self.ctl("reload", check=check)

    def stop(self):
        return stop(self.process, signal.SIGTERM)

    def kill(self):
        self.process.kill()
        self.process.wait()


def interfaces(lab, tiers=None, **settings):
    """Entries for all of the node's interfaces."""
    names = ["cl0"] + [f"be{backend.number}" for backend in lab.backends]
    return [{"name": name, **({"tiers": tiers} if tiers else {}), **settings} for name in names]


def service(lab, name="web", family=4, protocol="tcp", ports="80", mode="nat", port=None, **settings):
    """A service on the VIP with all of the lab's backends."""
    backends = [{"address": b.address(settings.get("outer", family))} | ({"port": port} if port else {})
                for b in lab.backends]
    settings.pop("outer", None)
    return {"name": name, "vip": "192.0.2.10" if family == 4 else "2001:db8:a::10", "protocol": protocol, "ports": ports,
            "mode": mode, "backends": backends, **settings}


def check(path):
    """`sluicectl config check`: status and what it said."""
    done = run(PROGRAMS["sluicectl"], "config", "check", path, check=False)
    return done.returncode, done.stdout + done.stderr
