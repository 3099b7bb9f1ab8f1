// SPDX-License-Identifier: Apache-2.0
#include "control/api/capture_routes.h"

#include "control/api/respond.h"

namespace sluice::api {

namespace {

using http::Request;
using http::Response;

constexpr const char* pcapng_type = "application/x-pcapng";

// A member of the request's body, where it is there.
template <typename T>
Status take(const Json& body, const char* name, const char* expected, T& value) {
    const auto at = body.find(name);
    if (at == body.end() || at->is_null()) return {};
    try {
        value = at->get<T>();
    } catch (const Json::exception&) {
        return make_error("{}: expected {}", name, expected);
    }
    return {};
}

bool is_among(const std::string& word, std::initializer_list<const char*> words) {
    return std::find(words.begin(), words.end(), word) != words.end();
}

Result<CaptureRequest> capture_request(const std::string& text) {
    const Json body = Json::parse(text.empty() ? "{}" : text, nullptr, false);
    if (!body.is_object()) return make_error("body: expected a JSON object");
    for (const auto& [name, value] : body.items()) {
        if (!is_among(name, {"interface", "tier", "direction", "bytes", "filter"}))
            return make_error("{}: expected interface, tier, direction, bytes or filter", name);
    }
    CaptureRequest wanted;
    u64 bytes = wanted.bytes;
    Status status = take(body, "interface", "a name", wanted.interface);
    if (status) status = take(body, "tier", "a word", wanted.tier);
    if (status) status = take(body, "direction", "a word", wanted.direction);
    if (status) status = take(body, "bytes", "a number", bytes);
    if (status) status = take(body, "filter", "instructions of four numbers each", wanted.filter);
    if (!status) return status.error();
    if (!is_among(wanted.tier, {"", "xdp", "af_xdp", "dpdk", "epoll"}))
        return make_error("tier: value \"{}\": expected xdp, af_xdp, dpdk or epoll", wanted.tier);
    if (!is_among(wanted.direction, {"in", "out", "both"}))
        return make_error("direction: value \"{}\": expected in, out or both", wanted.direction);
    if (bytes < 14 || bytes > longest_capture)
        return make_error("bytes: value {}: expected 14 to {}", bytes, longest_capture);
    wanted.bytes = static_cast<u32>(bytes);
    return wanted;
}

void post_capture(Provider& provider, const Request& request, Response& response) {
    const Result<CaptureRequest> wanted = capture_request(request.body);
    if (!wanted) return refuse(response, 400, wanted.error().message);
    const Result<u64> id = provider.start_capture(*wanted);
    if (!id) return refuse(response, 422, id.error().message);
    answer(response, {{"id", *id}});
}

void get_capture(Provider& provider, u64 id, Response& response) {
    Result<std::string> blocks = provider.read_capture(id);
    if (!blocks) return refuse(response, 404, blocks.error().message);
    response.type = pcapng_type;
    response.body = std::move(*blocks);
}

void delete_capture(Provider& provider, u64 id, Response& response) {
    const Result<CaptureSummary> told = provider.stop_capture(id);
    if (!told) return refuse(response, 404, told.error().message);
    answer(response, {{"packets", told->packets}, {"lost", told->lost}});
}

// With the number of a capture.
auto with_id(Provider& provider, void (*act)(Provider&, u64, Response&)) {
    return [&provider, act](const Request& request, Response& response) {
        const Result<u64> id = number(request, "id", 0, ~u64{0});
        if (!id) return refuse(response, 400, id.error().message);
        act(provider, *id, response);
    };
}

}  // namespace

void add_capture_routes(http::Server& server, Provider& provider) {
    server.route("POST", "/v1/capture", [&provider](const Request& request, Response& response) {
        post_capture(provider, request, response);
    });
    server.route("GET", "/v1/capture", with_id(provider, get_capture));
    server.route("DELETE", "/v1/capture", with_id(provider, delete_capture));
}

}  // namespace sluice::api
