// SPDX-License-Identifier: Apache-2.0
#include "dataplane/proxy/buffers.h"

#include <cstdlib>

namespace sluice::proxy {

namespace {

u32 class_of(u32 bytes) {
    u32 i = 0;
    while (i + 1 < buffer_sizes.size() && buffer_sizes[i] < bytes) ++i;
    return i;
}

}  // namespace

BufferPool::~BufferPool() {
    for (auto& list : free_) {
        for (u8* data : list) std::free(data);
    }
}

Buffer BufferPool::get(u32 bytes) {
    const u32 kind = class_of(bytes);
    const u32 size = buffer_sizes[kind];
    if (size < bytes) return {};
    u8* data = nullptr;
    if (free_[kind].empty()) {
        data = static_cast<u8*>(std::malloc(size));
    } else {
        data = free_[kind].back();
        free_[kind].pop_back();
    }
    if (data == nullptr) return {};
    bound_.take_anyway(size);
    in_use_ += size;
    return {data, size, 0, 0};
}

void BufferPool::put(Buffer& buffer) {
    if (buffer.data == nullptr) return;
    bound_.give(buffer.size);
    in_use_ -= buffer.size;
    auto& list = free_[class_of(buffer.size)];
    if ((list.size() + 1) * buffer.size <= most_spare)
        list.push_back(buffer.data);
    else
        std::free(buffer.data);
    buffer = {};
}

u64 BufferPool::spare() const {
    u64 bytes = 0;
    for (u32 i = 0; i < buffer_sizes.size(); ++i) bytes += free_[i].size() * buffer_sizes[i];
    return bytes;
}

}  // namespace sluice::proxy
