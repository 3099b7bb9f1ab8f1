// SPDX-License-Identifier: Apache-2.0
//
// The nftables table that leads TCP connections to the proxy although they are for somebody else. It belongs
// to the process (`flags owner`): when that ends, however it ends, the kernel takes the table away, and
// connections go where they were going.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "dataplane/base/result.h"
#include "dataplane/io/interception/nft_commands.h"
#include "dataplane/io/sk_lookup/socket_lookup.h"

namespace sluice {

// Bits of packets' marks (SO_MARK, nft `meta mark`); all others are left alone.
inline constexpr u32 mark_own = 0x0010'0000;      // of the proxy's own connections: not intercepted
inline constexpr u32 mark_deliver = 0x0020'0000;  // to this host, whatever the address
inline constexpr u32 mark_foreign = 0x0040'0000;  // of the proxy's connections under a client's address

// Prefixes as nft writes them, by family.
struct NftPrefixes {
    std::vector<std::string> v4;
    std::vector<std::string> v6;
};

struct InterceptionRules {
    u16 inbound = 0;   // port for what arrives for this host
    u16 outbound = 0;  // and for what it sends, or forwards for others
    bool transparent = false;
    NftPrefixes destinations;  // not intercepted
    NftPrefixes sources;
    std::vector<PortSpan> ports;
};

struct NftWish {
    std::optional<InterceptionRules> interception;
    bool foreign_addresses = false;  // packets for the proxy's sockets under clients' addresses are delivered

    bool empty() const { return !interception && !foreign_addresses; }
};

// The table as a command for nft; without the lines that would replace an earlier one.
std::string nft_table_text(const std::string& name, const NftWish& wish);

class NftTable {
public:
    // Makes the table what is wished for, in one transaction; an empty wish takes it away.
    Status set(const NftWish& wish);

private:
    NftCommands nft_{"the table for the proxy"};
    std::string name_;
    bool there_ = false;
};

}  // namespace sluice
