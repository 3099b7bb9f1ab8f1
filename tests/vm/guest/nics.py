# SPDX-License-Identifier: Apache-2.0
"""What programs in the guest have in common: NICs by name, modules, results."""

import os
import pathlib
import subprocess
import sys
import time

TREE = pathlib.Path(__file__).resolve().parents[3]
sys.path += [str(TREE / "tests/scripts"), str(TREE / "tests/e2e"), str(TREE / "tests/vm")]
RESULTS = pathlib.Path("/run/results")
NET = pathlib.Path("/sys/class/net")
DRIVERS = ("virtio_net", "igb", "igbvf", "e1000e", "vmxnet3")


def run(*command, check=True, timeout=120, **options):
    """Raises RuntimeError when it fails, unless CHECK is off, and subprocess.TimeoutExpired after TIMEOUT seconds."""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False,
                          stdin=subprocess.DEVNULL, timeout=timeout, **options)
    if check and done.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))}: {done.stderr or done.stdout}")
    return done


def load_drivers():
    """Loads them and gives each NIC the name that its MAC address stands for: "v0", "i1"."""
    for driver in DRIVERS:
        run("modprobe", driver, check=False)
    time.sleep(0.5)
    for device in list(NET.iterdir()):
        address = (device / "address").read_text().strip().split(":")
        if address[:4] != ["52", "54", "00", "00"]:
            continue
        run("ip", "link", "set", device.name, "down")
        run("ip", "link", "set", device.name, "name", f"{chr(int(address[4], 16))}{int(address[5])}")


def pci(name):
    """The PCI device of a NIC, as a path; a virtio device's is one up."""
    device = (NET / name / "device").resolve()
    return device if (device / "numa_node").exists() else device.parent


def mac_of(name):
    return (NET / name / "address").read_text().strip()


def node_of(name):
    return int((pci(name) / "numa_node").read_text())


def wait_carrier(*names, timeout=20):
    """Until they are up: igb, among others, starts its port again when a program is attached."""
    deadline = time.monotonic() + timeout
    while any((NET / name / "operstate").read_text().strip() != "up" for name in names):
        if time.monotonic() > deadline:
            raise AssertionError(f"no carrier on {names} within {timeout} s")
        time.sleep(0.05)


def set_link(name, state, timeout=30):
    """The host takes a NIC off its wire ("off") or puts it on again ("on")."""
    asked = RESULTS / "link"
    asked.with_suffix(".new").write_text(f"{name} {state}")
    asked.with_suffix(".new").rename(asked)
    deadline = time.monotonic() + timeout
    while asked.exists():
        if time.monotonic() > deadline:
            raise AssertionError(f"the host did not set the link of {name} {state} within {timeout} s")
        time.sleep(0.05)


def main():
    """Runs the module's unittest cases and leaves TAP for the host. Anything else it says is on the console."""
    import tap
    sys.stdout.flush()
    with open(RESULTS / "tap", "w", encoding="utf-8") as file:
        os.dup2(file.fileno(), 1)
        tap.main()
