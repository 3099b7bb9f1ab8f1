// SPDX-License-Identifier: Apache-2.0
//
// The XDP sockets of one worker: one per device and queue, over one UMEM, so that a frame received on one
// leaves by any other without a copy.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "dataplane/io/af_xdp/umem.h"
#include "dataplane/io/af_xdp/xsk_port.h"

namespace sluice {

class XskSet {
public:
    // Opens all `queues` in the same mode, as sockets on one UMEM have to: zero-copy if every device can,
    // else copy. The sockets receive nothing before they are in the program's map (XdpDataplane::set_socket).
    // The error names interface and queue; MTUs that need more than one buffer are refused.
    static Result<std::unique_ptr<XskSet>> open(const std::vector<XskQueue>& queues, const UmemOptions& umem,
                                                const XskOptions& options);
    ~XskSet();
    XskSet(const XskSet&) = delete;
    XskSet& operator=(const XskSet&) = delete;

    std::span<std::unique_ptr<XskPort>> ports() { return ports_; }
    Umem& umem() { return *umem_; }

    bool zero_copy() const { return zero_copy_; }  // as XDP_OPTIONS reports
    const std::string& zero_copy_refusal() const {
        return zero_copy_refusal_;
    }  // why not; empty if zero-copy

    // Any thread; exact while no frame moves. `held`: frames the caller has.
    FrameCensus census(u32 held) const;
    // That no buffer is in two places: what free list and rings contain, each at most once. Only while no
    // worker runs on the set.
    Status verify() const;

private:
    XskSet() = default;

    Status open_all(const std::vector<XskQueue>& queues, const UmemOptions& umem, const XskOptions& options,
                    bool zero_copy);
    Status open_port(const XskQueue& queue, const XskOptions& options, bool zero_copy);
    void close();

    std::unique_ptr<Umem> umem_;
    xsk_umem* handle_ = nullptr;
    // Made with the UMEM and handed to its first socket. Zeroed: libxdp 1.3.1 goes on from what it finds in
    // them.
    xsk_ring_prod first_fill_{};
    xsk_ring_cons first_completion_{};
    std::vector<std::unique_ptr<XskPort>> ports_;
    bool zero_copy_ = false;
    std::string zero_copy_refusal_;
};

}  // namespace sluice
