// SPDX-License-Identifier: Apache-2.0
#include "control/daemon/config_watch.h"

#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <set>

#include "dataplane/base/log.h"

namespace sluice::control {

namespace {

namespace fs = std::filesystem;

constexpr std::uint32_t events = IN_CLOSE_WRITE | IN_MOVED_TO | IN_CREATE | IN_DELETE | IN_ONLYDIR;
constexpr std::string_view config_map_link = "..data";

// Where a change of `file` shows: its own directory, and that of what it links to.
std::set<std::string> directories_of(const std::string& file) {
    std::error_code ignored;
    const fs::path path = fs::absolute(file, ignored);
    std::set<std::string> all = {path.parent_path().string()};
    const fs::path target = fs::weakly_canonical(path, ignored);
    if (!ignored && target.has_parent_path()) all.insert(target.parent_path().string());
    return all;
}

}  // namespace

ConfigWatch::ConfigWatch(EventLoop& loop, UniqueFd inotify, std::function<void()> changed)
    : loop_(loop), inotify_(std::move(inotify)), changed_(std::move(changed)) {}

Result<std::unique_ptr<ConfigWatch>> ConfigWatch::start(EventLoop& loop, std::function<void()> changed) {
    UniqueFd inotify(inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
    if (!inotify) return system_error(errno, "inotify");
    std::unique_ptr<ConfigWatch> watch(new ConfigWatch(loop, std::move(inotify), std::move(changed)));
    const auto ready = [raw = watch.get()](std::uint32_t) { raw->read_events(); };
    const auto id = loop.watch(watch->inotify_.get(), EPOLLIN, ready);
    if (!id) return id.error();
    watch->id_ = *id;
    return watch;
}

ConfigWatch::~ConfigWatch() {
    if (timer_ != 0) loop_.remove(timer_);
    if (id_ != 0) loop_.remove(id_);
}

ConfigWatch::State ConfigWatch::state_of(const std::string& file) {
    struct stat at {};
    if (stat(file.c_str(), &at) != 0) return {};
    return {at.st_dev, at.st_ino, at.st_size, at.st_mtim.tv_sec, at.st_mtim.tv_nsec};
}

std::map<std::string, ConfigWatch::State> ConfigWatch::states() const {
    std::map<std::string, State> now;
    for (const auto& [file, state] : known_) now[file] = state_of(file);
    return now;
}

void ConfigWatch::follow(const std::vector<std::string>& files) {
    std::map<std::string, State> next;
    for (const std::string& file : files) {
        const auto known = known_.find(file);
        next[file] = known != known_.end() ? known->second : state_of(file);
    }
    known_ = std::move(next);
    watch_directories();
}

void ConfigWatch::watch_directories() {
    std::map<int, std::string> wanted;
    for (const auto& [file, state] : known_) {
        for (const std::string& directory : directories_of(file)) {
            const int watch = inotify_add_watch(inotify_.get(), directory.c_str(), events);
            const int error = watch < 0 ? errno : 0;
            if (watch >= 0) wanted[watch] = directory;
            if (error != 0 && refused_[directory] != error)
                spdlog::warn("changes of {} are not noticed: {}", file,
                             system_error(error, "{}", directory).message);
            refused_[directory] = error;
        }
    }
    for (const auto& [watch, directory] : directories_) {
        if (!wanted.contains(watch)) inotify_rm_watch(inotify_.get(), watch);
    }
    directories_ = std::move(wanted);
}

bool ConfigWatch::concerns(int watch, std::string_view name) const {
    if (!directories_.contains(watch)) return false;
    if (name.empty() || name == config_map_link) return true;  // the directory itself, or all in it
    return std::any_of(known_.begin(), known_.end(), [name](const auto& file) {
        std::error_code ignored;
        const fs::path path(file.first);
        return path.filename() == name || fs::weakly_canonical(path, ignored).filename() == name;
    });
}

void ConfigWatch::read_events() {
    alignas(inotify_event) std::array<char, 4096> buffer{};
    bool touched = false;
    for (ssize_t got; (got = read(inotify_.get(), buffer.data(), buffer.size())) > 0;) {
        for (ssize_t at = 0; at < got;) {
            const auto* event = reinterpret_cast<const inotify_event*>(buffer.data() + at);
            const bool lost = (event->mask & IN_Q_OVERFLOW) != 0;
            touched = touched || lost || concerns(event->wd, event->len > 0 ? event->name : "");
            at += static_cast<ssize_t>(sizeof(inotify_event) + event->len);
        }
    }
    if (touched) settle();
}

void ConfigWatch::settle() {
    const auto now = std::chrono::steady_clock::now();
    if (timer_ == 0) first_ = now;
    if (timer_ != 0) loop_.remove(timer_);
    const auto left = std::max(first_ + longest_wait - now, std::chrono::steady_clock::duration(1));
    const auto wait = std::min<std::chrono::steady_clock::duration>(settle_time, left);
    const auto id = loop_.after(wait, [this] {
        timer_ = 0;
        watch_directories();  // a link may lead elsewhere now, a directory may be a new one
        if (states() != known_) changed_();
    });
    timer_ = id ? *id : 0;
}

}  // namespace sluice::control
