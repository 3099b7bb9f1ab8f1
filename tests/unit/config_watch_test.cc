// SPDX-License-Identifier: Apache-2.0
#include "control/daemon/config_watch.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace sluice::control {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

constexpr auto long_enough = ConfigWatch::settle_time + 300ms;

void write(const fs::path& file, const std::string& text) { std::ofstream(file) << text; }

class Watching : public testing::Test {
protected:
    void SetUp() override {
        std::string pattern = testing::TempDir() + "watchXXXXXX";
        directory_ = mkdtemp(pattern.data());
        auto loop = EventLoop::create();
        ASSERT_TRUE(loop);
        loop_ = std::move(*loop);
        auto watch = ConfigWatch::start(*loop_, [this] {
            ++changes_;
            watch_->mark();
        });
        ASSERT_TRUE(watch) << watch.error().message;
        watch_ = std::move(*watch);
        file_ = directory_ / "sluice.yaml";
        write(file_, "one");
    }
    void TearDown() override {
        watch_.reset();
        fs::remove_all(directory_);
    }

    // Changes that are told within the time that one takes to settle.
    int told(EventLoop::Duration time = long_enough) {
        changes_ = 0;
        EXPECT_TRUE(loop_->after(time, [this] { loop_->stop(); }));
        EXPECT_TRUE(loop_->run());
        return changes_;
    }

    // As the kubelet does it.
    void put_config_map(const std::string& name, const std::string& text) {
        fs::create_directory(directory_ / name);
        write(directory_ / name / "sluice.yaml", text);
        fs::create_symlink(name, directory_ / "..data_tmp");
        fs::rename(directory_ / "..data_tmp", directory_ / "..data");
    }

    fs::path directory_, file_;
    std::unique_ptr<EventLoop> loop_;
    std::unique_ptr<ConfigWatch> watch_;
    int changes_ = 0;
};

TEST_F(Watching, AFileWrittenAnewIsOneChange) {
    watch_->follow({file_});
    for (int i = 0; i < 5; ++i) write(file_, "two " + std::to_string(i));
    EXPECT_EQ(told(), 1);
    EXPECT_EQ(told(), 0);
}

TEST_F(Watching, AFilePutInItsPlaceIsAChange) {
    watch_->follow({file_});
    write(directory_ / "new", "two");
    fs::rename(directory_ / "new", file_);
    EXPECT_EQ(told(), 1);
}

TEST_F(Watching, AConfigMapsSwapIsAChangeEachTime) {
    fs::remove(file_);
    put_config_map("..2026_1", "one");
    fs::create_symlink("..data/sluice.yaml", file_);
    watch_->follow({file_});
    put_config_map("..2026_2", "two");
    EXPECT_EQ(told(), 1);
    put_config_map("..2026_3", "three");
    EXPECT_EQ(told(), 1);
}

TEST_F(Watching, AChangeBehindASymbolicLinkIsOne) {
    const fs::path elsewhere = directory_ / "elsewhere";
    fs::create_directory(elsewhere);
    write(elsewhere / "real.yaml", "one");
    fs::remove(file_);
    fs::create_symlink(elsewhere / "real.yaml", file_);
    watch_->follow({file_});
    write(elsewhere / "real.yaml", "two, and longer");
    EXPECT_EQ(told(), 1);
}

TEST_F(Watching, FilesBesideItAreNone) {
    watch_->follow({file_});
    write(directory_ / "other.yaml", "two");
    EXPECT_EQ(told(), 0);
}

TEST_F(Watching, WhatWasReadMeanwhileIsNone) {
    watch_->follow({file_});
    write(file_, "two, and longer");
    watch_->mark();
    EXPECT_EQ(told(), 0);
}

TEST_F(Watching, ASecondFileIsFollowedAndForgotten) {
    const fs::path set = directory_ / "set.txt";
    write(set, "10.0.0.0/8");
    watch_->follow({file_, set});
    write(set, "10.0.0.0/8\n11.0.0.0/8");
    EXPECT_EQ(told(), 1);
    watch_->follow({file_});
    write(set, "");
    EXPECT_EQ(told(), 0);
}

TEST_F(Watching, AFileThatComesLaterIsNoticed) {
    fs::remove(file_);
    watch_->follow({file_});
    EXPECT_EQ(told(), 0);
    write(file_, "one");
    EXPECT_EQ(told(), 1);
}

TEST_F(Watching, ChangesWithoutEndAreToldAllTheSame) {
    watch_->follow({file_});
    int written = 0;
    const auto id = loop_->every(50ms, [&] { write(file_, std::string(size_t(++written), 'x')); });
    ASSERT_TRUE(id);
    EXPECT_GE(told(ConfigWatch::longest_wait + 500ms), 1);
    loop_->remove(*id);
}

}  // namespace
}  // namespace sluice::control
