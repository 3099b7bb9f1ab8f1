# SPDX-License-Identifier: Apache-2.0
"""A lab whose node takes its packets by DPDK: the same client and backends, behind virtual devices of every kind.

    client eth0 --- w0 | virtual device of the node's port p0 | sluiced | p1, p2 | w1, w2 --- eth0 of the backends

The node's ends of the veths, w0 ..., have no addresses: the ports' exception devices p0 ... have them.
"""

import os
import shutil

from daemon import Daemon, interfaces
from topology import CLIENT4, CLIENT6, GATEWAY4, GATEWAY6, Backend, Lab, run, wait_until

# Kinds whose far end is another process, which carries frames between it and the veth
BY_TESTPMD = {"memif": ("net_memif{n},role=server,id=0,socket={home}/memif{n}.sock,socket-abstract=no",
                        "net_memif{n},role=client,id=0,socket={home}/memif{n}.sock,socket-abstract=no"),
              "virtio_user": ("net_vhost{n},iface={home}/vhost{n}.sock",
                              "net_virtio_user{n},path={home}/vhost{n}.sock,queues=1,mac={mac}")}


class DpdkLab(Lab):
    def __init__(self, kind, backends=2):
        self.kind = kind
        self.testpmd = None
        super().__init__(backends=backends)

    def _build(self, backends, backend_mtu):
        self.client, self.node = self._namespace("client"), self._namespace("node")
        self.backends = [Backend(number, self._namespace(f"backend{number}")) for number in range(1, backends + 1)]
        ends = [(self.client, CLIENT4, CLIENT6, GATEWAY4, GATEWAY6)]
        ends += [(b.namespace, b.address4, b.address6, f"10.0.{b.number}.1", f"2001:db8:{b.number}::1") for b in self.backends]
        self.ends = ends
        if self.kind != "tap":
            for number, (namespace, *_) in enumerate(ends):
                self._veth(number, namespace)
            if self.kind in BY_TESTPMD:
                self.start_testpmd()
        if self.kind != "tap":
            self.configure_ends()

    def _veth(self, number, namespace):
        device = self.device(number)
        run("ip", "link", "add", device, "netns", self.node.name, "type", "veth", "peer", "eth0", "netns", namespace.name)
        self.node.sysctl({f"net.ipv6.conf.{device}.disable_ipv6": 1})
        # A packet socket gets a copy; the node's stack must not answer its own.
        self.node.run("nft", f"add table netdev {device}; add chain netdev {device} mute {{ type filter hook ingress device "
                      f"{device} priority 0; policy drop; }}")
        for space, name in ((self.node, device), (namespace, "eth0")):
            space.ip("link", "set", name, "up")
            space.run("ethtool", "-K", name, "tx", "off", "tso", "off", "gso", "off", "gro", "off", "rxvlan", "off",
                      "txvlan", "off", check=False)

    def configure_ends(self):
        """Addresses and routes of client and backends."""
        for namespace, own4, own6, node4, node6 in self.ends:
            namespace.ip("addr", "replace", f"{own4}/24", "dev", "eth0")
            namespace.ip("addr", "replace", f"{own6}/64", "dev", "eth0", "nodad")
            namespace.ip("link", "set", "eth0", "up")
            namespace.run("ethtool", "-K", "eth0", "tx", "off", "tso", "off", "gso", "off", check=False)
            namespace.ip("route", "replace", "default", "via", node4)
            namespace.ip("route", "replace", "default", "via", node6)

    def device(self, number):
        return f"w{number}"

    def start_testpmd(self):
        """The other process: carries frames between each veth and the far end of a port."""
        device, _ = BY_TESTPMD[self.kind]
        vdevs = []
        for number in range(len(self.ends)):
            vdevs += ["--vdev", f"net_af_packet{number},iface={self.device(number)}"]
            vdevs += ["--vdev", device.format(n=number, home=self.home)]
        self.testpmd = self.node.spawn(
            "dpdk-testpmd", "-l", "0,1", "--main-lcore", "1", "--no-pci", "--no-huge", "-m", "256", "--no-shconf",
            "--file-prefix", f"sl-{self.tag}", "--no-telemetry", *vdevs, "--", "--forward-mode=io", "--stats-period", "60",
            "--auto-start", "--total-num-mbufs=16384", "--no-lsc-interrupt", name="testpmd")
        self.addresses_of_testpmd = [self.home / (f"memif{n}.sock" if self.kind == "memif" else f"vhost{n}.sock")
                                     for n in range(len(self.ends))]
        wait_until(lambda: all(path.exists() for path in self.addresses_of_testpmd),
                   "testpmd listens", 20)

    def close(self):
        super().close()
        shutil.rmtree(f"/run/dpdk/sl-{self.tag}", ignore_errors=True)  # testpmd leaves it

    def vdev(self, number):
        """What the node's port is made of."""
        if self.kind == "af_packet":
            return f"net_af_packet{number},iface={self.device(number)}"
        if self.kind == "tap":
            return f"net_tap{number},iface={self.device(number)}"
        return BY_TESTPMD[self.kind][1].format(n=number, home=self.home, mac=f"02:00:00:00:01:{number:02x}")

    def dpdk_interfaces(self, **settings):
        found = []
        for number, (_, _, _, node4, node6) in enumerate(self.ends):
            found.append({"name": f"p{number}", "tiers": ["dpdk"], "addresses": [f"{node4}/24", f"{node6}/64"],
                          "dpdk": {"device": self.vdev(number), "host_path": "tap"}, **settings})
        return found

    def after_start(self):
        """What can be done once the daemon has made its devices."""
        if self.kind == "tap":
            for number, (namespace, *_) in enumerate(self.ends):
                wait_until(lambda n=number: self.node.run("ip", "link", "show", self.device(n), check=False).returncode == 0,
                           f"the far end of p{number}")
                self.node.ip("link", "set", self.device(number), "netns", namespace.name)
                namespace.ip("link", "set", self.device(number), "name", "eth0")
            self.configure_ends()
        self.resolve()


def missing():
    """Why no lab can be made; None if one can."""
    if os.geteuid() != 0:
        return "needs root for network namespaces"
    if not shutil.which("dpdk-testpmd"):
        return "needs dpdk-testpmd (package dpdk-dev)"
    return None


__all__ = ["Daemon", "DpdkLab", "interfaces", "missing"]
