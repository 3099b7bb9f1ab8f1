// SPDX-License-Identifier: Apache-2.0
//
// The XDP program with tables of its own and a compiled configuration, on the loopback device's number,
// behind the front program that feeds it packets.
#pragma once

#include <bpf/libbpf.h>

#include <memory>
#include <string>
#include <vector>

#include "dataplane/base/mapping.h"
#include "dataplane/base/result.h"
#include "dataplane/tables/node.h"

namespace sluice::perf {

// The front's parameters; the same layout as in front.bpf.c.
struct FrontState {
    u8 bytes[128];
    u32 length;
    u32 flow_mask;
    u32 sequential;
    u32 adjust;
    u64 state;
    u32 base;
    u32 family;
};

struct ObjectDeleter {
    void operator()(bpf_object* object) const { bpf_object__close(object); }
};
using Object = std::unique_ptr<bpf_object, ObjectDeleter>;

struct Paths {
    std::string program;  // sluice.bpf.o
    std::string front;    // front.bpf.o
};

class ProgramUnderTest {
public:
    // `yaml`: a configuration whose first interface is named lo. `flows`: slots of the flow table, a power of
    // two.
    static Result<std::unique_ptr<ProgramUnderTest>> create(const Paths& paths, const std::string& yaml,
                                                            u32 flows);

    int fd() const;

private:
    Status load(const Paths& paths, u32 flows);
    Status configure(const std::string& yaml, u32 flows);
    Status fill_snapshot(const void* lines, size_t count);

    Object object_;
    Mapping node_;
};

class Front {
public:
    // In front of the program with descriptor `target`; -1: of the empty one, the floor.
    static Result<std::unique_ptr<Front>> create(const Paths& paths, int target);

    void set_packet(const std::vector<u8>& frame, u32 flows, bool sequential, bool adjust);
    // CPU nanoseconds of this thread per packet, over `packets` of them. `action` gets the last verdict.
    Result<double> run(u32 packets, u32* action);

private:
    Object object_;
    Mapping state_;
    int fd_ = -1;
    u32 frame_length_ = 0;
    std::vector<u8> frame_;
};

}  // namespace sluice::perf
