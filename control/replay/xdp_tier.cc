// SPDX-License-Identifier: Apache-2.0
#include "control/replay/xdp_tier.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <sched.h>

#include <algorithm>
#include <cerrno>
#include <set>

#include "control/replay/own_namespace.h"
#include "dataplane/base/clock.h"
#include "dataplane/io/xdp/xdp_skeleton.h"

namespace sluice::replay {

namespace {

constexpr size_t headroom = 256;  // what the kernel puts before the frame
constexpr size_t longest_input =
    3400;  // of one page, with head room and what the kernel keeps behind the frame
constexpr size_t shortest_input = 14;
constexpr u32 every_punt = (1u << PUNT_COUNT) - 1;

// The program and this thread keep to one CPU: its per-CPU maps then have one place to look at.
Result<u32> stay_on_this_cpu() {
    const int cpu = sched_getcpu();
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(static_cast<unsigned>(cpu), &one);
    if (cpu < 0 || sched_setaffinity(0, sizeof one, &one) != 0) return system_error(errno, "CPU {}", cpu);
    return static_cast<u32>(cpu);
}

}  // namespace

XdpTier::~XdpTier() = default;

Result<std::unique_ptr<XdpTier>> XdpTier::create(const config::Config& config, OfflinePorts& ports) {
    std::unique_ptr<XdpTier> tier(new XdpTier);
    if (Status status = enter_own_namespace(); !status) return status.error();
    std::set<u32> devices;
    for (size_t i = 1; i < ports.ports.size(); i++) devices.insert(ports.ports[i].device);
    Result<std::vector<u32>> indexes = make_devices(devices.size());
    if (!indexes) return indexes.error();
    for (size_t i = 1; i < ports.ports.size(); i++) {
        const auto at = std::distance(devices.begin(), devices.find(ports.ports[i].device));
        ports.ports[i].ifindex = (*indexes)[static_cast<size_t>(at)];
    }
    Result<u32> cpu = stay_on_this_cpu();
    if (!cpu) return cpu.error();
    tier->cpu_ = *cpu;
    tier->cpus_ = static_cast<u32>(libbpf_num_possible_cpus());
    XdpOptions options;
    options.bpffs = own_bpffs;
    options.sizes = MapSizes::rounded(config.tables.flows, config.tables.sources, config.tables.backends,
                                      POLICY_MAX_WORDS * 64u);
    options.may_mount = false;
    Result<std::unique_ptr<XdpDataplane>> opened = XdpDataplane::open(options);
    if (!opened) return opened.error();
    tier->dataplane_ = std::move(*opened);
    for (size_t i = 1; i < ports.ports.size(); i++) {
        const Status status = tier->dataplane_->set_port(static_cast<u8>(i), ports.ports[i]);
        if (!status) return status.error().with_context(ports.names[i]);
    }
    tier->dataplane_->node().punts = every_punt;
    if (Status status = tier->load(); !status) return status.error();
    tier->drops_.assign(NODE_PORTS, std::vector<u64>(REASON_ROWS));
    tier->output_.resize(longest_input + headroom);
    return tier;
}

Status XdpTier::load() {
    Result<std::unique_ptr<SkeletonHandle>> opened = open_skeleton(dataplane_->maps());
    if (!opened) return opened.error();
    program_ = std::move(*opened);
    const int code = bpf_object__load(program_->object());
    if (code != 0) return system_error(code, "XDP program {}: the kernel does not load it", xdp_program_name);
    return {};
}

// What this CPU has dropped that came by a port, by reason.
Result<std::vector<u64>> XdpTier::drops(u32 port) const {
    std::vector<struct port_counters> all(cpus_);
    if (bpf_map_lookup_elem(dataplane_->maps().fd("port_counters"), &port, all.data()) != 0)
        return system_error(errno, "map port_counters: port {}", port);
    const u64* first = all.at(cpu_).drops;
    return std::vector<u64>(first, first + REASON_ROWS);
}

// The program says a drop's reason by counting it.
Result<u32> XdpTier::verdict_word(u32 action, u32 port) {
    if (action == XDP_PASS) return u32{VERDICT_PASS};
    if (action == XDP_TX || action == XDP_REDIRECT) return u32{VERDICT_FORWARD};
    Result<std::vector<u64>> now = drops(port);
    if (!now) return now.error();
    const auto [seen, counted] = std::mismatch(drops_[port].begin(), drops_[port].end(), now->begin());
    if (action != XDP_DROP || counted == now->end())
        return make_error("the XDP program answered {} and counted no drop", action);
    const u32 reason = static_cast<u32>(counted - now->begin());
    drops_[port] = std::move(*now);
    return drop(reason);
}

Result<std::optional<Decision>> XdpTier::run(Frame& frame, u64 now_ns) {
    const size_t length = static_cast<size_t>(frame.end - frame.data);
    if (length < shortest_input || length > longest_input) return std::optional<Decision>();
    struct xdp_md context {};
    context.data_end = static_cast<u32>(length);
    context.ingress_ifindex = frame.ifindex;
    LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = frame.data, .data_out = output_.data(),
                .data_size_in = static_cast<u32>(length), .data_size_out = static_cast<u32>(output_.size()),
                .ctx_in = &context, .ctx_size_in = sizeof context, .repeat = 1);
    dataplane_->node().clock_offset = now_ns - monotonic_ns();
    if (const int code = bpf_prog_test_run_opts(bpf_program__fd(program_->program()), &options); code != 0)
        return system_error(code, "BPF_PROG_TEST_RUN of {} bytes", length);
    const u32 zero = 0;
    std::vector<pipeline_context> contexts(cpus_);
    if (bpf_map_lookup_elem(dataplane_->maps().fd("contexts"), &zero, contexts.data()) != 0)
        return system_error(errno, "map contexts");
    const pipeline_context& c = contexts.at(cpu_);
    Result<u32> word = verdict_word(options.retval, c.port);
    if (!word) return word.error();
    if (*word == drop(REASON_NO_ENGINE)) return std::optional<Decision>();
    if (*word == u32{VERDICT_FORWARD}) {
        if (options.data_size_out > static_cast<size_t>(frame.end - frame.buffer))
            return make_error("the XDP program made a frame of {} bytes", options.data_size_out);
        frame.data = frame.end - options.data_size_out;
        std::copy_n(output_.data(), options.data_size_out, frame.data);
    }
    return std::optional<Decision>({*word, c.port, c.hop.port, c.service, c.backend, c.rule});
}

}  // namespace sluice::replay
