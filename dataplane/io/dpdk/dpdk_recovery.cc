// SPDX-License-Identifier: Apache-2.0
//
// The part of a DPDK device that finds out that it has to be started again, and does it.
#include <rte_ethdev.h>

#include "dataplane/base/log.h"
#include "dataplane/io/dpdk/dpdk_device.h"
#include "dataplane/io/dpdk/eal.h"

namespace sluice {

// A memif client without its server, which does not come back to it by itself.
bool DpdkDevice::is_orphan() const {
    return driver_ == "net_memif" && options_.device.find("role=server") == std::string::npos &&
           (!started_ || !link().up);
}

std::optional<PhysicalFunction> DpdkDevice::physical_function() const {
    return address_.empty() ? std::nullopt : physical_function_of(address_);
}

std::string DpdkDevice::interruption() const {
    if (is_orphan()) return "its memif server is gone";
    if (reset_told_.load(std::memory_order_acquire)) return "its driver reports a reset";
    const auto physical = physical_function();
    if (physical && physical->up && physical->times_up != times_up_)
        return fmt::format("its physical function {} has come back", physical->interface);
    return ready() ? "" : "it did not start again";
}

std::string DpdkDevice::trouble() const {
    const auto physical = physical_function();
    if (physical && !physical->up)
        return fmt::format("its physical function {} is down", physical->interface);
    return ready() ? "" : interruption();
}

// Drivers that can be reset have forgotten all that they were told; of others a stop and a start is enough.
Status DpdkDevice::reset() {
    if (rte_eth_dev_reset(port_id_) != 0) return {};
    const int node = socket_;  // where its buffers are
    if (Status status = configure(); !status) return status;
    socket_ = node;
    sockets_.start_over();
    return set_up_queues();
}

bool DpdkDevice::resume() {
    const Eal::Quiet quiet;
    if (started_) rte_eth_dev_stop(port_id_);
    started_ = false;
    Status status;
    if (reset_told_.exchange(false)) status = reset();
    if (status) status = start();
    if (!status) spdlog::debug("{}", status.error().message);
    return started_;
}

}  // namespace sluice
