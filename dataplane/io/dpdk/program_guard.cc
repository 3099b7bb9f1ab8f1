// SPDX-License-Identifier: Apache-2.0
#include "dataplane/io/dpdk/program_guard.h"

#include <bpf/libbpf.h>
#include <dlfcn.h>

#include <cerrno>

namespace sluice {
namespace {

thread_local u32 guarded = 0;
thread_local u64 kept_calls = 0;

bool keeps(int ifindex) {
    if (guarded == 0 || ifindex != static_cast<int>(guarded)) return false;
    ++kept_calls;
    return true;
}

// libbpf's own function of this name.
template <typename Function>
Function next(const char* name) {
    return reinterpret_cast<Function>(dlsym(RTLD_NEXT, name));
}

}  // namespace

ProgramGuard::ProgramGuard(u32 ifindex) { guarded = ifindex; }
ProgramGuard::~ProgramGuard() { guarded = 0; }
u64 ProgramGuard::kept() { return kept_calls; }

}  // namespace sluice

// Exported by the linker's options of dpdk_io_dep: a driver finds them before libbpf's.
extern "C" {

int bpf_xdp_attach(int ifindex, int prog_fd, __u32 flags, const struct bpf_xdp_attach_opts* opts) {
    static const auto original = sluice::next<decltype(&bpf_xdp_attach)>("bpf_xdp_attach");
    if (sluice::keeps(ifindex)) return 0;
    return original != nullptr ? original(ifindex, prog_fd, flags, opts) : -ENOSYS;
}

int bpf_xdp_detach(int ifindex, __u32 flags, const struct bpf_xdp_attach_opts* opts) {
    static const auto original = sluice::next<decltype(&bpf_xdp_detach)>("bpf_xdp_detach");
    if (sluice::keeps(ifindex)) return 0;
    return original != nullptr ? original(ifindex, flags, opts) : -ENOSYS;
}
}
