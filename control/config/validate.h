// SPDX-License-Identifier: Apache-2.0
//
// What no single key shows: names given twice, references that lead nowhere, keys that contradict each other,
// two services on one address and port. Reports with the places in config.document.
#pragma once

#include "control/config/config.h"
#include "control/config/document.h"
#include "control/config/problems.h"

namespace sluice::config {

void validate(const Config& config, Problems& problems);

// Reports faults of one section's structs.
class Checker {
public:
    Checker(const Config& config, Problems& problems) : document_(*config.document), problems_(problems) {}

    // Is `key` of the struct at `where` written?
    bool given(const Mark& where, std::string_view key) const;

    // PATH.KEY: value "VALUE": expected EXPECTED; where the key is not written, that it is missing.
    void wrong(const Mark& where, std::string_view key, std::string_view expected);

    // The entry that says `text` of the list under `key`: PATH.KEY[N]: value "TEXT": expected EXPECTED.
    void wrong_entry(const Mark& where, std::string_view key, std::string_view text,
                     std::string_view expected);

    // The struct at `where` as a whole: PATH: WHAT.
    void wrong_here(const Mark& where, std::string_view what);

private:
    const Node& document_;
    Problems& problems_;
};

void validate_interfaces(const Config& config, Checker& check);
void validate_policy(const Config& config, Checker& check);
void validate_services(const Config& config, Checker& check);
void validate_forwarding(const Config& config, Checker& check);

// A name of the form PARENT.TAG whose parent is a declared interface.
struct SubInterfaceName {
    std::string parent;
    uint16_t tag = 0;
};
std::optional<SubInterfaceName> sub_interface_name(const std::vector<Interface>& interfaces,
                                                   std::string_view name);

// May a rule, route or neighbour name this interface? A declared one, or a tag that a declared one accepts.
bool names_interface(const Config& config, std::string_view name);

}  // namespace sluice::config
