// SPDX-License-Identifier: Apache-2.0
#include "control/config/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "control/config/document.h"
#include "dataplane/base/fd.h"

namespace sluice::config {

namespace {

struct Line {
    std::string_view text;  // without comment and blanks
    uint32_t column;        // of its first byte
};

Line trim(std::string_view line) {
    line = line.substr(0, line.find('#'));
    const size_t first = std::min(line.find_first_not_of(" \t\r"), line.size());
    const size_t last = line.find_last_not_of(" \t\r");
    return {last == std::string_view::npos ? "" : line.substr(first, last - first + 1),
            static_cast<uint32_t>(first + 1)};
}

}  // namespace

Result<std::string> read_text_file(const std::string& path, size_t limit) {
    // O_NONBLOCK: a pipe without a writer must not hang the daemon before it is seen to be one.
    const UniqueFd file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (file.get() < 0) return system_error(errno, "{}", path);
    struct stat status = {};
    if (fstat(file.get(), &status) != 0) return system_error(errno, "{}", path);
    if (!S_ISREG(status.st_mode)) return make_error("{}: expected a regular file", path);

    std::string text;
    text.resize(std::min(static_cast<size_t>(status.st_size), limit) + 1);  // one more, to see it grow
    size_t filled = 0;
    while (filled <= limit) {
        if (filled == text.size()) text.resize(std::min(text.size() * 2, limit + 1));
        const ssize_t got = read(file.get(), text.data() + filled, text.size() - filled);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return system_error(errno, "{}", path);
        if (got == 0) break;
        filled += static_cast<size_t>(got);
    }
    if (static_cast<size_t>(status.st_size) > limit || filled > limit) {
        return make_error("{}: {} bytes: expected at most {}", path,
                          std::max(static_cast<size_t>(status.st_size), filled), limit);
    }
    text.resize(filled);
    return text;
}

std::vector<Prefix> parse_prefix_list(std::string_view text, std::string_view file, Problems& problems) {
    std::vector<Prefix> prefixes;
    uint32_t number = 0;
    while (!text.empty()) {
        const size_t end = std::min(text.find('\n'), text.size());
        const Line line = trim(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
        ++number;
        if (line.text.empty()) continue;
        if (prefixes.size() == max_set_prefixes) {
            problems.add_in(file, number, 1, fmt::format("expected at most {} prefixes", max_set_prefixes));
            break;
        }
        if (const auto prefix = Prefix::parse(line.text)) {
            prefixes.push_back(*prefix);
            continue;
        }
        Node value;
        value.kind = Node::Kind::scalar;
        value.text = line.text;
        problems.add_in(
            file, number, line.column,
            fmt::format("value \"{}\": expected an IPv4 or IPv6 address or prefix such as 10.0.0.0/8",
                        value.quoted()));
    }
    return prefixes;
}

std::string resolve_beside(const std::string& file, const std::string& configuration) {
    const size_t slash = configuration.rfind('/');
    if (file.starts_with('/') || slash == std::string::npos) return file;
    return configuration.substr(0, slash + 1) + file;
}

}  // namespace sluice::config
