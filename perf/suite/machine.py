# SPDX-License-Identifier: Apache-2.0
"""What a figure depends on besides the code: machine, kernel, versions, load."""

import datetime
import os
import pathlib
import platform
import re
import shutil
import subprocess

# Of the kernel's command line, what bears on figures.
KERNEL_OPTIONS = re.compile(r"(?<!\S)(?:isolcpus|nohz_full|rcu_nocbs|mitigations|hugepages|hugepagesz|intel_iommu|iommu|idle|preempt)=\S+")
VERSIONS = {
    "gcc": ["g++", "-dumpfullversion"], "clang": ["clang-14", "--version"], "dpdk": ["pkg-config", "--modversion", "libdpdk"],
    "libbpf": ["pkg-config", "--modversion", "libbpf"], "haproxy": ["haproxy", "-v"], "nginx": ["nginx", "-v"],
    "nft": ["nft", "--version"], "iperf3": ["iperf3", "--version"], "ipvsadm": ["ipvsadm", "--version"],
}


def _first_line(command):
    if not shutil.which(command[0]):
        return None
    done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    lines = (done.stdout + done.stderr).strip().splitlines()
    return lines[0].strip() if lines else None


def _read(path):
    try:
        return pathlib.Path(path).read_text().strip()
    except OSError:
        return None


def commit():
    done = subprocess.run(["git", "describe", "--always", "--dirty", "--abbrev=7"], capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def facts():
    cpu = _read("/proc/cpuinfo") or ""
    model = re.search(r"model name\s*: (.*)", cpu)
    memory = re.search(r"MemTotal:\s+(\d+)", _read("/proc/meminfo") or "")
    now = datetime.datetime.now(datetime.timezone.utc)
    return {
        "date": f"{now:%Y-%m-%d %H:%M:%S} UTC", "commit": commit(), "kernel": platform.release(),
        "processor": model[1] if model else platform.machine(), "cores": os.cpu_count(),
        "numa_nodes": len(list(pathlib.Path("/sys/devices/system/node").glob("node[0-9]*"))),
        "memory_gb": round(int(memory[1]) / 1e6) if memory else None, "virtual": "hypervisor" in cpu,
        "load_before": os.getloadavg()[0], "huge_pages_2m": _read("/proc/sys/vm/nr_hugepages"),
        "bpf_stats_enabled": _read("/proc/sys/kernel/bpf_stats_enabled"), "kernel_options": KERNEL_OPTIONS.findall(_read("/proc/cmdline") or ""),
        "versions": {name: found for name, command in VERSIONS.items() if (found := _first_line(command))},
    }
