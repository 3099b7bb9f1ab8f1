// SPDX-License-Identifier: Apache-2.0
#include "control/replay/verdict_log.h"

#include <cerrno>
#include <iostream>
#include <nlohmann/json.hpp>

#include "dataplane/packet/text.h"

namespace sluice::replay {

Result<std::unique_ptr<VerdictLog>> VerdictLog::create(const std::string& path,
                                                       const compile::Snapshot& snapshot,
                                                       const config::Config& config,
                                                       const std::vector<std::string>& ports) {
    std::unique_ptr<VerdictLog> log(new VerdictLog(snapshot, config, ports));
    log->path_ = path;
    log->out_ = &std::cout;
    if (path == "-") return log;
    log->file_.open(path, std::ios::binary | std::ios::trunc);
    if (!log->file_) return system_error(errno, "{}", path);
    log->out_ = &log->file_;
    return log;
}

std::string VerdictLog::line(u64 number, const Decision& decision, const char* tier) const {
    const u32 verdict = verdict_of(decision.word);
    const bool leaves = verdict == VERDICT_FORWARD || verdict == VERDICT_REJECT;
    const auto named = [](const std::string* name) {
        return name != nullptr ? nlohmann::ordered_json(*name) : nlohmann::ordered_json();
    };
    nlohmann::ordered_json object;
    object["n"] = number;
    object["verdict"] = verdict_name(verdict);
    object["reason"] = nullptr;
    if (verdict == VERDICT_DROP) object["reason"] = reason_name(detail_of(decision.word));
    object["rule"] = nullptr;
    if (decision.rule != 0 && decision.rule <= config_.policy.rules.size())
        object["rule"] = config_.policy.rules[decision.rule - 1].name;
    object["service"] =
        decision.service != 0 ? named(snapshot_.identities.services.name(decision.service - 1)) : nullptr;
    object["backend"] = nullptr;
    if (decision.backend != 0) {
        const compile::BackendKey* key = snapshot_.identities.backends.name(decision.backend - 1);
        if (key != nullptr) object["backend"] = key->text();
    }
    object["interface"] =
        leaves && decision.egress < ports_.size() ? named(&ports_[decision.egress]) : nullptr;
    object["tier"] = tier;
    return object.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

void VerdictLog::add(u64 number, const Decision& decision, const char* tier) {
    const u64 index = number - next_;
    if (lines_.size() <= index) lines_.resize(index + 1);
    lines_[index] = line(number, decision, tier);
    while (!lines_.empty() && lines_.front()) {
        *out_ << *lines_.front();
        lines_.pop_front();
        next_++;
    }
}

Status VerdictLog::close() {
    out_->flush();
    if (!*out_) return system_error(errno, "{}", path_);
    return {};
}

}  // namespace sluice::replay
