// SPDX-License-Identifier: Apache-2.0
//
// Loads a TCP proxy and measures it from outside.
//
//   proxy-load serve PORT               answers requests: 8 bytes of header (request size, answer size,
//   big-endian),
//                                       the request's rest, then the answer; closes after it when bit 31 of
//                                       the request size is set. Serves until it is killed.
//   proxy-load rate ADDRESS PORT SECONDS CONCURRENCY
//                                       new connections: connect, one request of 64 bytes, answer of 64,
//                                       close
//   proxy-load latency ADDRESS PORT SECONDS CONNECTIONS PER_SECOND BYTES
//                                       open loop: requests are due at fixed times; latency is from the time
//                                       due
//   proxy-load idle ADDRESS PORT CONNECTIONS SECONDS
//                                       opens connections (one exchange each) and holds them
//
// One thread each. Prints one JSON object.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <string>
#include <vector>

namespace {

using u8 = std::uint8_t;
using u16 = std::uint16_t;
using u32 = std::uint32_t;
using u64 = std::uint64_t;

constexpr u32 close_after = 1U << 31;
constexpr int events_at_once = 512;

u64 now_ns() {
    timespec t{};
    clock_gettime(CLOCK_MONOTONIC, &t);
    return static_cast<u64>(t.tv_sec) * 1'000'000'000 + static_cast<u64>(t.tv_nsec);
}

[[noreturn]] void fail(const char* what) {
    std::perror(what);
    std::exit(1);
}

void nodelay(int fd) {
    const int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

void watch(int epoll, int fd, u32 events, u64 data) {
    epoll_event event{};
    event.events = events;
    event.data.u64 = data;
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0) fail("epoll_ctl");
}

// --- server ---

struct Exchange {
    u8 header[8];
    u32 have = 0;     // of the header
    u32 missing = 0;  // of the request
    u32 answer = 0;
    bool last = false;
};

// False: the connection has ended.
bool serve_one(int fd, Exchange& e, std::vector<u8>& buffer) {
    for (;;) {
        const ssize_t n = recv(fd, buffer.data(), buffer.size(), 0);
        if (n == 0) return false;
        if (n < 0) return errno == EAGAIN;
        u32 at = 0;
        while (at < static_cast<u32>(n)) {
            if (e.have < 8) {
                e.header[e.have++] = buffer[at++];
                if (e.have < 8) continue;
                u32 words[2];
                std::memcpy(words, e.header, 8);
                const u32 size = ntohl(words[0]);
                e.last = (size & close_after) != 0;
                e.missing = (size & ~close_after) - 8;
                e.answer = ntohl(words[1]);
            }
            const u32 take = std::min(e.missing, static_cast<u32>(n) - at);
            e.missing -= take;
            at += take;
            if (e.missing > 0) break;
            if (send(fd, buffer.data(), e.answer, MSG_NOSIGNAL) != static_cast<ssize_t>(e.answer))
                return false;
            if (e.last) return false;
            e.have = 0;
        }
        if (static_cast<size_t>(n) < buffer.size()) return true;
    }
}

int serve(u32 port) {
    const int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    const int on = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    nodelay(listener);
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_port = htons(static_cast<u16>(port));
    if (bind(listener, reinterpret_cast<sockaddr*>(&at), sizeof at) != 0 || listen(listener, 4096) != 0)
        fail("listen");
    const int epoll = epoll_create1(0);
    watch(epoll, listener, EPOLLIN, static_cast<u64>(listener));
    std::vector<Exchange> exchanges(65536);
    std::vector<u8> buffer(65536);
    epoll_event events[events_at_once];
    for (;;) {
        const int ready = epoll_wait(epoll, events, events_at_once, -1);
        for (int i = 0; i < ready; ++i) {
            const int fd = static_cast<int>(events[i].data.u64);
            if (fd == listener) {
                int taken = 0;
                while ((taken = accept4(listener, nullptr, nullptr, SOCK_NONBLOCK)) >= 0) {
                    exchanges[static_cast<size_t>(taken)] = {};
                    if (serve_one(taken, exchanges[static_cast<size_t>(taken)], buffer))
                        watch(epoll, taken, EPOLLIN | EPOLLET, static_cast<u64>(taken));
                    else
                        close(taken);
                }
            } else if (!serve_one(fd, exchanges[static_cast<size_t>(fd)], buffer)) {
                close(fd);
            }
        }
    }
}

// --- clients ---

struct Target {
    sockaddr_in address{};
};

Target target_of(const char* address, const char* port) {
    Target target;
    target.address.sin_family = AF_INET;
    target.address.sin_port = htons(static_cast<u16>(std::atoi(port)));
    if (inet_pton(AF_INET, address, &target.address.sin_addr) != 1) fail(address);
    return target;
}

int begin_connect(const Target& target) {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (fd < 0) fail("socket");
    nodelay(fd);
    if (connect(fd, reinterpret_cast<const sockaddr*>(&target.address), sizeof target.address) != 0 &&
        errno != EINPROGRESS) {
        close(fd);
        return -1;
    }
    return fd;
}

void put_header(u8* to, u32 size, u32 answer) {
    const u32 words[2] = {htonl(size), htonl(answer)};
    std::memcpy(to, words, 8);
}

int rate(const Target& target, double seconds, u32 concurrency) {
    const int epoll = epoll_create1(0);
    u8 request[64] = {};
    put_header(request, 64 | close_after, 64);
    std::vector<u8> phase(65536);  // 1: connecting, 2: waiting
    u64 done = 0;
    u64 failed = 0;
    const auto start_one = [&] {
        const int fd = begin_connect(target);
        if (fd < 0) {
            ++failed;
            return;
        }
        phase[static_cast<size_t>(fd)] = 1;
        watch(epoll, fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, static_cast<u64>(fd));
    };
    for (u32 i = 0; i < concurrency; ++i) start_one();
    const u64 begun = now_ns();
    const u64 end = begun + static_cast<u64>(seconds * 1e9);
    epoll_event events[events_at_once];
    u8 buffer[4096];
    while (now_ns() < end) {
        const int ready = epoll_wait(epoll, events, events_at_once, 100);
        for (int i = 0; i < ready; ++i) {
            const int fd = static_cast<int>(events[i].data.u64);
            u8& at = phase[static_cast<size_t>(fd)];
            bool ended = false;
            if ((events[i].events & EPOLLERR) != 0) {
                ++failed;
                ended = true;
            } else if (at == 1 && (events[i].events & EPOLLOUT) != 0) {
                at = 2;
                if (send(fd, request, sizeof request, MSG_NOSIGNAL) != sizeof request) ++failed;
            }
            while (!ended && (events[i].events & (EPOLLIN | EPOLLRDHUP)) != 0) {
                const ssize_t n = recv(fd, buffer, sizeof buffer, 0);
                if (n > 0) continue;
                if (n < 0 && errno == EAGAIN) break;
                n == 0 ? ++done : ++failed;
                ended = true;
            }
            if (!ended) continue;
            close(fd);
            start_one();
        }
    }
    const double taken = static_cast<double>(now_ns() - begun) / 1e9;
    std::printf("{\"connections\": %llu, \"failed\": %llu, \"seconds\": %.3f, \"per_second\": %.0f}\n",
                static_cast<unsigned long long>(done), static_cast<unsigned long long>(failed), taken,
                static_cast<double>(done) / taken);
    return 0;
}

std::vector<int> open_all(const Target& target, u32 count) {
    std::vector<int> fds;
    for (u32 i = 0; i < count; ++i) {
        const int fd = socket(AF_INET, SOCK_STREAM, 0);
        if (fd < 0) fail("socket");
        nodelay(fd);
        if (connect(fd, reinterpret_cast<const sockaddr*>(&target.address), sizeof target.address) != 0)
            fail("connect");
        u8 bytes[64] = {};
        put_header(bytes, 64, 64);
        if (send(fd, bytes, 64, 0) != 64 || recv(fd, bytes, 64, MSG_WAITALL) != 64) fail("first exchange");
        fcntl(fd, F_SETFL, O_NONBLOCK);
        fds.push_back(fd);
    }
    return fds;
}

double at_quantile(const std::vector<u64>& sorted, double q) {
    if (sorted.empty()) return 0;
    const auto index = static_cast<size_t>(q * static_cast<double>(sorted.size() - 1) + 0.5);
    return static_cast<double>(sorted[index]) / 1000.0;
}

int latency(const Target& target, double seconds, u32 connections, u32 per_second, u32 bytes) {
    const std::vector<int> fds = open_all(target, connections);
    const int epoll = epoll_create1(0);
    for (u32 i = 0; i < connections; ++i) watch(epoll, fds[i], EPOLLIN | EPOLLET, i);
    struct State {
        std::deque<u64> due;
        u32 got = 0;
    };
    std::vector<State> states(connections);
    const u32 size = std::max(bytes, 8U);
    std::vector<u8> request(size);
    put_header(request.data(), size, bytes);
    std::vector<u8> buffer(65536);
    std::vector<u64> samples;
    const u64 period = 1'000'000'000 / per_second;
    u64 next = now_ns() + period;
    const u64 end = next + static_cast<u64>(seconds * 1e9);
    u32 turn = 0;
    epoll_event events[events_at_once];
    u64 late = 0;
    for (u64 now = now_ns(); now < end; now = now_ns()) {
        while (next <= now) {
            State& state = states[turn];
            state.due.push_back(next);
            if (state.due.size() > 1) ++late;
            if (send(fds[turn], request.data(), size, MSG_NOSIGNAL) != static_cast<ssize_t>(size))
                fail("send");
            turn = (turn + 1) % connections;
            next += period;
        }
        // It sleeps until the next request is due: the server has the same core.
        const u64 wait = next > now_ns() ? next - now_ns() : 0;
        const timespec patience{0, static_cast<long>(std::min<u64>(wait, 999'999'999))};
        const int ready = epoll_pwait2(epoll, events, events_at_once, &patience, nullptr);
        for (int i = 0; i < ready; ++i) {
            const u32 which = static_cast<u32>(events[i].data.u64);
            State& state = states[which];
            ssize_t n = 0;
            while ((n = recv(fds[which], buffer.data(), buffer.size(), 0)) > 0) {
                state.got += static_cast<u32>(n);
                while (state.got >= bytes && !state.due.empty()) {
                    samples.push_back(now_ns() - state.due.front());
                    state.due.pop_front();
                    state.got -= bytes;
                }
            }
            if (n == 0) fail("connection ended");
        }
    }
    std::sort(samples.begin(), samples.end());
    std::printf(
        "{\"samples\": %zu, \"late\": %llu, \"p50\": %.1f, \"p90\": %.1f, \"p99\": %.1f, \"p999\": %.1f, "
        "\"max\": %.1f}\n",
        samples.size(), static_cast<unsigned long long>(late), at_quantile(samples, 0.5),
        at_quantile(samples, 0.9), at_quantile(samples, 0.99), at_quantile(samples, 0.999),
        at_quantile(samples, 1));
    return 0;
}

int idle(const Target& target, u32 connections, double seconds) {
    const std::vector<int> fds = open_all(target, connections);
    std::printf("{\"open\": %zu}\n", fds.size());
    std::fflush(stdout);
    usleep(static_cast<useconds_t>(seconds * 1e6));
    for (const int fd : fds) close(fd);
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    const std::vector<std::string> words(argv + 1, argv + argc);
    const auto number = [&](size_t i) { return static_cast<u32>(std::stoul(words[i])); };
    if (words.size() == 2 && words[0] == "serve") return serve(number(1));
    if (words.size() == 5 && words[0] == "rate")
        return rate(target_of(argv[2], argv[3]), std::stod(words[3]), number(4));
    if (words.size() == 7 && words[0] == "latency")
        return latency(target_of(argv[2], argv[3]), std::stod(words[3]), number(4), number(5), number(6));
    if (words.size() == 5 && words[0] == "idle")
        return idle(target_of(argv[2], argv[3]), number(3), std::stod(words[4]));
    std::fprintf(stderr, "usage: see the head of perf/proxy/load.cc\n");
    return 2;
}
