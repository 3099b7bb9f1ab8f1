// SPDX-License-Identifier: Apache-2.0
//
// Collects what is wrong with a configuration, so that an operator sees it all at once and not one fault per
// try.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/base/result.h"

namespace sluice::config {

struct Mark;

class Problems {
public:
    static constexpr size_t max_shown = 20;

    explicit Problems(std::string_view file) : file_(std::make_shared<const std::string>(file)) {}

    // "FILE:LINE:COLUMN: PATH: WHAT"; an empty path is left out, line 0 means the file as a whole.
    void add(uint32_t line, uint32_t column, std::string_view path, std::string_view what);

    // The same in another file.
    void add_in(std::string_view file, uint32_t line, uint32_t column, std::string_view what);

    bool empty() const { return problems_.empty(); }
    const std::shared_ptr<const std::string>& file() const { return file_; }

    // One line for each problem in the file's order, those of other files last; at most max_shown, then how
    // many more there are.
    Status status() const;

private:
    struct Problem {
        bool elsewhere;  // in another file
        uint32_t line;
        uint32_t column;
        std::string text;
    };
    void push(Problem problem);

    std::shared_ptr<const std::string> file_;
    std::vector<Problem> problems_;
    size_t left_out_ = 0;
};

// The candidate that `word` is most probably a misspelling of; empty: none is near.
std::string_view nearest(std::string_view word, const std::vector<std::string>& candidates);

// " (did you mean "x"?)", or nothing.
std::string suggestion(std::string_view word, const std::vector<std::string>& candidates);

}  // namespace sluice::config
