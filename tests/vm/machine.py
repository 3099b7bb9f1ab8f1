# SPDX-License-Identifier: Apache-2.0
"""A QEMU guest: two NUMA nodes, an emulated IOMMU, and pairs of NICs with one of each pair on either node.

The guest runs a program of this tree, which it sees over 9p at the same path as the host does (tests/vm/init), and the
two NICs of a pair are wired to each other inside QEMU, so that nothing of the host's network is touched and root is not
needed. Names in the guest: the pair's letter and 0 or 1, by MAC address (tests/vm/guest/nics.py).
"""

import ctypes
import contextlib
import dataclasses
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
CACHE = pathlib.Path(os.environ.get("SLUICE_VM_CACHE") or pathlib.Path.home() / ".cache/sluice-vm")
QEMU = "qemu-system-x86_64"
# Letter and device of each pair. virtio-net takes XDP sockets without a copy only behind an IOMMU.
VIRTIO = ("virtio-net-pci", "iommu_platform=on,ats=on,disable-legacy=on")
NICS = {"v": VIRTIO, "w": VIRTIO, "i": ("igb", ""), "j": ("igb", ""), "e": ("e1000e", ""), "x": ("vmxnet3", "")}


def kernels():
    """Versions in the cache, oldest first."""
    found = [path.parent.name for path in CACHE.glob("*/initrd")] if CACHE.is_dir() else []
    return sorted(found, key=lambda version: [int(part) for part in version.split("+")[0].replace("-", ".").split(".")])


def missing():
    """Why no guest can be started; empty: one can."""
    if not shutil.which(QEMU):
        return f"{QEMU} is not installed (scripts/test-vm.sh --fetch)"
    have = subprocess.run([QEMU, "-device", "help"], capture_output=True, text=True, check=False).stdout
    if 'name "igb"' not in have:
        return f"{QEMU} has no igb: expected version 8.0 or newer (scripts/test-vm.sh --fetch)"
    if not kernels():
        return f"no kernel in {CACHE} (scripts/test-vm.sh --fetch)"
    return ""


@dataclasses.dataclass
class Guest:
    kernel: str
    program: str  # in this tree
    nics: str = "vi"  # letters of NICS
    cpus: int = 4
    memory: int = 1024  # MiB per node
    huge_pages: int = 64  # of 2 MiB per node
    timeout: int = 660  # seconds
    environment: dict = dataclasses.field(default_factory=dict)

    def command(self, results, ramdisk):
        half = self.cpus // 2
        accel = "kvm" if os.environ.get("SLUICE_VM_KVM") else "tcg,thread=multi,tb-size=512"
        line = ["console=ttyS0,115200", "panic=-1", "quiet", "intel_iommu=on", "hugepagesz=2M",
                f"hugepages=0:{self.huge_pages},1:{self.huge_pages}", "nokaslr", "mitigations=off", "audit=0", "no_timer_check", "tsc=reliable",
                "clocksource=tsc", "random.trust_cpu=on", f"sluice.run={HERE / self.program}"]
        line += [f"sluice.env.{name}={value}" for name, value in self.environment.items()]
        place = CACHE / self.kernel
        return [QEMU, "-name", f"sluice-{self.kernel}", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
                "-machine", "q35,hpet=off", "-accel", accel, "-cpu", "max,la57=off",
                "-device", "intel-iommu,intremap=on,caching-mode=on",
                "-smp", f"{self.cpus},sockets=2,cores={half},threads=1", "-m", f"{2 * self.memory}M",
                "-object", f"memory-backend-ram,id=m0,size={self.memory}M",
                "-object", f"memory-backend-ram,id=m1,size={self.memory}M",
                "-numa", f"node,nodeid=0,cpus=0-{half - 1},memdev=m0",
                "-numa", f"node,nodeid=1,cpus={half}-{self.cpus - 1},memdev=m1", "-numa", "dist,src=0,dst=1,val=21",
                "-kernel", str(place / "vmlinuz"), "-initrd", str(ramdisk), "-append", " ".join(line),
                "-serial", "stdio", "-monitor", "none", "-qmp", f"unix:{results}/qmp,server=on,wait=off", "-device", "virtio-rng-pci",
                "-fsdev", "local,id=root,path=/,security_model=none,readonly=on,multidevs=remap",
                "-device", "virtio-9p-pci,fsdev=root,mount_tag=hostroot",
                "-fsdev", f"local,id=results,path={results},security_model=none,multidevs=remap",
                "-device", "virtio-9p-pci,fsdev=results,mount_tag=results", *self.wires()]

    def wires(self):
        """One PCI expander per node, a root port for each NIC, so that it has a node and an IOMMU group of its own."""
        words = ["-device", "pxb-pcie,id=px0,bus=pcie.0,bus_nr=64,numa_node=0",
                 "-device", "pxb-pcie,id=px1,bus=pcie.0,bus_nr=128,numa_node=1"]
        for pair, letter in enumerate(self.nics):
            device, settings = NICS[letter]
            for side in (0, 1):
                number = 2 * pair + side + 1
                words += ["-device", f"pcie-root-port,id=rp{number},bus=px{side},chassis={number},slot={number},addr={number}.0",
                          "-netdev", f"hubport,id=n{number},hubid={pair + 1}",
                          "-device", f"{device},netdev=n{number},bus=rp{number},mac={mac(letter, side)}"
                                     f"{',' + settings if settings else ''}"]
        return words

    def serve_links(self, results):
        """Does what the guest asks for in its file "link", "i0 off": takes a NIC off its wire, or puts it on again."""
        asked = results / "link"
        if not asked.exists():
            return
        name, state = asked.read_text().split()
        number = 2 * self.nics.index(name[0]) + int(name[1]) + 1
        with socket.socket(socket.AF_UNIX) as monitor, monitor.makefile("r") as answers:
            monitor.connect(str(results / "qmp"))
            answers.readline()  # its greeting
            for command, arguments in (("qmp_capabilities", {}), ("set_link", {"name": f"n{number}", "up": state == "on"})):
                monitor.sendall(json.dumps({"execute": command, "arguments": arguments}).encode())
                while not {"return", "error"} & json.loads(answers.readline()).keys():
                    pass  # events
        asked.unlink()  # for the guest: it is done

    def run(self):
        """Boots, runs the program, powers off. (Its status or None, what it left in /run/results by name, console)."""
        results = pathlib.Path(tempfile.mkdtemp(prefix="sl-vm-"))
        begun = time.monotonic()
        console = tempfile.TemporaryFile()
        ramdisk = tempfile.NamedTemporaryFile(prefix="sl-vm-")
        ramdisk.write((CACHE / self.kernel / "initrd").read_bytes() + archive("init", (HERE / "init").read_bytes()))
        ramdisk.flush()
        process = subprocess.Popen(self.command(results, ramdisk.name), stdin=subprocess.DEVNULL, stdout=console,
                                   stderr=subprocess.STDOUT, preexec_fn=_quietly)
        try:
            while process.poll() is None and time.monotonic() - begun < self.timeout:
                with contextlib.suppress(ValueError):  # half written
                    self.serve_links(results)
                time.sleep(0.1)
        finally:
            process.kill()
            process.wait()
        console.seek(0)
        text = console.read().decode(errors="replace").replace("\r", "")
        left = {path.name: path.read_text(errors="replace") for path in results.iterdir() if path.is_file()}
        shutil.rmtree(results, ignore_errors=True)
        status = left.pop("status", "").strip()
        return (int(status) if status else None), left, f"{text}\n({time.monotonic() - begun:.0f} s)"


def archive(name, content):
    """A cpio archive of one executable file (kernel: driver-api/early-userspace/buffer-format): /init is this tree's."""
    def entry(path, mode, data):
        fields = [1, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(path) + 1, 0]
        head = b"070701" + b"".join(b"%08x" % field for field in fields) + path + b"\0"
        return head + bytes(-len(head) % 4) + data + bytes(-len(data) % 4)
    return entry(name.encode(), 0o100755, content) + entry(b"TRAILER!!!", 0, b"")


def _quietly():
    """For the child: it gives way to others, and dies with this program, however that ends."""
    os.nice(5)
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def mac(letter, side):
    return f"52:54:00:00:{ord(letter):02x}:{side:02x}"
