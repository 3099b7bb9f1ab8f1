// SPDX-License-Identifier: Apache-2.0
//
// Workers over the kernel's sockets, compiled once and with the packet path's options: who includes this does
// not compile the loop anew.
#pragma once

#include "dataplane/io/af_xdp/xsk_port.h"
#include "dataplane/io/packet_socket/packet_port.h"
#include "dataplane/worker/worker.h"

namespace sluice {

extern template class Worker<XskPort>;
extern template class Worker<PacketPort>;

}  // namespace sluice
