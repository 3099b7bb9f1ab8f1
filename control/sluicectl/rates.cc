// SPDX-License-Identifier: Apache-2.0
#include "control/sluicectl/rates.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <sstream>

#include "control/sluicectl/table.h"

namespace sluice::ctl {

namespace {

using Counts = std::map<std::string, double>;

double number(const Json& value) { return value.is_number() ? value.get<double>() : 0; }

// Every number of a tree by its path of names; entries of lists go by "name", "id" or their place.
void flatten(const Json& value, const std::string& path, Counts& out) {
    if (value.is_number()) {
        out[path] = value.get<double>();
        return;
    }
    size_t place = 0;
    for (const auto& [key, child] : value.items()) {
        std::string name = key;
        if (value.is_array()) {
            name = std::to_string(place++);
            if (child.is_object() && child.contains("name")) name = child.at("name").get<std::string>();
        }
        if (child.is_structured() || child.is_number()) flatten(child, path + "/" + name, out);
    }
}

class Change {
public:
    Change(const Json& before, const Json& now, double seconds) : seconds_(seconds) {
        flatten(before, "", before_);
        flatten(now, "", now_);
    }

    double rate(const std::string& path) const {
        const auto now = now_.find(path);
        if (now == now_.end() || seconds_ <= 0) return 0;
        const auto at = before_.find(path);
        const double past = at == before_.end() || at->second > now->second ? 0 : at->second;
        return (now->second - past) / seconds_;
    }

private:
    double seconds_;
    Counts before_, now_;
};

Json interface_rates(const Json& status, const Change& change) {
    Json out = Json::array();
    for (const Json& interface : status.at("interfaces")) {
        const auto name = interface.at("name").get<std::string>();
        for (const auto& [tier, counters] : interface.at("traffic").items()) {
            const std::string at = "/interfaces/" + name + "/traffic/" + tier;
            Json verdicts = Json::object();
            for (const auto& [verdict, each] : counters.at("verdicts").items())
                verdicts[verdict] = change.rate(at + "/verdicts/" + verdict + "/packets");
            Json drops = Json::object();
            for (const auto& [reason, count] : counters.at("drops").items())
                drops[reason] = change.rate(at + "/drops/" + reason);
            out.push_back({{"interface", name},
                           {"tier", tier},
                           {"packets", change.rate(at + "/received/packets")},
                           {"bits", 8 * change.rate(at + "/received/bytes")},
                           {"verdicts", verdicts},
                           {"drops", drops}});
        }
    }
    return out;
}

Json service_rates(const Json& services, const Change& change) {
    Json out = Json::array();
    for (const Json& service : services.at("services")) {
        const auto name = service.at("name").get<std::string>();
        Json sum = {
            {"service", name}, {"flows", 0.0}, {"packets_to", 0.0}, {"packets_from", 0.0}, {"bits", 0.0}};
        for (const Json& backend : service.at("backends")) {
            const std::string at = "/services/" + name + "/backends/" + backend.at("name").get<std::string>();
            const auto add = [&](const char* key, double value) { sum[key] = number(sum[key]) + value; };
            add("flows", change.rate(at + "/flows_created"));
            add("packets_to", change.rate(at + "/to/packets"));
            add("packets_from", change.rate(at + "/from/packets"));
            add("bits", 8 * (change.rate(at + "/to/bytes") + change.rate(at + "/from/bytes")));
        }
        if (service.contains("proxy")) {
            const std::string at = "/services/" + name + "/proxy";
            sum["flows"] = change.rate(at + "/opened");
            sum["bits"] = 8 * (change.rate(at + "/bytes_to_backend") + change.rate(at + "/bytes_to_client"));
        }
        out.push_back(sum);
    }
    return out;
}

Json worker_rates(const Json& status, const Change& change) {
    Json out = Json::array();
    size_t place = 0;
    for (const Json& worker : status.at("workers")) {
        const std::string at = "/workers/" + std::to_string(place++);
        const double busy = change.rate(at + "/busy_seconds");
        const double idle = change.rate(at + "/idle_seconds");
        out.push_back({{"worker", worker.at("id")},
                       {"busy", busy + idle > 0 ? busy / (busy + idle) : 0.0},
                       {"frames", change.rate(at + "/frames")}});
    }
    return out;
}

void sort_by(Json& list, const char* key) {
    std::stable_sort(list.begin(), list.end(),
                     [&](const Json& a, const Json& b) { return number(a.at(key)) > number(b.at(key)); });
}

// "forward 12k pass 3"
std::string busy_ones(const Json& rates) {
    std::string out;
    for (const auto& [name, rate] : rates.items()) {
        if (number(rate) >= 0.05)
            out += fmt::format("{}{} {}", out.empty() ? "" : " ", name, short_number(number(rate)));
    }
    return out.empty() ? "-" : out;
}

void append(std::vector<std::string>& lines, const std::string& text) {
    std::istringstream in(text);
    for (std::string line; std::getline(in, line);) lines.push_back(line);
}

std::string cell(const Json& row, const char* key) { return short_number(number(row.at(key))); }

}  // namespace

Json rates_between(const Look& before, const Look& now) {
    const double seconds = now.at - before.at;
    const Change status(before.status, now.status, seconds);
    const Change services(before.services, now.services, seconds);
    Json out = {{"seconds", seconds},
                {"flows", now.status.at("flow_table").at("live")},
                {"capacity", now.status.at("flow_table").at("capacity")},
                {"new_flows", status.rate("/flow_table/created")},
                {"interfaces", interface_rates(now.status, status)},
                {"services", service_rates(now.services, services)},
                {"workers", worker_rates(now.status, status)}};
    sort_by(out["interfaces"], "packets");
    sort_by(out["services"], "bits");
    return out;
}

std::vector<std::string> top_lines(const Json& rates, size_t width) {
    std::vector<std::string> lines = {fmt::format("flows {} of {}, {} new/s", cell(rates, "flows"),
                                                  cell(rates, "capacity"), cell(rates, "new_flows")),
                                      ""};
    Table interfaces(
        {{"interface"}, {"tier"}, {"packets/s", true}, {"bits/s", true}, {"verdicts/s"}, {"drops/s"}});
    for (const Json& row : rates.at("interfaces"))
        interfaces.add({row.at("interface").get<std::string>(), row.at("tier").get<std::string>(),
                        cell(row, "packets"), cell(row, "bits"), busy_ones(row.at("verdicts")),
                        busy_ones(row.at("drops"))});
    append(lines, interfaces.text(0, width) + "\n");
    Table services(
        {{"service"}, {"flows/s", true}, {"pkts to/s", true}, {"pkts from/s", true}, {"bits/s", true}});
    for (const Json& row : rates.at("services"))
        services.add({row.at("service").get<std::string>(), cell(row, "flows"), cell(row, "packets_to"),
                      cell(row, "packets_from"), cell(row, "bits")});
    if (!services.empty()) append(lines, services.text(0, width) + "\n");
    Table workers({{"worker", true}, {"busy", true}, {"frames/s", true}});
    for (const Json& row : rates.at("workers"))
        workers.add({fmt::to_string(row.at("worker").get<unsigned>()),
                     fmt::format("{:.0f}%", 100 * number(row.at("busy"))), cell(row, "frames")});
    if (!workers.empty()) append(lines, workers.text(0, width));
    return lines;
}

}  // namespace sluice::ctl
