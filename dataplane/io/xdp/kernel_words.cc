// SPDX-License-Identifier: Apache-2.0
#include "dataplane/io/xdp/kernel_words.h"

#include <bpf/libbpf.h>
#include <xdp/libxdp.h>

#include <cstdarg>
#include <cstdio>
#include <mutex>
#include <string_view>
#include <vector>

#include "dataplane/base/log.h"

namespace sluice {
namespace {

constexpr size_t most_lines = 64;
constexpr std::string_view extended_ack = "Kernel error message: ";

thread_local std::vector<std::string>* lines = nullptr;

int take_line(bool warning, const char* format, va_list arguments) {
    char buffer[1024];
    const int length = std::vsnprintf(buffer, sizeof buffer, format, arguments);
    std::string line(buffer);
    while (!line.empty() && (line.back() == '\n' || line.back() == ' ')) line.pop_back();
    if (line.empty()) return length;
    if (lines != nullptr && warning && lines->size() < most_lines) lines->push_back(line);
    spdlog::debug("{}", line);
    return length;
}

int print_libbpf(libbpf_print_level level, const char* format, va_list arguments) {
    return level == LIBBPF_DEBUG ? 0 : take_line(level == LIBBPF_WARN, format, arguments);
}

int print_libxdp(libxdp_print_level level, const char* format, va_list arguments) {
    return level == LIBXDP_DEBUG ? 0 : take_line(level == LIBXDP_WARN, format, arguments);
}

}  // namespace

KernelWords::KernelWords() {
    static std::once_flag once;
    std::call_once(once, [] {
        libbpf_set_print(print_libbpf);
        libxdp_set_print(print_libxdp);
    });
    lines = new std::vector<std::string>;
}

KernelWords::~KernelWords() {
    delete lines;
    lines = nullptr;
}

std::string KernelWords::text() const {
    for (const std::string& line : *lines) {
        if (const size_t at = line.find(extended_ack); at != std::string::npos)
            return line.substr(at + extended_ack.size());
    }
    for (const std::string& line : *lines) {
        if (line.find("skipping unrecognized data section") == std::string::npos) return line;
    }
    return "";
}

std::string KernelWords::suffix() const {
    const std::string words = text();
    return words.empty() ? "" : ": " + words;
}

}  // namespace sluice
