# SPDX-License-Identifier: Apache-2.0
"""Builds and runs the named benchmarks, or all, and writes perf/results/<date>/results.json, README.md and plots."""

import argparse
import contextlib
import dataclasses
import json
import os
import pathlib
import subprocess
import sys
import tempfile

from suite import figures, machine, plots, report

PERF = pathlib.Path(__file__).resolve().parents[1]
PAGES = pathlib.Path("/proc/sys/vm/nr_hugepages")
PAGES_WANTED = 1300  # of 2 MB, for rte_hash
TOOLS = ("perf/generator/live-frames", "perf/generator/generator.bpf.o", "perf/round_trip/round-trip")
DAEMON, CONTROL = "control/sluiced/sluiced", "control/sluicectl/sluicectl"


@dataclasses.dataclass
class Benchmark:
    command: tuple       # {build}, {rounds} and {json} filled in
    targets: tuple       # what ninja makes first
    rounds: int
    alone: bool = False  # on a core of its own, before all else there
    root: bool = True
    pages: bool = False  # wants huge pages
    quick: tuple = ()    # more words with QUICK=1


def python(*words):
    return (sys.executable, *words)


LIVE = (DAEMON, *TOOLS)
LIVE_WORDS = ("--sluiced", "{build}/" + DAEMON, "--tools", "{build}/perf", "--rounds", "{rounds}", "--json", "{json}")
XDP_WORDS = ("--program", "{build}/bpf/sluice.bpf.o", "--front", "{build}/perf/xdp/front.bpf.o", "--rounds", "{rounds}", "--json", "{json}")
XDP_TARGETS = ("perf/xdp/xdp-program", "bpf/sluice.bpf.o", "perf/xdp/front.bpf.o")
SHORT = ("--seconds", "0.3")

BENCHMARKS = {
    "xdp": Benchmark(("{build}/perf/xdp/xdp-program", *XDP_WORDS), XDP_TARGETS, 15, alone=True, quick=("--only", "1 flow", "--packets", "20000")),
    "engine": Benchmark(("{build}/perf/engine/engine-bench", "--rounds", "{rounds}", "--json", "{json}"), ("perf/engine/engine-bench",), 11,
                        alone=True, root=False, quick=("--only", "1,000 flows", "--passes", "1")),
    "micro": Benchmark(python("{perf}/micro/micro.py", "--bench", "{build}/perf/micro/micro-bench", "--rounds", "{rounds}", "--json", "{json}"),
                       ("perf/micro/micro-bench",), 9, root=False),  # never real-time: EAL's threads and Python share its core
    "flow_table": Benchmark(("{build}/perf/flow_table/flow-table-bench", "--rounds", "{rounds}", "--json", "{json}"),
                            ("perf/flow_table/flow-table-bench",), 9, alone=True, root=False, pages=True),
    "live": Benchmark(python("{perf}/live/live_bench.py", *LIVE_WORDS), LIVE, 7, quick=("xdp",) + SHORT),
    "latency": Benchmark(python("{perf}/live/latency.py", *LIVE_WORDS), LIVE, 5, quick=SHORT),
    "topology": Benchmark(python("{perf}/live/topology.py", *LIVE_WORDS, "--load", "{build}/perf/proxy/proxy-load"),
                          (*LIVE, "perf/proxy/proxy-load"), 5, quick=SHORT),
    "growth": Benchmark(("{build}/perf/growth/growth-bench", "--rounds", "{rounds}", "--json", "{json}"), ("perf/growth/growth-bench",), 5,
                        alone=True, root=False, quick=("--most", "1000")),
    "dpdk": Benchmark(python("{perf}/dpdk/dpdk_bench.py", "--bench", "{build}/perf/dpdk/dpdk-bench", "--sluiced", "{build}/" + DAEMON,
                             "--rounds", "{rounds}", "--json", "{json}"), (DAEMON, "perf/dpdk/dpdk-bench"), 5, quick=("--only", "net_ring: sluice")),
    "control": Benchmark(python("{perf}/control/figures.py", "--sluiced", "{build}/" + DAEMON, "--sluicectl", "{build}/" + CONTROL, "--tools",
                                "{build}/perf", "--rounds", "{rounds}", "--json", "{json}"), (*LIVE, CONTROL), 5, quick=("start", "scrape")),
    "proxy": Benchmark(python("{perf}/proxy/proxy_bench.py", "--sluiced", "{build}/" + DAEMON, "--load", "{build}/perf/proxy/proxy-load",
                              "--rounds", "{rounds}", "--out", "{json}"), (DAEMON, "perf/proxy/proxy-load"), 5,
                       quick=("--seconds", "1", "--tests", "rate", "--only", "sluice")),
}


def from_proxy(document):
    """proxy_bench.py has a shape of its own: {"all": {subject: {test: {key: [values]}}}}."""
    return {"unit": "", "series": [figures.series(f"{test}: {subject}, {key}", values) for subject, tests in document["all"].items()
                                   for test, keys in tests.items() for key, values in keys.items()]}


@contextlib.contextmanager
def huge_pages(wanted):
    before = PAGES.read_text()
    if wanted and os.geteuid() == 0:
        PAGES.write_text(str(max(PAGES_WANTED, int(before))))
    try:
        yield
    finally:
        if wanted and os.geteuid() == 0:
            PAGES.write_text(before)


def command_of(benchmark, build, core, rounds, target, quick):
    names = {"build": build, "perf": PERF, "rounds": rounds, "json": target}
    words = [word.format(**names) for word in (*benchmark.command, *(benchmark.quick if quick else ()))]
    ahead = []
    if benchmark.alone:
        ahead = [*(["chrt", "-f", "5"] if os.geteuid() == 0 else []), "taskset", "-c", str(core)]
    return [*ahead, *words]


def run_one(name, build, core, rounds, quick, folder):
    """None, or why it was left out."""
    benchmark = BENCHMARKS[name]
    if benchmark.root and os.geteuid() != 0:
        return f"{name}: needs root"
    made = subprocess.run(["ninja", "-C", build, *benchmark.targets], check=False, stdout=subprocess.DEVNULL)
    if made.returncode:
        return f"{name}: not built; {' '.join(benchmark.targets)} failed, or a library is missing"
    print(f"== {name}", flush=True)
    target = folder / f"{name}.json"
    with huge_pages(benchmark.pages):
        done = subprocess.run(command_of(benchmark, build, core, 2 if quick else rounds or benchmark.rounds, target, quick), check=False,
                              env={**os.environ, "PYTHONPATH": str(PERF)})
    if done.returncode:
        raise SystemExit(f"{name}: ended with status {done.returncode}")
    if name == "proxy":
        target.write_text(json.dumps(from_proxy(json.loads(target.read_text()))))
    return None


def write(document, folder):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.json").write_text(json.dumps(document, indent=1))
    made = plots.draw(document, folder)
    text = report.markdown(document, made)
    (folder / "README.md").write_text(text)
    print(text)
    print(f"written: {folder}/results.json, README.md{''.join(', ' + name for name in made)}")


def main():
    parser = argparse.ArgumentParser(prog="perf/run.sh", description=__doc__)
    parser.add_argument("benchmark", nargs="*", choices=[[], *BENCHMARKS], help="all when none is named")
    parser.add_argument("--build", default=os.environ.get("BUILD", "build-perf"), help="build directory")
    parser.add_argument("--core", default=os.environ.get("CORE", "1"), help="where benchmarks without a network run")
    parser.add_argument("--rounds", type=int, help="instead of each benchmark's own number")
    parser.add_argument("--results", default=PERF / "results", type=pathlib.Path)
    arguments = parser.parse_args()
    build, quick = pathlib.Path(arguments.build).resolve(), bool(os.environ.get("QUICK"))
    if not (build / "build.ninja").exists():
        subprocess.run(["meson", "setup", build], check=True, stdout=subprocess.DEVNULL)
    facts, left_out = machine.facts(), []
    facts["quick"] = quick
    with tempfile.TemporaryDirectory(prefix="sl-perf-") as home:
        for name in arguments.benchmark or BENCHMARKS:
            why = run_one(name, build, arguments.core, arguments.rounds, quick, pathlib.Path(home))
            if why:
                print(f"left out: {why}", file=sys.stderr)
                left_out.append(why)
        document = report.document_of(facts, pathlib.Path(home), left_out)
    write(document, arguments.results / facts["date"].removesuffix(" UTC").replace(" ", "T").replace(":", ""))
    return 0 if document["scenarios"] else 1


if __name__ == "__main__":
    sys.exit(main())
