// SPDX-License-Identifier: Apache-2.0
#include "perf/xdp/program_under_test.h"

#include <bpf/bpf.h>
#include <sys/mman.h>

#include "control/compile/compiler.h"
#include "control/config/loader.h"
#include "dataplane/base/fd.h"
#include "perf/common/measure.h"

namespace sluice::perf {

namespace {

constexpr u32 loopback = 1;  // ifindex that BPF_PROG_TEST_RUN presents

Result<Mapping> map_memory(bpf_object* object, const char* name, size_t length) {
    const int fd = bpf_object__find_map_fd_by_name(object, name);
    if (fd < 0) return make_error("no map {} in the object", name);
    return Mapping::of_fd(fd, length, PROT_READ | PROT_WRITE, MAP_SHARED);
}

void resize(bpf_object* object, const char* name, u32 entries) {
    bpf_map__set_max_entries(bpf_object__find_map_by_name(object, name), entries);
}

}  // namespace

Result<std::unique_ptr<ProgramUnderTest>> ProgramUnderTest::create(const Paths& paths,
                                                                   const std::string& yaml, u32 flows) {
    auto program = std::make_unique<ProgramUnderTest>();
    if (Status status = program->load(paths, flows); !status) return status.error();
    if (Status status = program->configure(yaml, flows); !status) return status.error();
    return program;
}

Status ProgramUnderTest::load(const Paths& paths, u32 flows) {
    object_.reset(bpf_object__open_file(paths.program.c_str(), nullptr));
    if (!object_) return system_error(errno, "open {}", paths.program);
    resize(object_.get(), "flow_tags", flows / FLOW_BUCKET_SLOTS);
    for (const char* name : {"flows", "flow_addresses", "flow_counters"})
        resize(object_.get(), name, flows + FLOW_SCRATCH);
    for (const char* name : {"meters", "source_meters", "backend_counters", "rule_counters"})
        resize(object_.get(), name, 16384);
    if (bpf_object__load(object_.get()) != 0) return system_error(errno, "load {}", paths.program);
    return {};
}

Status ProgramUnderTest::fill_snapshot(const void* lines, size_t count) {
    LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = BPF_F_MMAPABLE | BPF_F_INNER_MAP);
    const UniqueFd inner(bpf_map_create(BPF_MAP_TYPE_ARRAY, "image", sizeof(u32), IMAGE_LINE,
                                        static_cast<u32>(count), &options));
    if (!inner) return system_error(errno, "create the snapshot's map");
    auto memory = Mapping::of_fd(inner.get(), count * IMAGE_LINE, PROT_READ | PROT_WRITE, MAP_SHARED);
    if (!memory) return memory.error();
    std::memcpy(memory->data(), lines, count * IMAGE_LINE);
    const u32 zero = 0;
    const int fd = inner.get();
    if (bpf_map_update_elem(bpf_object__find_map_fd_by_name(object_.get(), "snapshot"), &zero, &fd,
                            BPF_ANY) != 0)
        return system_error(errno, "publish the snapshot");
    return {};
}

Status ProgramUnderTest::configure(const std::string& yaml, u32 flows) {
    auto config = config::load_text(yaml, "benchmark");
    if (!config) return config.error();
    compile::Environment environment;
    environment.ports.push_back({.name = "lo", .number = 1, .vlan = 0, .addresses = {}});
    auto snapshot = compile::compile(*config, environment, nullptr);
    if (!snapshot) return snapshot.error();
    if (Status status = fill_snapshot(snapshot->lines.data(), snapshot->lines.size()); !status) return status;
    auto memory = map_memory(object_.get(), "node", sizeof(node_state));
    if (!memory) return memory.error();
    node_ = std::move(*memory);
    auto* node = node_.as<node_state>();
    node->flow_seed = 0x5eed;
    node->flow_capacity = flows;
    node->flow_bucket_mask = flows / FLOW_BUCKET_SLOTS - 1;
    node->source_mask = 16383;
    node->generation = snapshot->generation;
    node->nat_port_first = 32768;
    node->nat_port_count = 28000;
    node->slot_multiplier = 1;
    node->slots[node_slot_index(loopback, 0, 1)] = {.ifindex = loopback, .vlan = 0, .port = 1, .reserved = 0};
    node->ports[1] = {};
    node->ports[1].ifindex = loopback;
    node->ports[1].mtu = 9000;
    node->ports[1].address4 = to_be32(0xc00002fe);  // of fullnat
    node->ports[1].device = 1;
    const u8 mac[6] = {2, 0, 0, 0, 0, 1};
    std::memcpy(node->ports[1].mac, mac, sizeof mac);
    for (size_t state = 0; state < STATE_COUNT; state++) node->timeout[state] = snapshot->timeouts[state];
    node->destination = snapshot->interests.destination;
    node->source = snapshot->interests.source;
    return {};
}

int ProgramUnderTest::fd() const {
    return bpf_program__fd(bpf_object__find_program_by_name(object_.get(), "sluice_xdp"));
}

Result<std::unique_ptr<Front>> Front::create(const Paths& paths, int target) {
    auto front = std::make_unique<Front>();
    front->object_.reset(bpf_object__open_file(paths.front.c_str(), nullptr));
    if (!front->object_ || bpf_object__load(front->object_.get()) != 0)
        return system_error(errno, "load {}", paths.front);
    auto memory = map_memory(front->object_.get(), "bench", sizeof(FrontState));
    if (!memory) return memory.error();
    front->state_ = std::move(*memory);
    if (target < 0)
        target = bpf_program__fd(bpf_object__find_program_by_name(front->object_.get(), "floor_target"));
    const u32 zero = 0;
    if (bpf_map_update_elem(bpf_object__find_map_fd_by_name(front->object_.get(), "target"), &zero, &target,
                            BPF_ANY) != 0)
        return system_error(errno, "set the program under test");
    front->fd_ = bpf_program__fd(bpf_object__find_program_by_name(front->object_.get(), "front"));
    return front;
}

void Front::set_packet(const std::vector<u8>& frame, u32 flows, bool sequential, bool adjust) {
    auto* state = state_.as<FrontState>();
    frame_ = frame;
    std::memset(state->bytes, 0, sizeof state->bytes);
    std::memcpy(state->bytes, frame.data(), std::min(frame.size(), sizeof state->bytes));
    state->length = static_cast<u32>(frame.size());
    state->flow_mask = flows - 1;
    state->sequential = sequential;
    state->adjust = adjust;
    state->state = 1;
    state->base = 0xcb007101;  // 203.0.113.1 and on
    state->family = frame[12] == 0x08 ? 4 : 6;
    if (state->family == 4) {  // the sum over the header without checksum and source address
        u32 sum = 0;
        for (u32 i = 14; i < 34; i += 2)
            if (i != 24 && i != 26 && i != 28) sum += frame[i] | static_cast<u32>(frame[i + 1]) << 8;
        sum = (sum & 0xffff) + (sum >> 16);
        sum = (sum & 0xffff) + (sum >> 16);
        state->bytes[24] = static_cast<u8>(sum);
        state->bytes[25] = static_cast<u8>(sum >> 8);
    }
}

Result<double> Front::run(u32 packets, u32* action) {
    LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = frame_.data(),
                .data_size_in = static_cast<u32>(frame_.size()), .repeat = static_cast<int>(packets));
    const u64 begin = thread_ns();
    if (bpf_prog_test_run_opts(fd_, &options) != 0) return system_error(errno, "run the program");
    const u64 end = thread_ns();
    *action = options.retval;
    return static_cast<double>(end - begin) / packets;
}

}  // namespace sluice::perf
