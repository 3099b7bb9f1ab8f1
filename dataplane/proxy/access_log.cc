// SPDX-License-Identifier: Apache-2.0
#include "dataplane/proxy/access_log.h"

#include <pthread.h>

#include <cerrno>
#include <chrono>
#include <ctime>

namespace sluice::proxy {

namespace {

constexpr auto poll_period = std::chrono::milliseconds(20);

std::string time_text(u64 ns) {
    const auto seconds = static_cast<time_t>(ns / 1'000'000'000);
    tm parts{};
    gmtime_r(&seconds, &parts);
    return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}Z", parts.tm_year + 1900, parts.tm_mon + 1,
                       parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec, ns % 1'000'000'000 / 1000);
}

const char* sender_name(u8 sender) {
    return sender == CLIENT ? "client" : sender == BACKEND ? "backend" : "none";
}

}  // namespace

std::string access_line(const Record& r, bool json) {
    const SideRecord& client = r.side[CLIENT];
    const SideRecord& backend = r.side[BACKEND];
    const char* const form =
        json
            ? R"({{"time":"{}","id":{},"service":"{}","protocol":"{}","client":"{}","vip":"{}","local":"{}",)"
              R"("backend":"{}","ending":"{}","tries":{},"rule":{},"dry_run":{},"duration_us":{},"connect_us":{},)"
              R"("first_byte_us":{},"bytes_from_client":{},"bytes_to_backend":{},"bytes_from_backend":{},)"
              R"("bytes_to_client":{},"high_water_client":{},"high_water_backend":{},"first_sender":"{}"}})"
            : "{} id={} service={} protocol={} client={} vip={} local={} backend={} ending={} tries={} "
              "rule={} dry_run={} "
              "duration_us={} connect_us={} first_byte_us={} bytes_from_client={} bytes_to_backend={} "
              "bytes_from_backend={} bytes_to_client={} high_water_client={} high_water_backend={} "
              "first_sender={}";
    return fmt::format(fmt::runtime(form), time_text(r.start_ns), r.id, r.service,
                       r.protocol == IPPROTO_TCP ? "tcp" : "udp", client.remote.text(), client.local.text(),
                       backend.local.text(), backend.remote.text(), ending_name(r.ending), r.tries, r.rule,
                       r.dry_run, r.duration_ns / 1000, r.connect_ns / 1000, r.first_byte_ns / 1000,
                       client.bytes_read, backend.bytes_written, backend.bytes_read, client.bytes_written,
                       client.high_water, backend.high_water, sender_name(r.first_sender));
}

Result<std::unique_ptr<AccessLog>> AccessLog::open(const std::string& path, bool json,
                                                   std::vector<RecordQueue*> queues) {
    std::FILE* file = path == "-" ? stdout : std::fopen(path.c_str(), "ae");
    if (file == nullptr) return system_error(errno, "log.access: {}", path);
    return std::unique_ptr<AccessLog>(new AccessLog(file, json, std::move(queues)));
}

AccessLog::AccessLog(std::FILE* file, bool json, std::vector<RecordQueue*> queues)
    : file_(file), json_(json), queues_(std::move(queues)), thread_([this] { run(); }) {}

AccessLog::~AccessLog() {
    stopping_ = true;
    thread_.join();
    if (file_ != stdout) std::fclose(file_);
}

u64 AccessLog::write_all() {
    u64 count = 0;
    for (RecordQueue* queue : queues_) {
        count += queue->drain([this](const Record& record) {
            const std::string line = access_line(record, json_) + "\n";
            const bool written = std::fwrite(line.data(), 1, line.size(), file_) == line.size();
            (written ? lines_ : failures_).fetch_add(1, std::memory_order_relaxed);
        });
    }
    if (count > 0) std::fflush(file_);
    return count;
}

void AccessLog::run() {
    pthread_setname_np(pthread_self(), "access-log");
    while (!stopping_) {
        if (write_all() == 0) std::this_thread::sleep_for(poll_period);
    }
    write_all();
}

}  // namespace sluice::proxy
