// SPDX-License-Identifier: Apache-2.0
//
// sluiced: the daemon.
#include <CLI/CLI.hpp>

#include <cstdlib>
#include <filesystem>

#include "control/daemon/daemon.h"
#include "dataplane/base/log.h"

namespace sluice {
namespace {

enum Exit { done = 0, failed = 1, usage = 2 };

int complain(const Error& error) {
    fmt::print(stderr, "sluiced: {}\n", error.message);
    return failed;
}

int serve(const control::DaemonOptions& options) {
    const auto daemon = control::Daemon::start(options);
    if (!daemon) return complain(daemon.error());
    const Status status = (*daemon)->run();
    return status ? done : complain(status.error());
}

// Others read it where they are told of it, from directories of their own.
void make_absolute(std::string& file) {
    std::error_code error;
    const std::filesystem::path path = std::filesystem::absolute(file, error);
    if (!error) file = path.string();
}

int run(int argc, char** argv) {
    CLI::App app("The sluice dataplane of this node.", "sluiced");
    control::DaemonOptions options;
    options.file = "/etc/sluice/sluice.yaml";
    bool clean = false;
    app.set_version_flag("--version", SLUICE_VERSION);
    app.add_option("--config", options.file, "configuration file")->capture_default_str();
    app.add_flag("--detach", options.detach, "when stopped, take programs, maps and pins off the node");
    app.add_flag("--upgrade", options.upgrade,
                 "take the node over from the daemon that runs, without refusing a connection");
    app.add_flag("--watch,!--no-watch", options.watch,
                 "reload when the configuration's files change (default)");
    app.add_flag("--confine,!--no-confine", options.confine,
                 "give up capabilities and system calls that are not needed (default)");
    app.add_flag("--clean", clean, "do not run: take off what an earlier daemon left on the node");
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        return app.exit(error) == 0 ? done : usage;
    }
    make_absolute(options.file);
    Result<config::TierFlags> flags = config::read_flags([](const char* name) { return std::getenv(name); });
    if (!flags) return complain(flags.error());
    options.flags = *flags;
    if (!clean) return serve(options);
    const Status status = control::Daemon::clean(options.file);
    return status ? done : complain(status.error());
}

}  // namespace
}  // namespace sluice

int main(int argc, char** argv) { return sluice::run(argc, argv); }
