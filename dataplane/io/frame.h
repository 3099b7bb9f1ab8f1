// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "dataplane/tables/lookup.h"

namespace sluice {

// A frame in a buffer: frame::buffer is the least address that `data` may become (the head room's start).
// Whoever holds one owns its buffer, until it is sent, released or handed to the host path.
struct Frame : frame {
    u8* data = nullptr;  // first byte of the Ethernet header
    u8* end = nullptr;   // one past the last byte
    u32 ifindex = 0;     // of the device that received it
    u32 tag = 0;         // the owner's name for the buffer
};

}  // namespace sluice
