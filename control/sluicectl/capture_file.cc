// SPDX-License-Identifier: Apache-2.0
#include "control/sluicectl/capture_file.h"

#include <unistd.h>

#include <cerrno>

#include "control/capture/pcapng.h"

namespace sluice::ctl {

Status CaptureFile::open() {
    if (Status status = close(); !status) return status;
    const std::string path = files_ > 1 ? fmt::format("{}.{}", path_, number_ % files_) : path_;
    number_++;
    file_.reset(path == "-" ? fdopen(dup(STDOUT_FILENO), "w") : std::fopen(path.c_str(), "we"));
    if (!file_) return system_error(errno, "{}", path);
    written_ = 0;
    return write(head_);
}

Status CaptureFile::write(std::string_view bytes) {
    written_ += bytes.size();
    if (std::fwrite(bytes.data(), 1, bytes.size(), file_.get()) == bytes.size()) return {};
    return system_error(errno, "{}", path_);
}

Status CaptureFile::add(u32 type, std::string_view block) {
    if (full_) return {};
    if (!file_) {
        if (Status status = open(); !status) return status;
    }
    if (type != capture::PACKET_BLOCK) {
        head_ += block;
        return write(block);
    }
    if (limit_ != 0 && written_ + block.size() > limit_ && written_ > head_.size()) {
        full_ = files_ == 1;
        if (full_) return flush();
        if (Status status = open(); !status) return status;
    }
    return write(block);
}

Status CaptureFile::flush() {
    if (!file_ || std::fflush(file_.get()) == 0) return {};
    return system_error(errno, "{}", path_);
}

Status CaptureFile::close() {
    if (!file_ || std::fclose(file_.release()) == 0) return {};
    return system_error(errno, "{}", path_);
}

}  // namespace sluice::ctl
