// SPDX-License-Identifier: Apache-2.0
#include "control/http/server.h"

#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace sluice::http {

namespace {

using namespace std::chrono_literals;

constexpr int accepts_per_event = 64;
constexpr auto accept_pause = 100ms;
constexpr auto late_check = 500ms;
constexpr auto closing_time = 1s;  // for what a client still sends while it is told that it is refused

}  // namespace

void Server::route(std::string method, std::string path, Handler handler) {
    routes_[{std::move(method), std::move(path)}] = {std::move(handler), false};
}

void Server::quick_route(std::string method, std::string path, Handler handler) {
    routes_[{std::move(method), std::move(path)}] = {std::move(handler), true};
}

Status Server::start(UniqueFd listener) {
    listener_ = std::move(listener);
    auto loop = EventLoop::create();
    if (!loop) return loop.error();
    loop_ = std::move(*loop);
    auto id = loop_->watch(listener_.get(), EPOLLIN, [this](std::uint32_t) { accept_some(); });
    if (!id) return id.error();
    listening_ = *id;
    if (auto timer = loop_->every(late_check, [this] { close_late(); }); !timer) return timer.error();
    serving_ = std::thread([this] { static_cast<void>(loop_->run()); });
    for (size_t i = 0; i < limits_.answering_threads; ++i)
        answering_.emplace_back([this] { answer_tasks(); });
    return {};
}

Server::~Server() {
    if (serving_.joinable()) {
        loop_->stop();
        serving_.join();
    }
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    work_.notify_all();
    for (std::thread& thread : answering_) thread.join();
}

void Server::accept_some() {
    for (int i = 0; i < accepts_per_event; ++i) {
        UniqueFd fd(accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
        if (fd) {
            add(std::move(fd));
            continue;
        }
        const bool exhausted = errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM;
        if (exhausted && !make_place()) pause_accepting();
        return;  // what else accept reports is the fate of a connection that has gone
    }
}

// Closes the connection that has kept others waiting longest; one whose answer is being composed has not.
bool Server::make_place() {
    const auto rank = [](const Connection& c) { return std::pair(c.state == State::writing, c.deadline); };
    auto worst = connections_.end();
    for (auto at = connections_.begin(); at != connections_.end(); ++at) {
        if (at->second.state == State::answering) continue;
        if (worst == connections_.end() || rank(at->second) < rank(worst->second)) worst = at;
    }
    if (worst == connections_.end()) return false;
    close(worst->first);
    return true;
}

void Server::pause_accepting() {
    if (!loop_->change(listening_, 0)) return;
    auto again =
        loop_->after(accept_pause, [this] { static_cast<void>(loop_->change(listening_, EPOLLIN)); });
    if (!again) static_cast<void>(loop_->change(listening_, EPOLLIN));
}

void Server::add(UniqueFd fd) {
    if (connections_.size() >= limits_.connections && !make_place()) return;
    const std::uint64_t id = next_id_++;
    Connection& connection = connections_[id];
    connection.fd = std::move(fd);
    connection.parser = RequestParser(limits_.body);
    connection.deadline = Clock::now() + limits_.request;
    watch(id, connection, EPOLLIN);
}

bool Server::watch(std::uint64_t id, Connection& connection, std::uint32_t events) {
    unwatch(connection);
    auto watch = loop_->watch(connection.fd.get(), events, [this, id](std::uint32_t) { ready(id); });
    if (!watch) {
        close(id);
        return false;
    }
    connection.watch = *watch;
    return true;
}

void Server::unwatch(Connection& connection) {
    if (connection.watch != 0) loop_->remove(std::exchange(connection.watch, 0));
}

void Server::close(std::uint64_t id) {
    const auto found = connections_.find(id);
    if (found == connections_.end()) return;
    unwatch(found->second);
    connections_.erase(found);
}

void Server::close_late() {
    const Clock::time_point now = Clock::now();
    std::vector<std::uint64_t> late;
    for (const auto& [id, connection] : connections_) {
        if (connection.state != State::answering && connection.deadline <= now) late.push_back(id);
    }
    for (const std::uint64_t id : late) close(id);
}

void Server::ready(std::uint64_t id) {
    const auto found = connections_.find(id);
    if (found == connections_.end()) return;
    Connection& connection = found->second;
    if (connection.state == State::writing) return write_some(id, connection);
    read_some(id, connection);
}

void Server::read_some(std::uint64_t id, Connection& connection) {
    std::array<char, 16384> bytes;
    const ssize_t got = recv(connection.fd.get(), bytes.data(), bytes.size(), 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got <= 0) return close(id);
    if (connection.state == State::closing) return;
    connection.in.append(bytes.data(), static_cast<size_t>(got));
    take_request(id, connection);
}

void Server::take_request(std::uint64_t id, Connection& connection) {
    ParseResult parsed = connection.parser.take(connection.in);
    connection.in.erase(0, parsed.length);
    if (parsed.state == Parsed::incomplete) return;
    if (parsed.state == Parsed::refused) {
        connection.keep_alive = false;
        return answer(id, connection,
                      {parsed.status, "application/json", "{\"error\": \"request refused\"}\n"});
    }
    connection.keep_alive = parsed.request.keep_alive;
    const bool head = parsed.request.method == "HEAD";
    const auto route = routes_.find({head ? "GET" : parsed.request.method, parsed.request.path});
    const bool quick = route == routes_.end() || route->second.quick;
    const Handler& handler = route == routes_.end() ? otherwise_ : route->second.handler;
    if (quick) {
        Response response;
        handler(parsed.request, response);
        return answer(id, connection, response, !head);
    }
    connection.state = State::answering;
    unwatch(connection);
    {
        const std::lock_guard lock(mutex_);
        tasks_.push_back({id, std::move(parsed.request), &handler});
    }
    work_.notify_one();
}

void Server::answer_tasks() {
    for (;;) {
        std::unique_lock lock(mutex_);
        work_.wait(lock, [this] { return stopping_ || !tasks_.empty(); });
        if (stopping_) return;
        const Task task = std::move(tasks_.front());
        tasks_.pop_front();
        lock.unlock();
        const auto response = std::make_shared<Response>();
        (*task.handler)(task.request, *response);
        loop_->post([this, id = task.connection, response, with_body = task.request.method != "HEAD"] {
            const auto found = connections_.find(id);
            if (found != connections_.end()) answer(id, found->second, *response, with_body);
        });
    }
}

void Server::answer(std::uint64_t id, Connection& connection, const Response& response, bool with_body) {
    connection.out = compose(response, connection.keep_alive, with_body);
    connection.sent = 0;
    connection.state = State::writing;
    connection.deadline = Clock::now() + limits_.answer;
    if (watch(id, connection, EPOLLOUT)) write_some(id, connection);
}

void Server::write_some(std::uint64_t id, Connection& connection) {
    const std::string& out = connection.out;
    const ssize_t put =
        send(connection.fd.get(), out.data() + connection.sent, out.size() - connection.sent, MSG_NOSIGNAL);
    if (put < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (put < 0) return close(id);
    connection.sent += static_cast<size_t>(put);
    if (connection.sent == out.size()) finish(id, connection);
}

// A close at once would reset what the client has not read yet.
void Server::finish(std::uint64_t id, Connection& connection) {
    connection.out = {};
    connection.state = connection.keep_alive ? State::reading : State::closing;
    connection.deadline = Clock::now() + (connection.keep_alive ? limits_.request : closing_time);
    if (!connection.keep_alive) shutdown(connection.fd.get(), SHUT_WR);
    if (watch(id, connection, EPOLLIN) && connection.keep_alive && !connection.in.empty())
        loop_->post([this, id] { take_next(id); });
}

// A request that came together with the one before it; others have had their turn meanwhile.
void Server::take_next(std::uint64_t id) {
    const auto found = connections_.find(id);
    if (found != connections_.end() && found->second.state == State::reading) take_request(id, found->second);
}

}  // namespace sluice::http
