// SPDX-License-Identifier: Apache-2.0
//
// Loads every program of the BPF object files named on the command line, and prints what the verifier had to
// do. Exits 1 when the kernel refuses one (with the verifier's last words), 77 (skipped) without the right to
// load any.
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace {

constexpr int skipped = 77;
constexpr size_t log_size = 64 << 20;

// The log's last `count` lines.
std::string_view tail(std::string_view log, int count) {
    size_t start = log.size();
    while (count-- >= 0 && start != 0 && start != std::string_view::npos) start = log.rfind('\n', start - 1);
    return start == std::string_view::npos ? log : log.substr(start);
}

bool load(const char* path, std::vector<char>& log) {
    bpf_object* object = bpf_object__open_file(path, nullptr);
    if (object == nullptr) {
        fmt::print("{}: cannot be opened: {}\n", path, std::strerror(errno));
        return false;
    }
    bpf_program* program = nullptr;
    bpf_object__for_each_program(program, object) {
        bpf_program__set_log_buf(program, log.data(), log.size());
        bpf_program__set_log_level(program, 4);  // statistics only
    }
    const int code = bpf_object__load(object);
    const std::string_view text(log.data());
    if (code != 0) {
        fmt::print("{}: refused: {}\n{}\n", path, std::strerror(-code), tail(text, 40));
    } else {
        bpf_object__for_each_program(program, object) {
            bpf_prog_info info{};
            unsigned length = sizeof info;
            bpf_obj_get_info_by_fd(bpf_program__fd(program), &info, &length);
            fmt::print(
                "{}: loaded: {} instructions translated, {} bytes of machine code, {} seen by the verifier\n",
                bpf_program__name(program), info.xlated_prog_len / 8, info.jited_prog_len,
                info.verified_insns);
        }
        fmt::print("{}\n", tail(text, 3));
    }
    bpf_object__close(object);
    return code == 0;
}

}  // namespace

int main(int count, char** arguments) {
    if (geteuid() != 0) {
        fmt::print("SKIPPED: loading BPF programs needs root\n");
        return skipped;
    }
    if (count < 2) {
        fmt::print("usage: bpf-load OBJECT...\n");
        return 2;
    }
    libbpf_set_print([](libbpf_print_level, const char*, va_list) { return 0; });
    std::vector<char> log(log_size);
    bool all = true;
    for (int i = 1; i < count; ++i) {
        log[0] = 0;
        all = load(arguments[i], log) && all;
    }
    return all ? 0 : 1;
}
