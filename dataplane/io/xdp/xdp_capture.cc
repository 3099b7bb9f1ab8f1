// SPDX-License-Identifier: Apache-2.0
#include "dataplane/io/xdp/xdp_capture.h"

#include <bpf/libbpf.h>
#include <linux/perf_event.h>

#include <cerrno>
#include <cstring>

#include "dataplane/io/xdp/xdp_maps.h"
#include "dataplane/packet/verdict.h"

namespace sluice {

namespace {

constexpr size_t pages_per_cpu = 128;  // a power of two

// Of PERF_RECORD_SAMPLE with PERF_SAMPLE_RAW, and of PERF_RECORD_LOST (perf_event_open(2)).
struct SampleRecord {
    perf_event_header header;
    u32 size;
};
struct LostRecord {
    perf_event_header header;
    u64 id;
    u64 lost;
};

bpf_perf_event_ret take_record(void* capture, int cpu, perf_event_header* record) {
    static_cast<XdpCapture*>(capture)->take(cpu, record);
    return LIBBPF_PERF_EVENT_CONT;
}

}  // namespace

Result<std::unique_ptr<XdpCapture>> XdpCapture::open(const XdpMaps& maps, Callback callback) {
    std::unique_ptr<XdpCapture> capture(new XdpCapture);
    capture->callback_ = std::move(callback);
    const int cpus = libbpf_num_possible_cpus();
    if (cpus < 0) return system_error(-cpus, "number of CPUs");
    capture->arrivals_.resize(static_cast<size_t>(cpus));
    perf_event_attr attributes{};
    attributes.size = sizeof attributes;
    attributes.type = PERF_TYPE_SOFTWARE;
    attributes.config = PERF_COUNT_SW_BPF_OUTPUT;
    attributes.sample_type = PERF_SAMPLE_RAW;
    attributes.sample_period = 1;
    // Who captures looks by himself, in time. To be woken for each event would slow the packets down.
    attributes.watermark = 1;
    attributes.wakeup_watermark = 0x7fffffff;
    capture->buffers_ = perf_buffer__new_raw(maps.fd("capture"), pages_per_cpu, &attributes, take_record,
                                             capture.get(), nullptr);
    if (capture->buffers_ == nullptr) return system_error(errno, "map capture: its buffers cannot be had");
    return capture;
}

XdpCapture::~XdpCapture() { perf_buffer__free(buffers_); }

Status XdpCapture::drain() {
    const int code = perf_buffer__consume(buffers_);
    return code < 0 ? Status{system_error(-code, "map capture")} : Status{};
}

void XdpCapture::take(int cpu, const void* record) {
    perf_event_header header;
    std::memcpy(&header, record, sizeof header);
    const auto* const bytes = static_cast<const u8*>(record);
    if (header.type == PERF_RECORD_LOST) {
        LostRecord lost;
        std::memcpy(&lost, record, sizeof lost);
        lost_ += lost.lost;
        return;
    }
    if (header.type != PERF_RECORD_SAMPLE || header.size < sizeof(SampleRecord)) return;
    SampleRecord sample;
    std::memcpy(&sample, record, sizeof sample);
    if (sizeof sample + sample.size > header.size || sample.size < sizeof(u32)) return;
    const std::span event(bytes + sizeof sample, sample.size);
    u32 kind = 0;
    std::memcpy(&kind, event.data(), sizeof kind);
    Arrival& arrival = arrivals_.at(static_cast<size_t>(cpu));
    if (kind == CAPTURE_ARRIVED) arrived(arrival, event);
    if (kind == CAPTURE_DECIDED) decided(arrival, event);
}

void XdpCapture::arrived(Arrival& arrival, std::span<const u8> event) {
    if (event.size() < sizeof arrival.event) return;
    if (arrival.waits) lost_++;  // its verdict found no room
    std::memcpy(&arrival.event, event.data(), sizeof arrival.event);
    const std::span rest = event.subspan(sizeof arrival.event);
    arrival.waits = arrival.event.captured <= rest.size();
    if (arrival.waits) arrival.bytes.assign(rest.begin(), rest.begin() + arrival.event.captured);
}

void XdpCapture::decided(Arrival& arrival, std::span<const u8> event) {
    capture_decided told;
    if (event.size() < sizeof told || !arrival.waits) return;
    std::memcpy(&told, event.data(), sizeof told);
    arrival.waits = false;
    Captured packet{arrival.event.time,
                    arrival.event.ifindex,
                    told.port,
                    told.egress,
                    told.word,
                    told.service,
                    told.backend,
                    told.rule,
                    arrival.event.length,
                    arrival.event.captured,
                    false};
    callback_(packet, arrival.bytes);
    const std::span rest = event.subspan(sizeof told);
    if (verdict_of(told.word) != VERDICT_FORWARD || told.captured > rest.size()) return;
    packet.length = told.length;
    packet.bytes = told.captured;
    packet.leaves = true;
    callback_(packet, rest.first(told.captured));
}

}  // namespace sluice
