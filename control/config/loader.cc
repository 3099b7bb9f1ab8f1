// SPDX-License-Identifier: Apache-2.0
#include "control/config/loader.h"

#include <algorithm>

#include "control/config/document.h"
#include "control/config/file.h"
#include "control/config/schema.h"
#include "control/config/validate.h"

namespace sluice::config {

namespace {

// A sub-interface gets its parent and tag; the parent accepts the tag, whether its own list has it or not.
void link_sub_interfaces(std::vector<Interface>& interfaces) {
    for (Interface& sub : interfaces) {
        const auto name = sub_interface_name(interfaces, sub.name);
        if (!name) continue;
        sub.parent = name->parent;
        sub.tag = name->tag;
        for (Interface& parent : interfaces) {
            const bool known =
                std::find(parent.vlan.begin(), parent.vlan.end(), sub.tag) != parent.vlan.end();
            if (parent.name == sub.parent && !known) parent.vlan.push_back(sub.tag);
        }
    }
}

void put_single_next_hops_in_list(std::vector<Route>& routes) {
    for (Route& route : routes) {
        if (route.next_hops.empty())
            route.next_hops.push_back({route.where, route.via, route.mac, route.interface, 1});
    }
}

void read_set_files(Config& config, Problems& problems) {
    for (auto& [name, set] : config.policy.sets) {
        if (set.file.empty()) continue;
        set.file = resolve_beside(set.file, *config.file);
        const auto text = read_text_file(set.file, max_set_bytes);
        if (text) {
            set.prefixes = parse_prefix_list(*text, set.file, problems);
            continue;
        }
        const std::string path = join_path(set.where.path, "file");
        const Node* stated = find_node(*config.document, path);
        problems.add(stated->line, stated->column, path,
                     fmt::format("value \"{}\": expected a file that can be read: {}", stated->quoted(),
                                 text.error().message));
    }
}

}  // namespace

Result<Config> load_text(std::string_view text, const std::string& name) {
    Problems problems(name);
    Config config;
    config.file = problems.file();
    config.document = parse_document(text, problems);
    if (config.document == nullptr) return problems.status().error();

    Reader reader(problems);
    config_schema().read(reader, *config.document, "", config);
    if (!problems.empty()) return problems.status().error();

    validate(config, problems);
    if (!problems.empty()) return problems.status().error();

    read_set_files(config, problems);
    if (!problems.empty()) return problems.status().error();

    link_sub_interfaces(config.interfaces);
    put_single_next_hops_in_list(config.routes);
    return config;
}

Result<Config> load_file(const std::string& path) {
    const auto text = read_text_file(path, max_document_bytes);
    if (!text) return text.error();
    return load_text(*text, path);
}

}  // namespace sluice::config
