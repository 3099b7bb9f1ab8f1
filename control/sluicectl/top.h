// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>

#include "control/sluicectl/rates.h"
#include "dataplane/base/result.h"

namespace sluice::ctl {

struct TopWords {
    double every = 1;    // seconds between two looks
    unsigned count = 0;  // of screens; 0: until q is pressed
    bool json = false;   // one object per line instead of a screen
};

// On a terminal a screen that is drawn anew; else plain text, one screen after the other. An error is that of
// a look.
Status top(const TopWords& words, const std::function<Result<Look>()>& look);

}  // namespace sluice::ctl
