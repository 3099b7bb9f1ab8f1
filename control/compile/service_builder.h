// SPDX-License-Identifier: Apache-2.0
//
// Services, their backends and rings.
#pragma once

#include <map>
#include <vector>

#include "control/compile/environment.h"
#include "control/compile/identities.h"
#include "control/compile/image_writer.h"
#include "control/compile/maglev.h"
#include "control/compile/policy_builder.h"
#include "control/compile/reverse_builder.h"
#include "dataplane/base/result.h"

namespace sluice::compile {

struct ServiceTables {
    u32 line = 0;     // of the services, by id
    u32 count = 0;    // one past the highest id
    u32 rings = 0;    // distinct
    RingLines lines;  // of those that took some making
};

// A service's backends in the order of their records, and what its ring is made from.
struct OrderedBackends {
    std::vector<image_backend> records;
    std::vector<u32> weights;       // as configured
    std::vector<RingBackend> ring;  // those that get no new flows have no weight

    size_t takers() const;
};
OrderedBackends order_backends(const config::Service& service, const Environment& environment,
                               const Identities& ids);

// Backends lie in order of address and port, so that services with equal ones share a ring. Fails for what
// the packet path does not have.
Result<ServiceTables> write_services(const config::Config& config, const Environment& environment,
                                     const Identities& ids, const Reverse& reverse, PolicyBuilder& policy,
                                     ImageWriter& writer);

}  // namespace sluice::compile
