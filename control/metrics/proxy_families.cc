// SPDX-License-Identifier: Apache-2.0
#include "control/metrics/families.h"
#include "control/metrics/family_builder.h"

namespace sluice::metrics {

namespace {

using Families = std::vector<prometheus::MetricFamily>;

void single(Families& out, FamilyBuilder builder, u64 value) {
    builder.add({}, value);
    out.push_back(builder.take());
}

}  // namespace

prometheus::ClientMetric histogram_of(const Labels& labels, const api::HistogramReport& from) {
    prometheus::ClientMetric metric;
    for (const auto& [name, text] : labels) metric.label.push_back({name, text});
    u64 count = 0;
    for (size_t i = 0; i < from.buckets.size(); ++i) {
        count += from.buckets[i];
        const bool last = i + 1 == from.buckets.size();
        prometheus::ClientMetric::Bucket bucket;
        bucket.cumulative_count = count;
        bucket.upper_bound =
            last ? std::numeric_limits<double>::infinity() : static_cast<double>(u64{1} << i) / 1e6;
        metric.histogram.bucket.push_back(bucket);
    }
    metric.histogram.sample_count = count;
    metric.histogram.sample_sum = static_cast<double>(from.sum_ns) / 1e9;
    return metric;
}

namespace {

void histograms(const api::ProxyReport& proxy, Families& out) {
    const auto add = [&](const char* name, const char* help,
                         api::HistogramReport api::ProxyServiceReport::*member) {
        prometheus::MetricFamily family;
        family.name = name;
        family.help = help;
        family.type = prometheus::MetricType::Histogram;
        for (const api::ProxyServiceReport& service : proxy.services) {
            if (!(service.*member).buckets.empty())
                family.metric.push_back(histogram_of({{"service", service.name}}, service.*member));
        }
        out.push_back(std::move(family));
    };
    add("sluice_proxy_connect_seconds", "Time to connect to a backend.", &api::ProxyServiceReport::connect);
    add("sluice_proxy_first_byte_seconds", "From accepting a connection to the backend's first byte.",
        &api::ProxyServiceReport::first_byte);
}

void services(const api::ProxyReport& proxy, Families& out) {
    auto opened =
        FamilyBuilder::counter("sluice_proxy_connections_opened_total", "Connections and sessions taken.");
    auto closed =
        FamilyBuilder::counter("sluice_proxy_connections_closed_total", "Those that ended, by how.");
    auto open = FamilyBuilder::gauge("sluice_proxy_connections", "Those that are open.");
    auto retries = FamilyBuilder::counter("sluice_proxy_retries_total", "Backends tried after the first.");
    auto bytes = FamilyBuilder::counter("sluice_proxy_bytes_total", "Payload bytes moved, as they move.");
    auto datagrams = FamilyBuilder::counter("sluice_proxy_datagrams_total", "Datagrams moved.");
    auto lost = FamilyBuilder::counter("sluice_proxy_datagrams_lost_total",
                                       "Datagrams without a session, or that a socket did not take.");
    auto without = FamilyBuilder::counter("sluice_proxy_datagrams_without_session_total",
                                          "Of the lost ones, those without a session, by why there is none.");
    auto tries =
        FamilyBuilder::counter("sluice_proxy_backend_connections_total", "Connections begun to a backend.");
    auto failures = FamilyBuilder::counter("sluice_proxy_backend_failures_total", "Of these, that failed.");
    auto backend_bytes =
        FamilyBuilder::counter("sluice_proxy_backend_bytes_total", "Payload bytes by backend.");
    for (const api::ProxyServiceReport& s : proxy.services) {
        const Labels one = {{"service", s.name}};
        const auto with = [&](const char* name, const std::string& value) {
            Labels labels = one;
            labels.emplace_back(name, value);
            return labels;
        };
        opened.add(one, s.opened);
        open.add(one, s.open);
        retries.add(one, s.retries);
        lost.add(one, s.datagrams_lost);
        for (const auto& [reason, count] : s.without_session)
            if (count != 0) without.add(with("reason", reason), count);
        for (size_t i = 1; i < s.ended.size(); ++i)
            closed.add(with("reason", s.ended[i].first), s.ended[i].second);
        bytes.add(with("direction", "to_backend"), s.bytes_to_backend);
        bytes.add(with("direction", "to_client"), s.bytes_to_client);
        datagrams.add(with("direction", "to_backend"), s.datagrams_to_backend);
        datagrams.add(with("direction", "to_client"), s.datagrams_to_client);
        for (const api::ProxyBackendReport& b : s.backends) {
            Labels labels = with("backend", b.name);
            tries.add(labels, b.connections);
            failures.add(labels, b.failures);
            labels.emplace_back("direction", "to_backend");
            backend_bytes.add(labels, b.bytes_to);
            labels.back().second = "from_backend";
            backend_bytes.add(labels, b.bytes_from);
        }
    }
    for (FamilyBuilder* family : {&opened, &closed, &open, &retries, &bytes, &datagrams, &lost, &without,
                                  &tries, &failures, &backend_bytes})
        out.push_back(family->take());
}

}  // namespace

void proxy_families(const api::ProxyReport& proxy, Families& out) {
    services(proxy, out);
    histograms(proxy, out);
    single(out, FamilyBuilder::gauge("sluice_proxy_listeners", "Listening sockets, of all threads."),
           proxy.listeners);
    single(out, FamilyBuilder::gauge("sluice_proxy_held_bytes", "Bytes read that receivers do not take yet."),
           proxy.held_bytes);
    single(out,
           FamilyBuilder::gauge("sluice_proxy_buffer_limit_bytes", "Bound of the memory that holds them."),
           proxy.buffer_bound);
    single(out,
           FamilyBuilder::counter("sluice_proxy_high_water_total",
                                  "Times a sender was held back for its receiver."),
           proxy.high_water);
    single(out, FamilyBuilder::counter("sluice_proxy_starved_total", "Times reading waited for memory."),
           proxy.starved);
    single(out,
           FamilyBuilder::counter("sluice_proxy_accept_pauses_total",
                                  "Times accepting paused for want of descriptors."),
           proxy.accept_pauses);
    single(out, FamilyBuilder::counter("sluice_proxy_wakes_total", "Returns of epoll_wait."), proxy.wakes);
    single(out, FamilyBuilder::counter("sluice_proxy_events_total", "Events they brought."), proxy.events);
    single(out, FamilyBuilder::counter("sluice_proxy_splices_total", "Reads by splice."), proxy.splices);
    single(out, FamilyBuilder::counter("sluice_proxy_copies_total", "Reads by copying."), proxy.copies);
    single(out, FamilyBuilder::counter("sluice_proxy_access_log_lines_total", "Lines written."),
           proxy.log_lines);
    single(out,
           FamilyBuilder::counter("sluice_proxy_access_log_dropped_total",
                                  "Lines lost to a slow or failing log."),
           proxy.log_dropped);
    auto cpu =
        FamilyBuilder::counter("sluice_proxy_cpu_seconds_total", "Processor time of each loop's thread.");
    for (size_t i = 0; i < proxy.cpu_ns.size(); ++i)
        cpu.add({{"thread", std::to_string(i)}}, static_cast<double>(proxy.cpu_ns[i]) / 1e9);
    out.push_back(cpu.take());
}

}  // namespace sluice::metrics
