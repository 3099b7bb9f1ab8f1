// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

namespace sluice::ctl {

constexpr size_t screen_width = 80;

// Columns of text, two blanks apart, never wider than the screen: where there is too much, the widest columns
// give way and their cells end in '~'.
class Table {
public:
    struct Column {
        std::string title;
        bool right = false;  // numbers
    };

    explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

    // As many cells as there are columns.
    void add(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }
    bool empty() const { return rows_.empty(); }

    // With `indent` blanks before each line, counted in `width`.
    std::string text(size_t indent = 0, size_t width = screen_width) const;

private:
    std::vector<size_t> widths(size_t available) const;

    std::vector<Column> columns_;
    std::vector<std::vector<std::string>> rows_;
};

// Text broken at blanks into lines of at most `width`, each behind `indent` blanks.
std::string wrapped(const std::string& text, size_t indent, size_t width = screen_width);

// "999", "12.3k", "4.56M", "7.8G": at most five characters.
std::string short_number(double value);

// "850ms", "12s", "3m12s", "4h07m", "12d03h"
std::string short_duration(double seconds);

}  // namespace sluice::ctl
