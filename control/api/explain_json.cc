// SPDX-License-Identifier: Apache-2.0
#include "control/api/explain_json.h"

namespace sluice::api {

namespace {

constexpr size_t most_frames = 1000;
constexpr size_t longest_frame = 65'535;

Json changes_json(const FlowChanges& changes) {
    return {{"flows", changes.flows},
            {"ended", changes.ended},
            {"denied", changes.denied},
            {"other_rule", changes.other_rule},
            {"would_change", changes.ended + changes.denied},
            {"examples", changes.examples}};
}

Json question_json(const std::optional<ExplainQuestion>& question) {
    if (!question) return nullptr;
    return {{"asks", question->asks},
            {"allowed", question->allowed},
            {"denied", question->denied},
            {"unasked", question->unasked}};
}

Json packet_json(const ExplainReport& report) {
    Json steps = Json::array();
    for (const ExplainStep& step : report.steps)
        steps.push_back({{"stage", step.stage}, {"says", step.says}});
    const auto given = [](const std::string& text) { return text.empty() ? Json(nullptr) : Json(text); };
    return {{"verdict", report.verdict},
            {"reason", given(report.reason)},
            {"interface", report.interface},
            {"tier", given(report.tier)},
            {"handed_over", given(report.handed_over)},
            {"known", report.known},
            {"rule", given(report.rule)},
            {"service", given(report.service)},
            {"backend", given(report.backend)},
            {"egress", given(report.egress)},
            {"question", question_json(report.question)},
            {"steps", steps}};
}

int digit_of(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return -1;
}

Result<std::vector<u8>> frame_of(const Json& text, size_t index) {
    const auto refused = [&](const char* expected) {
        return make_error("frames[{}]: expected {}", index, expected);
    };
    if (!text.is_string()) return refused("a text of hexadecimal digits");
    const auto& digits = text.get_ref<const std::string&>();
    if (digits.size() % 2 != 0 || digits.size() > 2 * longest_frame)
        return refused("two digits per byte, 65,535 bytes at most");
    std::vector<u8> bytes;
    for (size_t i = 0; i < digits.size(); i += 2) {
        const int high = digit_of(digits[i]);
        const int low = digit_of(digits[i + 1]);
        if (high < 0 || low < 0) return refused("lower-case hexadecimal digits");
        bytes.push_back(static_cast<u8>(high << 4 | low));
    }
    return bytes;
}

Status take_text(const Json& body, const char* key, std::string& out) {
    if (!body.contains(key)) return {};
    if (!body[key].is_string()) return make_error("{}: expected a text", key);
    out = body[key].get<std::string>();
    return {};
}

}  // namespace

Json explain_json(const ExplainAnswer& answer) {
    Json packets = Json::array();
    for (const ExplainReport& report : answer.packets) packets.push_back(packet_json(report));
    return {{"packets", packets},
            {"changes", answer.changes ? changes_json(*answer.changes) : Json(nullptr)}};
}

Json diff_json(const DiffReport& report) {
    return {{"changes", report.changes},
            {"refused", report.refused.empty() ? Json(nullptr) : Json(report.refused)},
            {"flows", changes_json(report.flows)}};
}

Result<ExplainRequest> explain_request(const std::string& text) {
    const Json body = Json::parse(text, nullptr, false);
    if (!body.is_object()) return make_error("body: expected a JSON object");
    ExplainRequest request;
    const std::pair<const char*, std::string&> keys[] = {{"protocol", request.protocol},
                                                         {"source", request.source},
                                                         {"destination", request.destination},
                                                         {"interface", request.interface},
                                                         {"config", request.config}};
    for (const auto& [key, out] : keys) {
        if (Status status = take_text(body, key, out); !status) return status.error();
    }
    if (!body.contains("frames")) return request;
    if (!body["frames"].is_array() || body["frames"].empty() || body["frames"].size() > most_frames)
        return make_error("frames: expected a list of 1 to {}", most_frames);
    for (size_t i = 0; i < body["frames"].size(); ++i) {
        Result<std::vector<u8>> frame = frame_of(body["frames"][i], i);
        if (!frame) return frame.error();
        request.frames.push_back(std::move(*frame));
    }
    return request;
}

}  // namespace sluice::api
