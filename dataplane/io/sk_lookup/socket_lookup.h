// SPDX-License-Identifier: Apache-2.0
//
// The sk_lookup program of this network namespace (bpf/listeners.bpf.c): it leads whatever is for given
// prefixes and ports to one listening socket for each protocol and family.
#pragma once

#include <array>
#include <map>
#include <memory>
#include <tuple>
#include <vector>

#include "bpf/listeners.h"
#include "dataplane/base/result.h"
#include "dataplane/packet/address.h"

struct bpf_link;
struct listeners_bpf;  // bpftool's skeleton

namespace sluice {

struct LookupPrefix {
    u8 protocol = 6;
    struct address address {};
    u8 length = 128;  // counted as in an IPv6 address

    auto parts() const { return std::tie(protocol, length, address.word[0], address.word[1]); }
    bool operator<(const LookupPrefix& other) const { return parts() < other.parts(); }
    bool covers(const LookupPrefix& other) const;
};

struct PortSpan {
    u16 first = 0;
    u16 last = 0;
    bool operator==(const PortSpan&) const = default;
};

// What goes to our sockets: a prefix has its own ports, and those of every prefix that covers it.
using LookupClaims = std::map<LookupPrefix, std::vector<PortSpan>>;

// The same as the program's maps hold it: one set of ports for all prefixes that have the same.
struct LookupTable {
    std::map<LookupPrefix, u32> prefixes;  // to a position in port_sets
    std::vector<listener_ports> port_sets;
};
LookupTable lookup_table(const LookupClaims& claims);

class SocketLookup {
public:
    using Sockets = std::array<int, LISTENER_GROUPS>;  // by listener_group(); -1: none

    // Attaches a program that claims nothing. Fails where the kernel or the process's rights do not allow it.
    static Result<std::unique_ptr<SocketLookup>> open();
    ~SocketLookup();
    SocketLookup(const SocketLookup&) = delete;
    SocketLookup& operator=(const SocketLookup&) = delete;

    // A program loaded with its tables, not in force yet.
    class Prepared;
    static Result<std::shared_ptr<Prepared>> prepare(const LookupClaims& claims, const Sockets& sockets);
    // Puts it in force, at once: a look-up sees the tables before or these.
    Status commit(std::shared_ptr<Prepared> next);

private:
    SocketLookup() = default;

    std::shared_ptr<Prepared> current_;
    bpf_link* link_ = nullptr;
};

}  // namespace sluice
