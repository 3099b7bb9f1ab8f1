// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <mutex>

#include "control/capture/captures.h"
#include "control/daemon/naming.h"

namespace sluice::control {

// What a capture says of a packet: "verdict=drop reason=policy rule=deny-all interface=eth0 tier=xdp".
std::string capture_comment(const Captured& packet, const std::string& tier, const std::string& interface,
                            const Naming& naming);

// The same on the capture's thread, by the names of the snapshot in force.
class CaptureWords {
public:
    void set(std::shared_ptr<const Naming> naming);
    capture::Description describe(const Captured& packet, const std::string& tier) const;

private:
    mutable std::mutex mutex_;
    std::shared_ptr<const Naming> naming_ = std::make_shared<const Naming>();
};

}  // namespace sluice::control
