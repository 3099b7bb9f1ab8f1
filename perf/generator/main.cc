// SPDX-License-Identifier: Apache-2.0
//
// live-frames send: UDP packets of many clients out of a device, as fast as one core makes them or at a given
// rate, until a signal or as many as asked for. live-frames sink: drops what a device receives of them, sends
// other UDP packets back to whoever sent them, and answers every line on standard input with a line
// "NANOSECONDS PACKETS".
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fmt/format.h>
#include <net/if.h>
#include <netinet/ether.h>
#include <time.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <iostream>
#include <memory>
#include <numeric>

#include "dataplane/base/result.h"
#include "dataplane/packet/checksum.h"

namespace sluice::perf {
namespace {

constexpr int packets_per_call = 1 << 30;  // one call: each takes tens of ms to set up

// The same layout as in generator.bpf.c.
struct Settings {
    u8 bytes[64];
    u32 flows;
    u32 base;
    u32 sum;
    u32 period;
    u64 random;
    u64 due;
};

struct Arguments {
    std::string object;
    std::string device;
    std::string destination = "192.0.2.10";
    std::string to_mac;
    std::string from_mac = "02:00:00:00:00:09";
    u16 port = 53;
    u32 flows = 65536;
    double rate = 0;  // packets per second; 0: as fast as it goes
    int packets = packets_per_call;
};

struct ObjectDeleter {
    void operator()(bpf_object* object) const { bpf_object__close(object); }
};
using Object = std::unique_ptr<bpf_object, ObjectDeleter>;

Result<Object> load(const std::string& path) {
    Object object(bpf_object__open_file(path.c_str(), nullptr));
    if (!object || bpf_object__load(object.get()) != 0) return system_error(errno, "load {}", path);
    return object;
}

int program(const Object& object, const char* name) {
    return bpf_program__fd(bpf_object__find_program_by_name(object.get(), name));
}

Result<Settings> settings_of(const Arguments& arguments) {
    Settings settings{};
    const ether_addr* to = ether_aton(arguments.to_mac.c_str());
    if (to == nullptr) return make_error("--to-mac {}: expected a MAC address", arguments.to_mac);
    std::memcpy(settings.bytes, to, 6);
    const ether_addr* from = ether_aton(arguments.from_mac.c_str());
    if (from == nullptr) return make_error("--from-mac {}: expected a MAC address", arguments.from_mac);
    std::memcpy(settings.bytes + 6, from, 6);
    const u8 ip[22] = {8, 0, 0x45, 0, 0, 50, 0, 1, 0x40, 0, 64, 17};
    std::memcpy(settings.bytes + 12, ip, sizeof ip);
    if (inet_pton(AF_INET, arguments.destination.c_str(), settings.bytes + 30) != 1)
        return make_error("--destination {}: expected an IPv4 address", arguments.destination);
    const u8 udp[8] = {
        0x9c, 0x40, static_cast<u8>(arguments.port >> 8), static_cast<u8>(arguments.port), 0, 30, 0, 0};
    std::memcpy(settings.bytes + 34, udp, sizeof udp);
    u64 sum = 0;
    for (u32 i = 14; i < 34; i += 2) sum += settings.bytes[i] | static_cast<u32>(settings.bytes[i + 1]) << 8;
    settings.sum = sum_fold(sum);
    settings.flows = arguments.flows;
    settings.base = 11u << 24;
    settings.random = 1;
    settings.period = arguments.rate > 0 ? static_cast<u32>(1e9 / arguments.rate) : 0;
    return settings;
}

Status send(const Arguments& arguments) {
    const Result<Settings> settings = settings_of(arguments);
    if (!settings) return settings.error();
    const Result<Object> object = load(arguments.object);
    if (!object) return object.error();
    const u32 zero = 0;
    const int map = bpf_object__find_map_fd_by_name(object->get(), "settings");
    if (bpf_map_update_elem(map, &zero, &*settings, BPF_ANY) != 0)
        return system_error(errno, "set the frame");
    xdp_md context{};
    context.data_end = sizeof settings->bytes;
    context.ingress_ifindex = if_nametoindex(arguments.device.c_str());
    LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = settings->bytes,
                .data_size_in = sizeof settings->bytes, .ctx_in = &context, .ctx_size_in = sizeof context,
                .repeat = arguments.packets, .flags = BPF_F_TEST_XDP_LIVE_FRAMES, .batch_size = 64);
    const int status = bpf_prog_test_run_opts(program(*object, "generate"), &options);
    if (status != 0 && errno != EINTR) return system_error(errno, "send by {}", arguments.device);
    return {};
}

u64 total_of(int map) {
    std::vector<u64> counts(static_cast<size_t>(libbpf_num_possible_cpus()));
    const u32 zero = 0;
    bpf_map_lookup_elem(map, &zero, counts.data());
    return std::accumulate(counts.begin(), counts.end(), u64{0});
}

Status sink(const Arguments& arguments) {
    const Result<Object> object = load(arguments.object);
    if (!object) return object.error();
    const int ifindex = static_cast<int>(if_nametoindex(arguments.device.c_str()));
    bpf_link* link =
        bpf_program__attach_xdp(bpf_object__find_program_by_name(object->get(), "count_and_drop"), ifindex);
    if (link == nullptr) return system_error(errno, "attach to {}", arguments.device);
    const int map = bpf_object__find_map_fd_by_name(object->get(), "arrived");
    std::string line;
    while (std::getline(std::cin, line)) {
        timespec now{};
        clock_gettime(CLOCK_MONOTONIC, &now);
        fmt::print("{} {}\n", static_cast<u64>(now.tv_sec) * 1'000'000'000 + static_cast<u64>(now.tv_nsec),
                   total_of(map));
        std::fflush(stdout);
    }
    bpf_link__destroy(link);
    return {};
}

void ignore(int) {}

}  // namespace
}  // namespace sluice::perf

int main(int argc, char** argv) {
    using namespace sluice::perf;
    CLI::App app{"Sends frames from within the kernel, and counts what arrives"};
    Arguments arguments;
    app.require_subcommand(1);
    app.add_option("--object", arguments.object, "generator.bpf.o")->required();
    CLI::App* sender = app.add_subcommand("send", "send by a device until a signal");
    sender->add_option("--device", arguments.device, "device")->required();
    sender->add_option("--destination", arguments.destination, "IPv4 address");
    sender->add_option("--port", arguments.port, "UDP port");
    sender->add_option("--to-mac", arguments.to_mac, "the receiver's")->required();
    sender->add_option("--from-mac", arguments.from_mac, "the sender's");
    sender->add_option("--flows", arguments.flows, "clients, from 11.0.0.0 on, at random");
    sender->add_option("--rate", arguments.rate, "packets per second; 0: as fast as it goes");
    sender->add_option("--packets", arguments.packets,
                       "how many, as fast as it goes; default: until a signal");
    CLI::App* drain = app.add_subcommand("sink", "drop and count");
    drain->add_option("--device", arguments.device, "device")->required();
    CLI11_PARSE(app, argc, argv);
    struct sigaction action {};
    action.sa_handler = ignore;  // without SA_RESTART: the call ends
    sigaction(SIGTERM, &action, nullptr);
    sigaction(SIGINT, &action, nullptr);
    const sluice::Status status = sender->parsed() ? send(arguments) : sink(arguments);
    if (status) return 0;
    fmt::print(stderr, "live-frames: {}\n", status.error().message);
    return 1;
}
