// SPDX-License-Identifier: Apache-2.0
#include <sys/resource.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "control/metrics/families.h"
#include "control/metrics/family_builder.h"
#include "control/sandbox/system_calls.h"

namespace sluice::metrics {

namespace {

struct ProcessTimes {
    double cpu_seconds = 0;
    double start_seconds = 0;  // since 1970
    double virtual_bytes = 0;
    double resident_bytes = 0;
};

double boot_time() {
    std::ifstream file("/proc/stat");
    std::string word;
    double seconds = 0;
    while (file >> word) {
        if (word == "btime") file >> seconds;
    }
    return seconds;
}

// proc(5): fields 14 and 15 are utime and stime, 22 the start in ticks since boot, 23 and 24 the sizes.
// Counting starts behind the name, which may hold blanks: the first field read is number 3.
ProcessTimes read_times() {
    std::ifstream file("/proc/self/stat");
    std::string line;
    std::getline(file, line);
    std::istringstream fields(line.substr(line.rfind(')') + 1));
    const auto ticks = static_cast<double>(sysconf(_SC_CLK_TCK));
    ProcessTimes times;
    std::string field;
    for (int number = 3; fields >> field && number <= 24; ++number) {
        if (number == 14 || number == 15) times.cpu_seconds += std::stod(field) / ticks;
        if (number == 22) times.start_seconds = boot_time() + std::stod(field) / ticks;
        if (number == 23) times.virtual_bytes = std::stod(field);
        if (number == 24)
            times.resident_bytes = std::stod(field) * static_cast<double>(sysconf(_SC_PAGESIZE));
    }
    return times;
}

double open_descriptors() {
    std::error_code error;
    double count = 0;
    for (std::filesystem::directory_iterator at("/proc/self/fd", error), end; at != end; at.increment(error))
        count++;
    return count > 0 ? count - 1 : 0;  // the one that was open for counting
}

}  // namespace

std::vector<prometheus::MetricFamily> process_families() {
    const ProcessTimes times = read_times();
    rlimit limit{};
    getrlimit(RLIMIT_NOFILE, &limit);
    std::vector<prometheus::MetricFamily> out;
    const auto add = [&](FamilyBuilder builder, double value) {
        builder.add({}, value);
        out.push_back(builder.take());
    };
    add(FamilyBuilder::counter("process_cpu_seconds_total", "Processor time of the process."),
        times.cpu_seconds);
    add(FamilyBuilder::gauge("process_resident_memory_bytes", "Memory in use."), times.resident_bytes);
    add(FamilyBuilder::gauge("process_virtual_memory_bytes", "Address space in use."), times.virtual_bytes);
    add(FamilyBuilder::gauge("process_start_time_seconds", "When the process started, since 1970."),
        times.start_seconds);
    add(FamilyBuilder::gauge("process_open_fds", "Open descriptors."), open_descriptors());
    add(FamilyBuilder::gauge("process_max_fds", "How many it may open."),
        static_cast<double>(limit.rlim_cur));
    auto refused = FamilyBuilder::counter("sluice_system_calls_refused_total",
                                          "System calls of the daemon's own that its filter refused.");
    for (const auto& [name, count] : sandbox::refused_system_calls())
        refused.add({{"call", name}}, static_cast<double>(count));
    out.push_back(refused.take());
    return out;
}

}  // namespace sluice::metrics
