// SPDX-License-Identifier: Apache-2.0
//
// How long the first packet of a flow takes from one end to the other, on one machine and its one clock.
//
//   first-packet send PREFIX ADDRESS PORT PER_SECOND SECONDS
//       datagrams, each from an address and port of its own under the prefix, due at fixed times (open loop);
//       each carries the time when it was due
//   first-packet receive PORT SECONDS
//       takes them and prints one JSON object: how many, and their latency from the time due, in microseconds
//
// One thread each. A sender that is late sends what is due at once: the delay is part of the latency.
#include <arpa/inet.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <vector>

namespace {

using u16 = std::uint16_t;
using u32 = std::uint32_t;
using u64 = std::uint64_t;

constexpr u64 second_ns = 1'000'000'000;

u64 now_ns() {
    timespec t{};
    clock_gettime(CLOCK_MONOTONIC, &t);
    return static_cast<u64>(t.tv_sec) * second_ns + static_cast<u64>(t.tv_nsec);
}

[[noreturn]] void fail(const char* what) {
    std::perror(what);
    std::exit(1);
}

void wait_until(u64 due) {
    const timespec at{static_cast<time_t>(due / second_ns), static_cast<long>(due % second_ns)};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, nullptr);
}

struct Datagram {
    iphdr ip;
    udphdr udp;
    u64 due;
} __attribute__((packed));

int send(in_addr prefix, in_addr to, u16 port, u64 per_second, u64 seconds) {
    const int fd = socket(AF_INET, SOCK_RAW, IPPROTO_RAW);
    if (fd < 0) fail("raw socket");
    sockaddr_in target{};
    target.sin_family = AF_INET;
    target.sin_addr = to;
    Datagram out{};
    out.ip.version = 4;
    out.ip.ihl = 5;
    out.ip.ttl = 64;
    out.ip.protocol = IPPROTO_UDP;
    out.ip.daddr = to.s_addr;
    out.udp.dest = htons(port);
    out.udp.len = htons(sizeof out - sizeof out.ip);
    const u64 begin = now_ns() + second_ns / 10;
    const u64 count = per_second * seconds;
    u64 refused = 0;
    for (u64 i = 0; i < count; ++i) {
        out.due = begin + i * second_ns / per_second;
        if (now_ns() < out.due) wait_until(out.due);
        out.ip.saddr = htonl(ntohl(prefix.s_addr) + 1 + static_cast<u32>(i / 50'000));
        out.udp.source = htons(static_cast<u16>(1024 + i % 50'000));
        if (sendto(fd, &out, sizeof out, 0, reinterpret_cast<sockaddr*>(&target), sizeof target) < 0)
            ++refused;
    }
    std::printf("{\"sent\": %llu, \"refused\": %llu}\n", static_cast<unsigned long long>(count - refused),
                static_cast<unsigned long long>(refused));
    return 0;
}

int receive(u16 port, u64 seconds) {
    const int fd = socket(AF_INET, SOCK_DGRAM, 0);
    const int room = 16 << 20;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_port = htons(port);
    if (bind(fd, reinterpret_cast<sockaddr*>(&at), sizeof at) != 0) fail("bind");
    std::vector<double> taken;
    const u64 end = now_ns() + seconds * second_ns;
    for (u64 now = now_ns(); now < end; now = now_ns()) {
        pollfd ready{fd, POLLIN, 0};
        if (poll(&ready, 1, static_cast<int>((end - now) / 1'000'000) + 1) <= 0) continue;
        u64 due = 0;
        while (recv(fd, &due, sizeof due, MSG_DONTWAIT) == sizeof due)
            taken.push_back(static_cast<double>(now_ns() - due) / 1000);
    }
    std::sort(taken.begin(), taken.end());
    const auto at_share = [&](double share) {
        return taken.empty() ? 0.0
                             : taken[static_cast<size_t>(share * static_cast<double>(taken.size() - 1))];
    };
    std::printf("{\"received\": %zu, \"p50\": %.1f, \"p99\": %.1f, \"p999\": %.1f, \"max\": %.1f}\n",
                taken.size(), at_share(0.5), at_share(0.99), at_share(0.999), at_share(1));
    return 0;
}

}  // namespace

int main(int count, char** words) {
    in_addr prefix{};
    in_addr to{};
    if (count == 7 && std::strcmp(words[1], "send") == 0 && inet_aton(words[2], &prefix) != 0 &&
        inet_aton(words[3], &to) != 0)
        return send(prefix, to, static_cast<u16>(std::atoi(words[4])), std::strtoull(words[5], nullptr, 10),
                    std::strtoull(words[6], nullptr, 10));
    if (count == 4 && std::strcmp(words[1], "receive") == 0)
        return receive(static_cast<u16>(std::atoi(words[2])), std::strtoull(words[3], nullptr, 10));
    std::fputs("usage: first-packet send PREFIX ADDRESS PORT PER_SECOND SECONDS | receive PORT SECONDS\n",
               stderr);
    return 2;
}
