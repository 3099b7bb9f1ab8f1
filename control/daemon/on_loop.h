// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "control/daemon/daemon.h"

namespace sluice::control {

template <typename T>
Result<T> Daemon::on_loop(std::function<T()> work, std::chrono::seconds wait) {
    auto promise = std::make_shared<std::promise<T>>();
    std::future<T> answer = promise->get_future();
    loop_->post([promise, work = std::move(work)] { promise->set_value(work()); });
    const auto limit = std::chrono::steady_clock::now() + wait;
    while (answer.wait_for(std::chrono::milliseconds(20)) != std::future_status::ready) {
        if (stopping_) return make_error("the daemon is stopping");
        if (std::chrono::steady_clock::now() > limit) return make_error("the daemon is busy");
    }
    return answer.get();
}

}  // namespace sluice::control
