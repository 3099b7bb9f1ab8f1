// SPDX-License-Identifier: Apache-2.0
//
// Loads a UDP proxy and measures it from outside.
//
//   udp-load serve PORT                          sends back what it gets
//   udp-load ask ADDRESS PORT SECONDS CLIENTS    as many sockets, each with one question of 64 bytes under
//   way: the
//                                                next follows the answer, or 100 ms without one (counted as
//                                                lost)
//
// One thread each. Prints one JSON object.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
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

constexpr size_t question_bytes = 64;
constexpr int messages = 64;
constexpr u64 patience_ns = 100'000'000;

u64 now_ns() {
    timespec t{};
    clock_gettime(CLOCK_MONOTONIC, &t);
    return static_cast<u64>(t.tv_sec) * 1'000'000'000 + static_cast<u64>(t.tv_nsec);
}

[[noreturn]] void fail(const char* what) {
    std::perror(what);
    std::exit(1);
}

sockaddr_in address_of(const char* address, const char* port) {
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_port = htons(static_cast<u16>(std::atoi(port)));
    if (address != nullptr && inet_aton(address, &at.sin_addr) == 0) fail(address);
    return at;
}

int serve(const char* port) {
    const int fd = socket(AF_INET, SOCK_DGRAM, 0);
    const sockaddr_in at = address_of(nullptr, port);
    const int room = 4 << 20;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
    if (bind(fd, reinterpret_cast<const sockaddr*>(&at), sizeof at) != 0) fail("bind");
    static char data[messages][2048];
    static sockaddr_in peers[messages];
    static iovec parts[messages];
    static mmsghdr headers[messages];
    for (;;) {
        for (int i = 0; i < messages; ++i) {
            parts[i] = {data[i], sizeof data[i]};
            headers[i].msg_hdr = {};
            headers[i].msg_hdr.msg_name = &peers[i];
            headers[i].msg_hdr.msg_namelen = sizeof peers[i];
            headers[i].msg_hdr.msg_iov = &parts[i];
            headers[i].msg_hdr.msg_iovlen = 1;
        }
        const int got = recvmmsg(fd, headers, messages, MSG_WAITFORONE, nullptr);
        if (got < 0) fail("recvmmsg");
        for (int i = 0; i < got; ++i) parts[i].iov_len = headers[i].msg_len;
        if (sendmmsg(fd, headers, static_cast<u32>(got), 0) < 0 && errno != ECONNREFUSED) fail("sendmmsg");
    }
}

struct Client {
    int fd = -1;
    u64 asked_ns = 0;
};

void ask(Client& client, u64 now) {
    static const char question[question_bytes] = {};
    client.asked_ns = now;
    if (send(client.fd, question, sizeof question, 0) < 0 && errno != EAGAIN && errno != ECONNREFUSED)
        fail("send");
}

int load(const sockaddr_in& to, double seconds, size_t count) {
    const int epoll = epoll_create1(0);
    std::vector<Client> clients(count);
    for (Client& client : clients) {
        client.fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
        if (connect(client.fd, reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0) fail("connect");
        epoll_event event{};
        event.events = EPOLLIN;
        event.data.ptr = &client;
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, client.fd, &event) != 0) fail("epoll_ctl");
        ask(client, now_ns());
    }
    u64 answers = 0;
    u64 lost = 0;
    const u64 begin = now_ns();
    const u64 end = begin + static_cast<u64>(seconds * 1e9);
    u64 looked = begin;
    char answer[2048];
    epoll_event events[256];
    u64 now = begin;
    while (now < end) {
        const int ready = epoll_wait(epoll, events, 256, 10);
        now = now_ns();
        for (int i = 0; i < ready; ++i) {
            Client& client = *static_cast<Client*>(events[i].data.ptr);
            if (recv(client.fd, answer, sizeof answer, 0) < 0) continue;
            ++answers;
            ask(client, now);
        }
        if (now - looked < patience_ns / 4) continue;
        looked = now;
        for (Client& client : clients) {
            if (now - client.asked_ns < patience_ns) continue;
            ++lost;
            ask(client, now);
        }
    }
    std::printf("{\"per_second\": %.0f, \"answers\": %llu, \"lost\": %llu}\n",
                static_cast<double>(answers) / (static_cast<double>(now - begin) / 1e9),
                static_cast<unsigned long long>(answers), static_cast<unsigned long long>(lost));
    return 0;
}

}  // namespace

int main(int count, char** words) {
    if (count == 3 && std::strcmp(words[1], "serve") == 0) return serve(words[2]);
    if (count == 6 && std::strcmp(words[1], "ask") == 0)
        return load(address_of(words[2], words[3]), std::atof(words[4]),
                    static_cast<size_t>(std::atoi(words[5])));
    std::fputs("usage: udp-load serve PORT | ask ADDRESS PORT SECONDS CLIENTS\n", stderr);
    return 2;
}
