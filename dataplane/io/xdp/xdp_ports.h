// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "dataplane/base/result.h"
#include "dataplane/tables/node.h"

namespace sluice {

// The node's table of ports: the perfect hash from (device, VLAN) to port numbers, changed under the packet
// path's eyes. A packet in between finds its port where it was or where it will be; only with more than some
// twenty ports may it find none (and pass to the host) for the instant of a change.
class PortTable {
public:
    explicit PortTable(node_state& node) : node_(node) {}

    // Port `number` (1 to NODE_PORTS - 1) becomes `port`; (ifindex, vlan) may belong to one port only.
    Status set(u8 number, const node_port& port);
    // Frames of its device and tag are nobody's from here on. A number not in use is fine.
    void clear(u8 number);

private:
    struct Key {
        u32 ifindex;
        u16 vlan;
        u8 port;
    };
    std::vector<Key> keys(u8 without) const;
    bool place(const std::vector<Key>& keys);

    node_state& node_;
};

}  // namespace sluice
