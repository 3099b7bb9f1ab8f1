// SPDX-License-Identifier: Apache-2.0
#include "dataplane/io/interception/ingress_guard.h"

#include <fmt/format.h>
#include <unistd.h>

#include <vector>

namespace sluice {

std::string ingress_table_text(const std::string& name, const std::set<std::string>& interfaces,
                               const std::string& policy) {
    std::vector<std::string> quoted;
    for (const std::string& interface : interfaces) quoted.push_back(fmt::format("\"{}\"", interface));
    return fmt::format(
        "table netdev {0} {{\n"
        "  flags owner;\n"
        "  chain taken {{\n"
        "    type filter hook ingress devices = {{ {1} }} priority -500; policy {4};\n"
        "    meta mark & {2:#x} == {2:#x} meta mark set meta mark & {3:#x} accept\n"
        "  }}\n"
        "}}\n",
        name, fmt::join(quoted, ", "), mark_passed, ~mark_passed, policy);
}

Status IngressGuard::probe(const std::string& interface) {
    NftCommands nft("a table at an interface's ingress");
    return nft.run(ingress_table_text(fmt::format("sluice_probe_{}", getpid()), {interface}, "accept"));
}

Status IngressGuard::set(const std::set<std::string>& interfaces) {
    if (interfaces.empty() && !there_) return {};
    if (name_.empty()) name_ = fmt::format("sluice_{}", getpid());
    std::string commands = there_ ? fmt::format("delete table netdev {}\n", name_) : "";
    if (!interfaces.empty()) commands += ingress_table_text(name_, interfaces);
    if (Status status = nft_.run(commands); !status) return status;
    there_ = !interfaces.empty();
    return {};
}

}  // namespace sluice
