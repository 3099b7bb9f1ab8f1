// SPDX-License-Identifier: Apache-2.0
#include "control/sluicectl/diag.h"

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <thread>

#include "control/sluicectl/capture.h"
#include "control/sluicectl/probe.h"
#include "control/sluicectl/probe_machine.h"

namespace sluice::ctl {

namespace {

using Json = nlohmann::ordered_json;

struct Close {
    void operator()(FILE* file) const { std::fclose(file); }
};
using File = std::unique_ptr<FILE, Close>;

Status write_file(const std::string& path, const std::string& text) {
    File file(std::fopen(path.c_str(), "we"));
    if (!file) return system_error(errno, "{}", path);
    if (std::fwrite(text.data(), 1, text.size(), file.get()) != text.size())
        return system_error(errno, "{}", path);
    if (std::fclose(file.release()) != 0) return system_error(errno, "{}", path);
    return {};
}

Result<std::string> read_file(const std::string& path) {
    const File file(std::fopen(path.c_str(), "re"));
    if (!file) return system_error(errno, "{}", path);
    std::string text;
    char some[4096];
    while (const size_t count = std::fread(some, 1, sizeof some, file.get())) text.append(some, count);
    if (std::ferror(file.get()) != 0) return system_error(errno, "{}", path);
    return text;
}

class Bundle {
public:
    Bundle(const Client& client, std::string directory) : client_(client), directory_(std::move(directory)) {}

    std::string path(const std::string& name) const { return directory_ + "/" + name; }

    void write(const std::string& name, const std::string& text) {
        if (Status status = write_file(path(name), text); !status) fail(status.error());
    }
    void miss(const std::string& name, const std::string& why) {
        missing_ += fmt::format("{}: {}\n", name, why);
    }

    void ask(const std::string& name, const std::string& request) {
        const Result<Json> answer = client_.ask("GET", request);
        answer ? write(name, answer->dump(2) + "\n") : miss(name, answer.error().message);
    }
    void copy(const std::string& name, const std::string& from) {
        // What the daemon calls so lies in its directory, not in ours.
        if (!std::filesystem::path(from).is_absolute())
            return miss(name, fmt::format("{}: expected an absolute path", from));
        const Result<std::string> text = read_file(from);
        text ? write(name, *text) : miss(name, text.error().message);
    }
    void capture_packets(const DiagWords& words, const std::string& name, bool dns) {
        CaptureWords wanted;
        wanted.file = path(name);
        wanted.direction = "both";
        wanted.seconds = words.seconds;
        wanted.megabytes = words.megabytes;
        wanted.dns = dns;
        const Status status = capture(client_, wanted);
        if (status) return;
        // The daemon's refusals have no errno: what has one is the file's.
        status.error().code > 0 ? fail(status.error()) : miss(name, status.error().message);
    }
    void fail(const Error& error) {
        if (status_) status_ = error;
    }
    const std::string& missing() const { return missing_; }
    const Status& status() const { return status_; }  // of the first file that could not be written

private:
    const Client& client_;
    std::string directory_;
    std::string missing_;
    Status status_;
};

void capture_all(const Client& client, Bundle& bundle, const DiagWords& words) {
    Bundle answers(client, words.directory);
    std::thread dns([&] { answers.capture_packets(words, "dns-answers.pcapng", true); });
    bundle.capture_packets(words, "packets.pcapng", false);
    dns.join();
    if (!answers.missing().empty()) bundle.miss("dns-answers.pcapng", answers.missing());
    if (!answers.status()) bundle.fail(answers.status().error());
}

}  // namespace

Status diag(const Client& client, const DiagWords& words) {
    const Result<Json> status = client.ask("GET", "/v1/status");
    if (!status) return status.error();
    std::error_code error;
    if (!std::filesystem::create_directory(words.directory, error))
        return make_error("{}: {}", words.directory, error ? error.message() : "it is there already");
    std::filesystem::permissions(words.directory, std::filesystem::perms::owner_all, error);
    Bundle bundle(client, words.directory);
    bundle.write("status-before.json", status->dump(2) + "\n");
    bundle.copy("config.yaml", status->at("config").at("file").get<std::string>());
    bundle.write("probe.json", probe_machine({}).dump(2) + "\n");
    if (words.seconds != 0) capture_all(client, bundle, words);
    bundle.ask("status.json", "/v1/status");
    bundle.ask("services.json", "/v1/services");
    bundle.ask("policy.json", "/v1/policy");
    bundle.ask("flows.json", "/v1/flows?limit=10000");
    bundle.ask("trace.json", "/v1/trace");
    if (!bundle.missing().empty()) bundle.write("missing.txt", bundle.missing());
    return bundle.status();
}

}  // namespace sluice::ctl
