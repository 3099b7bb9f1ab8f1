// SPDX-License-Identifier: Apache-2.0
//
// What a rule does, as the image states it.
#pragma once

#include "control/config/config.h"
#include "dataplane/base/result.h"
#include "dataplane/tables/image.h"

namespace sluice::compile {

// Fails for a rate limit without a rate.
Result<image_rule> compile_rule(const config::Rule& rule, u16 id);

}  // namespace sluice::compile
