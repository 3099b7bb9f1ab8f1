// SPDX-License-Identifier: Apache-2.0
//
// The BPF file system, where maps, programs and links outlive the daemon.
#pragma once

#include <functional>
#include <string>

#include "dataplane/base/result.h"

namespace sluice {

inline constexpr const char* bpffs_root = "/sys/fs/bpf";

// Makes `directory` (absolute) exist on a BPF file system. Where none is mounted and `may_mount` is set,
// mounts one on /sys/fs/bpf if the directory lies below it, else on the directory itself, which must be
// empty: a mount hides what is there.
Status ensure_bpffs(const std::string& directory, bool may_mount = true);

// Whether `path` lies on a BPF file system.
bool is_bpffs(const std::string& path);

// Removes those pins in `directory` whose names `is_ours` knows; others may have pins there, too. A directory
// that is not there is fine.
Status remove_pins(const std::string& directory, const std::function<bool(const std::string& name)>& is_ours);

// Removes `directory` unless something is in it or mounted on it.
Status remove_directory(const std::string& directory);

// Removes the directory that libxdp makes for its dispatchers (`xdp`, on bpffs_root or what LIBXDP_BPFFS
// names) and never removes, unless something is in it or another process is at work there.
void remove_empty_dispatcher_directory();

}  // namespace sluice
