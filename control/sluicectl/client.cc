// SPDX-License-Identifier: Apache-2.0
#include "control/sluicectl/client.h"

#include <httplib.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cctype>

#include "dataplane/base/fd.h"

namespace sluice::ctl {

namespace {

using Json = nlohmann::ordered_json;
constexpr time_t patience = 30;  // seconds; a large configuration takes a while to compile

// Why nobody answers: the HTTP library only says that the connection failed.
Error why_unreachable(const std::string& socket) {
    const UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const auto unreachable = [&socket](const std::string& why) {
        return Error{fmt::format("{}: {}", socket, why), Client::nobody};
    };
    if (socket.size() >= sizeof address.sun_path) return unreachable("path too long for a socket");
    std::copy(socket.begin(), socket.end(), address.sun_path);
    if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0)
        return unreachable("the daemon took the request and did not answer");
    if (errno == ENOENT || errno == ECONNREFUSED)
        return unreachable("no daemon runs here (is sluiced started? another socket: --socket)");
    return unreachable(system_error(errno, "connect").message);
}

}  // namespace

std::string encoded(std::string_view value) {
    std::string out;
    for (const char c : value) {
        const auto byte = static_cast<unsigned char>(c);
        const bool plain = byte < 0x80 && (std::isalnum(byte) != 0 ||
                                           std::string_view("-._~").find(c) != std::string_view::npos);
        out += plain ? std::string(1, c) : fmt::format("%{:02X}", byte);
    }
    return out;
}

Result<Client::Answer> Client::send(const std::string& method, const std::string& path,
                                    const std::string& body) const {
    httplib::Client http(socket_);
    http.set_address_family(AF_UNIX);
    http.set_read_timeout(patience);
    httplib::Request request;
    request.method = method;
    request.path = path;
    request.headers = {{"Host", "sluice"}, {"Content-Type", "application/json"}};
    request.body = body;
    const httplib::Result result = http.send(request);
    if (!result) return why_unreachable(socket_);
    return Answer{result->status, result->body};
}

Error Client::refusal(const Answer& answer) const {
    const Json body = Json::parse(answer.body, nullptr, false);
    if (body.is_object() && body.contains("error")) return make_error("{}", body["error"].get<std::string>());
    return make_error("{}: refused with status {}", socket_, answer.status);
}

Result<Json> Client::ask(const std::string& method, const std::string& path, const std::string& body) const {
    const Result<Answer> answer = send(method, path, body);
    if (!answer) return answer.error();
    if (answer->status != 200) return refusal(*answer);
    Json json = Json::parse(answer->body, nullptr, false);
    if (json.is_discarded()) return make_error("{}: the answer is not JSON", socket_);
    return json;
}

Result<std::string> Client::fetch(const std::string& path) const {
    Result<Answer> answer = send("GET", path, "");
    if (!answer) return answer.error();
    if (answer->status != 200) return refusal(*answer);
    return std::move(answer->body);
}

}  // namespace sluice::ctl
