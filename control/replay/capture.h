// SPDX-License-Identifier: Apache-2.0
//
// Capture files: pcap and pcapng in, pcap out; Ethernet only.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "dataplane/base/result.h"
#include "dataplane/packet/target.h"

struct pcap;
struct pcap_dumper;

namespace sluice::replay {

struct CapturedPacket {
    std::span<const u8> bytes;  // valid until the next read
    u64 time_ns = 0;            // since 1970
};

class CaptureReader {
public:
    // Errors name the file: not there, not a capture, another link type than Ethernet.
    static Result<std::unique_ptr<CaptureReader>> open(const std::string& path);
    ~CaptureReader();

    // False at the end of the file. An error for a file that is cut short or damaged.
    Result<bool> next(CapturedPacket& packet);

    bool nanoseconds() const { return nanoseconds_; }  // its times have more than microseconds

private:
    CaptureReader() = default;

    std::string path_;
    pcap* handle_ = nullptr;
    bool nanoseconds_ = false;
};

class CaptureWriter {
public:
    static Result<std::unique_ptr<CaptureWriter>> create(const std::string& path, bool nanoseconds);
    ~CaptureWriter();

    void write(std::span<const u8> bytes, u64 time_ns);
    Status close();  // an error when something could not be written

private:
    CaptureWriter() = default;

    std::string path_;
    pcap* handle_ = nullptr;
    pcap_dumper* dumper_ = nullptr;
    bool nanoseconds_ = false;
};

}  // namespace sluice::replay
