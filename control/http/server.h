// SPDX-License-Identifier: Apache-2.0
//
// An HTTP server that no client can hold up. One thread serves all sockets without ever waiting for one; a
// request that is whole goes to the thread that composes answers. Connections are bounded: when there are too
// many, a new one takes the place of the one that has kept its request waiting longest, and who is too slow
// with a request or with taking an answer is cut off.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "control/http/message.h"
#include "dataplane/base/event_loop.h"
#include "dataplane/base/fd.h"
#include "dataplane/base/result.h"

namespace sluice::http {

using Handler = std::function<void(const Request&, Response&)>;

struct Limits {
    size_t connections = 256;
    size_t body = 0;                          // bytes of a request's
    std::chrono::milliseconds request{5000};  // for a whole request to come, the silence before it included
    std::chrono::milliseconds answer{30000};  // for an answer to be taken
    size_t answering_threads = 1;
};

class Server {
public:
    explicit Server(Limits limits = {}) : limits_(limits) {}
    ~Server();
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;

    // Before start(). `handler` runs on an answering thread and may wait.
    void route(std::string method, std::string path, Handler handler);
    // The same, for one that is done at once: it is answered even while all answering threads are busy.
    void quick_route(std::string method, std::string path, Handler handler);
    // Answers what has no route, as a quick one.
    void otherwise(Handler handler) { otherwise_ = std::move(handler); }

    // Serves what comes in on `listener`, a listening socket that does not block.
    Status start(UniqueFd listener);

private:
    using Clock = std::chrono::steady_clock;

    enum class State { reading, answering, writing, closing };

    struct Connection {
        UniqueFd fd;
        EventLoop::Id watch = 0;  // 0: none, while its answer is composed
        State state = State::reading;
        RequestParser parser;
        std::string in;  // not parsed yet
        std::string out;
        size_t sent = 0;
        bool keep_alive = false;
        Clock::time_point deadline;  // of reading, writing, closing
    };
    using Connections = std::map<std::uint64_t, Connection>;

    struct Route {
        Handler handler;
        bool quick = false;
    };

    struct Task {
        std::uint64_t connection;
        Request request;
        const Handler* handler;
    };

    // On the loop's thread
    void accept_some();
    bool make_place();
    void pause_accepting();
    void add(UniqueFd fd);
    void ready(std::uint64_t id);
    void read_some(std::uint64_t id, Connection& connection);
    void take_request(std::uint64_t id, Connection& connection);
    void take_next(std::uint64_t id);
    void write_some(std::uint64_t id, Connection& connection);
    void finish(std::uint64_t id, Connection& connection);
    void answer(std::uint64_t id, Connection& connection, const Response& response, bool with_body = true);
    bool watch(std::uint64_t id, Connection& connection, std::uint32_t events);
    void unwatch(Connection& connection);
    void close(std::uint64_t id);
    void close_late();

    void answer_tasks();  // on an answering thread

    Limits limits_;
    std::map<std::pair<std::string, std::string>, Route> routes_;  // by method and path
    Handler otherwise_ = [](const Request&, Response& response) { response.status = 404; };
    UniqueFd listener_;
    EventLoop::Id listening_ = 0;
    std::unique_ptr<EventLoop> loop_;
    Connections connections_;
    std::uint64_t next_id_ = 1;
    std::thread serving_;

    std::mutex mutex_;  // guards the two below
    std::deque<Task> tasks_;
    bool stopping_ = false;
    std::condition_variable work_;
    std::vector<std::thread> answering_;
};

}  // namespace sluice::http
