// SPDX-License-Identifier: Apache-2.0
//
// What it costs to move one stream from one TCP socket to another, by each way that the kernel has.
//
//   relay-ways copy|splice PORT ADDRESS PORT         relays connections to PORT, one after another
//   relay-ways sockmap PORT ADDRESS PORT OBJECT      the same by a stream verdict program (relay.bpf.o)
//   relay-ways source ADDRESS PORT SECONDS           sends, then prints one JSON object when all has arrived
//   relay-ways sink PORT                             reads, and answers the end with how many bytes came
//
// Blocking calls, one thread: what differs between the ways is how bytes move.
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <string>
#include <vector>

namespace {

using u16 = std::uint16_t;
using u32 = std::uint32_t;
using u64 = std::uint64_t;

constexpr size_t copy_bytes = 256 << 10;
constexpr size_t pipe_bytes = 1 << 20;

double seconds_now() {
    timespec t{};
    clock_gettime(CLOCK_MONOTONIC, &t);
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) / 1e9;
}

[[noreturn]] void fail(const char* what) {
    std::perror(what);
    std::exit(1);
}

u16 port_of(const char* word) { return static_cast<u16>(std::atoi(word)); }

sockaddr_in at(const char* address, const char* port) {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port_of(port));
    if (address != nullptr && inet_aton(address, &to.sin_addr) == 0) fail(address);
    return to;
}

int listening(const char* port) {
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    const int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    sockaddr_in any = at(nullptr, port);
    if (bind(fd, reinterpret_cast<sockaddr*>(&any), sizeof any) != 0 || listen(fd, 16) != 0) fail("listen");
    return fd;
}

int connected(const char* address, const char* port) {
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in to = at(address, port);
    if (connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof to) != 0) fail("connect");
    return fd;
}

void by_copy(int from, int to) {
    static std::vector<char> buffer(copy_bytes);
    for (ssize_t got = 0; (got = recv(from, buffer.data(), buffer.size(), 0)) > 0;) {
        for (ssize_t put = 0; put < got;) {
            const ssize_t n = send(to, buffer.data() + put, static_cast<size_t>(got - put), MSG_NOSIGNAL);
            if (n < 0) return;
            put += n;
        }
    }
}

void by_splice(int from, int to) {
    static int ends[2] = {-1, -1};
    if (ends[0] < 0 && (pipe(ends) != 0 || fcntl(ends[0], F_SETPIPE_SZ, pipe_bytes) < 0)) fail("pipe");
    for (ssize_t got = 0; (got = splice(from, nullptr, ends[1], nullptr, pipe_bytes, SPLICE_F_MOVE)) > 0;) {
        while (got > 0) {
            const ssize_t n = splice(ends[0], nullptr, to, nullptr, static_cast<size_t>(got), SPLICE_F_MOVE);
            if (n < 0) return;
            got -= n;
        }
    }
}

tcp_info info(int fd) {
    tcp_info got{};
    socklen_t length = sizeof got;
    getsockopt(fd, IPPROTO_TCP, TCP_INFO, &got, &length);
    return got;
}

// The program moves the bytes; the process waits for the end, which it alone sees.
class Sockmap {
public:
    Sockmap(const char* object, u16 port) {
        bpf_object* const opened = bpf_object__open_file(object, nullptr);
        if (opened == nullptr) fail(object);
        bpf_map* const variables = bpf_object__find_map_by_name(opened, ".bss");
        const u32 client_port = port;
        if (variables == nullptr ||
            bpf_map__set_initial_value(variables, &client_port, sizeof client_port) != 0)
            fail("client_port");
        if (bpf_object__load(opened) != 0) fail("load");
        map_ = bpf_object__find_map_fd_by_name(opened, "pair");
        const int program = bpf_program__fd(bpf_object__find_program_by_name(opened, "pass_on"));
        if (bpf_prog_attach(program, map_, BPF_SK_SKB_STREAM_VERDICT, 0) != 0) fail("attach");
    }

    void relay(int client, int server) const {
        const int sockets[] = {client, server};
        for (u32 i = 0; i < 2; ++i) {
            const u64 value = static_cast<u64>(sockets[i]);
            if (bpf_map_update_elem(map_, &i, &value, BPF_ANY) != 0) fail("sockmap");
        }
        pollfd end{client, POLLRDHUP, 0};
        poll(&end, 1, -1);
        // What is queued towards the server shows nowhere but in what has not arrived there yet.
        u64 before = 0;
        for (int idle = 0; idle < 100 && info(server).tcpi_bytes_acked < info(client).tcpi_bytes_received;
             ++idle) {
            usleep(50'000);
            const u64 now = info(server).tcpi_bytes_acked;
            if (now != before) idle = 0;
            before = now;
        }
    }

private:
    int map_ = -1;
};

// The server's word on how many bytes came goes back to the client.
void answer_end(int client, int server) {
    shutdown(server, SHUT_WR);
    char word[32];
    const ssize_t got = recv(server, word, sizeof word, 0);
    if (got > 0) send(client, word, static_cast<size_t>(got), MSG_NOSIGNAL);
}

void relay(const std::string& way, char** words) {
    const int listener = listening(words[2]);
    const Sockmap* const sockmap = way == "sockmap" ? new Sockmap(words[5], port_of(words[2])) : nullptr;
    for (int client = -1; (client = accept(listener, nullptr, nullptr)) >= 0; close(client)) {
        const int server = connected(words[3], words[4]);
        if (sockmap != nullptr)
            sockmap->relay(client, server);
        else
            way == "copy" ? by_copy(client, server) : by_splice(client, server);
        // A socket of the map is read by the program: the answer then comes by it, too.
        sockmap != nullptr ? void(shutdown(server, SHUT_WR)) : answer_end(client, server);
        if (sockmap != nullptr) usleep(200'000);
        close(server);
    }
}

void sink(const char* port) {
    const int listener = listening(port);
    std::vector<char> buffer(copy_bytes);
    for (int fd = -1; (fd = accept(listener, nullptr, nullptr)) >= 0; close(fd)) {
        u64 bytes = 0;
        for (ssize_t got = 0; (got = recv(fd, buffer.data(), buffer.size(), MSG_TRUNC)) > 0;)
            bytes += static_cast<u64>(got);
        const std::string word = std::to_string(bytes);
        send(fd, word.data(), word.size(), MSG_NOSIGNAL);
    }
}

void source(char** words) {
    const int fd = connected(words[2], words[3]);
    const std::vector<char> buffer(copy_bytes);
    const double begin = seconds_now();
    const double end = begin + std::atof(words[4]);
    u64 bytes = 0;
    while (seconds_now() < end) {
        const ssize_t n = send(fd, buffer.data(), buffer.size(), MSG_NOSIGNAL);
        if (n < 0) fail("send");
        bytes += static_cast<u64>(n);
    }
    const double taken = seconds_now() - begin;
    shutdown(fd, SHUT_WR);
    char word[32] = "";
    const ssize_t got = recv(fd, word, sizeof word - 1, 0);
    std::printf("{\"sent\": %llu, \"arrived\": %s, \"seconds\": %.3f}\n",
                static_cast<unsigned long long>(bytes), got > 0 ? word : "0", taken);
}

}  // namespace

int main(int count, char** words) {
    const std::string way = count > 1 ? words[1] : "";
    if ((way == "copy" || way == "splice") && count == 5)
        relay(way, words);
    else if (way == "sockmap" && count == 6)
        relay(way, words);
    else if (way == "source" && count == 5)
        source(words);
    else if (way == "sink" && count == 3)
        sink(words[2]);
    else
        return std::fputs("usage: relay-ways copy|splice|sockmap|source|sink ...\n", stderr), 2;
    return 0;
}
