// SPDX-License-Identifier: Apache-2.0
//
// PROXY protocol, versions 1 and 2 (https://www.haproxy.org/download/2.6/doc/proxy-protocol.txt): who the
// client behind a connection is, ahead of its data.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "dataplane/base/result.h"
#include "dataplane/proxy/settings.h"
#include "dataplane/proxy/socket_address.h"

namespace sluice::proxy {

struct Header {
    bool local = false;  // from the sender itself (a health check): the connection's own addresses count
    Endpoint source;
    Endpoint destination;
    std::vector<u8> extensions;  // version 2: the TLVs as they came
};

inline constexpr u32 longest_header_v1 = 107;  // section 2.1, CRLF included
inline constexpr u32 longest_header = 4096;    // taken by us; version 2 could say 65,551

enum class Parsed : u8 { complete, incomplete, malformed };

// Reads a header at the start of `bytes`. On `complete` `length` is what it takes up; `why` says what is
// wrong with a malformed one. Bytes that no header can begin with are malformed at once.
struct HeaderResult {
    Parsed state = Parsed::incomplete;
    u32 length = 0;
    Header header;
    const char* why = "";
};
HeaderResult parse_header(std::span<const u8> bytes);

// The header for a TCP connection (or UDP session, version 2 only) between the two. Extensions go out with
// version 2 only.
std::string compose_header(HeaderVersion version, u8 protocol, const Endpoint& source,
                           const Endpoint& destination, std::span<const u8> extensions);

}  // namespace sluice::proxy
