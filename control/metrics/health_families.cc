// SPDX-License-Identifier: Apache-2.0
#include "control/metrics/families.h"
#include "control/metrics/family_builder.h"

namespace sluice::metrics {

namespace {

struct Tables {
    FamilyBuilder up =
        FamilyBuilder::gauge("sluice_service_backend_up", "Whether a backend is up by its health checks.");
    FamilyBuilder draining =
        FamilyBuilder::gauge("sluice_service_backend_draining", "Whether it gets no new flows.");
    FamilyBuilder damped = FamilyBuilder::gauge("sluice_health_damped",
                                                "Whether it is held down because it went down so often.");
    FamilyBuilder probes = FamilyBuilder::counter("sluice_health_probes_total", "Probes, by outcome.");
    FamilyBuilder changes =
        FamilyBuilder::counter("sluice_health_changes_total", "Times that it went up or down.");
    FamilyBuilder duration =
        FamilyBuilder::gauge("sluice_health_last_probe_seconds", "Time that the last probe took.");
};

void add(const Labels& labels, const health::BackendHealth& health, Tables& to) {
    const auto with = [&](const char* name, const char* value) {
        Labels more = labels;
        more.emplace_back(name, value);
        return more;
    };
    to.up.add(labels, health.up ? 1 : 0);
    to.damped.add(labels, health.damped ? 1 : 0);
    to.duration.add(labels, health.last_seconds);
    to.probes.add(with("outcome", "success"), health.succeeded);
    to.probes.add(with("outcome", "failure"), health.failed);
    to.probes.add(with("outcome", "unable"), health.unable);
    to.changes.add(with("to", "up"), health.went_up);
    to.changes.add(with("to", "down"), health.went_down);
}

}  // namespace

void health_families(const api::Report& report, std::vector<prometheus::MetricFamily>& out) {
    Tables tables;
    size_t backends = 0;
    for (const api::ServiceReport& service : report.services) backends += service.backends.size();
    tables.draining.reserve(backends);
    for (const api::ServiceReport& service : report.services) {
        for (const api::BackendReport& backend : service.backends) {
            const Labels labels = {{"service", service.name}, {"backend", backend.name}};
            tables.draining.add(labels, backend.drained || backend.configured == "draining" ? 1 : 0);
            if (backend.health) add(labels, *backend.health, tables);
        }
    }
    for (FamilyBuilder* family :
         {&tables.up, &tables.draining, &tables.damped, &tables.probes, &tables.changes, &tables.duration})
        out.push_back(family->take());
}

}  // namespace sluice::metrics
