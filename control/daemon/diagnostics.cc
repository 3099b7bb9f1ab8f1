// SPDX-License-Identifier: Apache-2.0
#include "control/daemon/diagnostics.h"

#include <malloc.h>

#include <filesystem>
#include <fstream>

#include "control/api/json.h"
#include "control/http/listen.h"
#include "dataplane/proxy/proxy.h"

namespace sluice::control {

namespace {

using api::Json;

constexpr const char* json_type = "application/json";

Json side_json(const proxy::SideRecord& side, const proxy::SideRecord& other) {
    const bool live = side.read_closed || side.write_closed;
    const char* state = !live ? "open" : side.read_closed && side.write_closed ? "closed" : "half_closed";
    return {{"local", side.local.text()},
            {"remote", side.remote.text()},
            {"peer", side.peer.port != 0 ? side.peer.text() : side.remote.text()},
            {"socket", state},
            {"bytes_read", side.bytes_read},
            {"bytes_written", side.bytes_written},
            {"buffered", side.buffered},
            {"buffer_size", side.buffer_size},
            {"buffer_capacity", side.buffer_capacity},
            {"high_water", side.high_water},
            {"waits_to_be_written", other.buffered},
            {"read_closed", side.read_closed},
            {"write_closed", side.write_closed}};
}

Json record_json(const proxy::Record& r) {
    const char* sender = r.first_sender == proxy::CLIENT    ? "client"
                         : r.first_sender == proxy::BACKEND ? "backend"
                                                            : "none";
    return {{"id", r.id},
            {"service", r.service},
            {"protocol", r.protocol == IPPROTO_TCP ? "tcp" : "udp"},
            {"state", proxy::state_name(r.state)},
            {"ending", proxy::ending_name(r.ending)},
            {"closed", r.closed_at_ns != 0},
            {"start", static_cast<double>(r.start_ns) / 1e9},
            {"duration", static_cast<double>(r.duration_ns) / 1e9},
            {"connect", static_cast<double>(r.connect_ns) / 1e9},
            {"first_byte", static_cast<double>(r.first_byte_ns) / 1e9},
            {"first_sender", sender},
            {"tries", r.tries},
            {"rule", r.rule},
            {"dry_run", r.dry_run},
            {"thread", r.thread},
            {"client", side_json(r.side[proxy::CLIENT], r.side[proxy::BACKEND])},
            {"backend", side_json(r.side[proxy::BACKEND], r.side[proxy::CLIENT])}};
}

// "VmRSS:   1234 kB" and its like, in bytes.
Json process_json() {
    Json out = Json::object();
    std::ifstream file("/proc/self/status");
    const std::pair<const char*, const char*> wanted[] = {
        {"VmSize", "virtual"},        {"VmHWM", "rss_peak"},         {"VmRSS", "rss"},
        {"RssAnon", "rss_anonymous"}, {"RssFile", "rss_file"},       {"RssShmem", "rss_shared"},
        {"VmLck", "locked"},          {"HugetlbPages", "huge_pages"}};
    for (std::string line; std::getline(file, line);) {
        for (const auto& [key, name] : wanted) {
            const std::string prefix = std::string(key) + ":";
            if (line.starts_with(prefix))
                out[name] = std::strtoull(line.c_str() + prefix.size(), nullptr, 10) * 1024;
        }
    }
    return out;
}

// Maps that this process has open, by the kernel's account (fdinfo: memlock).
Json bpf_maps_json() {
    u64 maps = 0;
    u64 bytes = 0;
    std::error_code ignored;
    for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fdinfo", ignored)) {
        std::ifstream file(entry.path());
        bool map = false;
        u64 locked = 0;
        for (std::string line; std::getline(file, line);) {
            if (line.starts_with("map_type:")) map = true;
            if (line.starts_with("memlock:")) locked = std::strtoull(line.c_str() + 8, nullptr, 10);
        }
        if (!map) continue;
        ++maps;
        bytes += locked;
    }
    return {{"descriptors", maps}, {"bytes", bytes}};
}

// Live connections first, then closed ones, oldest first.
Json connections_json(const proxy::Proxy::Table& table) {
    Json list = Json::array();
    for (const proxy::Record& record : table.live) list.push_back(record_json(record));
    for (const proxy::Record& record : table.closed) list.push_back(record_json(record));
    return {{"live", table.live.size()}, {"closed", table.closed.size()}, {"connections", list}};
}

// What this process occupies, by the kernel's and the allocator's books.
Json memory_json(const proxy::Proxy* proxy) {
    const struct mallinfo2 heap = mallinfo2();
    Json out = {{"process", process_json()},
                {"allocator",
                 {{"arena", heap.arena},
                  {"mapped", heap.hblkhd},
                  {"in_use", heap.uordblks + heap.hblkhd},
                  {"free", heap.fordblks}}},
                {"bpf_maps", bpf_maps_json()}};
    if (proxy != nullptr) {
        out["proxy"] = {{"connections", proxy->connections()},
                        {"user_memory", proxy->user_memory()},
                        {"buffers_in_use", proxy->bound().used()},
                        {"buffer_limit", proxy->bound().limit()}};
    }
    return out;
}

void get_connections(const proxy::Proxy* running, http::Response& response) {
    const Result<proxy::Proxy::Table> table = running != nullptr ? running->table() : proxy::Proxy::Table{};
    if (!table) response.status = 503;
    response.type = json_type;
    response.body = (table ? connections_json(*table) : Json{{"error", table.error().message}}).dump() + "\n";
}

void get_memory(const proxy::Proxy* running, http::Response& response) {
    response.type = json_type;
    response.body = memory_json(running).dump() + "\n";
}

}  // namespace

Result<std::unique_ptr<http::Server>> serve_diagnostics(const config::Endpoint& listen, ProxyOf proxy) {
    using http::Request;
    using http::Response;
    auto listener = http::listen_on(listen);
    if (!listener) return listener.error().with_context("diagnostics.listen: " + listen.text());
    auto server = std::make_unique<http::Server>();
    server->route("GET", "/connections",
                  [proxy](const Request&, Response& response) { get_connections(proxy().get(), response); });
    server->route("GET", "/memory",
                  [proxy](const Request&, Response& response) { get_memory(proxy().get(), response); });
    if (Status status = server->start(std::move(*listener)); !status) return status.error();
    return server;
}

}  // namespace sluice::control
