// SPDX-License-Identifier: Apache-2.0
#include "dataplane/io/interception/nft_table.h"

#include <fmt/format.h>
#include <unistd.h>

namespace sluice {

namespace {

std::string set_text(const std::string& name, const char* type, const std::vector<std::string>& elements) {
    const std::string list =
        elements.empty() ? "" : fmt::format(" elements = {{ {} }};", fmt::join(elements, ", "));
    return fmt::format("  set {} {{ type {}; flags interval; auto-merge;{} }}\n", name, type, list);
}

std::vector<std::string> texts_of(const std::vector<PortSpan>& ports) {
    std::vector<std::string> texts;
    for (const PortSpan& span : ports) texts.push_back(fmt::format("{}-{}", span.first, span.last));
    return texts;
}

// What is never intercepted: the proxy's own connections, its own ports, and what the configuration excepts.
std::string exceptions_text(const InterceptionRules& rules) {
    std::string text;
    text += set_text("destinations4", "ipv4_addr", rules.destinations.v4);
    text += set_text("destinations6", "ipv6_addr", rules.destinations.v6);
    text += set_text("sources4", "ipv4_addr", rules.sources.v4);
    text += set_text("sources6", "ipv6_addr", rules.sources.v6);
    text += set_text("ports", "inet_service", texts_of(rules.ports));
    text += fmt::format(
        "  chain exceptions {{\n"
        "    meta mark & {0:#x} == {0:#x} accept\n"
        "    tcp dport {{ {1}, {2} }} accept\n"
        "    ip daddr @destinations4 accept\n"
        "    ip6 daddr @destinations6 accept\n"
        "    ip saddr @sources4 accept\n"
        "    ip6 saddr @sources6 accept\n"
        "    tcp dport @ports accept\n"
        "  }}\n",
        mark_own, rules.inbound, rules.outbound);
    return text;
}

std::string redirect_text(const InterceptionRules& rules) {
    return fmt::format(
        "  chain arriving {{\n"
        "    type nat hook prerouting priority dstnat; policy accept;\n"
        "    meta l4proto != tcp accept\n"
        "    iifname \"lo\" accept\n"
        "    jump exceptions\n"
        "    fib daddr type local meta l4proto tcp redirect to :{0}\n"
        "    fib daddr type unicast meta l4proto tcp redirect to :{1}\n"
        "  }}\n",
        rules.inbound, rules.outbound);
}

// A packet of the node's own cannot be given to a socket under another destination: it is redirected.
std::string leaving_text(const InterceptionRules& rules) {
    return fmt::format(
        "  chain leaving {{\n"
        "    type nat hook output priority -100; policy accept;\n"
        "    meta l4proto != tcp accept\n"
        "    fib daddr type local accept\n"
        "    jump exceptions\n"
        "    meta l4proto tcp redirect to :{}\n"
        "  }}\n",
        rules.outbound);
}

// Answers to a socket under a client's address are for this host, whatever their destination says.
std::string delivery_text(const NftWish& wish) {
    std::string text = fmt::format(
        "  chain delivered {{\n"
        "    type filter hook prerouting priority mangle; policy accept;\n"
        "    meta l4proto != tcp accept\n"
        "    socket transparent 1 socket wildcard 0 meta mark set meta mark | {:#x} accept\n",
        mark_deliver);
    if (wish.interception && wish.interception->transparent) {
        text += fmt::format(
            "    iifname \"lo\" accept\n"
            "    jump exceptions\n"
            "    fib daddr type local meta l4proto tcp tproxy to :{0} meta mark set meta mark | {2:#x} "
            "accept\n"
            "    fib daddr type unicast meta l4proto tcp tproxy to :{1} meta mark set meta mark | {2:#x} "
            "accept\n",
            wish.interception->inbound, wish.interception->outbound, mark_deliver);
    }
    return text + "  }\n";
}

// The same for answers of this host's own servers, which never arrive from outside.
std::string answers_text() {
    return fmt::format(
        "  chain answers {{\n"
        "    type route hook output priority mangle; policy accept;\n"
        "    meta l4proto != tcp accept\n"
        "    meta mark & {0:#x} == {0:#x} ct mark set ct mark | {0:#x} accept\n"
        "    ct direction reply ct mark & {0:#x} == {0:#x} meta mark set meta mark | {1:#x}\n"
        "  }}\n",
        mark_foreign, mark_deliver);
}

}  // namespace

std::string nft_table_text(const std::string& name, const NftWish& wish) {
    const bool transparent = wish.interception && wish.interception->transparent;
    std::string text = fmt::format("table inet {} {{\n  flags owner;\n", name);
    if (wish.interception) text += exceptions_text(*wish.interception);
    if (wish.interception && !transparent) text += redirect_text(*wish.interception);
    if (wish.interception) text += leaving_text(*wish.interception);
    if (transparent || wish.foreign_addresses) text += delivery_text(wish);
    if (transparent) text += answers_text();
    return text + "}\n";
}

Status NftTable::set(const NftWish& wish) {
    if (wish.empty() && !there_) return {};
    if (name_.empty()) name_ = fmt::format("sluice_{}", getpid());
    std::string commands = there_ ? fmt::format("delete table inet {}\n", name_) : "";
    if (!wish.empty()) commands += nft_table_text(name_, wish);
    if (Status status = nft_.run(commands); !status) return status;
    there_ = !wish.empty();
    return {};
}

}  // namespace sluice
