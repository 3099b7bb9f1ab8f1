// SPDX-License-Identifier: Apache-2.0
#include "control/sluicectl/probe_machine.h"

#include <bpf/libbpf.h>
#include <net/if.h>
#include <sys/capability.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <set>

#include "control/sluicectl/table.h"
#include "dataplane/base/fd.h"
#include "dataplane/placement/huge_pages.h"

namespace sluice::ctl {

namespace {

namespace fs = std::filesystem;

constexpr long bpf_fs_magic = 0xcafe4a11;
constexpr int oldest_major = 5, oldest_minor = 15;

std::string first_line(const std::string& file) {
    std::ifstream in(file);
    std::string line;
    std::getline(in, line);
    return line;
}

size_t entries(const std::string& directory) {
    std::error_code error;
    size_t count = 0;
    for (fs::directory_iterator at(directory, error), end; !error && at != end; at.increment(error)) ++count;
    return count;
}

Json kernel_check() {
    utsname name{};
    uname(&name);
    int major = 0, minor = 0;
    const bool read = std::sscanf(name.release, "%d.%d", &major, &minor) == 2;
    const bool new_enough = major > oldest_major || (major == oldest_major && minor >= oldest_minor);
    return check("kernel", read && new_enough, name.release,
                 fmt::format("a kernel from {}.{} on", oldest_major, oldest_minor));
}

Json capability_check() {
    const cap_t set = cap_get_proc();
    std::string missing;
    for (const char* name : {"cap_bpf", "cap_perfmon", "cap_net_admin", "cap_net_raw", "cap_sys_admin"}) {
        cap_value_t value = 0;
        cap_flag_value_t held = CAP_CLEAR;
        if (cap_from_name(name, &value) == 0) cap_get_flag(set, value, CAP_EFFECTIVE, &held);
        if (held == CAP_CLEAR) missing += (missing.empty() ? "" : ", ") + std::string(name);
    }
    cap_free(set);
    return check(
        "capabilities", missing.empty(), missing.empty() ? "all that a start takes" : "without " + missing,
        "root, or the capabilities of docs/security.md; without them every packet passes to the host");
}

Json bpffs_check() {
    struct statfs at {};
    const bool is = statfs("/sys/fs/bpf", &at) == 0 && static_cast<long>(at.f_type) == bpf_fs_magic;
    return check("bpffs", is, is ? "mounted on /sys/fs/bpf" : "none on /sys/fs/bpf",
                 "mount -t bpf bpf /sys/fs/bpf; the daemon mounts it where it may");
}

struct Wanted {
    const char* name;
    int number;
};

// Asks the kernel for each; where it does not let us ask, the answer is unknown.
Json probed(const std::string& name, const std::vector<Wanted>& wanted, int (*probe)(int), const char* what) {
    std::string missing;
    for (const Wanted& each : wanted) {
        const int answer = probe(each.number);
        if (answer < 0) return check(name, "unknown", "the kernel does not let us ask", "ask again as root");
        if (answer == 0) missing += (missing.empty() ? "" : ", ") + std::string(each.name);
    }
    return check(name, missing.empty(),
                 missing.empty() ? fmt::format("all {} in use", wanted.size()) : "without " + missing,
                 fmt::format("a kernel with these {}", what));
}

Json program_checks(Json checks) {
    checks.push_back(probed(
        "program types",
        {{"xdp", BPF_PROG_TYPE_XDP},
         {"sk_lookup", BPF_PROG_TYPE_SK_LOOKUP},
         {"sk_skb", BPF_PROG_TYPE_SK_SKB}},
        [](int type) { return libbpf_probe_bpf_prog_type(static_cast<bpf_prog_type>(type), nullptr); },
        "program types"));
    checks.push_back(probed(
        "map types",
        {{"devmap", BPF_MAP_TYPE_DEVMAP},
         {"xskmap", BPF_MAP_TYPE_XSKMAP},
         {"array_of_maps", BPF_MAP_TYPE_ARRAY_OF_MAPS},
         {"percpu_array", BPF_MAP_TYPE_PERCPU_ARRAY},
         {"ringbuf", BPF_MAP_TYPE_RINGBUF},
         {"lpm_trie", BPF_MAP_TYPE_LPM_TRIE},
         {"sockmap", BPF_MAP_TYPE_SOCKMAP}},
        [](int type) { return libbpf_probe_bpf_map_type(static_cast<bpf_map_type>(type), nullptr); },
        "map types"));
    checks.push_back(probed(
        "XDP helpers",
        {{"redirect_map", BPF_FUNC_redirect_map},
         {"fib_lookup", BPF_FUNC_fib_lookup},
         {"xdp_adjust_head", BPF_FUNC_xdp_adjust_head},
         {"ktime_get_coarse_ns", BPF_FUNC_ktime_get_coarse_ns},
         {"ringbuf_reserve", BPF_FUNC_ringbuf_reserve},
         {"map_lookup_elem", BPF_FUNC_map_lookup_elem}},
        [](int id) {
            return libbpf_probe_bpf_helper(BPF_PROG_TYPE_XDP, static_cast<bpf_func_id>(id), nullptr);
        },
        "helpers"));
    return checks;
}

Json huge_page_check() {
    u64 free = 0, total = 0;
    for (const HugePagePool& pool : read_huge_pages()) {
        if (pool.page_bytes != u64{2} << 20) continue;
        free += pool.free;
        total += pool.total;
    }
    return check("huge pages", total > 0 ? "pass" : "note", fmt::format("{} of 2 MiB, {} free", total, free),
                 total > 0 ? "" : "sluicectl probe --hugepages FILE says how many a configuration uses");
}

Json iommu_check() {
    const size_t groups = entries("/sys/kernel/iommu_groups");
    return check("IOMMU", groups > 0 ? "pass" : "note", groups > 0 ? fmt::format("{} groups", groups) : "off",
                 groups > 0 ? "" : "only DPDK on PCI devices wants it: hugepages.md, The IOMMU");
}

Json vfio_check() {
    const bool device = access("/dev/vfio/vfio", F_OK) == 0;
    const bool driver = access("/sys/bus/pci/drivers/vfio-pci", F_OK) == 0;
    return check("vfio", device && driver ? "pass" : "note",
                 fmt::format("/dev/vfio/vfio {}, driver vfio-pci {}", device ? "there" : "missing",
                             driver ? "there" : "missing"),
                 device && driver ? "" : "only DPDK on PCI devices wants it: modprobe vfio-pci");
}

Json numa_check() {
    const auto topology = read_topology();
    if (!topology) return check("NUMA", "unknown", topology.error().message);
    return check("NUMA", "note",
                 fmt::format("{} nodes, {} CPUs", topology->nodes.size(), topology->cpus.size()));
}

Json limit_check(const char* name, int which, rlim_t wanted, const char* remedy) {
    rlimit limit{};
    getrlimit(static_cast<__rlimit_resource_t>(which), &limit);
    const bool enough = limit.rlim_max == RLIM_INFINITY || limit.rlim_max >= wanted;
    const std::string found = limit.rlim_max == RLIM_INFINITY ? "no limit" : fmt::to_string(limit.rlim_max);
    return check(name, enough ? "pass" : "note", found, enough ? "" : remedy);
}

Json forwarding_check(const char* name, const std::string& file) {
    const bool on = first_line(file) != "0" && !first_line(file).empty();
    return check(
        name, on, on ? "on" : "off",
        "sysctl it to 1 (scripts/enable-xdp.sh --forwarding): without it XDP asks the kernel for no route");
}

Json machine_checks() {
    Json checks = Json::array({kernel_check()});
    const bool btf = access("/sys/kernel/btf/vmlinux", R_OK) == 0;
    checks.push_back(check("BTF", btf, btf ? "/sys/kernel/btf/vmlinux" : "no /sys/kernel/btf/vmlinux",
                           "a kernel with CONFIG_DEBUG_INFO_BTF"));
    checks.push_back(capability_check());
    checks.push_back(bpffs_check());
    const std::string compiler = first_line("/proc/sys/net/core/bpf_jit_enable");
    checks.push_back(check("BPF compiler",
                           compiler.empty()  ? "unknown"
                           : compiler == "0" ? "fail"
                                             : "pass",
                           compiler.empty()  ? "not to be read"
                           : compiler == "0" ? "off"
                                             : "on",
                           compiler == "0" ? "sysctl net.core.bpf_jit_enable=1" : ""));
    checks = program_checks(std::move(checks));
    checks.push_back(huge_page_check());
    checks.push_back(iommu_check());
    checks.push_back(vfio_check());
    checks.push_back(numa_check());
    checks.push_back(limit_check("locked memory", RLIMIT_MEMLOCK, rlim_t{64} << 20,
                                 "ulimit -l unlimited, unless the daemon has CAP_IPC_LOCK"));
    checks.push_back(
        limit_check("descriptors", RLIMIT_NOFILE, 65536, "ulimit -n: a proxied connection takes two"));
    checks.push_back(forwarding_check("forwarding, IPv4", "/proc/sys/net/ipv4/ip_forward"));
    checks.push_back(forwarding_check("forwarding, IPv6", "/proc/sys/net/ipv6/conf/all/forwarding"));
    return checks;
}

std::vector<std::string> all_interfaces() {
    std::vector<std::string> names;
    struct if_nameindex* const all = if_nameindex();
    for (const struct if_nameindex* at = all; at != nullptr && at->if_index != 0; ++at) {
        if (std::string(at->if_name) != "lo") names.emplace_back(at->if_name);
    }
    if (all != nullptr) if_freenameindex(all);
    return names;
}

std::string checks_text(const Json& checks) {
    std::string out;
    for (const Json& each : checks) {
        const auto word = [&](const char* key) { return each.at(key).get<std::string>(); };
        out += wrapped(fmt::format("{:<8}{}: {}", word("result"), word("name"), word("found")), 2);
        if (each.contains("remedy")) out += wrapped(word("remedy"), 12);
    }
    return out;
}

}  // namespace

Json check(const std::string& name, const char* result, const std::string& found, const std::string& remedy) {
    Json out = {{"name", name}, {"result", result}, {"found", found}};
    if (!remedy.empty()) out["remedy"] = remedy;
    return out;
}

Json check(const std::string& name, bool good, const std::string& found, const std::string& remedy) {
    return check(name, good ? "pass" : "fail", found, good ? "" : remedy);
}

Json probe_machine(const ProbeOptions& options) {
    libbpf_set_print(nullptr);
    Json out = {{"machine", machine_checks()}, {"interfaces", Json::object()}};
    for (const std::string& name : options.interfaces.empty() ? all_interfaces() : options.interfaces)
        out["interfaces"][name] = probe_interface(name, options.try_sockets);
    return out;
}

std::string probe_text(const Json& probe) {
    std::string out = "machine\n" + checks_text(probe.at("machine"));
    for (const auto& [name, checks] : probe.at("interfaces").items())
        out += "\n" + name + "\n" + checks_text(checks);
    return out;
}

bool probe_failed(const Json& probe) {
    const auto failed = [](const Json& checks) {
        return std::any_of(checks.begin(), checks.end(),
                           [](const Json& each) { return each.at("result") == "fail"; });
    };
    const Json& interfaces = probe.at("interfaces");
    return failed(probe.at("machine")) || std::any_of(interfaces.begin(), interfaces.end(), failed);
}

}  // namespace sluice::ctl
