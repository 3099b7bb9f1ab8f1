// SPDX-License-Identifier: Apache-2.0
#include "dataplane/proxy/connection.h"

#include <new>

namespace sluice::proxy {

ConnectionSlab::~ConnectionSlab() {
    for (void* block : blocks_) ::operator delete (block, std::align_val_t{alignof(Connection)});
}

Connection* ConnectionSlab::get() {
    if (free_.empty()) {
        void* block =
            ::operator new (block_connections * sizeof(Connection), std::align_val_t{alignof(Connection)});
        blocks_.push_back(block);
        for (size_t i = block_connections; i > 0; --i)
            free_.push_back(static_cast<Connection*>(block) + (i - 1));
    }
    Connection* connection = free_.back();
    free_.pop_back();
    return new (connection) Connection;
}

void ConnectionSlab::put(Connection* connection) {
    connection->~Connection();
    free_.push_back(connection);
}

}  // namespace sluice::proxy
