// SPDX-License-Identifier: Apache-2.0
#include "control/compile/interest_builder.h"

#include <algorithm>
#include <iterator>

namespace sluice::compile {

namespace {

void set_bit(u64* bits, u32 bit) { bits[bit / 64] |= 1ULL << (bit % 64); }

// Does the prefix lie in what one bit stands for? The look-up takes every address whose first 64 bits are
// zero for an IPv4 one, whose bit comes from bits 96 to 111; any other's comes from its first 48.
bool has_one_bit(const PrefixKey& prefix) {
    if (prefix.length >= 112) return true;
    const bool may_look_like_v4 = prefix.length >= 64 ? prefix.high == 0 : prefix.high >> 16 == 0;
    return prefix.length >= 48 && !may_look_like_v4;
}

void add_all(struct interest& interest) {
    std::fill(std::begin(interest.prefixes), std::end(interest.prefixes), ~0ULL);
}

}  // namespace

void interest_add(struct interest& interest, const PrefixKey& prefix) {
    const struct address first = prefix.address();
    if (prefix.length == 128) {
        set_bit(interest.hosts, interest_host_bit(&first));
    } else if (has_one_bit(prefix)) {
        set_bit(interest.prefixes, interest_prefix_bit(&first));
    } else if (prefix.is_v4()) {
        // All /16 inside a shorter prefix; their numbers are in the bits the prefix leaves open.
        const u32 open = 112U - prefix.length;
        for (u64 i = 0; i < 1ULL << open; ++i) {
            const PrefixKey inside{0, prefix.low | i << 16, 112};
            const struct address a = inside.address();
            set_bit(interest.prefixes, interest_prefix_bit(&a));
        }
    } else {
        add_all(interest);
    }
}

Interests find_interests(const config::Config& config) {
    Interests interests;
    for (const config::Service& service : config.services) {
        interest_add(interests.destination, PrefixKey::of(service.vip));
        if (service.mode != config::Mode::nat && service.mode != config::Mode::fullnat) continue;
        for (const config::Backend& backend : service.backends) {
            interest_add(interests.source, PrefixKey::of(backend.address));
        }
    }
    for (const config::Prefix& prefix : config.policy.managed) {
        interest_add(interests.destination, PrefixKey::of(prefix));
    }
    for (const config::TunnelEndpoint& endpoint : config.tunnels) {
        interest_add(interests.destination, PrefixKey::of(endpoint.address));
    }
    return interests;
}

}  // namespace sluice::compile
