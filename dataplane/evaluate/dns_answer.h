// SPDX-License-Identifier: Apache-2.0
//
// What a DNS answer says about the names of FQDN sets.
#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/packet/address.h"

namespace sluice::evaluate {

// Names as configured, with the sets (bit per set) that list them.
class FqdnNames {
public:
    // `name`: a domain name in any case, with or without the dot at its end; "*.NAME" stands for all below
    // NAME.
    void add(std::string_view name, u32 sets);

    // Sets that list `name`, itself or by a wildcard; `name` as add() takes it, wildcards apart.
    u32 sets_of(std::string_view name) const;
    bool empty() const { return exact_.empty() && below_.empty(); }

private:
    std::map<std::string, u32, std::less<>> exact_;
    std::map<std::string, u32, std::less<>> below_;
};

struct LearnedName {
    struct address address;
    u32 sets = 0;
    u32 ttl = 0;  // seconds: the least on the way from the question's name to the address
};

// Of a message as it came over UDP, without trust in a byte of it. Nothing unless it is an answer without
// error to one question. Names lead to addresses through CNAME records; a set takes what any name on the way
// leads to.
std::vector<LearnedName> read_dns_answer(std::span<const u8> message, const FqdnNames& names);

}  // namespace sluice::evaluate
