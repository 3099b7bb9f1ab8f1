// SPDX-License-Identifier: Apache-2.0
//
// Probes against real sockets on the loopback.
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "control/health/checker.h"

namespace sluice::health {
namespace {

using namespace std::chrono_literals;

// A server on the loop: accepts (or refuses to, once closed), and answers requests with `answer`.
class Server {
public:
    Server(EventLoop& loop, int type, std::string answer) : loop_(loop), answer_(std::move(answer)) {
        fd_.reset(socket(AF_INET, type | SOCK_NONBLOCK, 0));
        sockaddr_in at{};
        at.sin_family = AF_INET;
        at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t length = sizeof at;
        EXPECT_EQ(bind(fd_.get(), reinterpret_cast<sockaddr*>(&at), length), 0);
        EXPECT_EQ(getsockname(fd_.get(), reinterpret_cast<sockaddr*>(&at), &length), 0);
        port = ntohs(at.sin_port);
        if (type == SOCK_DGRAM) return;
        EXPECT_EQ(listen(fd_.get(), 64), 0);
        watch_ = loop.watch(fd_.get(), EPOLLIN, [this](std::uint32_t) { take(); }).value();
    }
    ~Server() { close(); }

    void close() {
        if (watch_ != 0) loop_.remove(watch_);
        watch_ = 0;
        fd_.reset();
        connections_.clear();
    }

    u16 port = 0;
    std::string asked;

private:
    void take() {
        connections_.emplace_back(accept4(fd_.get(), nullptr, nullptr, SOCK_NONBLOCK));
        const int fd = connections_.back().get();
        if (answer_.empty()) return;
        auto id = std::make_shared<EventLoop::Id>();
        *id = loop_
                  .watch(fd, EPOLLIN,
                         [this, fd, id](std::uint32_t) {
                             char buffer[1024];
                             const ssize_t got = recv(fd, buffer, sizeof buffer, 0);
                             if (got > 0) {
                                 asked.assign(buffer, static_cast<size_t>(got));
                                 EXPECT_GT(send(fd, answer_.data(), answer_.size(), MSG_NOSIGNAL), 0);
                             }
                             loop_.remove(*id);
                         })
                  .value();
    }

    EventLoop& loop_;
    std::string answer_;
    UniqueFd fd_;
    EventLoop::Id watch_ = 0;
    std::vector<UniqueFd> connections_;
};

class HealthChecker : public testing::Test {
protected:
    config::Service service(config::HealthType type, u16 port) {
        config::Service out;
        out.name = "web";
        out.health_check =
            config::HealthCheck{type, "/healthz", config::Duration(20), config::Duration(15), 3, 2};
        config::Backend backend;
        backend.address = *config::Address::parse("127.0.0.1");
        backend.port = port;
        out.backends.push_back(backend);
        return out;
    }

    BackendHealth health(const config::Service& of) {
        return *checker_.health(compile::key_of(of, of.backends.front()));
    }

    // Runs the loop until `done`, five seconds at most.
    bool wait(const std::function<bool()>& done) {
        bool good = false;
        const auto look = loop_
                              ->every(1ms,
                                      [&] {
                                          good = done();
                                          if (good) loop_->stop();
                                      })
                              .value();
        const auto limit = loop_->after(5s, [&] { loop_->stop(); }).value();
        EXPECT_TRUE(loop_->run());
        loop_->remove(look);
        loop_->remove(limit);
        return good;
    }

    std::string outcome(config::HealthType type, int kind, const std::string& answer) {
        Server server(*loop_, kind, answer);
        const config::Service web = service(type, server.port);
        checker_.configure({web}, {});
        EXPECT_TRUE(wait([&] { return health(web).probed; }));
        const BackendHealth found = health(web);
        checker_.configure({}, {});
        asked_ = server.asked;
        return found.succeeded != 0 ? "up" : found.last_error;
    }

    std::unique_ptr<EventLoop> loop_ = EventLoop::create().value();
    int changes_ = 0;
    Checker checker_{*loop_, [this] { ++changes_; }};
    std::string asked_;
};

TEST_F(HealthChecker, TcpAsksForAConnectionOnly) {
    EXPECT_EQ(outcome(config::HealthType::tcp, SOCK_STREAM, ""), "up");
}

TEST_F(HealthChecker, HttpAsksForThePathAndTakesSuccessAndRedirection) {
    EXPECT_EQ(outcome(config::HealthType::http, SOCK_STREAM, "HTTP/1.1 200 OK\r\n\r\n"), "up");
    EXPECT_EQ(asked_.substr(0, 23), "GET /healthz HTTP/1.1\r\n");
    EXPECT_EQ(outcome(config::HealthType::http, SOCK_STREAM, "HTTP/1.0 302\r\n\r\n"), "up");
}

TEST_F(HealthChecker, HttpRefusesOtherAnswers) {
    const auto answered = [&](const char* text) {
        return outcome(config::HealthType::http, SOCK_STREAM, text);
    };
    EXPECT_EQ(answered("HTTP/1.1 503 Busy\r\n\r\n"), "HTTP status 503");
    EXPECT_EQ(answered("HTTP/1.1 404 \r\n\r\n"), "HTTP status 404");
    EXPECT_EQ(answered("SSH-2.0-OpenSSH_9.2\r\n"), "not an HTTP/1 answer");
    EXPECT_EQ(answered("HTTP/1.1 2000 OK\r\n"), "not an HTTP/1 answer");
    EXPECT_EQ(answered(std::string(1000, 'x').c_str()), "not an HTTP/1 answer");
    EXPECT_EQ(answered(""), "no answer in time");
}

TEST_F(HealthChecker, UdpSilenceIsASuccessAndARefusalIsNone) {
    EXPECT_EQ(outcome(config::HealthType::udp, SOCK_DGRAM, ""), "up");
    Server server(*loop_, SOCK_DGRAM, "");
    const config::Service web = service(config::HealthType::udp, server.port);
    server.close();
    checker_.configure({web}, {});
    EXPECT_TRUE(wait([&] { return !health(web).up; }));
    EXPECT_EQ(health(web).last_error, "Connection refused");
}

TEST_F(HealthChecker, GoesDownAndUpByTheThresholdsAndTellsEachOnce) {
    auto server = std::make_unique<Server>(*loop_, SOCK_STREAM, "");
    const config::Service web = service(config::HealthType::tcp, server->port);
    checker_.configure({web}, {});
    EXPECT_TRUE(wait([&] { return health(web).succeeded >= 2; }));
    EXPECT_EQ(changes_, 0);
    server->close();
    EXPECT_TRUE(wait([&] { return !health(web).up; }));
    EXPECT_EQ(health(web).failures, 3U);
    EXPECT_EQ(health(web).last_error, "Connection refused");
    EXPECT_EQ(changes_, 1);
    EXPECT_EQ(checker_.down().size(), 1U);
}

TEST_F(HealthChecker, KeepsStatesOverANewConfigurationAndForgetsWhatIsGone) {
    config::Service web = service(config::HealthType::tcp, 1);
    const compile::BackendKey key = compile::key_of(web, web.backends.front());
    checker_.configure({web}, {});
    EXPECT_TRUE(wait([&] { return !health(web).up; }));
    web.health_check->unhealthy = 7;
    checker_.configure({web}, {});
    EXPECT_FALSE(checker_.is_up(key));
    checker_.configure({}, {});
    EXPECT_TRUE(checker_.is_up(key));
    EXPECT_FALSE(checker_.health(key));
    checker_.configure({web}, {key});
    EXPECT_FALSE(checker_.is_up(key));
}

// 3,000 of them, each probed once a second, by one thread.
TEST_F(HealthChecker, ProbesThousandsOfBackends) {
    Server server(*loop_, SOCK_STREAM, "");
    config::Service web = service(config::HealthType::udp, server.port);
    web.health_check->type = config::HealthType::tcp;
    web.health_check->interval = config::Duration(1000);
    web.health_check->timeout = config::Duration(900);
    web.backends.clear();
    for (unsigned i = 0; i < 3000; ++i) {
        config::Backend backend;
        backend.address = *config::Address::parse(fmt::format("127.1.{}.{}", i / 250, i % 250 + 1));
        backend.port = 1;  // refused
        web.backends.push_back(backend);
    }
    checker_.configure({web}, {});
    EXPECT_TRUE(wait([&] { return checker_.down().size() == web.backends.size(); }));
}

}  // namespace
}  // namespace sluice::health
