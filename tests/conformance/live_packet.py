# SPDX-License-Identifier: Apache-2.0
"""Carries a script out on a running daemon that takes the frames of eth0 and eth1 from packet sockets.

Packet sockets see all that arrives, as the socket of this test does: what the engine passes shows at the device by which it
goes back to the stack. A third interface has the XDP program, so that flows lie in pinned maps.
"""

from live import SPARE, Daemon, LiveExecutor, Network, received, with_spare


class PacketNetwork(Network):
    def __init__(self):
        super().__init__()
        self.add_spare()

    def passed(self):
        return received(self.stack, besides=(self.near, SPARE))


class PacketDaemon(Daemon):
    def asking_for(self, tier, config):
        return with_spare(super().asking_for(tier, config))


class LivePacketExecutor(LiveExecutor):
    make_network, make_daemon = PacketNetwork, PacketDaemon
