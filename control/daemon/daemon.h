// SPDX-License-Identifier: Apache-2.0
//
// The daemon: configuration in, tiers kept as it says, and answers about it. One control thread runs
// everything here; the API's and the metrics' threads hand their questions to it.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <string>

#include "control/api/server.h"
#include "control/capture/captures.h"
#include "control/config/config.h"
#include "control/config/flags.h"
#include "control/daemon/backend_states.h"
#include "control/daemon/capture_words.h"
#include "control/daemon/config_watch.h"
#include "control/daemon/confinement.h"
#include "control/daemon/counter_book.h"
#include "control/daemon/device_loans.h"
#include "control/daemon/diagnostics.h"
#include "control/daemon/explainer.h"
#include "control/daemon/handover.h"
#include "control/daemon/node_lock.h"
#include "control/daemon/proxy_tier.h"
#include "control/daemon/tier_moves.h"
#include "control/daemon/tiers.h"
#include "control/daemon/trace_log.h"
#include "control/metrics/server.h"
#include "dataplane/base/event_loop.h"
#include "dataplane/io/xdp/flow_sweeper.h"
#include "dataplane/io/xdp/trace_reader.h"

namespace sluice::control {

struct DaemonOptions {
    std::string file;      // configuration
    bool detach = false;   // on stop, take everything off the node
    bool upgrade = false;  // take the node over from the daemon that runs
    bool confine = true;   // give up what is not needed once started
    bool watch = true;     // reload when the file, or one that it names, changes
    config::TierFlags flags;
};

// Reads and checks a configuration as start and reload do.
Result<config::Config> load_configuration(const std::string& file);

class Daemon final : public api::Provider {
public:
    // Everything up to forwarding packets. The error says what is wrong, in one line or one per fault.
    static Result<std::unique_ptr<Daemon>> start(const DaemonOptions& options);
    ~Daemon() override;

    // Until SIGTERM or SIGINT. Forwarding by XDP goes on afterwards, unless options say detach.
    Status run();

    // `sluiced --detach` without a daemon: removes what an earlier one left on the node.
    static Status clean(const std::string& file);

    Result<api::Report> report() override;
    Result<api::FlowPage> flows(const api::FlowRequest& request) override;
    Status reload() override;
    Status set_tier(const std::string& interface, const std::string& tier) override;
    Status set_trace(u32 every) override;
    Result<std::vector<api::TraceReport>> trace() override;
    Result<u64> start_capture(const api::CaptureRequest& request) override;
    Result<std::string> read_capture(u64 id) override;
    Result<api::CaptureSummary> stop_capture(u64 id) override;
    Status set_log_level(const std::string& level) override;
    Result<api::ExplainAnswer> explain(const api::ExplainRequest& request) override;
    Result<api::DiffReport> config_diff(const std::string& file) override;
    Status set_drained(const std::string& service, const std::string& backend, bool drained) override;

private:
    explicit Daemon(DaemonOptions options) : options_(std::move(options)), proxy_(options_.flags.ebpf) {}

    Status begin();
    Status open_loop();
    Status take_node();
    Status begin_work();
    void give_back();
    Status open_mirror();
    Status confine();
    Status open_tiers();
    Status start_timers();
    void start_captures();
    Status check_capture(const std::string& interface, const std::string& tier) const;
    Status serve();
    void stop();
    void drain();

    // daemon_upgrade.cc
    Status offer_handover();
    void asked_to_hand_over();
    bool hand_over();
    Status finish_proxied();
    void let_go();
    std::shared_ptr<const proxy::Proxy> running_proxy();

    // What a configuration becomes on this machine.
    struct Candidate {
        config::Config config;
        TierMoves moves;
        Plans plans;
        PortNumbers numbers;
        std::vector<PortSetting> ports;
        compile::Snapshot snapshot;
    };
    Result<Candidate> prepare(config::Config config, const TierMoves& moves) const;
    // A file's configuration, its interfaces where commands have moved them.
    struct Moved {
        config::Config config;
        std::vector<config::Interface> sections;  // as the file has them
        TierMoves moves;
    };
    Result<Moved> load_moved(const std::string& file) const;
    struct Foreseen;
    Result<std::shared_ptr<const Foreseen>> foresee(const std::string& file);
    DeviceTiers tiers_of(u32 ifindex) const;
    Result<const PortSetting*> ingress_for(const std::vector<PortSetting>& ports, const std::string& name,
                                           const config::Address* source) const;
    Result<api::ExplainAnswer> explain_now(const api::ExplainRequest& request, const Foreseen* foreseen);
    api::FlowChanges changes_of(const Foreseen& foreseen, const struct tables& tables,
                                const Naming& now) const;
    Status adopt_numbers();
    void adopt_names();
    void keep_names(const compile::Snapshot& snapshot) const;
    Status apply(Candidate candidate);
    // `check`: what has to be true afterwards, beside what the configuration requires.
    Status apply_or_restore(Candidate candidate, const std::function<Status()>& check = {});
    Status check_unchangeable(const config::Config& next) const;
    Status reload_now();
    // daemon_moves.cc
    Status set_tier_now(const std::string& interface, const std::string& tier);
    bool kernel_can_have(const config::Interface& interface) const;
    Result<TierMoves> moves_with(const std::string& interface, std::optional<config::Tier> tier) const;
    Status move(const std::string& interface, std::optional<config::Tier> tier);
    Status withdraw(const std::string& interface);
    Status lend(const config::Interface& section);
    Status take_back(const std::string& interface, std::optional<config::Tier> tier);

    void watch_files();
    void follow_files();
    void take_names(const compile::Snapshot& snapshot);
    compile::Environment environment_of(const config::Config& config,
                                        const std::vector<PortSetting>& ports) const;
    void adopt_backend_states();
    void follow_backend_states();
    void backend_states_changed();
    Status put_states_in_force();
    bool patch_states();
    Status republish();
    Status put_in_force(compile::Snapshot& snapshot);
    std::vector<PortSetting> current_ports(const config::Config& config, const Plans& plans,
                                           const PortNumbers& numbers) const;
    void kernel_changed(const netlink::KernelView& before, const netlink::KernelView& now);
    void refresh_neighbors();
    void sweep();
    void tend();

    api::Report report_now();
    void report_interfaces(api::Report& report) const;
    void report_traffic(api::Report& report) const;
    void report_services(api::Report& report) const;
    void report_flows(api::Report& report) const;
    std::vector<backend_counters> raw_backend_counters() const;
    std::vector<pair_counters> raw_rule_counters() const;

    // Runs `work` on the control thread and waits for its answer.
    template <typename T>
    Result<T> on_loop(std::function<T()> work, std::chrono::seconds patience);

    DaemonOptions options_;
    std::optional<NodeLock> lock_;
    std::optional<Handover> received_;  // what the daemon before gave, until this one serves
    std::optional<HandoverSocket> handover_;
    UniqueFd successor_;  // asks for the node
    std::unique_ptr<EventLoop> loop_;
    std::unique_ptr<netlink::KernelMirror> mirror_;
    DeviceLoans loans_;  // outlives the tiers, which have the devices
    std::unique_ptr<Tiers> tiers_;
    ProxyTier proxy_;
    std::unique_ptr<BackendStates> backend_states_;
    bool republish_is_due_ = false;
    std::unique_ptr<FlowSweeper> sweeper_;
    CaptureWords capture_words_;
    std::unique_ptr<capture::Captures> captures_;  // looks into the tiers
    std::unique_ptr<TraceReader> trace_reader_;
    TraceLog trace_log_;

    config::Config config_;
    std::vector<config::Interface> sections_;  // as the file has them; config_ has them as moved
    TierMoves moves_;
    Plans plans_;
    PortNumbers numbers_;
    std::vector<PortSetting> ports_;
    std::shared_ptr<const Naming> naming_;
    compile::BuildStatistics built_;
    struct {
        compile::RingLines lines;
        std::shared_ptr<const Image> image;  // that they lie in
    } rings_;
    CounterBook<compile::BackendKey, backend_counters> backend_book_;
    CounterBook<std::string, pair_counters> rule_book_;
    u32 generation_ = 0;
    api::ConfigReport config_report_;
    std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();
    std::atomic<bool> stopping_{false};
    std::optional<std::chrono::steady_clock::time_point> drain_until_;  // set once draining
    Confinement confinement_;
    std::unique_ptr<ConfigWatch> watch_;  // empty: changes are not noticed

    std::unique_ptr<http::Server> metrics_;
    std::unique_ptr<api::Server> api_;
    std::unique_ptr<http::Server> diagnostics_;
};

}  // namespace sluice::control
