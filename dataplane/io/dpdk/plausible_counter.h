// SPDX-License-Identifier: Apache-2.0
//
// A counter of a network card, as far as it can be believed. Drivers add up 32-bit registers modulo 2^32:
// when a device is reset (a virtual function with its physical one) or gone (all its registers read as ones),
// that sum jumps by up to 2^32. No link carries so much in so short a time, by which such a step is known.
#pragma once

#include <string_view>

#include "dataplane/packet/target.h"

namespace sluice {

class PlausibleCounter {
public:
    // What a driver's value that is lower than the one before means.
    enum class Fall : u8 {
        begun_anew,  // the driver counts from zero again: the sum goes on
        value        // it may be no counter: the value is shown as it is
    };

    explicit PlausibleCounter(Fall fall = Fall::begun_anew) : fall_(fall) {}

    // The sum, now that the driver says `raw`. `most`: what it can have grown by since the last call.
    u64 take(u64 raw, u64 most) {
        const u64 sum = value();
        if (raw < raw_) {
            offset_ = fall_ == Fall::value ? 0 : sum;
            if (fall_ == Fall::begun_anew && raw > most) offset_ -= raw;
        } else if (raw - raw_ > most) {
            offset_ -= raw - raw_;
        }
        raw_ = raw;
        return value();
    }

    u64 value() const { return raw_ + offset_; }

private:
    Fall fall_;
    u64 raw_ = 0;
    u64 offset_ = 0;  // modulo 2^64
};

// What a link can have carried at most in a time, generously: a card does not update its registers at once.
struct LinkCapacity {
    u64 packets = ~u64{0};
    u64 bytes = ~u64{0};

    static LinkCapacity of(u64 mbps, u64 ns) {
        constexpr u64 margin = 2;
        constexpr u64 least_frame_bits = 84 * 8;  // on the wire, with preamble and gap
        constexpr u64 late_ns = 500'000'000;
        // 800 Gbit/s for a day are less than 2^64 bits
        const u64 bits = margin * mbps * ((ns + late_ns) / 1000);
        return {bits / least_frame_bits, bits / 8};
    }

    // By the statistic's name, of a driver.
    u64 of(std::string_view name) const {
        const bool in_bytes =
            name.find("bytes") != std::string_view::npos || name.find("octets") != std::string_view::npos;
        return in_bytes ? bytes : packets;
    }
};

}  // namespace sluice
