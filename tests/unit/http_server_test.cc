// SPDX-License-Identifier: Apache-2.0
//
// What one client does must not concern another.
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "control/http/listen.h"
#include "control/http/server.h"

namespace sluice::http {
namespace {

using namespace std::chrono_literals;

constexpr const char* request = "GET /slow HTTP/1.1\r\nConnection: close\r\n\r\n";
constexpr const char* quick_request = "GET /quick HTTP/1.1\r\nConnection: close\r\n\r\n";
constexpr size_t large = 32 << 20;  // bytes, more than sockets hold

class HttpServer : public testing::Test {
protected:
    void start(Limits limits) {
        server_ = std::make_unique<Server>(limits);
        server_->route("GET", "/slow", [this](const Request&, Response& response) {
            while (held_) std::this_thread::sleep_for(1ms);
            response.body = "slow\n";
        });
        server_->route("GET", "/large",
                       [](const Request&, Response& response) { response.body.assign(large, 'x'); });
        server_->quick_route("GET", "/quick",
                             [](const Request&, Response& response) { response.body = "quick\n"; });
        auto listener = listen_on(path_);
        ASSERT_TRUE(listener) << listener.error().message;
        ASSERT_TRUE(server_->start(std::move(*listener)));
    }
    ~HttpServer() override {
        held_ = false;
        server_.reset();
        unlink(path_.c_str());
    }

    UniqueFd connect(const std::string& first = "") const {
        UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        path_.copy(address.sun_path, sizeof address.sun_path - 1);
        EXPECT_EQ(::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
        EXPECT_EQ(send(fd.get(), first.data(), first.size(), MSG_NOSIGNAL),
                  static_cast<ssize_t>(first.size()));
        return fd;
    }

    // Until the server closes, or nothing comes for `wait`.
    static std::string read_all(const UniqueFd& fd, std::chrono::milliseconds wait = 3s) {
        std::string all;
        pollfd waiting{fd.get(), POLLIN, 0};
        std::array<char, 65536> bytes;
        while (poll(&waiting, 1, static_cast<int>(wait.count())) == 1) {
            const ssize_t got = recv(fd.get(), bytes.data(), bytes.size(), 0);
            if (got <= 0) return all;
            all.append(bytes.data(), static_cast<size_t>(got));
        }
        return all + "(waiting)";
    }

    std::string path_ = testing::TempDir() + "sluice-http-" + std::to_string(getpid()) + ".sock";
    std::atomic<bool> held_{false};
    std::unique_ptr<Server> server_;
};

TEST_F(HttpServer, HalfRequestsAndSilenceHoldNobodyUp) {
    start({.connections = 16});
    std::vector<UniqueFd> others;
    for (int i = 0; i < 100; ++i) others.push_back(connect(i % 2 == 0 ? "" : "GET /slow HTTP/1.1\r\nHost: "));
    const auto before = std::chrono::steady_clock::now();
    EXPECT_TRUE(read_all(connect(request)).ends_with("\r\n\r\nslow\n"));
    EXPECT_LT(std::chrono::steady_clock::now() - before, 1s);
    EXPECT_EQ(read_all(others.front()), "") << "the one that waited longest made place";
}

TEST_F(HttpServer, WhoIsTooSlowWithARequestIsCutOff) {
    start({.request = 300ms});
    const UniqueFd slow = connect("GET /slow HTTP/1.1\r\nX: ");
    for (int i = 0; i < 20; ++i) {  // now and then a byte does not help
        std::this_thread::sleep_for(100ms);
        if (send(slow.get(), "x", 1, MSG_NOSIGNAL) < 0) break;
    }
    EXPECT_EQ(read_all(slow), "");
}

TEST_F(HttpServer, WhoDoesNotTakeAnAnswerIsCutOffAndHoldsNobodyUp) {
    start({.answer = 300ms});
    const UniqueFd lazy = connect("GET /large HTTP/1.1\r\n\r\n");
    EXPECT_TRUE(read_all(connect(request)).ends_with("slow\n"));
    std::this_thread::sleep_for(1500ms);
    EXPECT_LT(read_all(lazy).size(), large);
}

TEST_F(HttpServer, ALargeAnswerArrivesWhole) {
    start({});
    const std::string answer = read_all(connect("GET /large HTTP/1.1\r\nConnection: close\r\n\r\n"));
    ASSERT_GT(answer.size(), large);
    EXPECT_EQ(answer.substr(answer.find("\r\n\r\n") + 4), std::string(large, 'x'));
}

TEST_F(HttpServer, QuickRoutesAnswerWhileAHandlerWaits) {
    start({});
    held_ = true;
    const UniqueFd waiting = connect(request);
    const UniqueFd queued = connect(request);
    EXPECT_TRUE(read_all(connect(quick_request)).ends_with("quick\n"));
    held_ = false;
    EXPECT_TRUE(read_all(waiting).ends_with("slow\n"));
    EXPECT_TRUE(read_all(queued).ends_with("slow\n"));
}

TEST_F(HttpServer, RequestsThatComeTogetherAreAnsweredInOrder) {
    start({});
    std::string many;
    for (int i = 0; i < 500; ++i)
        many += i % 2 == 0 ? "GET /slow HTTP/1.1\r\n\r\n" : "GET /quick HTTP/1.1\r\n\r\n";
    const std::string answers = read_all(connect(many + quick_request));
    std::string order;
    for (size_t at = answers.find("\r\n\r\n"); at != std::string::npos; at = answers.find("\r\n\r\n", at + 1))
        order += answers[at + 4];
    std::string expected;
    for (int i = 0; i < 250; ++i) expected += "sq";
    EXPECT_EQ(order, expected + "q");
}

TEST_F(HttpServer, ARefusalIsReadThoughMoreWasSent) {
    start({});
    const UniqueFd fd =
        connect("PUT / HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n" + std::string(100'000, 'x'));
    EXPECT_TRUE(read_all(fd).starts_with("HTTP/1.1 413 "));
    EXPECT_TRUE(read_all(connect("GET /none HTTP/1.0\r\n\r\n")).starts_with("HTTP/1.1 404 "));
}

TEST_F(HttpServer, AStopWaitsForNoClient) {
    start({});
    const UniqueFd idle = connect();
    const UniqueFd half = connect("GET /");
    const UniqueFd lazy = connect("GET /large HTTP/1.1\r\n\r\n");
    const auto before = std::chrono::steady_clock::now();
    server_.reset();
    EXPECT_LT(std::chrono::steady_clock::now() - before, 1s);
}

TEST(HttpListen, AnAddressIsOneListenersAlone) {
    config::Endpoint endpoint = *config::Endpoint::parse("127.0.0.1:1");
    endpoint.port = 0;
    const auto first = listen_on(endpoint);
    ASSERT_TRUE(first) << first.error().message;
    sockaddr_in bound{};
    socklen_t length = sizeof bound;
    ASSERT_EQ(getsockname(first->get(), reinterpret_cast<sockaddr*>(&bound), &length), 0);
    endpoint.port = ntohs(bound.sin_port);
    const auto second = listen_on(endpoint);
    ASSERT_FALSE(second);
    EXPECT_NE(second.error().message.find("in use"), std::string::npos) << second.error().message;
}

}  // namespace
}  // namespace sluice::http
