// SPDX-License-Identifier: Apache-2.0
#include "control/sandbox/capabilities.h"

#include <sys/capability.h>
#include <sys/prctl.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <set>

namespace sluice::sandbox {

namespace {

struct Free {
    void operator()(void* memory) const { cap_free(memory); }
};
using Set = std::unique_ptr<std::remove_pointer_t<cap_t>, Free>;

std::string name_of(cap_value_t value) {
    const std::unique_ptr<char, Free> name(cap_to_name(value));
    return name ? name.get() : std::to_string(value);
}

bool has(cap_t set, cap_value_t value, cap_flag_t flag) {
    cap_flag_value_t is = CAP_CLEAR;
    return cap_get_flag(set, value, flag, &is) == 0 && is == CAP_SET;
}

}  // namespace

std::vector<std::string> needed_capabilities(const Needs& needs) {
    std::set<std::string> names = {"cap_net_admin", "cap_net_bind_service"};
    if (needs.programs || needs.ebpf) names.insert({"cap_bpf", "cap_perfmon"});
    if (needs.programs || needs.dpdk || needs.packets) names.insert("cap_net_raw");
    if (needs.programs || needs.dpdk) names.insert("cap_ipc_lock");
    // Programs and maps of others, and our own from before, are found by their number.
    if (needs.programs) names.insert("cap_sys_admin");
    if (needs.pci_devices) names.insert({"cap_sys_admin", "cap_sys_rawio"});
    return {names.begin(), names.end()};
}

std::vector<std::string> held_capabilities() {
    const Set now(cap_get_proc());
    std::vector<std::string> names;
    for (cap_value_t value = 0; now && value < cap_max_bits(); ++value) {
        if (has(now.get(), value, CAP_EFFECTIVE)) names.push_back(name_of(value));
    }
    std::sort(names.begin(), names.end());
    return names;
}

Status keep_capabilities(const std::vector<std::string>& names) {
    const Set now(cap_get_proc());
    const Set next(cap_init());
    if (!now || !next) return system_error(errno, "capabilities");
    for (cap_value_t value = 0; value < cap_max_bits(); ++value) {
        const bool wanted = std::find(names.begin(), names.end(), name_of(value)) != names.end();
        if (!wanted) {
            cap_drop_bound(value);  // fails without CAP_SETPCAP; exec is refused by the filter, too
        } else if (has(now.get(), value, CAP_PERMITTED)) {
            cap_set_flag(next.get(), CAP_PERMITTED, 1, &value, CAP_SET);
            cap_set_flag(next.get(), CAP_EFFECTIVE, 1, &value, CAP_SET);
        }
    }
    cap_reset_ambient();
    if (cap_set_proc(next.get()) != 0) return system_error(errno, "capabilities: they cannot be given up");
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return system_error(errno, "no_new_privs");
    return {};
}

}  // namespace sluice::sandbox
