// SPDX-License-Identifier: Apache-2.0
#include "control/sluicectl/explain.h"

#include <fmt/format.h>

#include <filesystem>

#include "control/replay/capture.h"
#include "control/sluicectl/table.h"

namespace sluice::ctl {

namespace {

constexpr size_t longest_frame = 65'535;

std::string hex_of(std::span<const u8> bytes) {
    std::string text;
    for (const u8 byte : bytes) text += fmt::format("{:02x}", byte);
    return text;
}

Result<Json> frames_of(const std::string& path, unsigned most) {
    auto reader = replay::CaptureReader::open(path);
    if (!reader) return reader.error();
    Json frames = Json::array();
    replay::CapturedPacket packet;
    while (frames.size() < most) {
        const Result<bool> more = (*reader)->next(packet);
        if (!more) return more.error();
        if (!*more) break;
        if (packet.bytes.size() > longest_frame)
            return make_error("{}: packet {}: expected at most {} bytes", path, frames.size() + 1,
                              longest_frame);
        frames.push_back(hex_of(packet.bytes));
    }
    if (frames.empty()) return make_error("{}: expected a packet: there is none", path);
    return frames;
}

std::string text_or_dash(const Json& value) { return value.is_null() ? "-" : value.get<std::string>(); }

std::string question_text(const Json& question) {
    std::string asks;
    for (const Json& condition : question.at("asks"))
        asks += (asks.empty() ? "" : ", ") + condition.get<std::string>();
    return wrapped(fmt::format("asked: {}; allowed: {}; denied: {}; no room for the question: {}", asks,
                               text_or_dash(question.at("allowed")), text_or_dash(question.at("denied")),
                               text_or_dash(question.at("unasked"))),
                   2);
}

std::string packet_text(const Json& packet) {
    std::string out;
    for (const Json& step : packet.at("steps")) {
        const std::string stage = step.at("stage").get<std::string>();
        const std::string says = wrapped(step.at("says").get<std::string>(), 12);
        out += "  " + stage + std::string(stage.size() < 10 ? 10 - stage.size() : 0, ' ') + says.substr(12);
    }
    if (!packet.at("question").is_null()) out += question_text(packet.at("question"));
    std::string end = packet.at("verdict").get<std::string>();
    if (!packet.at("reason").is_null()) end += ", " + text_or_dash(packet.at("reason"));
    if (!packet.at("egress").is_null()) end += " by " + text_or_dash(packet.at("egress"));
    out += wrapped(
        fmt::format("{}; tier {}{}; service {}, backend {}, rule {}", end, text_or_dash(packet.at("tier")),
                    packet.at("handed_over").is_null()
                        ? ""
                        : fmt::format(" (handed over: {})", text_or_dash(packet.at("handed_over"))),
                    text_or_dash(packet.at("service")), text_or_dash(packet.at("backend")),
                    text_or_dash(packet.at("rule"))),
        0);
    return out;
}

std::string changes_text(const Json& changes) {
    const auto count = [&](const char* key) { return changes.at(key).get<unsigned long long>(); };
    std::string out =
        wrapped(fmt::format("{} live flows would change: {} end, {} denied; {} by another rule, of {}",
                            count("would_change"), count("ended"), count("denied"), count("other_rule"),
                            count("flows")),
                0);
    for (const Json& example : changes.at("examples")) out += wrapped(example.get<std::string>(), 2);
    return out;
}

}  // namespace

std::string absolute_path(const std::string& path) {
    std::error_code ignored;
    return std::filesystem::absolute(path, ignored).lexically_normal().string();
}

Result<Json> explain_body(const ExplainWords& words) {
    Json body = Json::object();
    if (!words.interface.empty()) body["interface"] = words.interface;
    if (!words.config.empty()) body["config"] = absolute_path(words.config);
    if (!words.pcap.empty()) {
        Result<Json> frames = frames_of(words.pcap, words.count);
        if (!frames) return frames.error();
        body["frames"] = std::move(*frames);
        return body;
    }
    if (words.destination.empty()) return make_error("expected PROTOCOL SOURCE DESTINATION, or --pcap FILE");
    body["protocol"] = words.protocol;
    body["source"] = words.source;
    body["destination"] = words.destination;
    return body;
}

std::string explain_text(const Json& answer) {
    std::string out;
    const Json& packets = answer.at("packets");
    for (size_t i = 0; i < packets.size(); ++i) {
        if (packets.size() > 1) out += fmt::format("{}packet {}\n", i == 0 ? "" : "\n", i + 1);
        out += packet_text(packets[i]);
    }
    return answer.at("changes").is_null() ? out : out + changes_text(answer.at("changes"));
}

std::string diff_text(const Json& report) {
    std::string out;
    for (const Json& change : report.at("changes")) out += wrapped(change.get<std::string>(), 0);
    if (report.at("changes").empty()) out += "nothing differs\n";
    if (!report.at("refused").is_null())
        out += wrapped("a reload refuses it: " + report.at("refused").get<std::string>(), 0);
    return out + changes_text(report.at("flows"));
}

}  // namespace sluice::ctl
