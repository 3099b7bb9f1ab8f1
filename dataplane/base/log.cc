// SPDX-License-Identifier: Apache-2.0
#include "dataplane/base/log.h"

#include <fmt/chrono.h>
#include <spdlog/formatter.h>
#include <spdlog/sinks/stdout_sinks.h>

#include <array>
#include <chrono>
#include <ctime>
#include <memory>
#include <string_view>

namespace sluice {

namespace {

constexpr std::array<std::pair<std::string_view, spdlog::level::level_enum>, 7> levels{{
    {"trace", spdlog::level::trace},
    {"debug", spdlog::level::debug},
    {"info", spdlog::level::info},
    {"warn", spdlog::level::warn},
    {"error", spdlog::level::err},
    {"critical", spdlog::level::critical},
    {"off", spdlog::level::off},
}};

Result<spdlog::level::level_enum> parse_level(const std::string& name) {
    for (const auto& [known, level] : levels) {
        if (known == name) return level;
    }
    return make_error("log level '{}': expected trace, debug, info, warn, error, critical or off", name);
}

std::string_view level_name(spdlog::level::level_enum wanted) {
    for (const auto& [name, level] : levels) {
        if (level == wanted) return name;
    }
    return "unknown";
}

void append_escaped(std::string_view text, spdlog::memory_buf_t& out) {
    for (const char c : text) {
        if (c == '"' || c == '\\') {
            out.push_back('\\');
            out.push_back(c);
        } else if (static_cast<unsigned char>(c) < 0x20) {
            fmt::format_to(fmt::appender(out), "\\u{:04x}", static_cast<unsigned char>(c));
        } else {
            out.push_back(c);
        }
    }
}

// spdlog's own patterns do not escape the message, so they cannot make JSON.
class JsonFormatter : public spdlog::formatter {
public:
    void format(const spdlog::details::log_msg& message, spdlog::memory_buf_t& out) override {
        const auto since_epoch = message.time.time_since_epoch();
        const auto micros = std::chrono::duration_cast<std::chrono::microseconds>(since_epoch).count();
        const std::time_t seconds = micros / 1'000'000;
        fmt::format_to(fmt::appender(out),
                       R"({{"time":"{:%Y-%m-%dT%H:%M:%S}.{:06}Z","level":"{}","thread":{},"message":")",
                       fmt::gmtime(seconds), micros % 1'000'000, level_name(message.level),
                       message.thread_id);
        append_escaped({message.payload.data(), message.payload.size()}, out);
        fmt::format_to(fmt::appender(out), "\"}}\n");
    }

    std::unique_ptr<spdlog::formatter> clone() const override { return std::make_unique<JsonFormatter>(); }
};

using FileSink = spdlog::sinks::stdout_sink_base<spdlog::details::console_mutex>;

}  // namespace

Status log_init(const LogOptions& options) {
    const auto level = parse_level(options.level);
    if (!level) return level.error();
    if (options.format != "text" && options.format != "json") {
        return make_error("log format '{}': expected text or json", options.format);
    }
    auto logger = std::make_shared<spdlog::logger>("sluice", std::make_shared<FileSink>(options.out));
    if (options.format == "json") {
        logger->set_formatter(std::make_unique<JsonFormatter>());
    } else {
        logger->set_pattern("%Y-%m-%d %H:%M:%S.%f %l %v");
    }
    logger->set_level(*level);
    logger->flush_on(spdlog::level::trace);
    spdlog::set_default_logger(std::move(logger));
    return {};
}

Status log_set_level(const std::string& name) {
    const auto level = parse_level(name);
    if (!level) return level.error();
    spdlog::set_level(*level);
    return {};
}

}  // namespace sluice
