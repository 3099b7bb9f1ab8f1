// SPDX-License-Identifier: Apache-2.0
#include "dataplane/proxy/proxy.h"

#include <sched.h>
#include <sys/resource.h>

#include <algorithm>
#include <csignal>
#include <future>

#include "dataplane/base/log.h"

namespace sluice::proxy {

namespace {

constexpr auto patience = std::chrono::seconds(5);

std::vector<int> usable_cpus() {
    cpu_set_t set;
    CPU_ZERO(&set);
    std::vector<int> cpus;
    if (sched_getaffinity(0, sizeof set, &set) != 0) return {-1};
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
        if (CPU_ISSET(cpu, &set)) cpus.push_back(cpu);
    }
    return cpus;
}

// A connection takes two descriptors, in bulk four more. The limit.
u64 raise_descriptor_limit() {
    rlimit limit{};
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
    rlimit raised = limit;
    raised.rlim_cur = raised.rlim_max;
    if (limit.rlim_cur == limit.rlim_max || setrlimit(RLIMIT_NOFILE, &raised) == 0) return limit.rlim_max;
    spdlog::warn("the limit of descriptors stays as it was");
    return limit.rlim_cur;
}

}  // namespace

Result<std::unique_ptr<Proxy>> Proxy::start(const Options& options, std::vector<HeldPoint> inherited) {
    const u64 descriptors = raise_descriptor_limit();
    std::signal(SIGPIPE, SIG_IGN);  // splice to a closed socket
    std::unique_ptr<Proxy> proxy(new Proxy(options));
    proxy->shared_.own_sockets = descriptors / 4;
    const std::vector<int> cpus = usable_cpus();
    const u32 threads = options.threads != 0 ? options.threads : static_cast<u32>(cpus.size());
    std::vector<RecordQueue*> queues;
    std::vector<int> cpu_of_loop;
    for (u32 i = 0; i < threads; ++i) {
        cpu_of_loop.push_back(cpus[i % cpus.size()]);
        auto loop = Loop::create(proxy->shared_, i, cpu_of_loop.back());
        if (!loop) return loop.error().with_context("proxy");
        queues.push_back(&(*loop)->log_queue());
        proxy->loops_.push_back(std::move(*loop));
    }
    proxy->listening_ = std::make_unique<Listening>(options.no_bpf, cpu_of_loop, std::move(inherited));
    if (!options.access_log.empty()) {
        auto log = AccessLog::open(options.access_log, options.access_log_json, std::move(queues));
        if (!log) return log.error();
        proxy->log_ = std::move(*log);
    }
    for (auto& loop : proxy->loops_) loop->start();
    return proxy;
}

Proxy::~Proxy() {
    for (auto& loop : loops_) loop->stop();
    log_.reset();
}

template <typename T>
Result<T> Proxy::ask(Loop& loop, std::function<T()> question) {
    auto promise = std::make_shared<std::promise<T>>();
    std::future<T> answer = promise->get_future();
    loop.post([promise, question = std::move(question)] { promise->set_value(question()); });
    if (answer.wait_for(patience) != std::future_status::ready) return make_error("the proxy is busy");
    return answer.get();
}

Status Proxy::apply(std::shared_ptr<Snapshot> snapshot) {
    for (ServiceSettings& service : snapshot->services)
        service.label = labels_.insert(service.name).first->c_str();
    for (auto* intercepted : {&snapshot->inbound, &snapshot->outbound}) {
        if (*intercepted) (*intercepted)->label = labels_.insert((*intercepted)->name).first->c_str();
    }
    Result<Listening::Change> change = listening_->prepare(*snapshot);
    if (!change) return change.error();
    std::vector<ListenPoint> points;
    for (const HeldPoint& held : change->held) points.push_back(held.point);
    for (size_t i = 0; i < loops_.size(); ++i) {
        Loop& loop = *loops_[i];
        auto list = std::make_shared<std::vector<Listener>>(std::move(change->added[i]));
        const Result<bool> done = ask<bool>(loop, [&loop, snapshot, list, keep = points] {
            loop.apply(snapshot, std::move(*list), keep);
            return true;
        });
        if (!done) return done.error();
    }
    return listening_->commit(std::move(*change));
}

void Proxy::stop_listening() {
    for (auto& loop : loops_) {
        Loop* const each = loop.get();
        ask<bool>(*each, [each] {
            each->stop_listening();
            return true;
        }).ok();
    }
    listening_->stop();
}

void Proxy::close_all() {
    for (auto& loop : loops_) {
        Loop* const each = loop.get();
        ask<bool>(*each, [each] {
            each->close_all(Ending::drained);
            return true;
        }).ok();
    }
}

u64 Proxy::connections() const {
    u64 count = 0;
    for (const auto& loop : loops_) count += loop->connections();
    return count;
}

Result<Proxy::Table> Proxy::table() const {
    Table all;
    for (const auto& loop : loops_) {
        const Loop* const each = loop.get();
        Result<Table> part = ask<Table>(*loop, [each] {
            Table table;
            each->collect(table.live, table.closed);
            return table;
        });
        if (!part) return part.error();
        all.live.insert(all.live.end(), part->live.begin(), part->live.end());
        all.closed.insert(all.closed.end(), part->closed.begin(), part->closed.end());
    }
    return all;
}

u64 Proxy::user_memory() const {
    u64 bytes = 0;
    for (const auto& loop : loops_) {
        Loop* const each = loop.get();
        bytes += ask<u64>(*each, [each] { return each->memory_bytes(); }).value_or(0);
    }
    return bytes;
}

u64 Proxy::log_dropped() const {
    u64 count = log_ ? log_->failures() : 0;
    for (const auto& loop : loops_) count += loop->log_queue().dropped();
    return count;
}

void Proxy::add_rules(std::vector<pair_counters>& counters) const {
    for (const auto& loop : loops_) {
        const auto& own = loop->admission().rule_counters();
        for (size_t i = 0; i < std::min(counters.size(), own.size()); ++i) {
            counters[i].packets += own[i].packets;
            counters[i].bytes += own[i].bytes;
        }
    }
}

}  // namespace sluice::proxy
