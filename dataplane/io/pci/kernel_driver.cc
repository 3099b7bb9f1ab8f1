// SPDX-License-Identifier: Apache-2.0
#include "dataplane/io/pci/kernel_driver.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>

#include "dataplane/base/fd.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;

constexpr const char* vfio = "vfio-pci";

std::string target_of(const std::string& link) {
    std::error_code ignored;
    return fs::read_symlink(link, ignored).filename();
}

std::vector<std::string> names_in(const std::string& directory) {
    std::vector<std::string> names;
    std::error_code ignored;
    for (const auto& entry : fs::directory_iterator(directory, ignored))
        names.push_back(entry.path().filename());
    std::sort(names.begin(), names.end());
    return names;
}

}  // namespace

KernelDriver::KernelDriver(std::string address, std::string sysfs)
    : address_(std::move(address)), sysfs_(std::move(sysfs)) {}

std::string KernelDriver::name() const { return target_of(place() + "/driver"); }

std::vector<std::string> KernelDriver::interfaces() const {
    std::vector<std::string> names = names_in(place() + "/net");
    for (const std::string& each : names_in(place())) {  // a virtio device stands on its PCI device
        if (!each.starts_with("virtio")) continue;
        for (std::string& name : names_in(place() + "/" + each + "/net")) names.push_back(std::move(name));
    }
    return names;
}

std::vector<std::string> KernelDriver::interfaces_and_uppers() const {
    constexpr std::string_view mark = "upper_";
    std::vector<std::string> names = interfaces();
    for (size_t i = 0; i < names.size(); ++i) {
        for (const std::string& each : names_in(sysfs_ + "/class/net/" + names[i])) {
            if (each.starts_with(mark)) names.push_back(each.substr(mark.size()));
        }
    }
    return names;
}

std::string KernelDriver::obstacle() const {
    std::error_code ignored;
    if (!fs::exists(sysfs_ + "/bus/pci/drivers/" + vfio, ignored))
        return fmt::format("the kernel has no driver {} (modprobe {})", vfio, vfio);
    const std::string group = target_of(place() + "/iommu_group");
    if (group.empty()) return "it is in no IOMMU group (hugepages.md)";
    for (const std::string& other : names_in(sysfs_ + "/kernel/iommu_groups/" + group + "/devices")) {
        const std::string driver = KernelDriver(other, sysfs_).name();
        const bool free = driver.empty() || driver == vfio || driver == "pcieport";
        if (other != address_ && !free)
            return fmt::format("it shares IOMMU group {} with {}, which {} drives", group, other, driver);
    }
    return "";
}

Status KernelDriver::give_to_vfio() const {
    Status status = change(vfio);
    if (status && name() != vfio) status = make_error("device {}: {} did not take it", address_, vfio);
    return status;
}

Status KernelDriver::give_back() const { return change("\n"); }

Status KernelDriver::change(const std::string& driver_override) const {
    Status status = write(place() + "/driver_override", driver_override);
    if (status && !name().empty()) status = write(place() + "/driver/unbind", address_);
    if (status) status = write(sysfs_ + "/bus/pci/drivers_probe", address_);
    return status;
}

Status KernelDriver::write(const std::string& file, const std::string& text) const {
    const UniqueFd fd(::open(file.c_str(), O_WRONLY | O_CLOEXEC | O_TRUNC));
    if (fd && ::write(fd.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size())) return {};
    return system_error(errno, "device {}: {}", address_, file);
}

}  // namespace sluice
