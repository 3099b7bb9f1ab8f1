// SPDX-License-Identifier: Apache-2.0
#include "control/replay/player.h"

#include <algorithm>

#include "dataplane/worker/split.h"

namespace sluice::replay {

namespace {

constexpr size_t headroom = 256;  // what XDP gives

}  // namespace

Result<Frame> Player::load(const CapturedPacket& packet) {
    if (free_.empty()) {
        free_.push_back(static_cast<u32>(buffers_.size()));
        buffers_.push_back(std::make_unique<Buffer>());
    }
    Frame frame;
    frame.tag = free_.back();
    free_.pop_back();
    Buffer& buffer = *buffers_[frame.tag];
    buffer.number = ++number_;
    buffer.time_ns = packet.time_ns;
    buffer.bytes.resize(headroom + packet.bytes.size());
    std::copy(packet.bytes.begin(), packet.bytes.end(), buffer.bytes.begin() + headroom);
    if (dpdk_ != nullptr) {
        Result<Frame> received = dpdk_->receive(ifindex_, packet.bytes);
        if (!received) return received.error().with_context(fmt::format("packet {}", number_));
        received->tag = frame.tag;
        return received;
    }
    frame.buffer = buffer.bytes.data();
    frame.data = frame.buffer + headroom;
    frame.end = frame.data + packet.bytes.size();
    frame.ifindex = ifindex_;
    return frame;
}

Status Player::play(const CapturedPacket& packet) {
    now_ns_ = std::max(now_ns_, packet.time_ns);
    node_.engine().expire(now_ns_, *this);
    Result<Frame> loaded = load(packet);
    if (!loaded) return loaded.error();
    Frame frame = *loaded;
    if (packet.bytes.size() >= sizeof(ethernet_header)) node_.set_station(frame.data);
    if (xdp_ != nullptr) {
        const Result<std::optional<Decision>> decided = xdp_->run(frame, now_ns_);
        if (!decided) return decided.error().with_context(fmt::format("packet {}", number_));
        if (decided->has_value()) {
            settle(frame, **decided, "xdp");
            return {};
        }
    }
    node_.engine().run({&frame, 1}, now_ns_, *this);
    return {};
}

void Player::write_pieces(Frame& frame, u32 mtu, u64 time_ns) {
    Split split(frame, mtu, ++identification_);
    if (split.count() == 0) return;
    std::vector<std::vector<u8>> pieces;
    for (u32 i = 1; i < split.count(); i++) {
        pieces.emplace_back(mtu + headroom);
        Frame piece;
        piece.data = pieces.back().data();
        split.write(i, piece);
        pieces.back().resize(static_cast<size_t>(piece.end - piece.data));
    }
    split.cut(frame);
    out_->write({frame.data, frame.end}, time_ns);
    for (const std::vector<u8>& piece : pieces) out_->write(piece, time_ns);
}

void Player::end() { node_.engine().flush(now_ns_, *this); }

void Player::settle(Frame& frame, const Decision& decision, const char* tier) {
    const Buffer& buffer = *buffers_[frame.tag];
    const u32 verdict = verdict_of(decision.word);
    if (dpdk_ != nullptr) {
        dpdk_->finish(frame, decision, [&](std::span<const u8> left) {
            if (out_ != nullptr) out_->write(left, buffer.time_ns);
        });
    } else if (out_ != nullptr && (verdict == VERDICT_FORWARD || verdict == VERDICT_REJECT)) {
        if (decision.split != 0)
            write_pieces(frame, decision.split, buffer.time_ns);
        else
            out_->write({frame.data, frame.end}, buffer.time_ns);
    }
    if (log_ != nullptr) log_->add(buffer.number, decision, tier);
    free_.push_back(frame.tag);
}

}  // namespace sluice::replay
