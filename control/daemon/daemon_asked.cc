// SPDX-License-Identifier: Apache-2.0
//
// Questions and orders of the API's, the metrics' and the diagnostics' threads: handed to the control thread.
#include "control/daemon/flow_list.h"
#include "control/daemon/on_loop.h"
#include "control/daemon/ticks.h"
#include "dataplane/base/log.h"

namespace sluice::control {

namespace {

using namespace std::chrono_literals;

constexpr auto patience = 10s;
constexpr auto reload_patience = 60s;

}  // namespace

Result<api::Report> Daemon::report() {
    return on_loop<api::Report>([this] { return report_now(); }, patience);
}

Result<api::FlowPage> Daemon::flows(const api::FlowRequest& request) {
    struct View {
        struct tables tables;
        std::shared_ptr<const Naming> naming;
    };
    // The table is read on the caller's thread: neither the control thread nor a worker waits for a long
    // list.
    Result<std::optional<View>> view = on_loop<std::optional<View>>(
        [this]() -> std::optional<View> {
            if (!tiers_->is_open()) return std::nullopt;
            View view{{}, naming_};
            tiers_->tables().fill(view.tables);
            return view;
        },
        patience);
    if (!view) return view.error();
    if (!*view) return api::FlowPage{};
    return list_flows((*view)->tables, *(*view)->naming, request, ticks_now());
}

Status Daemon::reload() {
    Result<Status> status = on_loop<Status>([this] { return reload_now(); }, reload_patience);
    return status ? *status : Status{status.error()};
}

Status Daemon::set_tier(const std::string& interface, const std::string& tier) {
    Result<Status> status =
        on_loop<Status>([this, interface, tier] { return set_tier_now(interface, tier); }, reload_patience);
    return status ? *status : Status{status.error()};
}

Status Daemon::set_trace(u32 every) {
    Result<Status> status = on_loop<Status>(
        [this, every]() -> Status {
            if (tiers_->xdp() == nullptr)
                return make_error("no interface has the XDP program: there is nothing to sample");
            trace_log_.clear();
            tiers_->node().trace_every = every;
            return {};
        },
        patience);
    return status ? *status : Status{status.error()};
}

Result<std::vector<api::TraceReport>> Daemon::trace() {
    return on_loop<std::vector<api::TraceReport>>([this] { return trace_log_.events(); }, patience);
}

Status Daemon::set_log_level(const std::string& level) {
    Result<Status> status = on_loop<Status>([level] { return log_set_level(level); }, patience);
    return status ? *status : Status{status.error()};
}

std::shared_ptr<const proxy::Proxy> Daemon::running_proxy() {
    auto proxy = on_loop<std::shared_ptr<const proxy::Proxy>>([this] { return proxy_.proxy(); }, patience);
    return proxy ? *proxy : nullptr;
}

}  // namespace sluice::control
