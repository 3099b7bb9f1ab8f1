// SPDX-License-Identifier: Apache-2.0
#include "dataplane/evaluate/dns_answer.h"

#include <ldns/ldns.h>

#include <algorithm>
#include <cstring>
#include <memory>

namespace sluice::evaluate {

namespace {

constexpr size_t most_records = 64;  // of one answer that are looked at
constexpr size_t most_names = 16;    // from the question's on

std::string normal(std::string_view name) {
    if (name.ends_with('.')) name.remove_suffix(1);
    std::string out(name);
    std::transform(out.begin(), out.end(), out.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 'a' - 'A') : c; });
    return out;
}

std::string name_of(const ldns_rdf* rdf) {
    if (rdf == nullptr || ldns_rdf_get_type(rdf) != LDNS_RDF_TYPE_DNAME) return "";
    const std::unique_ptr<char, decltype(&std::free)> text(ldns_rdf2str(rdf), &std::free);
    return text ? normal(text.get()) : "";
}

// A name that the question leads to, with what is known on the way there.
struct Reached {
    std::string name;
    u32 sets;
    u32 ttl;
};

const Reached* find(const std::vector<Reached>& reached, const std::string& name) {
    const auto at =
        std::find_if(reached.begin(), reached.end(), [&](const auto& r) { return r.name == name; });
    return at == reached.end() ? nullptr : &*at;
}

// Follows CNAME records, in whatever order they come.
std::vector<Reached> follow(std::string first, const ldns_rr_list* answer, size_t count,
                            const FqdnNames& names) {
    const u32 sets = names.sets_of(first);
    std::vector<Reached> reached = {{std::move(first), sets, UINT32_MAX}};
    for (size_t at = 0; at < reached.size() && reached.size() < most_names; ++at) {
        for (size_t i = 0; i < count && reached.size() < most_names; ++i) {
            const ldns_rr* rr = ldns_rr_list_rr(answer, i);
            if (ldns_rr_get_type(rr) != LDNS_RR_TYPE_CNAME || name_of(ldns_rr_owner(rr)) != reached[at].name)
                continue;
            std::string target = name_of(ldns_rr_rdf(rr, 0));
            if (target.empty() || find(reached, target) != nullptr) continue;
            const u32 also = names.sets_of(target);
            reached.push_back(
                {std::move(target), reached[at].sets | also, std::min(reached[at].ttl, ldns_rr_ttl(rr))});
        }
    }
    return reached;
}

bool address_of(const ldns_rr* rr, struct address& out) {
    const ldns_rdf* const rdf = ldns_rr_rd_count(rr) == 1 ? ldns_rr_rdf(rr, 0) : nullptr;
    if (rdf == nullptr) return false;
    if (ldns_rr_get_type(rr) == LDNS_RR_TYPE_A && ldns_rdf_size(rdf) == 4) {
        be32 wire{};
        std::memcpy(&wire, ldns_rdf_data(rdf), 4);
        out = address_from_ipv4(wire);
        return true;
    }
    if (ldns_rr_get_type(rr) != LDNS_RR_TYPE_AAAA || ldns_rdf_size(rdf) != 16) return false;
    std::memcpy(&out, ldns_rdf_data(rdf), 16);
    return true;
}

std::vector<LearnedName> read(const ldns_pkt& packet, const FqdnNames& names) {
    std::vector<LearnedName> out;
    const ldns_rr_list* const question = ldns_pkt_question(&packet);
    if (!ldns_pkt_qr(&packet) || ldns_pkt_get_rcode(&packet) != LDNS_RCODE_NOERROR) return out;
    if (ldns_rr_list_rr_count(question) != 1) return out;
    const ldns_rr_list* const answer = ldns_pkt_answer(&packet);
    const size_t count = std::min(ldns_rr_list_rr_count(answer), most_records);
    const std::vector<Reached> reached =
        follow(name_of(ldns_rr_owner(ldns_rr_list_rr(question, 0))), answer, count, names);
    for (size_t i = 0; i < count; ++i) {
        const ldns_rr* rr = ldns_rr_list_rr(answer, i);
        const Reached* const by = find(reached, name_of(ldns_rr_owner(rr)));
        LearnedName learned;
        if (by == nullptr || by->sets == 0 || !address_of(rr, learned.address)) continue;
        learned.sets = by->sets;
        learned.ttl = std::min(by->ttl, ldns_rr_ttl(rr));
        out.push_back(learned);
    }
    return out;
}

}  // namespace

void FqdnNames::add(std::string_view name, u32 sets) {
    const bool wild = name.starts_with("*.");
    if (wild) name.remove_prefix(2);
    (wild ? below_ : exact_)[normal(name)] |= sets;
}

u32 FqdnNames::sets_of(std::string_view name) const {
    const std::string wanted = normal(name);
    const auto at = exact_.find(wanted);
    u32 sets = at == exact_.end() ? 0 : at->second;
    for (size_t dot = wanted.find('.'); dot != std::string::npos; dot = wanted.find('.', dot + 1)) {
        const auto above = below_.find(std::string_view(wanted).substr(dot + 1));
        if (above != below_.end()) sets |= above->second;
    }
    return sets;
}

std::vector<LearnedName> read_dns_answer(std::span<const u8> message, const FqdnNames& names) {
    ldns_pkt* parsed = nullptr;
    if (names.empty() || ldns_wire2pkt(&parsed, message.data(), message.size()) != LDNS_STATUS_OK) return {};
    const std::unique_ptr<ldns_pkt, decltype(&ldns_pkt_free)> packet(parsed, &ldns_pkt_free);
    return read(*packet, names);
}

}  // namespace sluice::evaluate
