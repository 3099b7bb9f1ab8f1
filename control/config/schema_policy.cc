// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "control/config/schema.h"

namespace sluice::config {

namespace {

struct FlagName {
    std::string_view name;
    uint8_t bit;
};
constexpr FlagName tcp_flag_names[] = {{"fin", 1},  {"syn", 2},  {"rst", 4},  {"psh", 8},
                                       {"ack", 16}, {"urg", 32}, {"ece", 64}, {"cwr", 128}};

struct ProtocolName {
    std::string_view name;
    uint8_t number;
};
constexpr ProtocolName protocol_names[] = {{"icmp", 1}, {"ipip", 4}, {"tcp", 6},     {"udp", 17},
                                           {"gre", 47}, {"esp", 50}, {"icmpv6", 58}, {"sctp", 132}};

// "syn,!ack". A flag may be named once only.
std::optional<TcpFlags> parse_tcp_flags(std::string_view text) {
    TcpFlags flags;
    for (std::string_view part : split(text, ',')) {
        const bool clear = part.starts_with('!');
        if (clear) part.remove_prefix(1);
        uint8_t bit = 0;
        for (const FlagName& flag : tcp_flag_names) {
            if (flag.name == part) bit = flag.bit;
        }
        if (bit == 0 || ((flags.set | flags.clear) & bit) != 0) return std::nullopt;
        (clear ? flags.clear : flags.set) |= bit;
    }
    return flags;
}

std::optional<uint8_t> parse_protocol(std::string_view text) {
    for (const ProtocolName& protocol : protocol_names) {
        if (protocol.name == text) return protocol.number;
    }
    const auto number = parse_number(text, 255);
    if (!number) return std::nullopt;
    return static_cast<uint8_t>(*number);
}

Codec<uint8_t> protocol() {
    std::vector<std::string> words;
    for (const ProtocolName& protocol : protocol_names) words.emplace_back(protocol.name);
    return scalar<uint8_t>(fmt::format("{} or a number from 0 to 255", fmt::join(words, ", ")),
                           parse_protocol, words);
}

Codec<AddressMatch> address_match() {
    const std::string entry = "an IPv4 or IPv6 address or prefix, or \"set:NAME\"";
    auto read = [entry](Reader& reader, const Node& node, const std::string& path, AddressMatch& out) {
        if (node.kind != Node::Kind::sequence || node.items.empty()) {
            reader.wrong_value(node, path,
                               fmt::format("a list, not empty, of entries that are each {}", entry));
            return;
        }
        for (size_t i = 0; i < node.items.size(); ++i) {
            const Node& item = node.items[i];
            const auto prefix = Prefix::parse(item.text);
            if (prefix) {
                out.prefixes.push_back(*prefix);
            } else if (item.text.starts_with("set:") && item.text.size() > 4) {
                out.sets.push_back(item.text.substr(4));
            } else {
                reader.wrong_value(item, fmt::format("{}[{}]", path, i), entry);
            }
        }
    };
    return {fmt::format("a list of entries that are each {}", entry),
            {},
            std::move(read),
            nullptr,
            "",
            shape::list(shape::text, false)};
}

Codec<DefaultAction> allow_or_drop() {
    return one_of<DefaultAction>({{"allow", DefaultAction::allow}, {"drop", DefaultAction::drop}});
}

// "HH:MM" as minutes of the day; 24:00 is its end.
std::optional<uint16_t> parse_minute(std::string_view text) {
    if (text.size() != 5 || text[2] != ':') return std::nullopt;
    const auto hour = parse_number(text.substr(0, 2), 24);
    const auto minute = parse_number(text.substr(3), 59);
    if (!hour || !minute || (*hour == 24 && *minute != 0)) return std::nullopt;
    return static_cast<uint16_t>(*hour * 60 + *minute);
}

std::optional<unsigned> parse_day(std::string_view text) {
    constexpr std::string_view days[] = {"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"};
    for (unsigned i = 0; i < 7; ++i) {
        if (days[i] == text) return i;
    }
    return std::nullopt;
}

// "Mon-Fri 08:00-18:00 UTC", or one day.
std::optional<Schedule> parse_schedule(std::string_view text) {
    const auto words = split(text, ' ');
    if (words.size() != 3 || words[2] != "UTC") return std::nullopt;
    const auto days = split(words[0], '-');
    const auto times = split(words[1], '-');
    const auto first = parse_day(days.front());
    const auto last = parse_day(days.back());
    if (days.size() > 2 || !first || !last || *last < *first || times.size() != 2) return std::nullopt;
    const auto start = parse_minute(times[0]);
    const auto end = parse_minute(times[1]);
    if (!start || !end || *end <= *start) return std::nullopt;
    Schedule schedule{0, *start, *end};
    for (unsigned day = *first; day <= *last; ++day) schedule.days |= static_cast<uint8_t>(1U << day);
    return schedule;
}

const Schema<Rate>& rate_schema() {
    static const auto schema =
        Schema<Rate>(
            "How much a `rate_limit` rule lets through. Exactly one of `packets` and `bytes` is given.")
            .key("packets", &Rate::packets, optional(rate()), none, "packets in a time")
            .key("bytes", &Rate::bytes, optional(rate()), none, "bytes in a time")
            .key("burst", &Rate::burst, optional(integer<uint64_t>(1, 1'000'000'000'000)), none,
                 "packets or bytes let through at once; without it one second's worth")
            .key("per", &Rate::per, one_of<RatePer>({{"rule", RatePer::rule}, {"source", RatePer::source}}),
                 "rule", "what has a budget of its own: the rule, or each source address");
    return schema;
}

std::optional<std::string> parse_url(std::string_view text) {
    const std::string_view rest = text.substr(text.starts_with("http://")    ? 7
                                              : text.starts_with("https://") ? 8
                                                                             : text.size());
    const bool printable = std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < 127; });
    if (rest.empty() || rest.front() == '/' || rest.front() == ':' || !printable) return std::nullopt;
    return std::string(text);
}

const Schema<Authorizer>& authorizer_schema() {
    static const auto schema =
        Schema<Authorizer>(
            "An HTTP server that is asked about each new connection; docs/evaluate.md has how.")
            .key("url", &Authorizer::url, scalar<std::string>("an http or https URL", parse_url), required,
                 "where it answers")
            .key("timeout", &Authorizer::timeout, duration("1ms", "5s"), "1s", "for one answer")
            .key("on_failure", &Authorizer::on_failure, allow_or_drop(), "drop",
                 "when no answer, or none that can be read, comes in time")
            .key("cache", &Authorizer::cache, duration("0s", "24h"), "0s",
                 "how long an answer holds for further connections of the same source, destination, port and "
                 "protocol");
    return schema;
}

const Schema<When>& when_schema() {
    static const auto schema =
        Schema<When>(
            "Conditions of an `evaluate` rule; all given ones must hold for the packet to be allowed.")
            .key("schedule", &When::schedule,
                 optional(
                     scalar<Schedule>("days and times such as \"Mon-Fri 08:00-18:00 UTC\"", parse_schedule)),
                 none, "when it is allowed")
            .key("max_connections_per_source", &When::max_connections_per_source,
                 optional(integer<uint32_t>(1, 1'000'000'000)), none,
                 "connections one source may hold at a time")
            .key("new_connections", &When::new_connections, optional(rate()), none,
                 "new connections in a time, one second's worth at once")
            .key("authorizer", &When::authorizer, optional(mapping(authorizer_schema())), none,
                 "who else must agree")
            .key("overload", &When::overload, allow_or_drop(), "drop",
                 "what a packet gets when its question finds no room, or there is no engine to ask");
    return schema;
}

const Schema<Set>& set_schema() {
    static const auto schema =
        Schema<Set>("A named set of addresses. Exactly one key is given.")
            .key("file", &Set::file, file_path(), none,
                 "file with one prefix per line and # comments, up to a million; reloaded when it changes")
            .key("prefixes", &Set::prefixes, list(prefix()), none, "the prefixes themselves")
            .key("fqdn", &Set::fqdn, list(any_text("a domain name"), Empty::refused), none,
                 "domain names, learned from observed DNS answers");
    return schema;
}

Codec<Action> action() {
    return one_of<Action>({{"allow", Action::allow},
                           {"drop", Action::drop},
                           {"reject", Action::reject},
                           {"rate_limit", Action::rate_limit},
                           {"evaluate", Action::evaluate}});
}

const Schema<Except>& except_schema() {
    static const auto schema =
        Schema<Except>(
            "What the rule leaves out: a packet that any of these names does not match. One without ports "
            "has "
            "none of these ports.")
            .key("from", &Except::from, address_match(), none, "not from these source addresses")
            .key("to", &Except::to, address_match(), none, "not to these destination addresses")
            .key("ports", &Except::ports, ranges("ports", 0, 65535), none, "not to these destination ports")
            .key("source_ports", &Except::source_ports, ranges("ports", 0, 65535), none,
                 "not from these source ports");
    return schema;
}

}  // namespace

const Schema<Rule>& rule_schema() {
    static const auto schema =
        Schema<Rule>("A rule. Every match key that is given must match; the first rule that does decides.")
            .key("name", &Rule::name, name(), required, "what metrics and `explain` call it")
            .key("from", &Rule::from, address_match(), none, "match: source address")
            .key("to", &Rule::to, address_match(), none, "match: destination address, the VIP for a service")
            .key("protocol", &Rule::protocol, optional(protocol()), none, "match: IP protocol")
            .key("ports", &Rule::ports, ranges("ports", 0, 65535), none, "match: destination port")
            .key("source_ports", &Rule::source_ports, ranges("ports", 0, 65535), none, "match: source port")
            .key("icmp_types", &Rule::icmp_types, ranges("ICMP types", 0, 255), none,
                 "match: ICMP or ICMPv6 type")
            .key("tcp_flags", &Rule::tcp_flags,
                 optional(scalar<TcpFlags>(
                     "flags such as \"syn,!ack\" out of fin, syn, rst, psh, ack, urg, ece, cwr",
                     parse_tcp_flags)),
                 none, "match: flags set and, with !, clear; the rest are free")
            .key("interface", &Rule::interface, interface_name(), none, "match: interface of arrival")
            .key("vlan", &Rule::vlan, optional(integer<uint16_t>(1, 4094)), none, "match: VLAN tag")
            .key("dscp", &Rule::dscp, optional(integer<uint8_t>(0, 63)), none, "match: DSCP")
            .key("service", &Rule::service, name(), none, "match: the service that claims the packet")
            .key("except", &Rule::except, mapping(except_schema()), none, "match: none of these")
            .key("action", &Rule::action, action(), required, "what happens to the packet")
            .key("dry_run", &Rule::dry_run, boolean(), "false",
                 "only count what the rule would decide; the next rule that matches decides")
            .key("rate", &Rule::rate, optional(mapping(rate_schema())), none, "for `rate_limit`")
            .key("when", &Rule::when, optional(mapping(when_schema())), none, "for `evaluate`")
            .key("set_dscp", &Rule::set_dscp, optional(integer<uint8_t>(0, 63)), none,
                 "DSCP written into what the rule lets through")
            .key("priority", &Rule::priority, optional(integer<uint8_t>(0, 3)), none,
                 "QoS class of what the rule lets through")
            .key("log", &Rule::log, one_of<RuleLog>({{"off", RuleLog::off}, {"sampled", RuleLog::sampled}}),
                 "off", "log a sample of the packets it decides")
            .key("stateful", &Rule::stateful, boolean(), "true", "replies of an allowed flow are allowed");
    return schema;
}

const Schema<Policy>& policy_schema() {
    static const auto schema =
        Schema<Policy>("What may pass.")
            .key("default", &Policy::default_action, allow_or_drop(), "allow",
                 "for traffic that a service or a managed prefix claims and no rule matches")
            .key("tcp_pickup", &Policy::tcp_pickup, boolean(), "true",
                 "a first segment without SYN makes a flow (needed for dsr and after a node change)")
            .key("ip_options", &Policy::ip_options, allow_or_drop(), "allow",
                 "IPv4 options in claimed traffic")
            .key("managed", &Policy::managed, list(prefix()), "[]",
                 "traffic to these is filtered and routed by sluice; all else passes to the host")
            .key("sets", &Policy::sets, named(set_schema(), name()), none, "named sets, used as \"set:NAME\"")
            .key("rules", &Policy::rules, list(mapping(rule_schema())), "[]",
                 "in order; the first match wins");
    return schema;
}

}  // namespace sluice::config
