// SPDX-License-Identifier: Apache-2.0
#include "control/compile/compiler.h"

#include <algorithm>
#include <chrono>

#include "control/compile/destination_builder.h"
#include "control/compile/policy_builder.h"
#include "control/compile/route_builder.h"
#include "control/compile/service_builder.h"

namespace sluice::compile {

namespace {

std::array<u32, STATE_COUNT> ticks_of(const config::Timeouts& timeouts) {
    const auto ticks = [](config::Duration duration) {
        const double count = static_cast<double>(duration.count()) * 1e6 / (1 << 20);
        return static_cast<u32>(std::clamp(count, 1.0, 2147483647.0));  // half the clock's range
    };
    std::array<u32, STATE_COUNT> out{};
    out.fill(ticks(timeouts.other));
    out[STATE_TCP_SYN] = ticks(timeouts.tcp_syn);
    out[STATE_TCP_ESTABLISHED] = ticks(timeouts.tcp_established);
    out[STATE_TCP_CLOSING] = ticks(timeouts.tcp_closing);
    out[STATE_UDP] = ticks(timeouts.udp);
    out[STATE_ICMP] = ticks(timeouts.icmp);
    return out;
}

u32 flags_of(const config::Config& config) {
    u32 flags = 0;
    if (config.policy.default_action == config::DefaultAction::drop) flags |= IMAGE_DEFAULT_DROP;
    if (config.policy.tcp_pickup) flags |= IMAGE_TCP_PICKUP;
    if (config.policy.ip_options == config::DefaultAction::drop) flags |= IMAGE_DROP_IP_OPTIONS;
    if (!config.tunnels.empty()) flags |= IMAGE_TUNNELS;
    for (const auto& [name, set] : config.policy.sets) {
        if (!set.fqdn.empty()) flags |= IMAGE_OBSERVE_DNS;
    }
    return flags;
}

Status check_ports(const Environment& environment) {
    for (const LogicalPort& port : environment.ports) {
        if (port.number >= 1 && port.number < NODE_PORTS) continue;
        return make_error("interface {}: port number {}: expected 1 to {}", port.name, port.number,
                          NODE_PORTS - 1);
    }
    return {};
}

// Order matters in one respect: the policy's rows are written once all who hold rows have asked for theirs.
Status write_image(const config::Config& config, const Environment& environment, Snapshot& out) {
    ImageWriter writer;
    image_header header{};
    header.magic = IMAGE_MAGIC;
    header.layout_version = LAYOUT_VERSION;
    header.generation = environment.generation;
    header.flags = flags_of(config);

    PolicyBuilder policy(config, environment, out.identities);
    if (Status status = policy.prepare(); !status) return status;
    Result<Destinations> destinations =
        build_destinations(config, environment, out.identities, policy.destinations());
    if (!destinations) return destinations.error();
    Result<LpmTable> sources = policy.sources();
    if (!sources) return sources.error().with_context("policy");
    Result<Routes> routes = build_routes(config, environment);
    if (!routes) return routes.error();
    out.statistics.destination_prefixes = destinations->lpm.prefixes;
    out.statistics.source_prefixes = sources->prefixes;
    out.statistics.route_prefixes = routes->lpm.prefixes;

    header.destination = std::move(destinations->lpm).write(writer);
    header.source = std::move(*sources).write(writer);
    header.destinations = destinations->write(writer);
    const Reverse reverse = find_reverse(config, out.identities);
    Result<ServiceTables> services =
        write_services(config, environment, out.identities, reverse, policy, writer);
    if (!services) return services.error();
    header.services = services->line;
    header.service_count = services->count;
    out.statistics.rings = services->rings;
    out.rings = std::move(services->lines);
    Result<ReverseTable> reverse_table = write_reverse(reverse.records, writer);
    if (!reverse_table) return reverse_table.error();
    header.reverse = reverse_table->line;
    header.reverse_mask = reverse_table->mask;
    Result<struct image_policy> rules = policy.write(writer);
    if (!rules) return rules.error();
    header.policy = *rules;
    out.statistics.rules = config.policy.rules.size();
    out.statistics.rows = policy.rows();
    if (Status status = write_routes(std::move(*routes), writer, header); !status) return status;
    out.lines = writer.finish(header);
    return {};
}

}  // namespace

Result<Snapshot> compile(const config::Config& config, const Environment& environment,
                         const Identities* previous) {
    const auto start = std::chrono::steady_clock::now();
    if (Status status = check_ports(environment); !status) return status.error();
    Snapshot out;
    out.generation = environment.generation;
    Result<Identities> ids = assign_identities(config, previous);
    if (!ids) return ids.error();
    out.identities = std::move(*ids);
    if (Status status = write_image(config, environment, out); !status) return status.error();
    out.interests = find_interests(config);
    out.timeouts = ticks_of(config.timeouts);
    out.statistics.bytes = out.lines.size() * sizeof(image_line);
    out.statistics.milliseconds =
        std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
    return out;
}

}  // namespace sluice::compile
