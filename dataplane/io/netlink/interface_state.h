// SPDX-License-Identifier: Apache-2.0
//
// What an operator has put on an interface, to be put on the one that takes its place: addresses, routes that
// leave by it, permanent neighbours. Kept as the kernel's own messages, so that nothing of them is lost on
// the way; only the interface's number is exchanged.
#pragma once

#include <vector>

#include "dataplane/base/result.h"
#include "dataplane/packet/target.h"

namespace sluice::netlink {

class InterfaceState {
public:
    InterfaceState() = default;

    // Without what the kernel makes by itself: link-local addresses, routes of the networks that addresses
    // are on, neighbours that were learned, and routes with several next hops.
    static Result<InterfaceState> of(u32 ifindex);

    // Puts all of it on another interface, which is up. The first refusal, when all was tried.
    Status restore(u32 ifindex) const;

    size_t size() const { return messages_.size(); }

private:
    std::vector<std::vector<u8>> messages_;  // in the order to be sent
};

}  // namespace sluice::netlink
