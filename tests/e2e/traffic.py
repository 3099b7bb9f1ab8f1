# SPDX-License-Identifier: Apache-2.0
"""Datagrams whose number is known, frames as they pass by, and tunnels' far ends."""

import contextlib
import fcntl
import os
import select
import socket
import struct
import threading
import time

from topology import VIP4

ETH_P_ALL, SO_RCVBUFFORCE = 3, 33
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 1, 0x1000
IP_RECVERR, IPV6_RECVERR, IPV6_UNICAST_HOPS = 11, 25, 16
IPIP, IPV6_IN, UDP = 4, 41, 17


class UdpStream:
    """Datagrams from the client to ADDRESS, read at the backends: a window at a time, so that nothing on the way overflows."""

    def __init__(self, lab, address=VIP4, port=9000, backend_port=None, flows=1):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.senders, self.receivers = [], []
        for backend in lab.backends:
            with backend.namespace.inside():
                receiver = socket.socket(family, socket.SOCK_DGRAM)
            receiver.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 8 << 20)
            receiver.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            receiver.bind(("", backend_port or port))
            receiver.setblocking(False)
            self.receivers.append(receiver)
        self.received = [0] * len(self.receivers)
        for _ in range(flows):
            with lab.client.inside():
                sender = socket.socket(family, socket.SOCK_DGRAM)
            sender.connect((address, port))
            self.senders.append(sender)

    def drain(self):
        """Reads what came; how many."""
        total = 0
        buffer = bytearray(2048)
        for index, receiver in enumerate(self.receivers):
            take = receiver.recv_into
            count = 0
            with contextlib.suppress(BlockingIOError):
                while True:
                    take(buffer)
                    count += 1
            self.received[index] += count
            total += count
        return total

    def send(self, count, size=64, window=64, patience=2.0):
        """Sends COUNT datagrams with SIZE bytes of payload over all flows in turn; returns how many arrived."""
        payload = bytes(size)
        sends = [sender.send for sender in self.senders]
        arrived = sent = 0
        while sent < count:
            burst = min(window, count - sent)
            for number in range(sent, sent + burst):
                with contextlib.suppress(ConnectionError):
                    sends[number % len(sends)](payload)
            sent += burst
            arrived += self._await(burst, patience)
        return arrived

    def _await(self, expected, patience):
        got = self.drain()
        if got >= expected:
            return got
        deadline = time.monotonic() + patience
        while got < expected and time.monotonic() < deadline:
            select.select(self.receivers, [], [], 0.05)
            got += self.drain()
        return got

    def blast(self, count, size=64):
        """Sends COUNT datagrams as fast as it goes, whether anything takes them or not."""
        payload = bytes(size)
        for number in range(count):
            with contextlib.suppress(OSError):
                self.senders[number % len(self.senders)].send(payload)

    def close(self):
        for sock in self.senders + self.receivers:
            sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_exception):
        self.close()


class Frames:
    """Every frame that DEVICE of a namespace sends or receives."""

    def __init__(self, namespace, device="eth0"):
        with namespace.inside():
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        self.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 16 << 20)
        self.socket.bind((device, ETH_P_ALL))
        self.socket.setblocking(False)

    def take(self, outgoing=None):
        """Frames since the last time; OUTGOING chooses a direction."""
        frames = []
        with contextlib.suppress(BlockingIOError):
            while True:
                frame, address = self.socket.recvfrom(65536)
                if outgoing is None or (address[2] == socket.PACKET_OUTGOING) == outgoing:
                    frames.append(frame)
        return frames

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_exception):
        self.close()


def inner_packet(packet, gue_port):
    """What an IP packet of an ipip or GUE (variant 1) tunnel carries; None if it is no such packet."""
    version = packet[0] >> 4
    if version == 4:
        start, protocol = (packet[0] & 15) * 4, packet[9]
        packet = packet[:struct.unpack_from(">H", packet, 2)[0]]
    elif version == 6:
        start, protocol = 40, packet[6]
    else:
        return None
    if protocol in (IPIP, IPV6_IN):
        return packet[start:]
    if protocol == UDP and struct.unpack_from(">H", packet, start + 2)[0] == gue_port:
        return packet[start + 8:]
    return None


def joined(fragments, packet):
    """PACKET, if it is IPv4 and whole, or the packet that it completes among FRAGMENTS (a dict to keep between calls)."""
    if packet[0] >> 4 != 4:
        return packet
    length, ident, field = struct.unpack_from(">HHH", packet, 2)
    if not field & 0x3FFF:
        return packet
    header = (packet[0] & 15) * 4
    pieces = fragments.setdefault((packet[12:20], ident), {})
    pieces[(field & 0x1FFF) * 8] = (packet[header:length], field & 0x2000)
    payload = b""
    while len(payload) in pieces:
        piece, more = pieces[len(payload)]
        payload += piece
        if not more:
            del fragments[(packet[12:20], ident)]
            return packet[:2] + struct.pack(">HHH", header + len(payload), ident, 0) + packet[8:header] + payload
    return None


class TunnelEnd:
    """The end of ipip and GUE tunnels at a backend: takes the outer header off and lets the backend's kernel have the rest.

    In user space, over a TUN device, since kernels come without the tunnels' modules.
    """

    def __init__(self, backend, vips, gue_port=6080):
        self.backend, self.gue_port = backend, gue_port
        self.fragments = {}
        self.outer = []  # the last packets as they came, from the outer IP header on
        space = backend.namespace
        for vip in vips:
            space.ip("addr", "add", f"{vip}/{128 if ':' in vip else 32}", "dev", "lo", *(["nodad"] if ":" in vip else []))
        # GRO would join tunnelled segments and leave their checksum to be filled in; NAPI comes with the program
        space.run("ethtool", "-K", "eth0", "gro", "off")
        space.attach_other_program("eth0")
        # the kernel's own answer to a protocol that it does not know
        space.run("nft", "add table inet tunnel; add chain inet tunnel input { type filter hook input priority 0; }; "
                  f"add rule inet tunnel input meta l4proto {{ 4, 41 }} drop; "
                  f"add rule inet tunnel input udp dport {gue_port} drop")
        with space.inside():
            self.tun = os.open("/dev/net/tun", os.O_RDWR)
            fcntl.ioctl(self.tun, TUNSETIFF, struct.pack("16sH", b"tunnel", IFF_TUN | IFF_NO_PI))
            self.wire = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ALL))
        self.wire.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 16 << 20)
        self.wire.bind(("eth0", ETH_P_ALL))
        space.ip("link", "set", "tunnel", "up", "mtu", "9000")
        self.ends, self.ended = os.pipe()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        while True:
            ready, _, _ = select.select([self.wire, self.ends], [], [])
            if self.ends in ready:
                return
            try:
                packet, address = self.wire.recvfrom(65536)
            except OSError:  # the lab was closed first
                return
            if address[2] == socket.PACKET_OUTGOING or not packet:
                continue
            whole = joined(self.fragments, packet)
            inner = inner_packet(whole, self.gue_port) if whole else None
            if inner is None:
                continue
            self.outer.append(packet)
            del self.outer[:-64]
            os.write(self.tun, inner)

    def close(self):
        os.write(self.ended, b"x")
        self.thread.join(5)
        for descriptor in (self.ends, self.ended, self.tun):
            os.close(descriptor)
        self.wire.close()


def datagram_through(client, backend, address, payload, port=9000, timeout=3.0):
    """Sends PAYLOAD in one datagram from CLIENT to ADDRESS; what BACKEND got, None when nothing came."""
    six = socket.AF_INET6 if ":" in address else socket.AF_INET
    with backend.namespace.inside():
        receiver = socket.socket(six, socket.SOCK_DGRAM)
    with client.inside():
        sender = socket.socket(six, socket.SOCK_DGRAM)
    with receiver, sender:
        receiver.bind(("", port))
        receiver.settimeout(timeout)
        sender.sendto(payload, (address, port))
        with contextlib.suppress(TimeoutError):
            return receiver.recv(65536)
    return None


def icmp_error_about(namespace, address, hops, port=9000, timeout=3.0):
    """Sends a datagram with HOPS as its time to live. (type, code, sender) of the ICMP error that comes back, or None."""
    six = ":" in address
    with namespace.inside():
        sock = socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_DGRAM)
    with sock:
        level = socket.IPPROTO_IPV6 if six else socket.IPPROTO_IP
        sock.setsockopt(level, IPV6_UNICAST_HOPS if six else socket.IP_TTL, hops)
        sock.setsockopt(level, IPV6_RECVERR if six else IP_RECVERR, 1)
        sock.connect((address, port))
        sock.send(b"one hop")
        poller = select.poll()
        poller.register(sock, select.POLLERR)
        if not poller.poll(timeout * 1000):
            return None
        _, ancillary, _, _ = sock.recvmsg(2048, 512, socket.MSG_ERRQUEUE)
        for _, kind, data in ancillary:
            if kind == (IPV6_RECVERR if six else IP_RECVERR):
                error_type, code = data[5], data[6]
                offender = (socket.inet_ntop(socket.AF_INET6, data[24:40]) if six
                            else socket.inet_ntop(socket.AF_INET, data[20:24]))
                return error_type, code, offender
    return None


class Sink:
    """Takes TCP connections at a backend and answers each with the number of bytes it took before the client's FIN."""

    def __init__(self, backend, port=80):
        with backend.namespace.inside():
            self.socket = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.socket.accept()
                with connection, contextlib.suppress(ConnectionError):
                    count = 0
                    while data := connection.recv(1 << 18):
                        count += len(data)
                    connection.sendall(str(count).encode())

    def close(self):
        self.socket.close()


def upload(client, address, size, port=80, timeout=30):
    """Sends SIZE bytes over TCP; how many the sink took."""
    with client.inside():
        connection = socket.create_connection((address, port), timeout=timeout)
    with connection:
        connection.settimeout(timeout)
        connection.sendall(bytes(size))
        connection.shutdown(socket.SHUT_WR)
        return int(connection.recv(100))
