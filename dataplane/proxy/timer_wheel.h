// SPDX-License-Identifier: Apache-2.0
//
// Deadlines of connections: a hashed wheel, 512 slots of 16 ms. What lies beyond its 8 s is looked at once
// per turn. A deadline is a hint: whoever is called asks the connection when it is really due, so that
// activity moves no timer.
#pragma once

#include <array>
#include <bit>

#include "dataplane/packet/target.h"

namespace sluice::proxy {

inline u64 to_ms(u64 ns) { return ns / 1'000'000; }

struct TimerNode {
    TimerNode* next = nullptr;
    TimerNode* previous = nullptr;  // not null: on the wheel
    u64 due = 0;                    // ms
    u32 slot = 0;
    bool datagrams = false;  // of a UDP session, not of a connection
};

class TimerWheel {
public:
    static constexpr u32 slots = 512;
    static constexpr u32 tick_ms = 16;

    explicit TimerWheel(u64 now_ms) : tick_(now_ms / tick_ms) {
        for (TimerNode& head : heads_) head.next = head.previous = &head;
    }
    TimerWheel(const TimerWheel&) = delete;
    TimerWheel& operator=(const TimerWheel&) = delete;

    void set(TimerNode& node, u64 due_ms) {
        remove(node);
        u64 tick = due_ms / tick_ms + 1;
        if (tick <= tick_) tick = tick_ + 1;
        if (tick >= tick_ + slots) tick = tick_ + slots - 1;
        node.due = due_ms;
        node.slot = static_cast<u32>(tick % slots);
        TimerNode& head = heads_[node.slot];
        node.next = &head;
        node.previous = head.previous;
        head.previous->next = &node;
        head.previous = &node;
        used_[node.slot / 64] |= 1ULL << (node.slot % 64);
    }

    void remove(TimerNode& node) {
        if (node.previous == nullptr) return;
        node.previous->next = node.next;
        node.next->previous = node.previous;
        node.next = node.previous = nullptr;
        if (heads_[node.slot].next == &heads_[node.slot])
            used_[node.slot / 64] &= ~(1ULL << (node.slot % 64));
    }

    // Calls `due` for each node whose time has come, taken off the wheel; the others of the slots passed are
    // put back. `due` may set and remove nodes.
    template <typename Due>
    void advance(u64 now_ms, Due&& due) {
        const u64 target = now_ms / tick_ms;
        if (target > tick_ + slots) tick_ = target - slots;
        while (tick_ < target) {
            ++tick_;
            TimerNode& head = heads_[tick_ % slots];
            TimerNode list;
            if (head.next == &head) continue;
            list.next = head.next;
            list.previous = head.previous;
            list.next->previous = &list;
            list.previous->next = &list;
            head.next = head.previous = &head;
            used_[tick_ % slots / 64] &= ~(1ULL << (tick_ % 64));
            while (list.next != &list) {
                TimerNode& node = *list.next;
                list.next = node.next;
                node.next->previous = &list;
                node.next = node.previous = nullptr;
                if (node.due <= now_ms)
                    due(node);
                else
                    set(node, node.due);
            }
        }
    }

    // Milliseconds until something may be due; -1: nothing is on the wheel.
    int wait_ms(u64 now_ms) const {
        for (u32 i = 0; i < slots;) {
            const u32 slot = static_cast<u32>((tick_ + 1 + i) % slots);
            const u64 word = used_[slot / 64] >> (slot % 64);
            if (word == 0) {
                i += 64 - slot % 64;
                continue;
            }
            i += static_cast<u32>(std::countr_zero(word));
            if (i >= slots) break;
            const u64 at = (tick_ + 1 + i) * tick_ms;
            return at <= now_ms ? 0 : static_cast<int>(at - now_ms);
        }
        return -1;
    }

private:
    u64 tick_;
    std::array<TimerNode, slots> heads_;
    std::array<u64, slots / 64> used_{};
};

}  // namespace sluice::proxy
