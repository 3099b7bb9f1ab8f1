// SPDX-License-Identifier: Apache-2.0
#include "dataplane/io/dpdk/eal.h"

#include <pthread.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_log.h>
#include <rte_version.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <vector>

#include "dataplane/base/log.h"

namespace sluice {
namespace {

// DPDK scans no bus for what is not allowed by name. An address that no device has keeps it from probing
// (and taking from other users) whatever lies about; configured devices are plugged by name afterwards.
constexpr const char* no_such_device = "ffff:ff:1f.7";

struct State {
    bool attempted = false;
    Status outcome;
    std::string shortcoming;
    std::mutex mutex;  // guards `complaints`
    std::vector<std::string> complaints;
    std::atomic<int> quiet{0};
};

State& state() {
    static State instance;
    return instance;
}

void take_line(std::string_view line, u32 level) {
    if (line.empty()) return;
    if (state().quiet != 0) return spdlog::debug("dpdk: {}", line);
    if (level <= RTE_LOG_ERR) {
        constexpr size_t most = 8;
        const std::lock_guard lock(state().mutex);
        auto& complaints = state().complaints;
        if (complaints.size() == most) complaints.erase(complaints.begin());
        complaints.emplace_back(line);
    }
    if (level <= RTE_LOG_ERR) {
        spdlog::warn("dpdk: {}", line);
    } else if (level <= RTE_LOG_NOTICE) {
        spdlog::info("dpdk: {}", line);
    } else {
        spdlog::debug("dpdk: {}", line);
    }
}

// fopencookie's writer: one call per message, as DPDK flushes after each.
ssize_t take_log(void*, const char* bytes, size_t size) {
    const int level = rte_log_cur_msg_loglevel();
    std::string_view text(bytes, size);
    while (!text.empty()) {
        const size_t end = std::min(text.find('\n'), text.size());
        take_line(text.substr(0, end), level < 0 ? RTE_LOG_INFO : static_cast<u32>(level));
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return static_cast<ssize_t>(size);
}

void route_log() {
    cookie_io_functions_t functions{};
    functions.write = take_log;
    static std::FILE* const stream = fopencookie(nullptr, "w", functions);
    if (stream != nullptr) rte_openlog_stream(stream);
}

// One lcore that may be on any processor of ours: EAL keeps its own threads (interrupts, memif's handshakes)
// off lcores' processors, and would put them where a worker polls.
std::string lcores(const cpu_set_t& allowed) {
    std::vector<int> processors;
    for (int i = 0; i < CPU_SETSIZE; ++i) {
        if (CPU_ISSET(i, &allowed)) processors.push_back(i);
    }
    return fmt::format("0@({})", fmt::join(processors, ","));
}

// Devices without an IOMMU know physical addresses only. All others are given ours, also where EAL, which has
// seen no device yet, would choose otherwise.
bool may_lack_iommu() {
    char answer = 'N';
    std::ifstream("/sys/module/vfio/parameters/enable_unsafe_noiommu_mode") >> answer;
    return answer == 'Y';
}

std::vector<std::string> arguments(const EalOptions& options, bool huge_pages, const cpu_set_t& allowed) {
    std::vector<std::string> list = {"sluice",
                                     "--no-telemetry",
                                     "--lcores",
                                     lcores(allowed),
                                     "--file-prefix",
                                     fmt::format("sluice-{}", getpid()),
                                     "-a",
                                     no_such_device};
    if (!may_lack_iommu()) list.emplace_back("--iova-mode=va");
    if (huge_pages) {
        list.emplace_back("--in-memory");
    } else {  // which --in-memory does not go with
        // Ports that are opened again find their buffers' place in pieces.
        constexpr u64 slack = 64;
        const u64 megabytes = ((options.memory + options.later) >> 20) + slack;
        list.insert(list.end(), {"--no-shconf", "--no-huge", "-m", fmt::to_string(megabytes)});
    }
    return list;
}

Status start_once(const EalOptions& options) {
    const u64 free = free_hugepage_bytes();
    const bool huge_pages = free >= options.memory;
    if (!huge_pages) {
        state().shortcoming = fmt::format(
            "no huge pages: {} MiB are free, {} MiB needed; plain pages serve, at the cost of TLB misses, "
            "and "
            "devices behind an IOMMU may refuse them",
            free >> 20, options.memory >> 20);
    }
    route_log();
    cpu_set_t before;
    if (const int code = pthread_getaffinity_np(pthread_self(), sizeof before, &before); code != 0)
        return system_error(code, "processors of this process");
    std::vector<std::string> list = arguments(options, huge_pages, before);
    std::vector<char*> argv;
    for (std::string& each : list) argv.push_back(each.data());
    // EAL may move the thread that starts it; it is the control thread, which stays where it was.
    const int taken = rte_eal_init(static_cast<int>(argv.size()), argv.data());
    const int error = rte_errno;
    pthread_setaffinity_np(pthread_self(), sizeof before, &before);
    if (taken >= 0) {
        // Nothing is shared through it, and DPDK does not remove it.
        std::error_code ignored;
        std::filesystem::remove_all(rte_eal_get_runtime_dir(), ignored);
        return {};
    }
    const std::string words = Eal::take_complaints();
    return system_error(error, "{}: EAL did not start{}{}", rte_version(), words.empty() ? "" : ": ", words);
}

}  // namespace

u64 free_hugepage_bytes(const std::string& sysfs) {
    u64 sum = 0;
    std::error_code ignored;
    for (const auto& size : std::filesystem::directory_iterator(sysfs, ignored)) {
        u64 kilobytes = 0;
        u64 free = 0;
        const std::string name = size.path().filename();
        if (std::sscanf(name.c_str(), "hugepages-%lukB", &kilobytes) != 1) continue;
        std::ifstream(size.path() / "free_hugepages") >> free;
        sum += free * kilobytes * 1024;
    }
    return sum;
}

Status Eal::start(const EalOptions& options) {
    State& s = state();
    if (s.attempted) return s.outcome;
    s.attempted = true;
    s.outcome = start_once(options);
    return s.outcome;
}

bool Eal::running() { return state().attempted && state().outcome.ok(); }

const std::string& Eal::shortcoming() { return state().shortcoming; }

std::string Eal::take_complaints() {
    const std::lock_guard lock(state().mutex);
    const std::string all = fmt::format("{}", fmt::join(state().complaints, "; "));
    state().complaints.clear();
    return all;
}

Eal::Quiet::Quiet() { state().quiet++; }
Eal::Quiet::~Quiet() { state().quiet--; }

void Eal::register_thread() {
    if (rte_thread_register() != 0)
        spdlog::info("a worker runs without an lcore number: {}", rte_strerror(rte_errno));
}

void Eal::unregister_thread() { rte_thread_unregister(); }

}  // namespace sluice
