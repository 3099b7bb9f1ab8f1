// SPDX-License-Identifier: Apache-2.0
#include "control/daemon/naming.h"

#include <fmt/format.h>

namespace sluice::control {

std::string protocol_name(u32 protocol) {
    const char* const word = protocol_word(protocol);
    return word != nullptr ? word : fmt::to_string(protocol);
}

}  // namespace sluice::control
