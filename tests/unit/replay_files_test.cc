// SPDX-License-Identifier: Apache-2.0
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "control/replay/capture.h"
#include "control/replay/replay.h"
#include "tests/unit/engine_sample.h"

namespace sluice {
namespace {

using namespace test;

class ReplayFiles : public testing::Test {
protected:
    ReplayFiles() {
        std::filesystem::create_directories(directory_);
        write("config.yaml", text(sample()));
    }
    ~ReplayFiles() override { std::filesystem::remove_all(directory_); }

    std::string path(const std::string& name) const { return directory_ + "/" + name; }

    void write(const std::string& name, const Bytes& content) const {
        std::ofstream(path(name), std::ios::binary)
            .write(reinterpret_cast<const char*>(content.data()), static_cast<long>(content.size()));
    }

    void capture(const std::vector<std::pair<u64, Bytes>>& packets, bool nanoseconds = true) const {
        auto writer = replay::CaptureWriter::create(path("in.pcap"), nanoseconds);
        ASSERT_TRUE(writer);
        for (const auto& [time, frame] : packets) (*writer)->write(frame, time);
        ASSERT_TRUE((*writer)->close());
    }

    std::vector<std::pair<u64, Bytes>> read(const std::string& name) const {
        std::vector<std::pair<u64, Bytes>> out;
        auto reader = replay::CaptureReader::open(path(name));
        if (!reader) throw std::runtime_error(reader.error().message);
        replay::CapturedPacket packet;
        for (Result<bool> more = (*reader)->next(packet); more && *more; more = (*reader)->next(packet))
            out.emplace_back(packet.time_ns, Bytes(packet.bytes.begin(), packet.bytes.end()));
        return out;
    }

    replay::Options options() const {
        return {path("config.yaml"), path("in.pcap"), path("out.pcap"), path("verdicts.jsonl"), "",
                replay::Tier::native};
    }

    std::vector<nlohmann::json> verdicts() const {
        std::vector<nlohmann::json> out;
        std::ifstream file(path("verdicts.jsonl"));
        for (std::string line; std::getline(file, line);) out.push_back(nlohmann::json::parse(line));
        return out;
    }

    std::string directory_ =
        fmt::format("{}/sluice-replay-test-{}", std::filesystem::temp_directory_path().string(), getpid());
};

constexpr u64 second = 1'000'000'000;

TEST_F(ReplayFiles, APacketThatWaitsGetsItsLineInItsPlace) {
    const auto parts = fragments_of({}, udp({.payload = std::string(2000, 'f')}), 1472);
    capture({{5 * second, ethernet(parts[1])},
             {5 * second + 7, dns_query()},
             {5 * second + 9, ethernet(parts[0])}});
    const Status status = replay::run(options());
    ASSERT_TRUE(status) << status.error().message;
    const auto lines = verdicts();
    ASSERT_EQ(lines.size(), 3u);
    for (u64 n = 1; n <= 3; n++) {
        EXPECT_EQ(lines[n - 1]["n"], n);
        EXPECT_EQ(lines[n - 1]["verdict"], "forward");
        EXPECT_EQ(lines[n - 1]["service"], "dns");
        EXPECT_EQ(lines[n - 1]["backend"], "10.0.1.12:5353");
        EXPECT_EQ(lines[n - 1]["interface"], "eth0");
        EXPECT_EQ(lines[n - 1]["tier"], "native");
        EXPECT_TRUE(lines[n - 1]["reason"].is_null());
    }
    const auto left = read("out.pcap");
    ASSERT_EQ(left.size(), 3u);
    EXPECT_EQ(left[0].first, 5 * second + 7);
    EXPECT_EQ(left[1].first, 5 * second + 9);
    EXPECT_EQ(left[2].first, 5 * second);
}

TEST_F(ReplayFiles, WhatStillWaitsAtTheEndGetsItsReason) {
    const auto parts = fragments_of({}, udp({.payload = std::string(2000, 'f')}), 1472);
    capture({{second, ethernet(parts[1])}});
    ASSERT_TRUE(replay::run(options()));
    const auto lines = verdicts();
    ASSERT_EQ(lines.size(), 1u);
    EXPECT_EQ(lines[0]["verdict"], "drop");
    EXPECT_EQ(lines[0]["reason"], "fragment_timeout");
    EXPECT_TRUE(lines[0]["interface"].is_null());
}

TEST_F(ReplayFiles, MicrosecondsStayMicroseconds) {
    capture({{second + 4000, dns_query()}}, false);
    ASSERT_TRUE(replay::run(options()));
    std::ifstream file(path("out.pcap"), std::ios::binary);
    u32 magic = 0;
    file.read(reinterpret_cast<char*>(&magic), sizeof magic);
    EXPECT_EQ(magic, 0xa1b2c3d4u);
    EXPECT_EQ(read("out.pcap").at(0).first, second + 4000);
}

// IETF draft-ietf-opsawg-pcapng: section header, interface description, enhanced packet.
TEST_F(ReplayFiles, PcapngIsRead) {
    const auto word = [](u32 value) { return bytes_of(value); };
    const auto block = [&](u32 type, const Bytes& body) {
        const u32 length = static_cast<u32>(body.size() + 12);
        return word(type) + word(length) + body + word(length);
    };
    Bytes frame = dns_query();
    const u32 length = static_cast<u32>(frame.size());
    frame.resize((frame.size() + 3) / 4 * 4);
    const u64 microseconds = 3'000'000;
    write("in.pcap", block(0x0a0d0d0a, word(0x1a2b3c4d) + word(1) + word(~0u) + word(~0u)) +
                         block(1, word(1) + word(0)) +
                         block(6, word(0) + word(microseconds >> 32) + word(microseconds) + word(length) +
                                      word(length) + frame));
    const Status status = replay::run(options());
    ASSERT_TRUE(status) << status.error().message;
    EXPECT_EQ(read("out.pcap").at(0).first, 3 * second);
}

TEST_F(ReplayFiles, AnOutputThatIsAnotherOfTheFilesIsRefusedAndNothingIsLost) {
    capture({{second, dns_query()}});
    std::filesystem::create_symlink(path("in.pcap"), path("link.pcap"));
    const auto refusal = [&](auto set) {
        replay::Options given = options();
        set(given);
        const Status status = replay::run(given);
        return status ? std::string() : status.error().message;
    };
    EXPECT_NE(refusal([&](auto& o) { o.out = o.in; }).find("expected another file than that of --in"),
              std::string::npos);
    EXPECT_NE(refusal([&](auto& o) { o.out = path("link.pcap"); }).find("--in"), std::string::npos);
    EXPECT_NE(refusal([&](auto& o) { o.verdicts = o.config; }).find("--config"), std::string::npos);
    EXPECT_NE(refusal([&](auto& o) { o.verdicts = o.out; }).find("--out"), std::string::npos);
    EXPECT_EQ(read("in.pcap").size(), 1u);
    EXPECT_TRUE(replay::run(options()));
}

TEST_F(ReplayFiles, ErrorsNameTheFile) {
    const auto message = [&](const replay::Options& given) {
        const Status status = replay::run(given);
        return status ? std::string() : status.error().message;
    };
    EXPECT_NE(message(options()).find(path("in.pcap") + ": No such file"), std::string::npos);
    write("in.pcap", text("this is no capture, whatever its name"));
    EXPECT_NE(message(options()).find(path("in.pcap")), std::string::npos);
    EXPECT_NE(message(options()).find("expected a pcap or pcapng file"), std::string::npos);
    write("in.pcap", bytes_of(u32{0xa1b2c3d4}) + Bytes{2, 0, 4, 0} + Bytes(8) + bytes_of(u32{65535}) +
                         bytes_of(u32{101}));
    EXPECT_NE(message(options()).find("expected Ethernet"), std::string::npos);
    capture({{second, dns_query()}});
    replay::Options wrong = options();
    wrong.interface = "eth9";
    EXPECT_NE(message(wrong).find("eth9"), std::string::npos);
    wrong = options();
    wrong.config = path("none.yaml");
    EXPECT_NE(message(wrong).find("none.yaml"), std::string::npos);
    wrong = options();
    wrong.out = directory_ + "/nowhere/out.pcap";
    EXPECT_NE(message(wrong).find("nowhere"), std::string::npos);
}

TEST_F(ReplayFiles, ACaptureCutShortIsAnErrorAfterWhatCouldBeRead) {
    capture({{second, dns_query()}, {second, dns_query()}});
    std::filesystem::resize_file(path("in.pcap"), std::filesystem::file_size(path("in.pcap")) - 5);
    EXPECT_FALSE(replay::run(options()));
    EXPECT_EQ(verdicts().size(), 1u);
}

}  // namespace
}  // namespace sluice
