// SPDX-License-Identifier: Apache-2.0
#include "control/health/track.h"

#include <algorithm>
#include <cmath>

namespace sluice::health {

double Track::penalty(double now) const {
    return penalty_ * std::exp2((penalty_at_ - now) / settings_.half_life_s);
}

bool Track::go_down(double now) {
    penalty_ = std::min(penalty(now) + 1, most_penalty);
    penalty_at_ = now;
    damped_ = damped_ || penalty_ > suppress_over;
    up_ = false;
    return true;
}

bool Track::add(bool success, double now) {
    successes_ = success ? successes_ + 1 : 0;
    failures_ = success ? 0 : failures_ + 1;
    if (up_) return failures_ >= settings_.unhealthy && go_down(now);
    if (damped_ && penalty(now) < reuse_below) damped_ = false;
    if (damped_ || successes_ < settings_.healthy) return false;
    up_ = true;
    return true;
}

}  // namespace sluice::health
