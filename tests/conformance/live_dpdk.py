# SPDX-License-Identifier: Apache-2.0
"""Carries a script out on a running daemon whose eth0 and eth1 are DPDK ports, net_pcap over veth.

    wire namespace: w0, w1 ---- veth ---- node namespace: v0, v1, net_pcap, sluiced, eth0 and eth1: the ports' exception devices

What passes turns up at an exception device. It has the node's addresses, and the kernel would answer: nothing gets further
than the packet socket that looks at it. A third interface has the XDP program, so that flows lie in pinned maps.
"""

import re

from live import SPARE, Daemon, LiveExecutor, Network, received, with_spare

MUTE = "add table netdev {0}; add chain netdev {0} mute {{ type filter hook ingress device {0} priority 0; policy drop; }}"


class DpdkNetwork(Network):
    near = "v"

    def __init__(self):
        super().__init__()
        self.add_spare()
        for number in (0, 1):
            self.mute(f"{self.near}{number}")

    def mute(self, device):
        self.node.run("nft", MUTE.format(device))

    def passed(self):
        return received(self.stack, besides=(self.near, SPARE))


class DpdkDaemon(Daemon):
    def __init__(self, *words):
        super().__init__(*words)
        for number in (0, 1):
            self.network.mute(f"eth{number}")

    def asking_for(self, tier, config):
        def port(found):
            number = found[1]
            return (f"name: eth{number}, tiers: [dpdk], dpdk: {{ device: 'net_pcap{number},rx_iface_in=v{number},tx_iface=v{number}', "
                    "host_path: tap }")

        return with_spare(re.sub(r"name: eth(\d), tiers: auto", port, config))


class LiveDpdkExecutor(LiveExecutor):
    make_network, make_daemon = DpdkNetwork, DpdkDaemon
