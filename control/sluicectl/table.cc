// SPDX-License-Identifier: Apache-2.0
#include "control/sluicectl/table.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <sstream>

namespace sluice::ctl {

namespace {

constexpr size_t gap = 2;
constexpr size_t least_width = 4;

std::string cell(const std::string& text, size_t width, bool right) {
    std::string shown = text;
    if (shown.size() > width) shown.replace(width - 1, std::string::npos, 1, '~');
    const std::string blanks(width - shown.size(), ' ');
    return fmt::format("{}{}", right ? blanks : shown, right ? shown : blanks);
}

}  // namespace

std::vector<size_t> Table::widths(size_t available) const {
    std::vector<size_t> widths;
    for (size_t i = 0; i < columns_.size(); ++i) {
        size_t width = columns_[i].title.size();
        for (const auto& row : rows_) width = std::max(width, row[i].size());
        widths.push_back(width);
    }
    const size_t gaps = gap * (columns_.size() - 1);
    while (std::accumulate(widths.begin(), widths.end(), gaps) > available) {
        const auto widest = std::max_element(widths.begin(), widths.end());
        if (*widest <= least_width) break;
        --*widest;
    }
    return widths;
}

std::string Table::text(size_t indent, size_t width) const {
    const std::vector<size_t> widths = this->widths(width - indent);
    std::string out;
    const auto line = [&](const auto& text_of) {
        std::string all(indent, ' ');
        for (size_t i = 0; i < columns_.size(); ++i)
            all.append(i == 0 ? 0 : gap, ' ').append(cell(text_of(i), widths[i], columns_[i].right));
        all.erase(all.find_last_not_of(' ') + 1);
        out.append(all).push_back('\n');
    };
    line([&](size_t i) -> const std::string& { return columns_[i].title; });
    for (const auto& row : rows_) line([&](size_t i) -> const std::string& { return row[i]; });
    return out;
}

std::string wrapped(const std::string& text, size_t indent, size_t width) {
    std::istringstream words(text);
    std::string out;
    std::string line;
    const auto flush = [&] {
        if (!line.empty()) out.append(indent, ' ').append(line).push_back('\n');
        line.clear();
    };
    for (std::string word; words >> word;) {
        if (!line.empty() && indent + line.size() + 1 + word.size() > width) flush();
        if (!line.empty()) line.push_back(' ');
        line += word;
        while (indent + line.size() > width) {  // a word longer than a line
            out.append(indent, ' ').append(line, 0, width - indent).push_back('\n');
            line.erase(0, width - indent);
        }
    }
    flush();
    return out;
}

std::string short_number(double value) {
    if (value < 1000) return fmt::format("{:.0f}", value);
    const char* unit = "kMGTPE";
    value /= 1000;
    while (value >= 999.5 && unit[1] != '\0') {
        value /= 1000;
        ++unit;
    }
    const int digits = value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
    return fmt::format("{:.{}f}{}", value, digits, *unit);
}

std::string short_duration(double seconds) {
    if (seconds < 1) return fmt::format("{:.0f}ms", seconds * 1000);
    const auto s = static_cast<unsigned long long>(seconds);
    if (s < 60) return fmt::format("{}s", s);
    if (s < 3600) return fmt::format("{}m{:02}s", s / 60, s % 60);
    if (s < 86400) return fmt::format("{}h{:02}m", s / 3600, s / 60 % 60);
    return fmt::format("{}d{:02}h", s / 86400, s / 3600 % 24);
}

}  // namespace sluice::ctl
