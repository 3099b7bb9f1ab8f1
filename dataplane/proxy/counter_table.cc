// SPDX-License-Identifier: Apache-2.0
#include <tuple>

#include "dataplane/proxy/loop.h"

namespace sluice::proxy {

bool CounterTable::BackendKey::operator<(const BackendKey& other) const {
    const auto parts = [](const BackendKey& key) {
        return std::make_tuple(key.service, key.endpoint.address.word[0], key.endpoint.address.word[1],
                               key.endpoint.port);
    };
    return parts(*this) < parts(other);
}

ServiceCounters& CounterTable::service(const char* label) {
    const std::lock_guard lock(mutex_);
    auto& slot = services_[label];
    if (!slot) slot = std::make_unique<ServiceCounters>();
    return *slot;
}

BackendCounters& CounterTable::backend(const char* label, const Endpoint& endpoint) {
    const std::lock_guard lock(mutex_);
    auto& slot = backends_[{label, endpoint}];
    if (!slot) slot = std::make_unique<BackendCounters>();
    return *slot;
}

void CounterTable::each_service(const std::function<void(const char*, const ServiceCounters&)>& take) const {
    const std::lock_guard lock(mutex_);
    for (const auto& [label, counters] : services_) take(label, *counters);
}

void CounterTable::each_backend(
    const std::function<void(const BackendKey&, const BackendCounters&)>& take) const {
    const std::lock_guard lock(mutex_);
    for (const auto& [key, counters] : backends_) take(key, *counters);
}

}  // namespace sluice::proxy
