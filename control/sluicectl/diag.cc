// SPDX-License-Identifier: Apache-2.0
#include "control/sluicectl/diag.h"

#include <filesystem>
#include <fstream>
#include <thread>

#include "control/sluicectl/capture.h"
#include "control/sluicectl/probe.h"
#include "control/sluicectl/probe_machine.h"

namespace sluice::ctl {

namespace {

using Json = nlohmann::ordered_json;

class Bundle {
public:
    Bundle(const Client& client, std::string directory) : client_(client), directory_(std::move(directory)) {}

    std::string path(const std::string& name) const { return directory_ + "/" + name; }

    void write(const std::string& name, const std::string& text) {
        std::ofstream file(path(name), std::ios::binary);
        file << text;
        if (!file.flush()) miss(name, "it cannot be written");
    }
    void miss(const std::string& name, const std::string& why) {
        missing_ += fmt::format("{}: {}\n", name, why);
    }

    void ask(const std::string& name, const std::string& request) {
        const Result<Json> answer = client_.ask("GET", request);
        answer ? write(name, answer->dump(2) + "\n") : miss(name, answer.error().message);
    }
    void copy(const std::string& name, const std::string& from) {
        std::error_code error;
        std::filesystem::copy_file(from, path(name), error);
        if (error) miss(name, fmt::format("{}: {}", from, error.message()));
    }
    void capture_packets(const DiagWords& words, const std::string& name, bool dns) {
        CaptureWords wanted;
        wanted.file = path(name);
        wanted.direction = "both";
        wanted.seconds = words.seconds;
        wanted.megabytes = words.megabytes;
        wanted.dns = dns;
        if (Status status = capture(client_, wanted); !status) miss(name, status.error().message);
    }
    const std::string& missing() const { return missing_; }

private:
    const Client& client_;
    std::string directory_;
    std::string missing_;
};

void capture_all(const Client& client, Bundle& bundle, const DiagWords& words) {
    Bundle answers(client, words.directory);
    std::thread dns([&] { answers.capture_packets(words, "dns-answers.pcapng", true); });
    bundle.capture_packets(words, "packets.pcapng", false);
    dns.join();
    if (!answers.missing().empty()) bundle.miss("dns-answers.pcapng", answers.missing());
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
    return {};
}

}  // namespace sluice::ctl
