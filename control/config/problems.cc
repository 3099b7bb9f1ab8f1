// SPDX-License-Identifier: Apache-2.0
#include "control/config/problems.h"

#include <algorithm>
#include <cctype>
#include <numeric>
#include <tuple>
#include <utility>

#include "control/config/model.h"

namespace sluice::config {

namespace {

// Levenshtein's distance without regard to case, '-' and '_' being the same.
size_t edit_distance(std::string_view a, std::string_view b) {
    const auto fold = [](char c) { return c == '-' ? '_' : std::tolower(static_cast<unsigned char>(c)); };
    std::vector<size_t> row(b.size() + 1);
    std::iota(row.begin(), row.end(), size_t{0});
    for (size_t i = 0; i < a.size(); ++i) {
        size_t diagonal = row[0];
        row[0] = i + 1;
        for (size_t j = 0; j < b.size(); ++j) {
            const size_t replaced = diagonal + (fold(a[i]) == fold(b[j]) ? 0 : 1);
            diagonal = row[j + 1];
            row[j + 1] = std::min({replaced, row[j] + 1, row[j + 1] + 1});
        }
    }
    return row.back();
}

std::string line_of(std::string_view file, uint32_t line, uint32_t column, std::string_view path,
                    std::string_view what) {
    std::string text(file);
    if (line != 0) text += fmt::format(":{}:{}", line, column);
    if (!path.empty()) text += fmt::format(": {}", path);
    return fmt::format("{}: {}", text, what);
}

}  // namespace

std::string Mark::text() const { return line_of(file ? *file : "configuration", line, column, "", path); }

void Problems::add(uint32_t line, uint32_t column, std::string_view path, std::string_view what) {
    push({false, line, column, line_of(*file_, line, column, path, what)});
}

void Problems::add_in(std::string_view file, uint32_t line, uint32_t column, std::string_view what) {
    push({true, line, column, line_of(file, line, column, "", what)});
}

void Problems::push(Problem problem) {
    if (problems_.size() < max_shown) {
        problems_.push_back(std::move(problem));
    } else {
        ++left_out_;
    }
}

Status Problems::status() const {
    if (problems_.empty()) return {};
    std::vector<Problem> sorted = problems_;
    std::stable_sort(sorted.begin(), sorted.end(), [](const Problem& a, const Problem& b) {
        if (a.elsewhere || b.elsewhere) return a.elsewhere < b.elsewhere;
        return std::tie(a.line, a.column) < std::tie(b.line, b.column);
    });
    std::string text;
    for (const Problem& problem : sorted) text += (text.empty() ? "" : "\n") + problem.text;
    if (left_out_ != 0) text += fmt::format("\n{}: {} more errors", *file_, left_out_);
    return Error{std::move(text)};
}

std::string_view nearest(std::string_view word, const std::vector<std::string>& candidates) {
    std::string_view best;
    size_t best_distance =
        std::max<size_t>(1, word.size() / 3) + 1;  // so far may a misspelling be off, exclusive
    if (word.empty() || word.size() > 64) return best;
    for (const std::string& candidate : candidates) {
        const size_t distance = edit_distance(word, candidate);
        if (distance < best_distance && distance < candidate.size()) {
            best_distance = distance;
            best = candidate;
        }
    }
    return best;
}

std::string suggestion(std::string_view word, const std::vector<std::string>& candidates) {
    const std::string_view found = nearest(word, candidates);
    if (found.empty() || found == word) return "";
    return fmt::format(" (did you mean \"{}\"?)", found);
}

}  // namespace sluice::config
