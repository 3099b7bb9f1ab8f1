// SPDX-License-Identifier: Apache-2.0
#include "control/health/probe.h"

#include <http_parser.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace sluice::health {

namespace {

constexpr size_t longest_status_line = 256;

socklen_t socket_address(const Subject& subject, sockaddr_storage& out) {
    out = {};
    if (subject.address.is_v4()) {
        auto& v4 = reinterpret_cast<sockaddr_in&>(out);
        v4.sin_family = AF_INET;
        v4.sin_port = htons(subject.port);
        std::copy_n(subject.address.bytes.end() - 4, 4, reinterpret_cast<u8*>(&v4.sin_addr));
        return sizeof v4;
    }
    auto& v6 = reinterpret_cast<sockaddr_in6&>(out);
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(subject.port);
    std::copy_n(subject.address.bytes.begin(), 16, reinterpret_cast<u8*>(&v6.sin6_addr));
    return sizeof v6;
}

// What lies in the way here, not at the backend.
bool is_ours(int error) {
    return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM ||
           error == EADDRNOTAVAIL || error == EACCES || error == EPERM;
}

Outcome outcome_of(int error) {
    if (error == 0) return Outcome::success;
    return is_ours(error) ? Outcome::unable : Outcome::failure;
}

std::string text_of(int error) {
    return error == 0 ? "" : system_error(error, "{}", "").message.substr(2);  // without ": "
}

int error_of(int fd) {
    int error = 0;
    socklen_t length = sizeof error;
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) == 0 ? error : errno;
}

void set_option(int fd, int level, int name) {
    const int on = 1;
    setsockopt(fd, level, name, &on, sizeof on);
}

// Whether a datagram still waits in the kernel, for its next hop's MAC address (udp(7): SIOCOUTQ).
bool is_unsent(int fd) {
    int bytes = 0;
    return ioctl(fd, SIOCOUTQ, &bytes) == 0 && bytes != 0;
}

// A connection ends by RST: no port of this node is held for it afterwards.
void end_at_once(int fd) {
    const linger none{1, 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof none);
    set_option(fd, IPPROTO_TCP, TCP_NODELAY);
}

std::string request_of(const Subject& subject) {
    const std::string address = subject.address.text();
    const std::string host = subject.address.is_v4() ? address : "[" + address + "]";
    return fmt::format(
        "GET {} HTTP/1.1\r\nHost: {}:{}\r\nUser-Agent: sluice-health\r\nAccept: */*\r\n"
        "Connection: close\r\n\r\n",
        subject.path, host, subject.port);
}

// Of a status line with its end; 0: it is none of HTTP/1 (RFC 9112, 4).
u32 status_of(const std::string& line) {
    http_parser parser;
    http_parser_settings settings;
    http_parser_init(&parser, HTTP_RESPONSE);
    http_parser_settings_init(&settings);
    const size_t taken = http_parser_execute(&parser, &settings, line.data(), line.size());
    const bool good = taken == line.size() && HTTP_PARSER_ERRNO(&parser) == HPE_OK;
    return good && parser.http_major == 1 ? parser.status_code : 0;
}

}  // namespace

Status Probe::open() {
    const int type = is_udp() ? SOCK_DGRAM : SOCK_STREAM;
    const int family = subject_.address.is_v4() ? AF_INET : AF_INET6;
    fd_.reset(socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!fd_) return system_error(errno, "socket");
    if (is_udp()) {
        subject_.address.is_v4() ? set_option(fd_.get(), IPPROTO_IP, IP_RECVERR)
                                 : set_option(fd_.get(), IPPROTO_IPV6, IPV6_RECVERR);
    } else {
        end_at_once(fd_.get());
    }
    sockaddr_storage to;
    const socklen_t length = socket_address(subject_, to);
    if (connect(fd_.get(), reinterpret_cast<const sockaddr*>(&to), length) != 0 && errno != EINPROGRESS)
        return system_error(errno, "connect");
    auto watch = loop_.watch(fd_.get(), is_udp() ? EPOLLIN : EPOLLOUT, [this](std::uint32_t) { ready(); });
    if (!watch) return watch.error();
    watch_ = *watch;
    return {};
}

void Probe::start(Done done) {
    done_ = std::move(done);
    answer_.clear();
    stage_ = Stage::connecting;
    if (!fd_) {
        if (Status status = open(); !status) {
            const int code = status.error().code;
            close();
            return finish(outcome_of(code), status.error().message);
        }
    }
    if (!is_udp()) return;
    stage_ = Stage::answering;
    const bool sent = send(fd_.get(), "", 0, MSG_NOSIGNAL) == 0;
    if (late_error_ == 0 && sent) return;
    const int error = late_error_ != 0 ? std::exchange(late_error_, 0) : errno;
    if (error != EAGAIN) finish(outcome_of(error), text_of(error));
}

void Probe::ready() {
    if (is_udp()) return read_datagram();
    if (stage_ == Stage::connecting) return connected();
    read_answer();
}

void Probe::connected() {
    if (const int error = error_of(fd_.get()); error != 0) return finish(outcome_of(error), text_of(error));
    if (subject_.type == config::HealthType::tcp) return finish(Outcome::success);
    const std::string request = request_of(subject_);
    const ssize_t sent = send(fd_.get(), request.data(), request.size(), MSG_NOSIGNAL);
    if (sent != static_cast<ssize_t>(request.size())) return finish(Outcome::failure, "request not sent");
    stage_ = Stage::answering;
    if (Status status = loop_.change(watch_, EPOLLIN); !status)
        finish(Outcome::unable, status.error().message);
}

void Probe::read_answer() {
    char buffer[longest_status_line];
    const ssize_t got = recv(fd_.get(), buffer, sizeof buffer, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got < 0) return finish(outcome_of(errno), text_of(errno));
    answer_.append(buffer, static_cast<size_t>(got));
    const size_t end = answer_.find('\n');
    if (end == std::string::npos && got != 0 && answer_.size() < longest_status_line) return;
    const u32 status = end == std::string::npos ? 0 : status_of(answer_.substr(0, end + 1));
    if (status == 0)
        return finish(Outcome::failure, got == 0 ? "closed without an answer" : "not an HTTP/1 answer");
    if (status >= 200 && status <= 399) return finish(Outcome::success);
    finish(Outcome::failure, fmt::format("HTTP status {}", status));
}

// The details of errors, which else keep the socket ready for ever.
void Probe::drain_errors() {
    char control[512];
    msghdr message{};
    do {
        message.msg_control = control;
        message.msg_controllen = sizeof control;
    } while (recvmsg(fd_.get(), &message, MSG_ERRQUEUE) >= 0);
}

// Without a probe under way this is an answer, or an error, that came late: an error is kept for the next.
void Probe::read_datagram() {
    char buffer[1];
    const ssize_t got = recv(fd_.get(), buffer, sizeof buffer, 0);
    const int error = got < 0 ? errno : 0;
    drain_errors();
    if (error == EAGAIN || error == EINTR) return;
    if (running()) return finish(outcome_of(error), text_of(error));
    late_error_ = error;
}

void Probe::expire() {
    if (!running()) return;
    pollfd state{fd_.get(), static_cast<short>(stage_ == Stage::connecting ? POLLOUT : POLLIN), 0};
    if (poll(&state, 1, 0) == 1) ready();
    if (!running()) return;
    if (is_udp() && is_unsent(fd_.get())) return finish(Outcome::failure, "no neighbour has its address");
    if (is_udp()) return finish(Outcome::success);
    finish(Outcome::failure, stage_ == Stage::connecting ? "no connection in time" : "no answer in time");
}

void Probe::finish(Outcome outcome, const std::string& reason) {
    if (!is_udp() || outcome == Outcome::unable) close();
    const Done done = std::exchange(done_, nullptr);
    done(outcome, reason);
}

void Probe::close() {
    if (watch_ != 0) loop_.remove(std::exchange(watch_, 0));
    fd_.reset();
}

}  // namespace sluice::health
