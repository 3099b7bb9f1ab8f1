// SPDX-License-Identifier: Apache-2.0
//
// From a configuration, or a change of the kernel's, to what runs.
#include <algorithm>

#include "control/config/support.h"
#include "control/daemon/daemon.h"
#include "control/daemon/kept_names.h"
#include "dataplane/base/clock.h"
#include "dataplane/base/log.h"
#include "dataplane/io/xdp/pinned_text.h"

namespace sluice::control {

std::vector<PortSetting> Daemon::current_ports(const config::Config& config, const Plans& plans,
                                               const PortNumbers& numbers) const {
    return port_settings(config, numbers, mirror_->view(), tiers_->extra_links(),
                         [&](const std::string& device) { return tiers_->engine_only(plans.at(device)); });
}

// Everything that can fail without touching what runs.
Result<Daemon::Candidate> Daemon::prepare(config::Config config, const TierMoves& moves) const {
    Candidate candidate;
    candidate.moves = moves;
    for (const config::Interface& interface : config.interfaces) {
        if (interface.is_sub_interface()) continue;
        const auto move = moves.find(interface.name);
        Result<InterfacePlan> plan = plan_interface(
            interface, options_.flags, move == moves.end() ? std::nullopt : std::optional(move->second));
        if (!plan) return plan.error();
        candidate.plans.emplace(interface.name, std::move(*plan));
    }
    std::vector<std::string> names;
    for (const LogicalInterface& interface : logical_interfaces(config)) names.push_back(interface.name);
    candidate.numbers = numbers_;
    if (Status status = candidate.numbers.assign(names); !status) return status.error();
    candidate.ports = current_ports(config, candidate.plans, candidate.numbers);
    Result<compile::Snapshot> snapshot = compile::compile(config, environment_of(config, candidate.ports),
                                                          naming_ ? &naming_->identities : nullptr);
    if (!snapshot) return snapshot.error();
    candidate.snapshot = std::move(*snapshot);
    candidate.config = std::move(config);
    return candidate;
}

Status Daemon::apply(Candidate candidate) {
    if (Status status = proxy_.apply(candidate.config, candidate.snapshot); !status) return status;
    config_ = std::move(candidate.config);
    config_.document.reset();
    moves_ = std::move(candidate.moves);
    plans_ = std::move(candidate.plans);
    numbers_ = std::move(candidate.numbers);
    tiers_->set_devices(config_, plans_);
    if (!loans_.empty()) {  // interfaces have come and gone with that
        if (Status status = mirror_->ask_now(); !status) return status;
        tiers_->node().route_epoch++;
    }
    ports_ = current_ports(config_, plans_, numbers_);
    if (Status status = tiers_->set_ports(ports_); !status) return status;
    keep_names(candidate.snapshot);
    tiers_->evaluation().apply(config_, candidate.snapshot);
    if (Status status = put_in_force(candidate.snapshot); !status) return status;
    built_ = candidate.snapshot.statistics;
    config_report_.loaded_at = static_cast<double>(wall_ns()) / 1e9;
    follow_files();
    follow_backend_states();
    return tiers_->bring_up(config_, plans_, ports_);
}

Status Daemon::put_in_force(compile::Snapshot& snapshot) {
    if (Status status = tiers_->publish(snapshot); !status) return status;
    if (tiers_->is_open()) rings_ = {std::move(snapshot.rings), tiers_->tables().image()};
    generation_ = snapshot.generation;
    take_names(snapshot);
    return {};
}

// What fails, a requirement for instance, may fail when the snapshot is in force already: then the one before
// takes its place again.
Status Daemon::apply_or_restore(Candidate candidate, const std::function<Status()>& check) {
    const config::Config before = config_;
    const TierMoves moves_before = moves_;
    Status status = log_set_level(candidate.config.log.level);
    if (status) status = apply(std::move(candidate));
    if (status && check) status = check();
    if (status) return status;
    Status restored = log_set_level(before.log.level);
    Result<Candidate> again = prepare(before, moves_before);
    if (restored) restored = again ? apply(std::move(*again)) : Status{again.error()};
    if (!restored)
        spdlog::warn("the configuration before is in force again, but: {}", restored.error().message);
    return status;
}

// Before the snapshot is in force: no flow may have a number whose owner nobody would know.
void Daemon::keep_names(const compile::Snapshot& snapshot) const {
    if (tiers_->xdp() == nullptr) return;
    const Status status =
        write_pinned_text(tiers_->xdp()->maps().directory(), kept_names_pin, kept_names(snapshot.identities));
    if (!status)
        spdlog::warn("names of flows and counters will not outlive this daemon: {}", status.error().message);
}

// Flows of backends that have gone end; what takes over a number starts counting from zero.
void Daemon::take_names(const compile::Snapshot& snapshot) {
    auto next = std::make_shared<Naming>();
    next->generation = snapshot.generation;
    next->identities = snapshot.identities;
    for (const config::Rule& rule : config_.policy.rules) next->rules.push_back(rule.name);
    for (const auto& [name, number] : numbers_.all()) next->ports[number] = name;
    if (naming_ && sweeper_) {
        const auto& before = naming_->identities.backends;
        const auto& now = next->identities.backends;
        const u64 removed = sweeper_->remove_backends([&](u16 id) {
            const compile::BackendKey* past = before.name(id);
            const compile::BackendKey* owner = now.name(id);
            return past != nullptr && (owner == nullptr || *owner != *past);
        });
        if (removed > 0) spdlog::info("{} flows of backends that are gone were removed", removed);
        backend_book_.rename(before, now, raw_backend_counters());
        rule_book_.rename(naming_->identities.rules, next->identities.rules, raw_rule_counters());
    }
    naming_ = std::move(next);
    capture_words_.set(naming_);
}

// What sockets, maps and threads were made from cannot change under them.
Status Daemon::check_unchangeable(const config::Config& next) const {
    const auto refuse = [](const char* key) {
        return make_error("{}: changed: it takes a restart, the configuration in force stays", key);
    };
    if (next.tables != config_.tables) return refuse("tables");
    if (next.state != config_.state) return refuse("state.bpffs");
    if (next.control != config_.control) return refuse("control.socket");
    if (next.metrics != config_.metrics) return refuse("metrics.listen");
    if (next.workers != config_.workers) return refuse("workers");
    if (next.log.format != config_.log.format) return refuse("log.format");
    if (next.log.access != config_.log.access) return refuse("log.access");
    if (next.diagnostics.listen != config_.diagnostics.listen) return refuse("diagnostics.listen");
    return {};
}

// Commands that the file leaves no place for are forgotten.
Result<Daemon::Moved> Daemon::load_moved(const std::string& file) const {
    Result<config::Config> config = load_configuration(file);
    if (!config) return config.error();
    Moved out{std::move(*config), {}, {}};
    out.sections = out.config.interfaces;
    for (const auto& [name, tier] : moves_) {
        auto still = with_move(out.moves, out.sections, name, tier,
                               [this](const config::Interface& each) { return kernel_can_have(each); });
        if (still) out.moves = *std::move(still);
    }
    out.config.interfaces = moved(out.sections, out.moves);
    return out;
}

void Daemon::watch_files() {
    auto watch = ConfigWatch::start(*loop_, [this] {
        spdlog::info("{} changed", options_.file);
        if (Status status = reload_now(); !status)
            spdlog::error("reload refused: {}", status.error().message);
    });
    if (!watch) return spdlog::warn("changed files are not noticed: {}", watch.error().message);
    watch_ = std::move(*watch);
    watch_->follow({options_.file});
}

// Files of the configuration in force, and no more: a refused one is read again when its own file changes.
void Daemon::follow_files() {
    if (!watch_) return;
    std::vector<std::string> files = {options_.file};
    for (const auto& [name, set] : config_.policy.sets) {
        if (!set.file.empty()) files.push_back(set.file);
    }
    watch_->follow(files);
}

Status Daemon::reload_now() {
    config_report_.reloads++;
    if (watch_) watch_->mark();
    const auto attempt = [&]() -> Status {
        Result<Moved> file = load_moved(options_.file);
        if (!file) return file.error();
        if (Status status = check_unchangeable(file->config); !status) return status;
        Result<Candidate> candidate = prepare(std::move(file->config), file->moves);
        if (!candidate) return candidate.error();
        const auto needs = needs_of(candidate->config, candidate->plans, options_.flags);
        if (Status status = confinement_.allows(needs); !status) return status;
        Status status = apply_or_restore(std::move(*candidate));
        if (status) sections_ = std::move(file->sections);
        return status;
    };
    const Status status = attempt();
    config_report_.last_reload_ok = status.ok();
    config_report_.last_error = status ? "" : status.error().message;
    if (!status) config_report_.failures++;
    if (status) spdlog::info("configuration reloaded, generation {}", generation_);
    return status;
}

// The same configuration once more, for what has changed around it.
Status Daemon::republish() {
    Result<compile::Snapshot> snapshot =
        compile::compile(config_, environment_of(config_, ports_), &naming_->identities);
    if (!snapshot) return snapshot.error();
    if (Status status = proxy_.apply(config_, *snapshot); !status) return status;
    if (Status status = put_in_force(*snapshot); !status) return status;
    follow_backend_states();
    return {};
}

void Daemon::kernel_changed(const netlink::KernelView& before, const netlink::KernelView& now) {
    if (!tiers_ || !tiers_->is_open() || !naming_) return;
    std::vector<PortSetting> ports = current_ports(config_, plans_, numbers_);
    const bool recompile = !same_addresses(ports, ports_);
    ports_ = std::move(ports);
    Status status = tiers_->set_ports(ports_);
    if (status && recompile) status = republish();
    if (status) status = tiers_->bring_up(config_, plans_, ports_);
    if (!status) spdlog::error("{}", status.error().message);
    // Last, so that who asks anew gets answers by the ports as they are now.
    if (!now.forwards_like(before)) tiers_->node().route_epoch++;
}

}  // namespace sluice::control
