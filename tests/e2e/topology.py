# SPDX-License-Identifier: Apache-2.0
"""Network namespaces around one node, and programs that run in them.

    client (198.51.100.2, 2001:db8:c::2) --- cl0 node be1 --- backend 1 (10.0.1.2, 2001:db8:1::2)
                                                  be2 --- backend 2 (10.0.2.2, 2001:db8:2::2)

Namespaces, processes, mounts and files of a lab are its own, and go with it: when it is closed, when the test program
ends, and when SIGTERM ends it. Sending ends have checksum and segmentation offload off, since a packet that XDP forwards
takes along what its sender left for the hardware to do; receiving ends have GRO on, without which a veth has no NAPI and
takes no redirected frame.
"""

import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))

from netns import Home, run, stop, text_of, wait_until  # noqa: E402,F401

CLIENT4, CLIENT6 = "198.51.100.2", "2001:db8:c::2"
GATEWAY4, GATEWAY6 = "198.51.100.1", "2001:db8:c::1"
VIP4, VIP6 = "192.0.2.10", "2001:db8:a::10"


class Backend:
    def __init__(self, number, namespace):
        self.number, self.namespace = number, namespace
        self.address4, self.address6 = f"10.0.{number}.2", f"2001:db8:{number}::2"

    def address(self, family):
        return self.address4 if family == 4 else self.address6


class Lab(Home):
    """A client, a node and some backends; the daemon is started on the node by `daemon.Daemon`."""

    count = 0

    def __init__(self, backends=2, queues=1, backend_mtu=1500):
        Lab.count += 1
        self.tag = f"{os.getpid()}-{Lab.count}"
        self.queues = queues
        super().__init__("sl-e2e-")
        try:
            self._build(backends, backend_mtu)
        except BaseException:
            self.close()
            raise

    def _namespace(self, name):
        return self.namespace(f"sl-{name}-{self.tag}")

    def _build(self, backends, backend_mtu):
        self.client, self.node = self._namespace("client"), self._namespace("node")
        self.node.sysctl({"net.ipv4.ip_forward": 1, "net.ipv6.conf.all.forwarding": 1})
        self.wire(self.client, "cl0", CLIENT4, CLIENT6, GATEWAY4, GATEWAY6)
        self.backends = []
        for number in range(1, backends + 1):
            backend = Backend(number, self._namespace(f"backend{number}"))
            self.wire(backend.namespace, f"be{number}", backend.address4, backend.address6, f"10.0.{number}.1",
                      f"2001:db8:{number}::1", backend_mtu)
            self.backends.append(backend)
        self.resolve()

    def wire(self, namespace, device, address4, address6, node4, node6, mtu=1500):
        """A veth from the node's DEVICE to eth0 of NAMESPACE, whose default route it becomes."""
        queues = ["numrxqueues", str(self.queues), "numtxqueues", str(self.queues)]
        run("ip", "link", "add", device, "netns", self.node.name, "mtu", str(mtu), *queues, "type", "veth",
            "peer", "eth0", "netns", namespace.name, "mtu", str(mtu), *queues)
        for space, name, own4, own6 in ((self.node, device, node4, node6), (namespace, "eth0", address4, address6)):
            space.ip("addr", "add", f"{own4}/24", "dev", name)
            space.ip("addr", "add", f"{own6}/64", "dev", name, "nodad")
            space.ip("link", "set", name, "up")
            space.run("ethtool", "-K", name, "tx", "off", "tso", "off", "gso", "off", "gro", "on")
        namespace.ip("route", "add", "default", "via", node4)
        namespace.ip("route", "add", "default", "via", node6)

    def resolve(self):
        """Lets the node and its neighbours know each other."""
        targets = [CLIENT4, CLIENT6] + [b.address(f) for b in self.backends for f in (4, 6)]
        for target in targets:
            wait_until(lambda t=target: self.node.run("ping", "-c1", "-W1", t, check=False).returncode == 0,
                       f"{target} answers the node", 10)

    def program_id(self, device):
        """Of the XDP program on the node's DEVICE; None without one."""
        link = self.node.ip_json("link", "show", "dev", device)[0]
        return link.get("xdp", {}).get("prog", {}).get("id")


def xdp_mode(link):
    """native, generic or None, out of `ip -json link`."""
    modes = {1: "native", 2: "generic", 3: "offload", 4: "several"}
    return modes.get(link.get("xdp", {}).get("mode")) if "xdp" in link else None
