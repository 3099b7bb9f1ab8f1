// SPDX-License-Identifier: Apache-2.0
//
// What a worker asks of a port: one device's queue as one tier drives it. A concept, not a base class: a
// worker is a template over its ports, and its loop has no virtual call.
//
// Every buffer has one owner at a time. receive() gives frames to the caller; each of them goes back by
// send() (any port of the same worker, as they share their buffers) or release(). A port may have
// `bool allocate(Frame&)`, a free buffer with head room; over those without, a packet that must leave in
// fragments drops as transmit_full.
#pragma once

#include <concepts>
#include <span>

#include "dataplane/io/frame.h"

namespace sluice {

// What receives. Over ports that do no more, frames leave by packet sockets (packet_socket/packet_egress.h).
template <typename P>
concept Receiver = requires(P port, const P constant, std::span<Frame> frames, const Frame& frame) {
    typename P::Statistics;
    // Fills the first frames of the span; how many. 0 when nothing has arrived. Does not block.
    { port.receive(frames) } -> std::same_as<u32>;
    // The frame is not needed any more.
    { port.release(frame) } -> std::same_as<void>;
    // To be called before poll() on descriptor(): nothing is left to do that poll() does not wait for.
    { port.prepare_to_sleep() } -> std::same_as<void>;
    // Readable when a frame has arrived: for poll() by an idle worker. -1: this port can only be polled
    // busily.
    { constant.descriptor() } -> std::same_as<int>;
    // The device that it receives from.
    { constant.ifindex() } -> std::same_as<u32>;
    // Any thread.
    { constant.statistics() } -> std::same_as<typename P::Statistics>;
};

template <typename P>
concept Port = Receiver<P> && requires(P port, const Frame& frame) {
    // Takes a frame for transmission. False when the ring is full: the caller still owns the frame.
    { port.send(frame) } -> std::same_as<bool>;
    // Makes what was sent since the last call leave, and takes back the buffers of what has left.
    { port.flush() } -> std::same_as<void>;
};

}  // namespace sluice
