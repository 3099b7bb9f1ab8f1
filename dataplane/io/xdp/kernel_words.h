// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace sluice {

// Catches what libbpf and libxdp print on this thread while it lives: their warnings carry the kernel's own
// message, which the error code alone does not. What they print at other times goes to the log at level
// debug. Scopes do not nest.
class KernelWords {
public:
    KernelWords();
    ~KernelWords();
    KernelWords(const KernelWords&) = delete;
    KernelWords& operator=(const KernelWords&) = delete;

    // The kernel's message if there was one, else the first warning; empty if there was none. One line.
    std::string text() const;
    // ": " and text(), or nothing.
    std::string suffix() const;
};

}  // namespace sluice
