// SPDX-License-Identifier: Apache-2.0
#include "dataplane/io/interception/nft_commands.h"

#include <nftables/libnftables.h>

#include <algorithm>

namespace sluice {

NftCommands::~NftCommands() {
    if (context_ != nullptr) nft_ctx_free(context_);
}

Status NftCommands::run(const std::string& commands) {
    if (context_ == nullptr) {
        context_ = nft_ctx_new(NFT_CTX_DEFAULT);
        if (context_ == nullptr) return make_error("nftables: out of memory");
        nft_ctx_buffer_output(context_);
        nft_ctx_buffer_error(context_);
    }
    if (nft_run_cmd_from_buffer(context_, commands.c_str()) == 0) return {};
    std::string why = nft_ctx_get_error_buffer(context_);
    std::replace(why.begin(), why.end(), '\n', ' ');
    return make_error("nftables: {} is refused: {}", what_, why);
}

}  // namespace sluice
