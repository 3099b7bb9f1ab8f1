// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "dataplane/base/result.h"

struct nft_ctx;

namespace sluice {

// Commands for nftables. Tables with `flags owner` that are made by them belong to this object and to this
// process: the kernel takes them away with it, however it ends.
class NftCommands {
public:
    // `what` is for the operator: "the table for the proxy".
    explicit NftCommands(std::string what) : what_(std::move(what)) {}
    ~NftCommands();
    NftCommands(const NftCommands&) = delete;
    NftCommands& operator=(const NftCommands&) = delete;

    // All of them, or none.
    Status run(const std::string& commands);

private:
    std::string what_;
    nft_ctx* context_ = nullptr;
};

}  // namespace sluice
