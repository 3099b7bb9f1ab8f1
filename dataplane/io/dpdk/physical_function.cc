// SPDX-License-Identifier: Apache-2.0
#include "dataplane/io/dpdk/physical_function.h"

#include <filesystem>
#include <fstream>

namespace sluice {
namespace {

namespace fs = std::filesystem;

// Reading `carrier` of an interface that is down is refused: 0.
u64 number_in(const fs::path& file) {
    u64 number = 0;
    std::ifstream(file) >> number;
    return number;
}

}  // namespace

std::optional<PhysicalFunction> physical_function_of(const std::string& address, const std::string& sysfs) {
    std::error_code ignored;
    const fs::path interfaces = fs::path(sysfs) / "bus/pci/devices" / address / "physfn/net";
    for (const auto& entry : fs::directory_iterator(interfaces, ignored)) {
        return PhysicalFunction{entry.path().filename(), number_in(entry.path() / "carrier") == 1,
                                number_in(entry.path() / "carrier_up_count")};
    }
    return std::nullopt;
}

}  // namespace sluice
