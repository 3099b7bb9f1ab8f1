// SPDX-License-Identifier: Apache-2.0
#include "control/compile/vip_ports.h"

#include <algorithm>

namespace sluice::compile {

namespace {

using Claims = std::vector<PortClaim>;

// Claims of one kind, sorted. Fails when two services overlap.
Result<Claims> collect(const std::vector<ServiceAt>& services, bool any) {
    std::vector<std::pair<PortClaim, const config::Service*>> found;
    for (const auto& [service, id] : services) {
        const u32 protocol = static_cast<u32>(service->protocol) << 16;
        if (service->ports.any != any) continue;
        if (any) found.push_back({{protocol, protocol | 0xffff, id}, service});
        for (const config::PortRange& range : service->ports.ranges) {
            found.push_back({{protocol | range.lo, protocol | range.hi, id}, service});
        }
    }
    std::sort(found.begin(), found.end());
    Claims claims;
    for (size_t i = 0; i < found.size(); ++i) {
        const auto& [claim, service] = found[i];
        if (i > 0 && claim.first <= claims.back().last) {
            return make_error("{}: port {} of {} is claimed by service \"{}\", too: expected one service",
                              service->where.text(), claim.first & 0xffff, service->vip.text(),
                              found[i - 1].second->name);
        }
        claims.push_back(claim);
    }
    return claims;
}

void append(Claims& claims, PortClaim claim) {
    if (!claims.empty() && claims.back().service == claim.service && claims.back().last + 1 == claim.first &&
        claims.back().first >> 16 == claim.first >> 16) {
        claims.back().last = claim.last;
        return;
    }
    claims.push_back(claim);
}

// `top`, and of `base` what `top` leaves. Both sorted and disjoint, and so is the result.
Claims overlay(const Claims& base, const Claims& top) {
    Claims merged = top;
    size_t t = 0;
    for (PortClaim rest : base) {
        while (t < top.size() && top[t].last < rest.first) ++t;
        size_t at = t;
        for (; at < top.size() && top[at].first <= rest.last; ++at) {
            if (top[at].first > rest.first) merged.push_back({rest.first, top[at].first - 1, rest.service});
            rest.first = top[at].last + 1;
        }
        if (rest.first <= rest.last) merged.push_back(rest);
    }
    std::sort(merged.begin(), merged.end());
    Claims out;
    for (const PortClaim& claim : merged) append(out, claim);
    return out;
}

}  // namespace

Result<u32> VipPorts::extend(u32 parent, const std::vector<ServiceAt>& services) {
    Result<Claims> any = collect(services, true);
    if (!any) return any.error();
    Result<Claims> listed = collect(services, false);
    if (!listed) return listed.error();
    Claims claims = overlay(overlay(tables_[parent], *any), *listed);
    if (claims.size() > most_claims) {
        return make_error("{}: {} port ranges at {}: expected at most {}",
                          services.front().service->where.text(), claims.size(),
                          services.front().service->vip.text(), most_claims);
    }
    const auto [at, added] = known_.emplace(claims, static_cast<u32>(tables_.size()));
    if (added) tables_.push_back(std::move(claims));
    return at->second;
}

std::vector<u32> VipPorts::write(ImageWriter& writer) const {
    std::vector<u32> lines;
    for (const Claims& claims : tables_) {
        std::vector<image_port_range> ranges;
        ranges.reserve(claims.size());
        for (const PortClaim& claim : claims) {
            image_port_range range{};
            range.first = claim.first;
            range.last = claim.last;
            range.service = claim.service;
            ranges.push_back(range);
        }
        lines.push_back(writer.add(lines_of(ranges)));
    }
    return lines;
}

}  // namespace sluice::compile
