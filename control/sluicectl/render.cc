// SPDX-License-Identifier: Apache-2.0
#include "control/sluicectl/render.h"

#include <fmt/format.h>

#include "control/sluicectl/table.h"

namespace sluice::ctl {

namespace {

std::string text_of(const Json& object, const char* key) { return object.at(key).get<std::string>(); }
double number_of(const Json& object, const char* key) { return object.at(key).get<double>(); }
std::string count_of(const Json& object, const char* key) { return short_number(number_of(object, key)); }
// `text` behind `lead`; nothing for no text.
std::string behind(std::string_view lead, const std::string& text) {
    return text.empty() ? std::string() : fmt::format("{}{}", lead, text);
}
std::string dash(const std::string& text) { return text.empty() ? "-" : text; }

// "forward 12.3k, pass 4"
std::string verdicts_line(const Json& counters) {
    std::string out;
    for (const auto& [name, value] : counters.at("verdicts").items())
        out += fmt::format("{}{} {}", out.empty() ? "" : ", ", name, count_of(value, "packets"));
    return out;
}

std::string counts_line(const Json& counts) {
    std::string out;
    for (const auto& [name, value] : counts.items())
        out += fmt::format("{}{} {}", out.empty() ? "" : ", ", name, short_number(value.get<double>()));
    return out;
}

std::string tiers_text(const Json& interface) {
    std::string out;
    for (const Json& tier : interface.at("tiers")) {
        const bool active = tier.at("active").get<bool>();
        out += fmt::format("  {:<7} {}{}\n", text_of(tier, "tier"), active ? "active" : "off",
                           active ? behind(", ", text_of(tier, "mode")) : "");
        out += wrapped(behind("switch: ", text_of(tier, "decided")), 10);
        out += wrapped(behind("reason: ", text_of(tier, "reason")), 10);
    }
    return out;
}

std::string traffic_text(const Json& interface) {
    std::string out;
    for (const auto& [tier, counters] : interface.at("traffic").items()) {
        const Json& received = counters.at("received");
        out += wrapped(fmt::format("{} received {} ({} bytes): {}", tier, count_of(received, "packets"),
                                   count_of(received, "bytes"), dash(verdicts_line(counters))),
                       2);
        out += wrapped(behind("drops: ", counts_line(counters.at("drops"))), 4);
        out += wrapped(behind("handed over: ", counts_line(counters.at("punts"))), 4);
    }
    return out;
}

std::string dpdk_text(const Json& port) {
    const Json& host = port.at("host_path");
    const std::string device = text_of(host, "device");
    std::string out = wrapped(
        fmt::format("dpdk {}: {} rx, {} tx queues, link {}, received {}, sent {}, missed {}, no buffer {}, "
                    "not sent {}, buffers {} of {}",
                    text_of(port, "device"), port.at("rx_queues").get<unsigned>(),
                    port.at("tx_queues").get<unsigned>(),
                    port.at("link").at("up").get<bool>() ? "up" : "down", count_of(port, "received"),
                    count_of(port, "sent"), count_of(port, "missed"), count_of(port, "no_buffer"),
                    count_of(port, "transmit_full"), count_of(port, "buffers_in_use"),
                    count_of(port, "buffers")),
        2);
    if (!text_of(port, "elsewhere").empty()) out += wrapped(text_of(port, "elsewhere"), 4);
    if (device.empty()) return out;
    return out + wrapped(fmt::format("host path {}: to the host {}, from it {}, refused {}", device,
                                     count_of(host, "to_host"), count_of(host, "from_host"),
                                     count_of(host, "refused")),
                         4);
}

std::string packets_text(const Json& port) {
    const Json& host = port.at("host_path");
    return wrapped(
        fmt::format("packet sockets: {} ring(s), frames {}, lost {}, unreadable {}, to the host {}, "
                    "refused by it {}",
                    port.at("rings").get<unsigned>(), count_of(port, "frames"), count_of(port, "lost"),
                    short_number(number_of(port, "unreadable") + number_of(port, "too_long")),
                    count_of(host, "to_host"), count_of(host, "refused")),
        2);
}

std::string interface_text(const Json& interface) {
    const bool present = interface.at("ifindex").get<unsigned>() != 0;
    std::string state = !present ? "gone" : interface.at("up").get<bool>() ? "up" : "down";
    std::string addresses;
    for (const Json& address : interface.at("addresses"))
        addresses += behind(" ", address.get<std::string>());
    std::string out =
        wrapped(fmt::format("{} {}, port {}, mtu {}, mac {}{}", text_of(interface, "name"), state,
                            interface.at("port").get<unsigned>(), interface.at("mtu").get<unsigned>(),
                            dash(text_of(interface, "mac")), addresses),
                0);
    out += tiers_text(interface);
    Table queues({{"queue", true},
                  {"worker", true},
                  {"copy"},
                  {"received", true},
                  {"sent", true},
                  {"rx lost", true},
                  {"fill empty", true},
                  {"tx full", true}});
    for (const Json& queue : interface.at("queues")) {
        queues.add({fmt::to_string(queue.at("queue").get<unsigned>()),
                    fmt::to_string(queue.at("worker").get<unsigned>()),
                    queue.at("zero_copy").get<bool>() ? "zero" : "copy", count_of(queue, "received"),
                    count_of(queue, "sent"),
                    short_number(number_of(queue, "rx_dropped") + number_of(queue, "rx_ring_full")),
                    count_of(queue, "rx_fill_ring_empty"), count_of(queue, "transmit_full")});
    }
    if (!queues.empty()) out += queues.text(2);
    if (!interface.at("dpdk").is_null()) out += dpdk_text(interface.at("dpdk"));
    const Json& packets = interface.at("packet_sockets");
    if (!packets.is_null() && packets.at("rings") != 0) out += packets_text(packets);
    return out + traffic_text(interface);
}

// The packet buffers of each AF_XDP worker, by where they are.
std::string buffers_text(const Json& workers) {
    static constexpr std::pair<const char*, const char*> columns[] = {
        {"buffers", "configured"}, {"free", "free"},       {"fill", "fill"},
        {"kernel", "kernel"},      {"rx", "receive"},      {"waiting", "waiting"},
        {"tx", "transmit"},        {"done", "completion"}, {"sum", "sum"}};
    std::vector<Table::Column> head = {{"worker", true}};
    for (const auto& [title, key] : columns) head.push_back({title, true});
    Table table(head);
    for (const Json& worker : workers) {
        const Json& buffers = worker.at("buffers");
        if (buffers.is_null()) continue;
        std::vector<std::string> row = {fmt::to_string(worker.at("id").get<unsigned>())};
        for (const auto& [title, key] : columns)
            row.push_back(fmt::to_string(buffers.at(key).get<unsigned>()));
        table.add(row);
    }
    return table.empty() ? "" : table.text();
}

std::string workers_text(const Json& status) {
    const std::string none = text_of(status, "no_workers");
    if (status.at("workers").empty()) return wrapped(fmt::format("workers: none{}", behind(": ", none)), 0);
    Table table({{"worker", true},
                 {"core", true},
                 {"node", true},
                 {"busy", true},
                 {"frames", true},
                 {"per batch", true},
                 {"sleeps", true},
                 {"not sent", true},
                 {"host full", true}});
    for (const Json& worker : status.at("workers")) {
        const double busy = number_of(worker, "busy_seconds");
        const double total = busy + number_of(worker, "idle_seconds");
        const double batches = number_of(worker, "batches");
        const Json& core = worker.at("core");
        table.add({fmt::to_string(worker.at("id").get<unsigned>()),
                   core.is_null() ? "-" : fmt::to_string(core.get<unsigned>()),
                   fmt::to_string(worker.at("node").get<unsigned>()),
                   fmt::format("{:.1f}%", total > 0 ? 100 * busy / total : 0.0), count_of(worker, "frames"),
                   fmt::format("{:.1f}", batches > 0 ? number_of(worker, "frames") / batches : 0.0),
                   count_of(worker, "sleeps"), count_of(worker, "transmit_refused"),
                   count_of(worker, "host_path_refused")});
    }
    std::string out = table.text() + "\n" + buffers_text(status.at("workers"));
    for (const Json& line : status.at("placement").at("lines")) out += wrapped(line.get<std::string>(), 0);
    return out;
}

// What the daemon may do, and what is switched on for a while.
std::string daemon_text(const Json& status) {
    const Json& confinement = status.at("confinement");
    std::string held;
    for (const Json& name : confinement.at("capabilities"))
        held += fmt::format("{}{}", held.empty() ? "" : ", ", name.get<std::string>());
    const std::string calls =
        confinement.at("system_calls_filtered").get<bool>()
            ? "system calls filtered"
            : "system calls not filtered" + behind(": ", text_of(confinement, "reason"));
    std::string out = wrapped(fmt::format("capabilities {}; {}", held.empty() ? "none" : held, calls), 0);
    const auto captures = status.at("capture").at("running").get<unsigned>();
    if (captures != 0) out += fmt::format("captures running: {}\n", captures);
    return out;
}

}  // namespace

std::string status_text(const Json& status) {
    const Json& config = status.at("config");
    const Json& flows = status.at("flow_table");
    std::string out = fmt::format("sluice {}, pid {}, up {}, {}\n", text_of(status, "version"),
                                  status.at("pid").get<int>(), short_duration(number_of(status, "uptime")),
                                  status.at("ready").get<bool>() ? "ready" : "not ready");
    if (!text_of(status, "not_ready").empty()) out += wrapped(text_of(status, "not_ready"), 2);
    out += wrapped(fmt::format("configuration {}, generation {}", text_of(config, "file"),
                               config.at("generation").get<unsigned>()),
                   0);
    if (!config.at("last_reload_ok").get<bool>())
        out += wrapped(behind("last reload refused: ", text_of(config, "last_error")), 2);
    out += wrapped(behind("state: ", text_of(status, "adoption")), 0);
    out += daemon_text(status);
    out += fmt::format("flows {} of {}, created {}, expired {}, evicted {}\n\n", count_of(flows, "live"),
                       count_of(flows, "capacity"), count_of(flows, "created"), count_of(flows, "expired"),
                       count_of(flows, "evicted"));
    for (const Json& interface : status.at("interfaces")) out += interface_text(interface) + "\n";
    return out + workers_text(status);
}

namespace {

// What there is to say of a backend that is probed or drained, beside its state.
std::string backend_notes(const Json& service) {
    std::string out;
    for (const Json& backend : service.at("backends")) {
        const Json& health = backend.at("health");
        std::string note = backend.at("drained").get<bool>() ? ", drained by command" : "";
        if (!health.is_null()) {
            const bool up = health.at("up").get<bool>();
            note +=
                fmt::format(", {} for {}", up ? "up" : "down", short_duration(number_of(health, "since")));
            if (!health.at("probed").get<bool>()) note += ", not probed yet";
            if (health.at("failures").get<unsigned>() != 0)
                note += behind(": ", text_of(health, "last_error"));
            if (health.at("damped").get<bool>()) note += ", held down for its flapping";
        }
        if (!note.empty())
            out +=
                wrapped(fmt::format("{} {}{}", text_of(backend, "name"), text_of(backend, "state"), note), 2);
    }
    return out;
}

// A proxied service: what its connections moved, not its packets.
std::string proxy_text(const Json& proxy) {
    std::string out = fmt::format("  opened {}, open {}, retries {}\n", count_of(proxy, "opened"),
                                  count_of(proxy, "open"), count_of(proxy, "retries"));
    out += wrapped(behind("ended: ", counts_line(proxy.at("ended"))), 2);
    Table table(
        {{"backend"}, {"connections", true}, {"failed", true}, {"bytes to", true}, {"bytes from", true}});
    for (const Json& backend : proxy.at("backends")) {
        table.add({text_of(backend, "name"), count_of(backend, "connections"), count_of(backend, "failures"),
                   count_of(backend, "bytes_to"), count_of(backend, "bytes_from")});
    }
    return table.empty() ? out : out + table.text(2);
}

}  // namespace

std::string services_text(const Json& services) {
    std::string out;
    for (const Json& service : services.at("services")) {
        out += wrapped(
            fmt::format("{}: {} {} ports {}, {}, tier {}", text_of(service, "name"),
                        text_of(service, "protocol"), text_of(service, "vip"), text_of(service, "ports"),
                        text_of(service, "mode"), text_of(service, "tier")),
            0);
        if (service.contains("proxy")) {
            out += proxy_text(service.at("proxy")) + backend_notes(service);
            continue;
        }
        Table table({{"backend"},
                     {"state"},
                     {"weight", true},
                     {"flows", true},
                     {"pkts to", true},
                     {"bytes to", true},
                     {"pkts from", true},
                     {"bytes from", true}});
        for (const Json& backend : service.at("backends")) {
            const Json& to = backend.at("to");
            const Json& from = backend.at("from");
            table.add({text_of(backend, "name"), text_of(backend, "state"),
                       fmt::to_string(backend.at("weight").get<unsigned>()),
                       count_of(backend, "flows_created"), count_of(to, "packets"), count_of(to, "bytes"),
                       count_of(from, "packets"), count_of(from, "bytes")});
        }
        out += table.empty() ? "  no backends\n" : table.text(2) + backend_notes(service);
    }
    return out.empty() ? "no services\n" : out;
}

// Of one evaluate rule: "  allowed 10, connections 2; verdict within 64us (p50), 256us (p99)"
std::string evaluation_text(const Json& evaluation) {
    std::string out;
    for (const auto& [outcome, count] : evaluation.at("outcomes").items()) {
        if (count != 0)
            out += fmt::format("{}{} {}", out.empty() ? "" : ", ", outcome, count.get<std::uint64_t>());
    }
    if (out.empty()) return "nothing was asked yet";
    const auto within = [&](const char* share) {
        const Json& us = evaluation.at("latency_us").at(share);
        return us.is_null() ? std::string("over 4s") : fmt::format("{}us", us.get<std::uint64_t>());
    };
    return fmt::format("{}; verdict within {} (p50), {} (p99)", out, within("p50"), within("p99"));
}

std::string policy_text(const Json& policy) {
    std::string evaluations;
    Table table({{"rule"}, {"action"}, {"packets", true}, {"bytes", true}});
    for (const Json& rule : policy.at("rules"))
        table.add({text_of(rule, "name"),
                   (rule.value("dry_run", false) ? "would " : "") + text_of(rule, "action"),
                   count_of(rule, "packets"), count_of(rule, "bytes")});
    for (const Json& rule : policy.at("rules")) {
        if (!rule.contains("evaluation")) continue;
        const std::string line = text_of(rule, "name") + ": " + evaluation_text(rule.at("evaluation"));
        evaluations += wrapped(line, 2);
    }
    return fmt::format("{}{}default: {}\n", table.empty() ? "no rules\n" : table.text(), evaluations,
                       text_of(policy, "default"));
}

std::string flows_text(const Json& page) {
    std::string out;
    for (const Json& flow : page.at("flows")) {
        const Json& packets = flow.at("packets");
        const Json& bytes = flow.at("bytes");
        const std::string backend = text_of(flow, "backend");
        out += wrapped(fmt::format("{} {} > {}{}", text_of(flow, "protocol"), text_of(flow, "initiator"),
                                   text_of(flow, "responder"), behind(" > ", backend)),
                       0);
        out += wrapped(
            fmt::format("{} {}{}{}, idle {}, out {}/{}B, back {}/{}B", text_of(flow, "mode"),
                        text_of(flow, "state"), behind(", service ", text_of(flow, "service")),
                        behind(", rule ", text_of(flow, "rule")), short_duration(number_of(flow, "idle")),
                        short_number(packets.at(0).get<double>()), short_number(bytes.at(0).get<double>()),
                        short_number(packets.at(1).get<double>()), short_number(bytes.at(1).get<double>())),
            4);
    }
    if (out.empty()) return "no flows\n";
    if (!page.at("next").is_null())
        out += fmt::format("more: --cursor {}\n", page.at("next").get<unsigned long long>());
    return out;
}

std::string trace_line(const Json& event) {
    return wrapped(
        fmt::format("{:.6f} {} {} {} > {} {}B {}{}{}{}{}", number_of(event, "time"),
                    text_of(event, "interface"), text_of(event, "protocol"), text_of(event, "source"),
                    text_of(event, "destination"), event.at("length").get<unsigned>(),
                    text_of(event, "verdict"), behind(" ", text_of(event, "reason")),
                    behind(" service ", text_of(event, "service")),
                    behind(" backend ", text_of(event, "backend")), behind(" rule ", text_of(event, "rule"))),
        0);
}

std::string trace_text(const Json& trace) {
    const auto every = trace.at("every").get<unsigned>();
    std::string out = every == 0 ? "sampling is off\n" : fmt::format("one packet in {} of each CPU\n", every);
    for (const Json& event : trace.at("events")) out += trace_line(event);
    return out;
}

}  // namespace sluice::ctl
