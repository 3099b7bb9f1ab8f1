// SPDX-License-Identifier: Apache-2.0
#include "dataplane/io/packet_socket/packet_port.h"

namespace sluice {

bool PacketPort::allocate(Frame& frame) {
    frame.ifindex = ring_.ifindex();
    return buffers_.take(frame);
}

// Into a buffer. False: nothing has arrived.
bool PacketPort::take(Frame& frame) {
    while (packet_.left() == 0) {
        KernelPacket next;
        if (!ring_.next(next)) return false;
        packet_ = WireFrames(next);
        if (packet_.left() == 0) {
            ring_.count.unreadable.add(1);
        } else if (packet_.longest() > buffers_.max_frame_length()) {
            ring_.count.too_long.add(packet_.left());
            packet_ = {};
        } else {
            ring_.count.joined.add(packet_.several() ? 1 : 0);
            ring_.count.tagged.add(next.tag_type != 0 ? packet_.left() : 0);
            ring_.count.checksums.add(packet_.finishes_checksum() ? 1 : 0);
        }
    }
    packet_.write(frame);
    return true;
}

u32 PacketPort::receive(std::span<Frame> frames) {
    u32 count = 0;
    while (count < frames.size() && allocate(frames[count])) {
        if (!take(frames[count])) {
            release(frames[count]);
            break;
        }
        ++count;
    }
    ring_.count.frames.add(count);
    return count;
}

}  // namespace sluice
