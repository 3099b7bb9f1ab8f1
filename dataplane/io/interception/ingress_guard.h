// SPDX-License-Identifier: Apache-2.0
//
// Keeps the kernel's stack from packets that a packet ring shows: the ring gets a copy, and what becomes of a
// packet is decided once. An nftables chain at the interfaces' ingress, behind packet sockets and before
// everything else, drops all that arrives except what carries the mark of packets that the engine has passed;
// that mark is taken off there.
//
// The table goes with the process (NftCommands): when the daemon is killed the host is reachable again at
// once.
#pragma once

#include <set>
#include <string>

#include "dataplane/io/interception/nft_commands.h"
#include "dataplane/packet/target.h"

namespace sluice {

// The bit of a packet's mark that says: passed by the engine.
inline constexpr u32 mark_passed = 0x0080'0000;

// The table as a command for nft; without the line that would replace an earlier one.
std::string ingress_table_text(const std::string& name, const std::set<std::string>& interfaces,
                               const std::string& policy = "drop");

class IngressGuard {
public:
    // Whether the kernel takes such a table: one that lets everything through, for a moment.
    static Status probe(const std::string& interface);

    // Of these interfaces, which exist, nothing unmarked reaches the stack; of others, everything. In one
    // transaction.
    Status set(const std::set<std::string>& interfaces);

private:
    NftCommands nft_{"the table that keeps packets from the kernel's stack"};
    std::string name_;
    bool there_ = false;
};

}  // namespace sluice
