// SPDX-License-Identifier: Apache-2.0
//
// What a backend's probes say of it: thresholds, and damping of one that goes up and down again and again,
// after the manner of RFC 2439 (route flap damping): every time that it goes down adds 1 to a penalty, which
// halves with every half-life; over `suppress_over` the backend stays down until the penalty has fallen below
// `reuse_below`, whatever its probes say meanwhile.
#pragma once

#include "dataplane/packet/target.h"

namespace sluice::health {

struct TrackSettings {
    u32 unhealthy = 3;        // failures in a row that take it down
    u32 healthy = 2;          // successes in a row that take it up
    double half_life_s = 60;  // of the penalty
};

class Track {
public:
    static constexpr double suppress_over = 2.5;  // the third time down within a half-life or so
    static constexpr double reuse_below = 1;
    static constexpr double most_penalty = 8;  // three half-lives until it is fit for use

    explicit Track(const TrackSettings& settings) : settings_(settings) {}

    // What was known from before: a backend that was down stays so until its probes take it up.
    void restore_down() { up_ = false; }
    void set(const TrackSettings& settings) { settings_ = settings; }

    // One more probe's outcome at NOW (seconds, any origin, never going back). True: up() is another now.
    bool add(bool success, double now);

    bool up() const { return up_; }
    bool probed() const { return successes_ + failures_ != 0; }  // else it is taken to be up
    bool damped() const { return damped_; }  // down for its flapping, whatever its probes say
    double penalty(double now) const;
    u32 successes() const { return successes_; }  // in a row
    u32 failures() const { return failures_; }

private:
    bool go_down(double now);

    TrackSettings settings_;
    bool up_ = true;
    bool damped_ = false;
    u32 successes_ = 0;
    u32 failures_ = 0;
    double penalty_ = 0;
    double penalty_at_ = 0;
};

}  // namespace sluice::health
