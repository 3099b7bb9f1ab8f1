// SPDX-License-Identifier: Apache-2.0
#include "dataplane/placement/cpu_list.h"

#include <algorithm>
#include <charconv>

namespace sluice {

namespace {

constexpr u32 most = 65535;

// Takes a number off the front; false when there is none or it is out of range.
bool take_number(std::string_view& text, u32& number) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc{} || number > most) return false;
    text.remove_prefix(static_cast<size_t>(end - text.data()));
    return true;
}

}  // namespace

Result<std::vector<u32>> parse_cpu_list(std::string_view text) {
    const std::string_view whole = text;
    const auto refuse = [&] { return make_error("\"{}\": expected a list such as \"0-3,8\"", whole); };
    while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.remove_suffix(1);
    std::vector<u32> cpus;
    while (!text.empty()) {
        u32 first = 0;
        if (!take_number(text, first)) return refuse();
        u32 last = first;
        if (text.starts_with('-')) {
            text.remove_prefix(1);
            if (!take_number(text, last) || last < first) return refuse();
        }
        for (u32 cpu = first; cpu <= last; ++cpu) cpus.push_back(cpu);
        if (text.empty()) break;
        if (!text.starts_with(',') || text.size() == 1) return refuse();
        text.remove_prefix(1);
    }
    std::sort(cpus.begin(), cpus.end());
    cpus.erase(std::unique(cpus.begin(), cpus.end()), cpus.end());
    return cpus;
}

std::string cpu_list_text(const std::vector<u32>& cpus) {
    std::string text;
    for (size_t i = 0; i < cpus.size();) {
        size_t end = i;
        while (end + 1 < cpus.size() && cpus[end + 1] == cpus[end] + 1) ++end;
        if (!text.empty()) text += ',';
        text += end == i ? fmt::to_string(cpus[i]) : fmt::format("{}-{}", cpus[i], cpus[end]);
        i = end + 1;
    }
    return text.empty() ? "none" : text;
}

}  // namespace sluice
