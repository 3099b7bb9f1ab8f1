// SPDX-License-Identifier: Apache-2.0
//
// Which service claims which port of a VIP: tables of disjoint intervals (struct image_port_range).
#pragma once

#include <map>
#include <vector>

#include "control/compile/image_writer.h"
#include "control/config/config.h"
#include "dataplane/base/result.h"

namespace sluice::compile {

// Protocol << 16 | port, both ends inclusive.
struct PortClaim {
    u32 first = 0;
    u32 last = 0;
    u16 service = 0;  // id
    auto operator<=>(const PortClaim&) const = default;
};

// A service at one VIP prefix, with its id.
struct ServiceAt {
    const config::Service* service;
    u16 id;
};

class VipPorts {
public:
    static constexpr u32 none = 0;  // the table without claims
    static constexpr size_t most_claims = 65535;

    VipPorts() : tables_(1), known_{{{}, none}} {}

    // The table of a VIP with these services inside a prefix that has table `parent`: a listed port goes
    // before `any`, both go before what the parent says. Fails when two services claim the same.
    Result<u32> extend(u32 parent, const std::vector<ServiceAt>& services);

    const std::vector<PortClaim>& claims(u32 table) const { return tables_[table]; }

    // Lines of all tables, by table.
    std::vector<u32> write(ImageWriter& writer) const;

private:
    std::vector<std::vector<PortClaim>> tables_;
    std::map<std::vector<PortClaim>, u32> known_;
};

}  // namespace sluice::compile
