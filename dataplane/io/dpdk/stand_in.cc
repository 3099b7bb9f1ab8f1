// SPDX-License-Identifier: Apache-2.0
#include "dataplane/io/dpdk/stand_in.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>

#include "bpf/stand_in.skel.h"

namespace sluice {

Result<std::unique_ptr<StandIn>> StandIn::create() {
    size_t size = 0;
    const void* bytes = stand_in_bpf::elf_bytes(&size);
    UniqueFd file(memfd_create("sluice-stand-in", MFD_CLOEXEC));
    if (!file || write(file.get(), bytes, size) != static_cast<ssize_t>(size))
        return system_error(errno, "XDP program for net_af_xdp: no file in memory");
    return std::unique_ptr<StandIn>(new StandIn(std::move(file)));
}

std::string StandIn::path() const { return fmt::format("/proc/self/fd/{}", file_.get()); }

}  // namespace sluice
