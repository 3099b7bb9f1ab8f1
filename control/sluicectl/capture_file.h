// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdio>
#include <memory>
#include <string>
#include <string_view>

#include "dataplane/base/result.h"
#include "dataplane/packet/target.h"

namespace sluice::ctl {

// Blocks of a capture into one file after another: each begins with the blocks that describe section and
// interfaces, so that each can be read alone.
class CaptureFile {
public:
    // `path` "-" is standard output. With several files they are `path`.0, `path`.1 and so on, the oldest of
    // `files` overwritten. `limit`: bytes of one; 0: any number.
    CaptureFile(std::string path, u32 files, u64 limit)
        : path_(std::move(path)), files_(files), limit_(limit) {}

    Status add(u32 type, std::string_view block);
    Status flush();
    Status close();                      // a network's file system may say only then that there was no room
    bool full() const { return full_; }  // what is added from now on is not written

private:
    struct Close {
        void operator()(FILE* file) const { std::fclose(file); }
    };

    Status open();
    Status write(std::string_view bytes);

    std::string path_;
    u32 files_;
    u64 limit_;
    std::unique_ptr<FILE, Close> file_;
    u32 number_ = 0;    // of the next file
    u64 written_ = 0;   // to this one
    std::string head_;  // blocks that every file begins with
    bool full_ = false;
};

}  // namespace sluice::ctl
