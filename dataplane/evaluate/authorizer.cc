// SPDX-License-Identifier: Apache-2.0
#include "dataplane/evaluate/authorizer.h"

#include <curl/curl.h>
#include <sys/epoll.h>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>

#include "dataplane/packet/text.h"

namespace sluice::evaluate {

namespace {

using Json = nlohmann::json;

constexpr long most_connections = 64;  // to one server

// One question under way.
struct Request {
    CURL* easy = nullptr;
    std::string body;
    std::string answer;
    Authorizer::Answered answered;
};

size_t on_bytes(char* bytes, size_t size, size_t count, void* opaque) {
    Request& request = *static_cast<Request*>(opaque);
    if (request.answer.size() + size * count > Authorizer::most_bytes) return 0;  // curl takes it as an error
    request.answer.append(bytes, size * count);
    return size * count;
}

}  // namespace

Authorization read_authorization(std::string_view body) {
    const Json answer = Json::parse(body, nullptr, false);
    if (!answer.is_object() || !answer.contains("result")) return Authorization::failed;
    const Json* result = &answer["result"];
    if (result->is_object() && result->contains("allow")) result = &(*result)["allow"];
    if (!result->is_boolean()) return Authorization::failed;
    return result->get<bool>() ? Authorization::allowed : Authorization::denied;
}

std::string authorization_request(const std::string& rule, const EvaluationQuestion& question) {
    Json input = {{"rule", rule},
                  {"source", address_text(question.flow.source_address)},
                  {"source_port", question.source_port},
                  {"destination", address_text(question.flow.destination_address)},
                  {"destination_port", question.destination_port}};
    const char* const word = protocol_word(question.protocol);
    input["protocol"] = word != nullptr ? Json(word) : Json(question.protocol);
    return Json{{"input", input}}.dump();
}

struct Authorizer::State {
    explicit State(EventLoop& at) : loop(at) {}
    ~State();

    Status open();
    bool start(const AuthorizerSettings& settings, std::unique_ptr<Request> request);
    void act(curl_socket_t socket, int events);
    void finish(CURL* easy, CURLcode code);
    int watch(curl_socket_t socket, int what);
    int set_timer(long ms);

    static int on_socket(CURL*, curl_socket_t socket, int what, void* self, void*) {
        return static_cast<State*>(self)->watch(socket, what);
    }
    static int on_timer(CURLM*, long ms, void* self) { return static_cast<State*>(self)->set_timer(ms); }

    EventLoop& loop;
    CURLM* multi = nullptr;
    curl_slist* headers = nullptr;
    std::unordered_map<CURL*, std::unique_ptr<Request>> requests;
    std::unordered_map<curl_socket_t, EventLoop::Id> sockets;
    EventLoop::Id timer = 0;
};

Authorizer::State::~State() {
    for (const auto& [easy, request] : requests) {
        curl_multi_remove_handle(multi, easy);
        curl_easy_cleanup(easy);
    }
    if (multi != nullptr) curl_multi_cleanup(multi);
    for (const auto& [socket, id] : sockets) loop.remove(id);
    if (timer != 0) loop.remove(timer);
    curl_slist_free_all(headers);
}

Status Authorizer::State::open() {
    static const CURLcode ready = curl_global_init(CURL_GLOBAL_DEFAULT);
    if (ready != CURLE_OK) return make_error("libcurl: {}", curl_easy_strerror(ready));
    multi = curl_multi_init();
    headers = curl_slist_append(nullptr, "Content-Type: application/json");
    if (multi == nullptr || headers == nullptr) return make_error("libcurl: out of memory");
    curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, &State::on_socket);
    curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, this);
    curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, &State::on_timer);
    curl_multi_setopt(multi, CURLMOPT_TIMERDATA, this);
    curl_multi_setopt(multi, CURLMOPT_MAX_HOST_CONNECTIONS, most_connections);
    return {};
}

int Authorizer::State::watch(curl_socket_t socket, int what) {
    const auto at = sockets.find(socket);
    if (what == CURL_POLL_REMOVE) {
        if (at == sockets.end()) return 0;
        loop.remove(at->second);
        sockets.erase(at);
        return 0;
    }
    const u32 events = (what & CURL_POLL_IN ? u32{EPOLLIN} : 0) | (what & CURL_POLL_OUT ? u32{EPOLLOUT} : 0);
    if (at != sockets.end()) return loop.change(at->second, events) ? 0 : -1;
    const auto handler = [this, socket](std::uint32_t ready) {
        act(socket, (ready & EPOLLIN ? CURL_CSELECT_IN : 0) | (ready & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
                        (ready & (EPOLLERR | EPOLLHUP) ? CURL_CSELECT_ERR : 0));
    };
    auto id = loop.watch(socket, events, handler);
    if (!id) return -1;
    sockets[socket] = *id;
    return 0;
}

int Authorizer::State::set_timer(long ms) {
    if (timer != 0) loop.remove(timer);
    timer = 0;
    if (ms < 0) return 0;
    const auto delay =
        std::max<EventLoop::Duration>(std::chrono::milliseconds(ms), std::chrono::microseconds(1));
    auto id = loop.after(delay, [this] {
        timer = 0;
        act(CURL_SOCKET_TIMEOUT, 0);
    });
    if (!id) return -1;
    timer = *id;
    return 0;
}

void Authorizer::State::act(curl_socket_t socket, int events) {
    int running = 0;
    curl_multi_socket_action(multi, socket, events, &running);
    int left = 0;
    while (CURLMsg* const message = curl_multi_info_read(multi, &left)) {
        if (message->msg == CURLMSG_DONE) finish(message->easy_handle, message->data.result);
    }
}

void Authorizer::State::finish(CURL* easy, CURLcode code) {
    const auto at = requests.find(easy);
    if (at == requests.end()) return;
    const std::unique_ptr<Request> request = std::move(at->second);
    requests.erase(at);
    long status = 0;
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    curl_multi_remove_handle(multi, easy);
    curl_easy_cleanup(easy);
    const bool whole = code == CURLE_OK && status == 200;
    request->answered(whole ? read_authorization(request->answer) : Authorization::failed);
}

bool Authorizer::State::start(const AuthorizerSettings& settings, std::unique_ptr<Request> request) {
    CURL* const easy = curl_easy_init();
    if (easy == nullptr) return false;
    request->easy = easy;
    curl_easy_setopt(easy, CURLOPT_URL, settings.url.c_str());
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, request->body.c_str());
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, static_cast<long>(request->body.size()));
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, static_cast<long>(settings.timeout_ms));
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, &on_bytes);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, request.get());
    requests[easy] = std::move(request);
    return curl_multi_add_handle(multi, easy) == CURLM_OK;
}

Authorizer::Authorizer(std::unique_ptr<State> state) : state_(std::move(state)) {}
Authorizer::~Authorizer() = default;

Result<std::unique_ptr<Authorizer>> Authorizer::create(EventLoop& loop) {
    auto state = std::make_unique<State>(loop);
    if (Status status = state->open(); !status) return status.error();
    return std::unique_ptr<Authorizer>(new Authorizer(std::move(state)));
}

void Authorizer::ask(const AuthorizerSettings& settings, std::string body, Answered answered) {
    if (state_->requests.size() >= most_requests) return answered(Authorization::failed);
    auto request = std::make_unique<Request>();
    request->body = std::move(body);
    request->answered = answered;
    if (!state_->start(settings, std::move(request))) answered(Authorization::failed);
}

size_t Authorizer::under_way() const { return state_->requests.size(); }

std::string AuthorizationCache::key_of(const EvaluationQuestion& q) {
    std::string key;
    const auto add = [&](const auto& value) {
        key.append(reinterpret_cast<const char*>(&value), sizeof value);
    };
    add(q.rule);
    add(q.flow.source_address);
    add(q.flow.destination_address);
    add(q.destination_port);
    add(q.protocol);
    return key;
}

const bool* AuthorizationCache::find(const std::string& key, u64 now_ns) {
    const auto at = entries_.find(key);
    if (at == entries_.end()) return nullptr;
    if (now_ns < at->second.until_ns) return &at->second.allowed;
    entries_.erase(at);
    return nullptr;
}

void AuthorizationCache::put(const std::string& key, bool allowed, u64 until_ns) {
    if (entries_.size() >= most) entries_.erase(entries_.begin());
    entries_[key] = {allowed, until_ns};
}

}  // namespace sluice::evaluate
