# SPDX-License-Identifier: Apache-2.0
"""What sluice costs a workload of one's own: rounds without it, without it once more, and with it, in turn (A/A/B).

The workload is a command. Its time, and its own CPU time, are measured; numbers in a JSON object that it prints last are
figures as well (fio, perf/round_trip and many others can). Sluice is started before each round with it, and stopped after.
"""

import argparse
import json
import os
import pathlib
import resource
import signal
import subprocess
import sys
import time

from suite import figures

LEAST_ROUNDS = 3


def numbers(text):
    """{key: value} of the last line that is a JSON object."""
    for line in reversed(text.strip().splitlines()):
        try:
            found = json.loads(line)
        except ValueError:
            continue
        if isinstance(found, dict):
            return {key: float(value) for key, value in found.items() if isinstance(value, (int, float)) and not isinstance(value, bool)}
    return {}


def run_workload(command):
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    done = subprocess.run(["sh", "-c", command], stdout=subprocess.PIPE, text=True, check=False)
    taken, after = time.monotonic() - begin, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise SystemExit(f"the workload ended with status {done.returncode}: {command}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"seconds": taken, "CPU seconds": cpu} | numbers(done.stdout)


def proc(pid, name, key):
    for line in pathlib.Path(f"/proc/{pid}/{name}").read_text().splitlines():
        if line.startswith(key):
            return int(line.split()[1])
    raise KeyError(key)


class Daemon:
    """The command, running from when it is ready until it is stopped by SIGTERM."""

    def __init__(self, command, ready):
        self.process = subprocess.Popen(["sh", "-c", f"exec {command}"], stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while subprocess.run(["sh", "-c", ready], capture_output=True, check=False).returncode:
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise SystemExit(f"not ready: {command}")
            time.sleep(0.1)

    def costs(self):
        ticks = sum(map(int, pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()[11:13]))
        return {"sluice's own CPU seconds": ticks / os.sysconf("SC_CLK_TCK"), "sluice's resident MB": proc(self.process.pid, "status", "VmRSS:") / 1024}

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(30)


def run_with(arguments):
    daemon = Daemon(arguments.sluice, arguments.ready)
    try:
        before = daemon.costs()["sluice's own CPU seconds"]
        found = run_workload(arguments.workload)
        costs = daemon.costs()
        costs["sluice's own CPU seconds"] -= before
        return found | costs
    finally:
        daemon.stop()


def judged(without, again, with_it):
    """(figure, medians of the three, difference as a share, noise, word)."""
    for key in with_it[0]:
        rows = [[one.get(key) for one in rounds] for rounds in (without, again, with_it)]
        if any(value is None for value in rows[0] + rows[1]):
            yield key, None, None, figures.series(key, rows[2])["median"], None, None, "only with sluice"
            continue
        a, a2, b = (figures.series(key, values) for values in rows)
        both = figures.series(key, rows[0] + rows[1])
        if not both["median"]:
            continue
        noise = max(abs(a2["median"] / a["median"] - 1) if a["median"] else 0, figures.spread(both["values"]) + figures.spread(b["values"]), figures.LEAST_NOISE)
        change = b["median"] / both["median"] - 1
        yield key, a["median"], a2["median"], b["median"], change, noise, "beyond the noise" if abs(change) > noise else "within the noise"


def main():
    parser = argparse.ArgumentParser(prog="perf/overhead.sh", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sluice", required=True, help="command that runs sluice, in the foreground: 'sluiced --detach --config FILE'")
    parser.add_argument("--ready", required=True, help="command that succeeds once it is ready: 'curl -fs localhost:8082/readyz'")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json")
    parser.add_argument("workload", help="one command, for sh")
    arguments = parser.parse_args()
    if arguments.rounds < LEAST_ROUNDS:
        parser.error(f"--rounds: expected {LEAST_ROUNDS} or more")
    run_workload(arguments.workload)  # warm-up
    rounds = {"without": [], "again": [], "with": []}
    for number in range(arguments.rounds):
        rounds["without"].append(run_workload(arguments.workload))
        rounds["again"].append(run_workload(arguments.workload))
        rounds["with"].append(run_with(arguments))
        print(f"round {number + 1} of {arguments.rounds}", file=sys.stderr)
    print("| figure | without | without, again | with sluice | difference | noise | |\n|---|---|---|---|---|---|---|")
    for key, a, a2, b, change, noise, word in judged(*rounds.values()):
        cells = [f"{value:.5g}" if value is not None else "" for value in (a, a2, b)]
        cells += [f"{change:+.1%}" if change is not None else "", f"{noise:.1%}" if noise is not None else "", word]
        print(f"| {key} | " + " | ".join(cells) + " |")
    if arguments.json:
        pathlib.Path(arguments.json).write_text(json.dumps(rounds, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
