// SPDX-License-Identifier: Apache-2.0
#include "control/sluicectl/capture.h"

#include <fmt/ranges.h>
#include <poll.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <ctime>
#include <thread>

#include "control/capture/filter.h"
#include "control/capture/pcapng.h"
#include "control/sluicectl/capture_file.h"

namespace sluice::ctl {

namespace {

using Json = nlohmann::ordered_json;
using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr auto period = 50ms;
constexpr const char* dns_answers = "src port 53 and (udp or tcp)";

std::atomic<bool> interrupted{false};

void interrupt(int) { interrupted = true; }

std::string expression_of(const CaptureWords& words) {
    const std::string own = fmt::format("{}", fmt::join(words.filter, " "));
    if (!words.dns) return own;
    return own.empty() ? dns_answers : fmt::format("({}) and ({})", dns_answers, own);
}

Result<Json> body_of(const CaptureWords& words) {
    Json body = {{"interface", words.interface},
                 {"tier", words.tier},
                 {"direction", words.direction},
                 {"bytes", words.bytes}};
    const std::string expression = expression_of(words);
    if (expression.empty()) return body;
    const auto program = capture::compile_filter(expression);
    if (!program) return program.error();
    body["filter"] = *program;
    return body;
}

// Where the blocks that are fetched go.
class Sink {
public:
    explicit Sink(const CaptureWords& words)
        : words_(words), file_(words.file, words.files, words.megabytes << 20) {}

    Status take(std::string_view blocks) {
        while (!complete()) {
            const capture::BlockHead head = capture::block_head(blocks);
            if (head.length == 0) break;
            if (Status status = take_block(head.type, blocks.substr(0, head.length)); !status) return status;
            blocks.remove_prefix(head.length);
        }
        return words_.file.empty() ? flush_lines() : file_.flush();
    }
    Status close() { return file_.close(); }
    bool complete() const { return (words_.count != 0 && packets_ >= words_.count) || file_.full(); }
    u64 packets() const { return packets_; }

private:
    Status take_block(u32 type, std::string_view block) {
        if (type == capture::INTERFACE_BLOCK) interfaces_.emplace_back(block);
        if (type == capture::PACKET_BLOCK) packets_++;
        if (!words_.file.empty()) return file_.add(type, block);
        if (type == capture::PACKET_BLOCK) {
            const u32 number = capture::packet_of(block).interface;
            return print_line(packet_line(number < interfaces_.size() ? interfaces_[number] : "", block));
        }
        return {};
    }
    static Status print_line(const std::string& line) {
        if (std::fwrite(line.data(), 1, line.size(), stdout) == line.size()) return {};
        return system_error(errno, "standard output");
    }
    static Status flush_lines() {
        if (std::fflush(stdout) == 0) return {};
        return system_error(errno, "standard output");
    }

    const CaptureWords& words_;
    CaptureFile file_;
    std::vector<std::string> interfaces_;
    u64 packets_ = 0;
};

// Before the next packet would tell it: that may be long in coming.
bool is_reader_gone(const CaptureWords& words) {
    if (!words.file.empty() && words.file != "-") return false;
    pollfd out{STDOUT_FILENO, 0, 0};
    return poll(&out, 1, 0) == 1 && (out.revents & POLLERR) != 0;
}

Status fetch_until_done(const Client& client, u64 id, const CaptureWords& words, Sink& sink) {
    const auto started = Clock::now();
    const std::string path = fmt::format("/v1/capture?id={}", id);
    const auto is_late = [&] {
        return words.seconds != 0 && Clock::now() - started > std::chrono::duration<double>(words.seconds);
    };
    for (bool last = false; !sink.complete();) {
        const Result<std::string> blocks = client.fetch(path);
        if (!blocks) return blocks.error();
        if (Status status = sink.take(*blocks); !status) return status;
        if (last) break;
        if (is_reader_gone(words)) return system_error(EPIPE, "standard output");
        last = interrupted || is_late();
        if (!last) std::this_thread::sleep_for(period);
    }
    return sink.close();
}

}  // namespace

std::string packet_line(std::string_view interface, std::string_view block) {
    const capture::PacketBlock packet = capture::packet_of(block);
    const auto seconds = static_cast<time_t>(packet.time_ns / 1'000'000'000);
    tm parts{};
    localtime_r(&seconds, &parts);
    return fmt::format("{:02}:{:02}:{:02}.{:06} {} {} {} {}B {}\n", parts.tm_hour, parts.tm_min, parts.tm_sec,
                       packet.time_ns % 1'000'000'000 / 1000, capture::interface_name_of(interface),
                       capture::interface_description_of(interface), packet.outbound ? "out" : "in",
                       packet.length, packet.comment);
}

Status capture(const Client& client, const CaptureWords& words) {
    const Result<Json> body = body_of(words);
    if (!body) return body.error();
    const Result<Json> started = client.ask("POST", "/v1/capture", body->dump());
    if (!started) return started.error();
    interrupted = false;
    std::signal(SIGINT, interrupt);
    std::signal(SIGTERM, interrupt);
    std::signal(SIGPIPE, SIG_IGN);  // the write says so, and the capture is ended at the daemon, too
    const u64 id = started->at("id").get<u64>();
    Sink sink(words);
    Status status = fetch_until_done(client, id, words, sink);
    const Result<Json> ended = client.ask("DELETE", fmt::format("/v1/capture?id={}", id));
    if (!status) return status;
    if (!ended) return ended.error();
    fmt::print(stderr, "{} packets, {} lost on the way to here\n", sink.packets(),
               ended->at("lost").get<u64>());
    return {};
}

}  // namespace sluice::ctl
