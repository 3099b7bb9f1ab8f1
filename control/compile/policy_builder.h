// SPDX-License-Identifier: Apache-2.0
//
// Compiles the policy's rules into bit vectors (struct image_policy).
#pragma once

#include "control/compile/environment.h"
#include "control/compile/identities.h"
#include "control/compile/lpm_builder.h"
#include "control/compile/policy_fields.h"
#include "control/compile/policy_prefixes.h"

namespace sluice::compile {

class PolicyBuilder {
public:
    // All arguments have to outlive the object.
    PolicyBuilder(const config::Config& config, const Environment& environment, const Identities& ids);

    // First. Fails for a rule that names an interface or service which is not there, or has an action that is
    // not built.
    Status prepare();

    // Rows that other sections hold.
    PolicyPrefixes& destinations() { return destinations_; }
    u16 service_row(const std::string& service) {
        return compile::service_row(config_.policy.rules, service, rows_);
    }

    // Source prefixes to rows.
    Result<LpmTable> sources();

    // Last, when all rows are known. Fails when there are more than RowSet::limit.
    Result<struct image_policy> write(ImageWriter& writer);

    u32 rows() const { return rows_.count(); }

private:
    Status check_references(const config::Rule& rule) const;

    const config::Config& config_;
    const Environment& environment_;
    const Identities& ids_;
    RowSet rows_;
    PolicyPrefixes sources_;
    PolicyPrefixes destinations_;
    PolicyFields fields_;
    std::vector<image_rule> rules_;
};

}  // namespace sluice::compile
