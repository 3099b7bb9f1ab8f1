// SPDX-License-Identifier: Apache-2.0
#include "control/replay/capture.h"

#include <pcap/pcap.h>

#include <cerrno>
#include <cstdio>

namespace sluice::replay {

namespace {

constexpr int snap_length = 262144;
constexpr u32 magic_microseconds = 0xa1b2c3d4;

// Whether a capture file keeps its times in microseconds: a pcap file of the usual magic, in either byte
// order.
bool has_microseconds(std::FILE* file) {
    u32 magic = 0;
    const bool complete = std::fread(&magic, sizeof magic, 1, file) == 1;
    std::rewind(file);
    return complete && (magic == magic_microseconds || magic == __builtin_bswap32(magic_microseconds));
}

}  // namespace

Result<std::unique_ptr<CaptureReader>> CaptureReader::open(const std::string& path) {
    std::unique_ptr<CaptureReader> reader(new CaptureReader);
    reader->path_ = path;
    std::FILE* file = std::fopen(path.c_str(), "rbe");
    if (file == nullptr) return system_error(errno, "{}", path);
    reader->nanoseconds_ = !has_microseconds(file);
    char reason[PCAP_ERRBUF_SIZE] = "";
    reader->handle_ = pcap_fopen_offline_with_tstamp_precision(file, PCAP_TSTAMP_PRECISION_NANO, reason);
    if (reader->handle_ == nullptr) {
        std::fclose(file);
        return make_error("{}: {}: expected a pcap or pcapng file", path, reason);
    }
    if (const int link = pcap_datalink(reader->handle_); link != DLT_EN10MB) {
        const char* name = pcap_datalink_val_to_name(link);
        return make_error("{}: link type {} ({}): expected Ethernet", path,
                          name != nullptr ? name : "unknown", link);
    }
    return reader;
}

CaptureReader::~CaptureReader() {
    if (handle_ != nullptr) pcap_close(handle_);
}

Result<bool> CaptureReader::next(CapturedPacket& packet) {
    pcap_pkthdr* header = nullptr;
    const u8* bytes = nullptr;
    const int answer = pcap_next_ex(handle_, &header, &bytes);
    if (answer == PCAP_ERROR_BREAK) return false;
    if (answer != 1) return make_error("{}: {}", path_, pcap_geterr(handle_));
    packet.bytes = {bytes, header->caplen};
    packet.time_ns =
        static_cast<u64>(header->ts.tv_sec) * 1'000'000'000 + static_cast<u64>(header->ts.tv_usec);
    return true;
}

Result<std::unique_ptr<CaptureWriter>> CaptureWriter::create(const std::string& path, bool nanoseconds) {
    std::unique_ptr<CaptureWriter> writer(new CaptureWriter);
    writer->path_ = path;
    writer->nanoseconds_ = nanoseconds;
    writer->handle_ = pcap_open_dead_with_tstamp_precision(
        DLT_EN10MB, snap_length, nanoseconds ? PCAP_TSTAMP_PRECISION_NANO : PCAP_TSTAMP_PRECISION_MICRO);
    if (writer->handle_ == nullptr) return make_error("{}: libpcap has no memory", path);
    writer->dumper_ = pcap_dump_open(writer->handle_, path.c_str());
    if (writer->dumper_ == nullptr) return make_error("{}", pcap_geterr(writer->handle_));
    return writer;
}

CaptureWriter::~CaptureWriter() {
    if (dumper_ != nullptr) pcap_dump_close(dumper_);
    if (handle_ != nullptr) pcap_close(handle_);
}

void CaptureWriter::write(std::span<const u8> bytes, u64 time_ns) {
    pcap_pkthdr header{};
    header.caplen = header.len = static_cast<u32>(bytes.size());
    header.ts.tv_sec = static_cast<time_t>(time_ns / 1'000'000'000);
    header.ts.tv_usec = static_cast<suseconds_t>(time_ns % 1'000'000'000 / (nanoseconds_ ? 1 : 1000));
    pcap_dump(reinterpret_cast<u8*>(dumper_), &header, bytes.data());
}

Status CaptureWriter::close() {
    const bool failed = pcap_dump_flush(dumper_) != 0 || std::ferror(pcap_dump_file(dumper_)) != 0;
    if (failed) return system_error(errno, "{}", path_);
    return {};
}

}  // namespace sluice::replay
