// SPDX-License-Identifier: Apache-2.0
#include "dataplane/placement/irq_affinity.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <regex>

#include "dataplane/base/fd.h"
#include "dataplane/placement/kernel_text.h"

namespace sluice {

namespace {

namespace fs = std::filesystem;

// As one write, so that the kernel's answer is known.
Status write_text(const fs::path& path, const std::string& text) {
    const UniqueFd file(open(path.c_str(), O_WRONLY | O_CLOEXEC | O_TRUNC));
    if (!file) return system_error(errno, "{}", path.string());
    if (write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()))
        return system_error(errno, "{}: \"{}\"", path.string(), text);
    return {};
}

fs::path affinity_file(const KernelFiles& files, u32 irq) {
    return files.procfs / "irq" / fmt::to_string(irq) / "smp_affinity_list";
}

std::optional<u32> number_of(const std::string& text) {
    u32 number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    return error == std::errc{} && end == text.data() + text.size() ? std::optional(number) : std::nullopt;
}

}  // namespace

std::optional<u32> receive_queue_of(const std::string& action) {
    static const std::regex forms(R"((?:TxRx-|Tx-Rx-|rxtx-|rx-|input\.|mlx5_comp)(\d+)(?:@.*)?$)",
                                  std::regex::icase);
    std::smatch match;
    if (!std::regex_search(action, match, forms)) return std::nullopt;
    return number_of(match[1]);
}

IrqAffinity::IrqAffinity(const std::string& address, const std::vector<QueueCore>& cores, KernelFiles files)
    : files_(std::move(files)) {
    std::error_code missing;
    std::vector<u32> irqs;
    const fs::directory_iterator entries(files_.sysfs / "bus/pci/devices" / address / "msi_irqs", missing);
    if (missing) {
        problems_.push_back(fmt::format("device {}: has no message-signalled interrupts", address));
        return;
    }
    for (const auto& entry : entries) {
        if (const auto irq = number_of(entry.path().filename())) irqs.push_back(*irq);
    }
    std::sort(irqs.begin(), irqs.end());
    for (const u32 irq : irqs) {
        const auto action = kernel_text(files_.sysfs / "kernel/irq" / fmt::to_string(irq) / "actions");
        const auto queue = receive_queue_of(action.value_or(""));
        const auto wanted = std::find_if(
            cores.begin(), cores.end(), [&](const QueueCore& each) { return queue && each.queue == *queue; });
        if (wanted != cores.end()) move(irq, wanted->core);
    }
    if (moved_.empty() && problems_.empty())
        problems_.push_back(fmt::format("device {}: none of its {} interrupts is named after a receive queue",
                                        address, irqs.size()));
}

void IrqAffinity::move(u32 irq, u32 core) {
    const fs::path file = affinity_file(files_, irq);
    const auto before = kernel_text(file);
    if (!before) {
        problems_.push_back(fmt::format("{}: cannot be read", file.string()));
        return;
    }
    if (*before == fmt::to_string(core)) return moved_.push_back({irq, *before});
    if (Status status = write_text(file, fmt::to_string(core)); !status)
        problems_.push_back(status.error().message);  // managed interrupts and masters of others: EIO, EPERM
    else
        moved_.push_back({irq, *before});
}

IrqAffinity::~IrqAffinity() {
    for (const Moved& each : moved_) {
        // The device may be gone, and its interrupts with it.
        [[maybe_unused]] const Status status = write_text(affinity_file(files_, each.irq), each.before);
    }
}

}  // namespace sluice
