// SPDX-License-Identifier: Apache-2.0
#include "control/daemon/handover.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>
#include <optional>

namespace sluice::control {

namespace {

using Json = nlohmann::json;

constexpr size_t most_descriptors = 250;  // in a message; the kernel's bound is 253 (SCM_MAX_FD)
constexpr size_t most_text = 4096;
constexpr timeval patience{60, 0};  // a daemon lets go, or begins, well within it

struct Message {
    Json text;
    std::vector<UniqueFd> descriptors;
};

Result<sockaddr_un> address_of(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path) return make_error("{}: too long for a socket", path);
    std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
    return address;
}

void be_patient(int fd) {
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
}

Status send(int connection, const Json& text, const std::vector<int>& descriptors = {}) {
    const std::string body = text.dump();
    iovec part{const_cast<char*>(body.data()), body.size()};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(most_descriptors * sizeof(int))> control{};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    if (!descriptors.empty()) {
        message.msg_control = control.data();
        message.msg_controllen = CMSG_SPACE(descriptors.size() * sizeof(int));
        cmsghdr* header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(descriptors.size() * sizeof(int));
        std::memcpy(CMSG_DATA(header), descriptors.data(), descriptors.size() * sizeof(int));
    }
    if (sendmsg(connection, &message, MSG_NOSIGNAL) < 0) return system_error(errno, "hand-over: send");
    return {};
}

std::vector<UniqueFd> descriptors_of(msghdr& message) {
    std::vector<UniqueFd> found;
    for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
        std::vector<int> raw((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
        std::memcpy(raw.data(), CMSG_DATA(c), raw.size() * sizeof(int));
        for (const int fd : raw) found.emplace_back(fd);
    }
    return found;
}

Result<Message> receive(int connection) {
    std::array<char, most_text> body{};
    iovec part{body.data(), body.size()};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(most_descriptors * sizeof(int))> control{};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    const ssize_t got = recvmsg(connection, &message, MSG_CMSG_CLOEXEC);
    if (got < 0) return system_error(errno, "hand-over: receive");
    Message out;
    out.descriptors = descriptors_of(message);
    if (got == 0) return make_error("hand-over: the other daemon has gone");
    out.text = Json::parse(body.data(), body.data() + got, nullptr, false);
    if (!out.text.is_object() || (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0)
        return make_error("hand-over: expected a message, got {} bytes of something else", got);
    return out;
}

Json json_of(const proxy::ListenPoint& point) {
    std::array<char, INET6_ADDRSTRLEN> text{};
    inet_ntop(AF_INET6, &point.at.address, text.data(), text.size());
    return {{"address", text.data()},
            {"port", point.at.port},
            {"protocol", point.protocol},
            {"arrives", static_cast<int>(point.arrives)},
            {"transparent", point.transparent}};
}

std::optional<proxy::ListenPoint> point_of(const Json& text) {
    if (!text.is_object() || !text.contains("address") || !text["address"].is_string()) return std::nullopt;
    proxy::ListenPoint point;
    if (inet_pton(AF_INET6, text["address"].get<std::string>().c_str(), &point.at.address) != 1)
        return std::nullopt;
    for (const char* key : {"port", "protocol", "arrives"}) {
        if (!text.contains(key) || !text[key].is_number_unsigned()) return std::nullopt;
    }
    point.at.port = text["port"].get<u16>();
    point.protocol = text["protocol"].get<u8>();
    point.arrives = static_cast<proxy::Arrives>(text["arrives"].get<u8>());
    point.transparent = text.contains("transparent") && text["transparent"] == true;
    return point;
}

}  // namespace

std::string handover_path(const std::string& control_socket) { return control_socket + ".upgrade"; }

Result<HandoverSocket> HandoverSocket::open(const std::string& control_socket) {
    const std::string path = handover_path(control_socket);
    Result<sockaddr_un> address = address_of(path);
    if (!address) return address.error();
    UniqueFd fd(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd) return system_error(errno, "{}", path);
    unlink(path.c_str());  // of a daemon that was killed: the node's lock is ours
    const mode_t mask = umask(0177);
    const int bound = bind(fd.get(), reinterpret_cast<const sockaddr*>(&*address), sizeof *address);
    const int error = errno;
    umask(mask);
    if (bound != 0) return system_error(error, "{}: bind", path);
    if (listen(fd.get(), 1) != 0) return system_error(errno, "{}: listen", path);
    return HandoverSocket(std::move(fd), path);
}

HandoverSocket::~HandoverSocket() {
    if (fd_) unlink(path_.c_str());
}

Result<UniqueFd> HandoverSocket::accept() const {
    UniqueFd connection(accept4(fd_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!connection) return system_error(errno, "hand-over: accept");
    ucred peer{};
    socklen_t length = sizeof peer;
    const bool known = getsockopt(connection.get(), SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0;
    if (!known || peer.uid != geteuid()) return make_error("hand-over: asked by user {}", peer.uid);
    const timeval soon{1, 0};
    setsockopt(connection.get(), SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof soon);
    Result<Message> asked = receive(connection.get());
    if (!asked) return asked.error();
    if (!asked->text.contains("upgrade") || asked->text["upgrade"] != 1)
        return make_error("hand-over: asked for {}: expected \"upgrade\":1", asked->text.dump());
    be_patient(connection.get());
    return connection;
}

Status HandoverGiver::give(int lock, const std::vector<proxy::HeldPoint>& listeners) const {
    if (Status status = send(connection_.get(), {{"lock", 1}}, {lock}); !status) return status;
    for (const proxy::HeldPoint& held : listeners) {
        std::vector<int> raw;
        for (const proxy::SharedFd& fd : held.fds) raw.push_back(fd.get());
        if (raw.size() > most_descriptors) raw.resize(most_descriptors);
        if (Status status = send(connection_.get(), {{"listener", json_of(held.point)}}, raw); !status)
            return status;
    }
    return send(connection_.get(), {{"end", true}});
}

bool HandoverGiver::taken() const {
    Result<Message> said = receive(connection_.get());
    return said && said->text.contains("ready") && said->text["ready"] == true;
}

Result<Handover> Handover::take(const std::string& control_socket) {
    const std::string path = handover_path(control_socket);
    Result<sockaddr_un> address = address_of(path);
    if (!address) return address.error();
    Handover out;
    out.connection.reset(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    const int fd = out.connection.get();
    if (connect(fd, reinterpret_cast<const sockaddr*>(&*address), sizeof *address) != 0)
        return system_error(errno, "{}: no sluiced runs that could be upgraded", path);
    be_patient(fd);
    if (Status status = send(fd, {{"upgrade", 1}, {"pid", getpid()}}); !status) return status.error();
    for (;;) {
        Result<Message> next = receive(fd);
        if (!next) return next.error();
        if (next->text.contains("end")) break;
        if (next->text.contains("lock") && next->descriptors.size() == 1) {
            out.lock = std::move(next->descriptors[0]);
            continue;
        }
        const auto point = point_of(next->text.contains("listener") ? next->text["listener"] : Json());
        if (!point) return make_error("hand-over: cannot be understood: {}", next->text.dump());
        proxy::HeldPoint held{*point, {}};
        for (UniqueFd& each : next->descriptors) held.fds.emplace_back(std::move(each));
        out.listeners.push_back(std::move(held));
    }
    if (!out.lock) return make_error("hand-over: the lock of the node is missing");
    return out;
}

Status Handover::tell_ready() const { return send(connection.get(), {{"ready", true}}); }

}  // namespace sluice::control
