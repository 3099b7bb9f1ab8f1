# SPDX-License-Identifier: Apache-2.0
"""What a packet costs a tier while the control side is asked for much: flows listed, metrics scraped, packets captured.

On two cores generator, node and control share what there is, so it is not packets per second that tell but what one packet costs
whoever forwards it: CPU time of the NAPI thread under the XDP program, time that an AF_XDP worker calls busy per frame. The generator
is paced, so that there is time left for the control side.
"""

import contextlib
import json
import subprocess
import threading
import time

from lab import Lab, Path, Sluiced, cpu_ns, inside, run, wait_until
from live_bench import first_on_core
from suite import figures

FLOWS, KNOWN, TABLE = 1_100_000, 1_000_000, 1 << 21
RATE = 200_000


class Side:
    """A path with a daemon on it, a million flows in its table, and traffic that goes on."""

    def __init__(self, lab, tier, arguments):
        self.tier, self.sluicectl = tier, arguments.sluicectl
        self.path = Path(lab, f"b{tier[0]}", threaded=tier == "xdp")
        if tier == "af_xdp":
            self.path.poll_busily()
        self.daemon = Sluiced(self.path, arguments.sluiced, f"[{tier}]", poll="busy" if tier == "af_xdp" else "adaptive",
                              port=18085 if tier == "xdp" else 18086, flows=TABLE)
        if tier == "af_xdp":
            first_on_core(self.daemon.process)
        self.fill(lab)
        self.traffic = self.path.start_traffic(FLOWS, RATE)
        time.sleep(0.7)

    def ctl(self, *words):
        return [self.sluicectl, "--socket", f"{self.path.lab.home}/{self.path.name}.sock", *words]

    def status(self):
        return json.loads(run(*self.ctl("--json", "status")))

    def fill(self, lab):
        traffic = self.path.start_traffic(FLOWS, 3 * RATE)
        try:
            wait_until(lambda: self.status()["flow_table"]["live"] >= KNOWN, f"{KNOWN} flows are known", 120)
        finally:
            lab.stop(traffic, 2)

    def spent(self):
        """(ns spent on packets, packets) so far."""
        if self.tier == "xdp":
            (task, process), = self.path.napi()
            return cpu_ns(task, process), self.path.arrived()[1]
        worker, = self.status()["workers"]
        return worker["busy_seconds"] * 1e9, worker["frames"]

    def stop(self):
        self.path.lab.stop(self.traffic, 2)
        self.daemon.stop()

    # --- what goes on meanwhile, each until `ended` is set ---

    def _again(self, ended, *command):
        """COMMAND over and over; what is under way at the end is cut off."""
        while not ended.is_set():
            with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
                while process.poll() is None and not ended.wait(0.05):
                    pass
                process.kill()

    def nothing(self, ended):
        ended.wait()

    def list_flows(self, ended):
        self._again(ended, *self.ctl("--json", "flows", "--all"))

    def scrape(self, ended):
        self._again(ended, *inside(self.path.node, "curl", "-fsS", "-o", "/dev/null", f"http://127.0.0.1:{self.daemon.port}/metrics"))

    def _capture(self, ended, *words):
        with subprocess.Popen(self.ctl("capture", "--write", "/dev/null", *words), stderr=subprocess.PIPE) as capture:
            ended.wait()
            capture.send_signal(2)

    def capture(self, ended):
        self._capture(ended)

    def capture_filtered(self, ended):
        self._capture(ended, "tcp port 1")


WORK = {"at rest": Side.nothing, "flows listed": Side.list_flows, "metrics scraped": Side.scrape, "every packet captured": Side.capture,
        "captured with a filter that matches none": Side.capture_filtered}


@contextlib.contextmanager
def meanwhile(side, work):
    ended = threading.Event()
    thread = threading.Thread(target=work, args=(side, ended), daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(120)


def cost(side, work, seconds):
    """ns per packet while WORK goes on."""
    with meanwhile(side, work):
        time.sleep(0.5)
        spent, packets = side.spent()
        time.sleep(seconds)
        spent_then, packets_then = side.spent()
    if packets_then - packets < 1000:
        raise RuntimeError(f"{side.tier}: {packets_then - packets} packets in {seconds} s")
    return (spent_then - spent) / (packets_then - packets)


def measure(arguments):
    rows = []
    for tier in ("xdp", "af_xdp"):
        with Lab(arguments.tools) as lab:
            side = Side(lab, tier, arguments)
            try:
                found = figures.interleaved(WORK, arguments.rounds, lambda work: cost(side, work, arguments.seconds))
                begin = time.monotonic()
                subprocess.run(side.ctl("--json", "flows", "--limit", "10000"), stdout=subprocess.DEVNULL, check=True)
                listing = time.monotonic() - begin
            finally:
                side.stop()
        rows += [figures.series(f"{tier}, 1 M flows, {name}, ns", values) for name, values in found.items()]
        rows += [figures.series(f"{tier}, 1 M flows, {name} / at rest", [one / rest for one, rest in zip(values, found["at rest"], strict=True)])
                 for name, values in found.items() if name != "at rest"]
        rows.append(figures.series(f"{tier}, a page of 10,000 flows beside traffic, ms", [listing * 1e3]))
    return rows
