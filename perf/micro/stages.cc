// SPDX-License-Identifier: Apache-2.0
#include "perf/micro/stages.h"

#include "dataplane/pipeline/pipeline.h"

namespace sluice::perf {

namespace {

constexpr u32 payload_bytes = 1460;
constexpr u8 tcp_syn = 2;

SubjectPlan plan_of(const char* mode, int rules) {
    return {.name = mode,
            .mode = mode,
            .rules = rules,
            .table = 1 << 16,
            .fill = false,
            .traffic = {.family = 4, .flows = Stages::flows}};
}

// Runs STEP over all packets; how many answered something other than 0.
template <typename Packets, typename Step>
u32 over(Packets& packets, Step step) {
    u32 wrong = 0;
    for (size_t i = 0; i < packets.size(); i++) wrong += step(packets[i], i) != 0;
    return wrong;
}

// What goes in and comes out must not be known to the compiler.
template <typename T>
void keep(const T& value) {
    asm volatile("" : : "g"(&value) : "memory");
}

}  // namespace

Status Stages::Prepared::prepare() {
    subject->traffic().stamp();
    const struct tables& view = subject->node().tables();
    contexts.resize(Stages::packets);
    packets.resize(Stages::packets);
    for (size_t i = 0; i < packets.size(); i++) {
        packets[i].tables = view;
        packets[i].context = &contexts[i];
        packets[i].tables.image = subject->node().snapshot().lines.data();
        packets[i].tables.image_lines = static_cast<u32>(subject->node().snapshot().lines.size());
        rewind(i);
        const u32 word = pipeline_first(&packets[i]);
        if (word) return make_error("packet {}: verdict word {:#x} before its flow is looked up", i, word);
    }
    return {};
}

void Stages::Prepared::rewind(size_t i) {
    Frame& frame = subject->traffic().frames()[i];
    packets[i].packet = {frame.data, frame.end, &frame};
    pipeline_begin(&packets[i], frame.ifindex, 0);
}

Result<std::unique_ptr<Stages>> Stages::create() {
    std::unique_ptr<Stages> stages(new Stages);
    const std::pair<Prepared*, SubjectPlan> plans[] = {{&stages->nat_, plan_of("nat", 10)},
                                                       {&stages->many_rules_, plan_of("nat", 10'000)},
                                                       {&stages->rewritten_, plan_of("nat", 10)},
                                                       {&stages->ipip_, plan_of("dsr_ipip", 10)}};
    for (const auto& [prepared, plan] : plans) {
        Result<std::unique_ptr<Subject>> subject = Subject::create(plan);
        if (!subject) return subject.error();
        prepared->subject = std::move(*subject);
        if (Status status = prepared->prepare(); !status) return status.error();
    }
    SubjectPlan fresh = plan_of("nat", 10);
    fresh.fill = true;
    fresh.traffic = {.family = 4, .fresh = true, .tcp_flags = tcp_syn};
    const std::pair<std::unique_ptr<Subject>*, SubjectPlan> whole[] = {{&stages->known_, plan_of("nat", 10)},
                                                                       {&stages->fresh_, fresh}};
    for (const auto& [place, plan] : whole) {
        Result<std::unique_ptr<Subject>> subject = Subject::create(plan);
        if (!subject) return subject.error();
        *place = std::move(*subject);
    }
    stages->payload_.assign(payload_bytes, 0x5a);
    return stages;
}

void Stages::add_parsing(std::vector<Operation>& list) {
    list.push_back({"parse", packets, [this] {
                        return over(nat_.packets, [this](pipeline& s, size_t i) {
                            nat_.rewind(i);
                            return pipeline_parse(&s);
                        });
                    }});
    list.push_back({"key", packets, [this] {
                        return over(nat_.packets, [](pipeline& s, size_t) {
                            query_begin(&s);
                            return s.context->q.hash == 0;
                        });
                    }});
    list.push_back({"hash", packets, [this] {
                        return over(nat_.packets, [](pipeline& s, size_t) {
                            const flow_query& q = s.context->q;
                            return flow_hash(q.source, q.destination, s.tables.node->flow_seed) != q.hash;
                        });
                    }});
    list.push_back({"checksum of 1,460 bytes", 1, [this] {
                        const packet p{payload_.data(), payload_.data() + payload_.size(), nullptr};
                        return u32{packet_sum(&p, 0, payload_bytes) == 0};
                    }});
    list.push_back({"checksum update", packets, [this] {
                        return over(nat_.packets, [](pipeline& s, size_t i) {
                            const u16 sum = checksum_update(static_cast<u16>(s.context->q.hash),
                                                            sum_delta(i, s.context->q.destination));
                            keep(sum);
                            return 0;
                        });
                    }});
}

void Stages::add_look_ups(std::vector<Operation>& list) {
    list.push_back({"flow table look-up, 1,000 flows", packets, [this] {
                        return over(nat_.packets, [](pipeline& s, size_t) {
                            return !flow_find(&s.tables, &s.context->q, &s.ref);
                        });
                    }});
    for (const auto& [prepared, rules] : {std::pair{&nat_, "10"}, std::pair{&many_rules_, "10,000"}}) {
        list.push_back({std::string("claim and policy, ") + rules + " rules", packets, [prepared] {
                            return over(prepared->packets, [](pipeline& s, size_t) {
                                const u32 word = stage_claim(&s);
                                return word ? word : stage_policy(&s);
                            });
                        }});
        list.push_back({std::string("LPM of the sources of ") + rules + " rules", packets, [prepared] {
                            return over(prepared->packets, [](pipeline& s, size_t) {
                                const image_lpm* sources = image_lpm_of(&s.tables, LPM_SOURCE);
                                const u32 row = image_lpm_find(&s.tables, sources, &s.context->h.source);
                                keep(row);
                                return 0;
                            });
                        }});
    }
    list.push_back({"Maglev", packets, [this] {
                        return over(nat_.packets, [](pipeline& s, size_t) {
                            s.context->service = 1;
                            return backend_choose(&s, 0);
                        });
                    }});
}

void Stages::add_rewriting(std::vector<Operation>& list) {
    for (const auto& [prepared, name] :
         {std::pair{&rewritten_, "rewrite, nat"}, std::pair{&ipip_, "encapsulate, 4in4"}}) {
        list.push_back({name, packets, [prepared] {
                            return over(prepared->packets, [prepared](pipeline& s, size_t i) {
                                const Frame& frame = prepared->subject->traffic().frames()[i];
                                s.packet.data = frame.data;
                                if (!s.ref.flow) {  // once; later runs find the stage's input in the context
                                    const u32 word = stage_flow(&s);
                                    if (word || stage_route(&s)) return 1u;
                                }
                                return stage_rewrite(&s);
                            });
                        }});
    }
}

void Stages::add_engine(std::vector<Operation>& list) {
    for (Subject* subject : {known_.get(), fresh_.get()})
        list.push_back({subject->plan().fill ? "engine, new flow into a full table" : "engine, known flow",
                        Traffic::frame_count, [subject] { return u32{!subject->run_pass()}; },
                        [subject] { subject->traffic().stamp(); }});
}

std::vector<Operation> Stages::operations() {
    std::vector<Operation> list;
    add_parsing(list);
    add_look_ups(list);
    add_rewriting(list);
    add_engine(list);
    return list;
}

}  // namespace sluice::perf
