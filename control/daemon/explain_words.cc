// SPDX-License-Identifier: Apache-2.0
//
// The stages' findings in words.
#include <map>

#include "control/api/json.h"
#include "control/config/address.h"
#include "control/daemon/explainer.h"
#include "dataplane/pipeline/policy.h"

namespace sluice::control {

namespace {

std::string mac_text(const u8* bytes) {
    config::MacAddress mac;
    std::copy(bytes, bytes + mac.bytes.size(), mac.bytes.begin());
    return mac.text();
}

std::string parse_text(const struct pipeline& s, const Naming&) {
    const headers& h = s.context->h;
    if (h.family == 0 || h.protocol == 0) return "";
    std::string text =
        fmt::format("{} {} > {}", protocol_name(h.protocol), endpoint_text(h.source, h.source_port),
                    endpoint_text(h.destination, h.destination_port));
    if (h.flags & (HEADER_FIRST_FRAGMENT | HEADER_LATER_FRAGMENT)) text += ", a fragment";
    if (h.flags & HEADER_ICMP_ERROR) text += ", an error about another packet";
    return fmt::format("{}, {} bytes", text, s.context->length);
}

std::string receive_text(const struct pipeline& s, const Naming& naming) {
    if (s.context->port == 0) return "no interface of ours";
    return "from " + naming.port(s.context->port);
}

std::string flow_text(const struct pipeline& s, const Naming& naming) {
    const pipeline_context& c = *s.context;
    if (!(c.flags & CONTEXT_KNOWN)) return "not known";
    const std::string backend = naming.backend(c.backend);
    return fmt::format("known, {}, a packet of the {}{}{}", api::state_name(s.ref.flow->state),
                       c.direction != 0 ? "responder" : "initiator", backend.empty() ? "" : ", backend ",
                       backend) +
           (c.flags & CONTEXT_REVALIDATE ? ", asked about again" : "");
}

std::string claim_text(const struct pipeline& s, const Naming& naming) {
    const pipeline_context& c = *s.context;
    if (c.service != 0) return "service " + naming.service(c.service);
    if (c.flags & CONTEXT_ECHO) return "an echo request to a VIP";
    return "no service";
}

const char* action_text(const image_rule& rule) {
    if (rule.flags & RULE_METER) return "rate_limit";
    switch (rule.action) {
        case ACTION_ALLOW: return "allow";
        case ACTION_DROP: return "drop";
        case ACTION_REJECT: return "reject";
        case ACTION_EVALUATE: return "evaluate";
        default: return "none";
    }
}

std::string policy_text(const struct pipeline& s, const Naming& naming) {
    const pipeline_context& c = *s.context;
    std::string trial;
    if (const image_rule* tried = rule_record(&s, c.dry_run); tried != nullptr)
        trial = fmt::format("; rule {} (number {}) would {}, but is in dry run", naming.rule(c.dry_run),
                            c.dry_run, action_text(*tried));
    const image_rule* rule = rule_record(&s, c.rule);
    if (rule == nullptr) return "default" + trial;
    return fmt::format("rule {} (number {}): {}{}", naming.rule(c.rule), c.rule, action_text(*rule), trial);
}

std::string meter_text(const struct pipeline& s, const Naming& naming) {
    return s.context->meter == 0 ? "" : "rate of rule " + naming.rule(s.context->meter);
}

std::string backend_text(const struct pipeline& s, const Naming& naming) {
    return s.context->service == 0 ? "" : naming.backend(s.context->backend);
}

std::string admit_text(const struct pipeline& s, const Naming&) {
    const u32 flags = s.context->flags;
    if (flags & CONTEXT_REVALIDATE) return "its flow goes on under this snapshot";
    return flags & CONTEXT_STATELESS ? "no flow is kept" : "a new flow";
}

std::string route_text(const struct pipeline& s, const Naming& naming) {
    const pipeline_context& c = *s.context;
    if (c.hop.port == 0) return "";
    return fmt::format("by {} to {}", naming.port(c.hop.port), mac_text(c.hop.mac));
}

std::string rewrite_text(const struct pipeline& s, const Naming&) {
    const pipeline_context& c = *s.context;
    const std::string mode = api::mode_name(c.mode);
    if (c.direction != 0 || s.ref.flow == nullptr || s.ref.flow->backend == 0) return mode;
    struct address target = address_from_ipv4_word(s.ref.flow->target);
    if (s.ref.flow->target == 0) target = flow_addresses_at(&s.tables, s.ref.at->index)->target;
    return fmt::format("{} to {}", mode, endpoint_text(target, s.ref.flow->target_port));
}

std::string track_text(const struct pipeline& s, const Naming&) {
    return s.ref.flow == nullptr ? "" : api::state_name(s.ref.flow->state);
}

std::string authorizer_text(const config::Authorizer& authorizer) {
    const bool open = authorizer.on_failure == config::DefaultAction::allow;
    return fmt::format("authorizer {} (no answer in {} ms: {})", authorizer.url, authorizer.timeout.count(),
                       open ? "allow" : "drop");
}

}  // namespace

std::vector<std::string> conditions_of(const config::When& when) {
    std::vector<std::string> out;
    if (when.schedule) out.push_back("schedule");
    if (when.authorizer) out.push_back(authorizer_text(*when.authorizer));
    if (when.max_connections_per_source)
        out.push_back(
            fmt::format("connections of the source (at most {})", *when.max_connections_per_source));
    if (when.new_connections)
        out.push_back(fmt::format("new connections of the rule (at most {}/s)", *when.new_connections));
    return out;
}

std::string word_text(u32 word) {
    const u32 detail = detail_of(word);
    const std::string verdict = api::verdict_name(verdict_of(word));
    switch (verdict_of(word)) {
        case VERDICT_DROP: return verdict + ", " + api::reason_name(detail);
        case VERDICT_REJECT: return verdict + ", " + api::answer_name(detail);
        case VERDICT_PUNT: return std::string("handed over, ") + api::punt_name(detail);
        default: return verdict;
    }
}

std::string stage_text(const struct pipeline& s, const std::string& stage, const Naming& naming) {
    using Say = std::string (*)(const struct pipeline&, const Naming&);
    static const std::map<std::string, Say> says = {
        {"parse", parse_text},   {"receive", receive_text}, {"flow", flow_text},       {"claim", claim_text},
        {"policy", policy_text}, {"meter", meter_text},     {"backend", backend_text}, {"admit", admit_text},
        {"route", route_text},   {"rewrite", rewrite_text}, {"track", track_text}};
    const auto at = says.find(stage);
    return at == says.end() ? "" : at->second(s, naming);
}

}  // namespace sluice::control
