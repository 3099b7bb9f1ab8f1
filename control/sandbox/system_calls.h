// SPDX-License-Identifier: Apache-2.0
//
// A list of the system calls that the daemon and its libraries make. What is not on it is refused with EPERM,
// counted by name and told in the log; it does not end the daemon, since a node whose dataplane ends is worse
// off than one on which a call fails. Calls of another architecture end the process. docs/security.md.
#pragma once

#include <map>
#include <string>

#include "dataplane/base/result.h"
#include "dataplane/packet/target.h"

namespace sluice::sandbox {

// Whether this build can be filtered; sanitizers make calls of their own. Empty: yes, otherwise why not.
std::string not_filterable();

// For the calling thread and every thread that it starts from now on; there is no way back. Needs
// no_new_privs or CAP_SYS_ADMIN, which keep_capabilities() sees to.
Status filter_system_calls();

// How often each call was refused, in all threads.
std::map<std::string, u64> refused_system_calls();

}  // namespace sluice::sandbox
