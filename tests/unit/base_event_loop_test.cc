// SPDX-License-Identifier: Apache-2.0
#include "dataplane/base/event_loop.h"

#include <gtest/gtest.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <csignal>
#include <thread>
#include <vector>

#include "dataplane/base/clock.h"

namespace sluice {
namespace {

using std::chrono::milliseconds;

class Loop : public testing::Test {
protected:
    Loop() {
        auto created = EventLoop::create();
        if (!created) throw std::runtime_error(created.error().message);
        loop_ = std::move(created).value();
    }

    // A test that hangs is stopped, and its expectations then fail.
    Status run() {
        auto guard = loop_->after(std::chrono::seconds(10), [this] { loop_->stop(); });
        if (!guard) return guard.error();
        const Status status = loop_->run();
        loop_->remove(*guard);
        return status;
    }

    std::unique_ptr<EventLoop> loop_;
};

TEST_F(Loop, CallsTheHandlerOfAReadyDescriptor) {
    const UniqueFd ready(eventfd(1, 0));
    std::uint32_t seen = 0;
    ASSERT_TRUE(loop_->watch(ready.get(), EPOLLIN, [&](std::uint32_t events) {
        seen = events;
        loop_->stop();
    }));
    ASSERT_TRUE(run());
    EXPECT_EQ(seen, static_cast<std::uint32_t>(EPOLLIN));
}

TEST_F(Loop, ChangeReplacesTheEventsOfAWatch) {
    const UniqueFd ready(eventfd(1, 0));
    std::uint32_t seen = 0;
    const auto id = loop_->watch(ready.get(), EPOLLIN, [&](std::uint32_t events) {
        seen = events;
        loop_->stop();
    });
    ASSERT_TRUE(id);
    ASSERT_TRUE(loop_->change(*id, EPOLLOUT));
    ASSERT_TRUE(run());
    EXPECT_EQ(seen, static_cast<std::uint32_t>(EPOLLOUT));
    loop_->remove(*id);
    EXPECT_FALSE(loop_->change(*id, EPOLLIN));
}

TEST_F(Loop, AHandlerMayRemoveItselfAndAnotherOfTheSameRound) {
    const UniqueFd first(eventfd(1, 0));
    const UniqueFd second(eventfd(1, 0));
    int calls = 0;
    std::vector<EventLoop::Id> ids;
    const auto once = [&](std::uint32_t) {
        ++calls;
        for (const EventLoop::Id id : ids) loop_->remove(id);
        loop_->stop();
    };
    for (const UniqueFd* fd : {&first, &second}) {
        const auto id = loop_->watch(fd->get(), EPOLLIN, once);
        ASSERT_TRUE(id);
        ids.push_back(*id);
    }
    ASSERT_TRUE(run());
    EXPECT_EQ(calls, 1);
}

TEST_F(Loop, OneShotTimerFiresOnceNotBeforeItsTime) {
    const std::uint64_t start = monotonic_ns();
    std::uint64_t fired_at = 0;
    int calls = 0;
    ASSERT_TRUE(loop_->after(milliseconds(5), [&] {
        fired_at = monotonic_ns();
        ++calls;
    }));
    ASSERT_TRUE(loop_->after(milliseconds(30), [&] { loop_->stop(); }));
    ASSERT_TRUE(run());
    EXPECT_EQ(calls, 1);
    EXPECT_GE(fired_at - start, 5'000'000u);
}

TEST_F(Loop, PeriodicTimerRepeatsUntilRemoved) {
    int calls = 0;
    EventLoop::Id id = 0;
    const auto timer = loop_->every(milliseconds(1), [&] {
        if (++calls == 3) loop_->remove(id);
    });
    ASSERT_TRUE(timer);
    id = *timer;
    ASSERT_TRUE(loop_->after(milliseconds(50), [&] { loop_->stop(); }));
    ASSERT_TRUE(run());
    EXPECT_EQ(calls, 3);
    EXPECT_EQ(loop_->every(milliseconds(0), [] {}).error().message,
              "timer period 0 ns: expected more than 0");
}

TEST_F(Loop, TakesSignalsInsteadOfDyingFromThem) {
    int taken = 0;
    ASSERT_TRUE(loop_->on_signals({SIGUSR1, SIGTERM}, [&](int signal) {
        taken = signal;
        loop_->stop();
    }));
    kill(getpid(), SIGTERM);
    ASSERT_TRUE(run());
    EXPECT_EQ(taken, SIGTERM);
}

TEST_F(Loop, PostedWorkRunsOnTheLoopsThread) {
    std::thread::id ran_on;
    std::thread other([&] {
        loop_->post([&] {
            ran_on = std::this_thread::get_id();
            loop_->stop();
        });
    });
    ASSERT_TRUE(run());
    other.join();
    EXPECT_EQ(ran_on, std::this_thread::get_id());
}

TEST_F(Loop, StopBeforeRunReturnsAtOnceAndTheLoopRunsAgain) {
    loop_->stop();
    ASSERT_TRUE(run());
    bool ran = false;
    loop_->post([&] {
        ran = true;
        loop_->stop();
    });
    ASSERT_TRUE(run());
    EXPECT_TRUE(ran);
}

TEST_F(Loop, WatchingABadDescriptorIsAnError) {
    EXPECT_EQ(loop_->watch(-1, EPOLLIN, [](std::uint32_t) {}).error().message,
              "epoll: add fd -1: Bad file descriptor");
}

}  // namespace
}  // namespace sluice
