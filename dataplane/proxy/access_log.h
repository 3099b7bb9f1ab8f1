// SPDX-License-Identifier: Apache-2.0
//
// One line for each proxied connection, when it has ended. A thread of its own writes; loops hand records
// over and never wait.
#pragma once

#include <atomic>
#include <cstdio>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "dataplane/base/result.h"
#include "dataplane/proxy/record_queue.h"

namespace sluice::proxy {

// The line of a record, without its end. Text: key=value after a time stamp; JSON: one object.
std::string access_line(const Record& record, bool json);

class AccessLog {
public:
    // Appends to `path`; "-" is standard output. The queues outlive the log.
    static Result<std::unique_ptr<AccessLog>> open(const std::string& path, bool json,
                                                   std::vector<RecordQueue*> queues);
    ~AccessLog();  // what is queued is written first
    AccessLog(const AccessLog&) = delete;
    AccessLog& operator=(const AccessLog&) = delete;

    u64 lines() const { return lines_.load(std::memory_order_relaxed); }
    u64 failures() const {
        return failures_.load(std::memory_order_relaxed);
    }  // lines that could not be written

private:
    AccessLog(std::FILE* file, bool json, std::vector<RecordQueue*> queues);
    void run();
    u64 write_all();

    std::FILE* file_;
    const bool json_;
    std::vector<RecordQueue*> queues_;
    std::atomic<u64> lines_{0};
    std::atomic<u64> failures_{0};
    std::atomic<bool> stopping_{false};
    std::thread thread_;
};

}  // namespace sluice::proxy
