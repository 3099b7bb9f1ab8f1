// SPDX-License-Identifier: Apache-2.0
//
// Notices that files changed: the configuration, and the files of sets that it names. Directories are
// watched, not files, since editors, package managers and `kubectl` put a new file in the old one's place; a
// mounted ConfigMap swaps the symbolic link `..data` beside the file. What changed is settled for a moment
// first, so that a burst of writes is one change. A file mounted by itself (subPath) never changes, and none
// is noticed.
#pragma once

#include <chrono>
#include <map>
#include <string>
#include <vector>

#include "dataplane/base/event_loop.h"

namespace sluice::control {

class ConfigWatch {
public:
    static constexpr auto settle_time = std::chrono::milliseconds(200);    // without another change
    static constexpr auto longest_wait = std::chrono::milliseconds(2000);  // since the first of a burst

    // `changed` is called on the loop's thread.
    static Result<std::unique_ptr<ConfigWatch>> start(EventLoop& loop, std::function<void()> changed);
    ~ConfigWatch();

    ConfigWatch(const ConfigWatch&) = delete;
    ConfigWatch& operator=(const ConfigWatch&) = delete;

    // These files from now on. Directories that cannot be watched are named in the log, once each.
    void follow(const std::vector<std::string>& files);

    // The files are about to be read: only what changes from now on is a change.
    void mark() { known_ = states(); }

private:
    // Which file a path leads to, and its last change.
    struct State {
        unsigned long device = 0, inode = 0;
        long size = -1, seconds = 0, nanoseconds = 0;
        bool operator==(const State&) const = default;
    };

    ConfigWatch(EventLoop& loop, UniqueFd inotify, std::function<void()> changed);
    static State state_of(const std::string& file);
    std::map<std::string, State> states() const;
    void watch_directories();
    void read_events();
    bool concerns(int watch, std::string_view name) const;
    void settle();

    EventLoop& loop_;
    UniqueFd inotify_;
    std::function<void()> changed_;
    EventLoop::Id id_ = 0, timer_ = 0;
    std::chrono::steady_clock::time_point first_;  // change of the burst
    std::map<std::string, State> known_;           // by file
    std::map<int, std::string> directories_;       // by watch descriptor
    std::map<std::string, int> refused_;           // directories, and why
};

}  // namespace sluice::control
