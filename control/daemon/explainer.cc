// SPDX-License-Identifier: Apache-2.0
#include "dataplane/tables/lookup.h"

namespace sluice {

// Before the pipeline is compiled here: each stage tells what it answered.
static u32 noted(struct pipeline* s, const char* stage, u32 word);

}  // namespace sluice

#define PIPELINE_STAGE(pipeline, name, call) noted(pipeline, name, call)

#include <sys/mman.h>

#include <algorithm>

#include "control/api/json.h"
#include "control/daemon/explainer.h"
#include "control/daemon/kernel_router.h"
#include "dataplane/pipeline/pipeline.h"
#include "dataplane/worker/decapsulate.h"

namespace sluice {

static u32 noted(struct pipeline* s, const char* stage, u32 word) {
    static_cast<control::Explainer*>(s->tables.surroundings)->note(stage, word);
    return word;
}

}  // namespace sluice

namespace sluice::control {

namespace {

constexpr u32 own_flows = 4096;
constexpr u32 own_fragments = 1024;
constexpr size_t headroom = 256;
constexpr u32 rule_ids = POLICY_MAX_WORDS * 64U;
constexpr u32 most_backends = 65536;
constexpr int attempts = 4;

struct FlowSlot {
    struct flow flow;
    struct flow_addresses addresses;
    struct flow_counters counters;
};

// A consistent copy; false when the slot changes all the time.
bool read_slot(const struct tables& t, u32 index, FlowSlot& out) {
    const struct flow* slot = flow_at(&t, index);
    for (int i = 0; i < attempts; ++i) {
        const u32 version = LOAD_ACQUIRE(&slot->version);
        if ((version & 1) != 0) continue;
        std::memcpy(&out.flow, slot, sizeof out.flow);
        std::memcpy(&out.addresses, flow_addresses_at(&t, index), sizeof out.addresses);
        std::memcpy(&out.counters, flow_counters_at(&t, index), sizeof out.counters);
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
        if (LOAD_ACQUIRE(&slot->version) == version) return true;
    }
    return false;
}

}  // namespace

Result<std::unique_ptr<Explainer>> Explainer::create(ExplainSubject subject) {
    const u32 sources = (subject.live.node->source_mask + 1) * METER_BUCKET_SIZE;
    Result<TableMemory> memory = TableMemory::create({own_flows, sources, most_backends, rule_ids});
    if (!memory) return memory.error();
    Result<WorkerCounters> counters = WorkerCounters::create(most_backends, rule_ids);
    if (!counters) return counters.error();
    return std::unique_ptr<Explainer>(
        new Explainer(std::move(subject), std::move(*memory), std::move(*counters)));
}

Explainer::Explainer(ExplainSubject subject, TableMemory memory, WorkerCounters counters)
    : subject_(std::move(subject)),
      memory_(std::move(memory)),
      counters_(std::move(counters)),
      fragments_(own_fragments, ~0U >> 1, subject_.node->flow_seed) {
    node_state& node = memory_.node();
    const u32 capacity = node.flow_capacity;
    const u32 mask = node.flow_bucket_mask;
    std::memcpy(&node, subject_.node, sizeof node);
    node.flow_capacity = capacity;
    node.flow_bucket_mask = mask;
    struct tables& t = pipeline_.tables;
    memory_.fill(t);
    counters_.fill(t);
    t.image = subject_.image;
    t.image_lines = reinterpret_cast<const image_header*>(subject_.image)->lines;
    t.surroundings = this;
    subject_.live.image = t.image;
    subject_.live.image_lines = t.image_lines;
    pipeline_.context = &context_;
    borrow_meters();
}

Explainer::~Explainer() = default;

void Explainer::borrow_meters() {
    const struct tables& own = pipeline_.tables;
    std::memcpy(own.meters, subject_.live.meters, rule_ids * sizeof(u64));
    const size_t buckets = size_t{own.node->source_mask} + 1;
    std::memcpy(own.source_meters, subject_.live.source_meters, buckets * sizeof(source_meter_bucket));
}

void Explainer::note(const char* stage, u32 word) {
    std::string says = stage_text(pipeline_, stage, *subject_.naming);
    if (asked_ && std::string_view(stage) == "policy") says += ", " + asked_text();
    if (word != 0) says += (says.empty() ? "" : ": ") + word_text(word);
    if (!steps_.empty() && steps_.back().stage == stage) steps_.pop_back();  // one step of several
    if (!says.empty()) steps_.push_back({stage, says});
}

u32 Explainer::route(const pipeline_context& context, const address& to, next_hop& hop) {
    const auto answer = subject_.kernel->resolve(to, static_cast<u32>(context.q.hash >> 32));
    return next_hop_of(answer, memory_.node(), context, hop);
}

u32 Explainer::fragment(pipeline_context& context) {
    if (in_program_) return punt(PUNT_FRAGMENT);
    const u64 key = fragments_.key(context.h);
    if (context.h.flags & HEADER_LATER_FRAGMENT)
        return fragments_.recall(key, context.h, context.now) ? 0 : u32{VERDICT_WAIT};
    fragments_.remember(key, context.h, context.now);
    return 0;
}

// Where an engine would ask, the run goes on as if the answer were yes. Questions themselves are not put:
// what they ask counts connections, and an authorizer would be told of a flow that does not exist.
u32 Explainer::evaluate(pipeline_context&, const image_rule&) {
    if (in_program_ || proxied_) return VERDICT_EVALUATE;
    asked_ = true;
    return 0;
}

// A slot of our own with the key and content of FROM; of an alias what it stands for is still to be set.
bool Explainer::enter(const struct flow& from, u32 from_index, struct flow_ref& to) {
    const struct tables& own = pipeline_.tables;
    const u64 hash =
        flow_hash(flow_word_load(&from.initiator), flow_word_load(&from.responder), own.node->flow_seed);
    if (!flow_claim(&own, hash, own.now, &to)) return false;
    const u32 version = to.flow->version;
    *to.flow = from;
    to.flow->version = version;
    *flow_addresses_at(&own, to.at->index) = *flow_addresses_at(&subject_.live, from_index);
    *flow_counters_at(&own, to.at->index) = *flow_counters_at(&subject_.live, from_index);
    flow_publish(&own, &to, hash);
    return true;
}

void Explainer::borrow_alias(const struct flow& alias, u32 alias_index, u32 index) {
    const struct tables& own = pipeline_.tables;
    struct flow copy = alias;
    const u32 version = flow_at(&own, index)->version;
    copy.target = index;
    copy.target_port = static_cast<u16>(version);
    copy.nat_port = static_cast<u16>(version >> 16);
    flow_place place{};
    struct flow_ref ref = {nullptr, &place};
    enter(copy, alias_index, ref);
}

// The packet's live flow, if it has one and there is none of our own yet.
void Explainer::borrow_flow() {
    pipeline_context context = context_;
    struct pipeline own = pipeline_;
    own.context = &context;
    own.ref = {nullptr, &context.place};
    if (query_find(&own)) return;
    context = context_;
    struct pipeline live = own;
    live.tables = subject_.live;
    live.tables.now = pipeline_.tables.now;
    if (!query_find(&live)) return;
    FlowSlot found{};
    const u32 index = context.place.index;
    if (!read_slot(subject_.live, index, found)) return;
    if (found.flow.backend != 0 && subject_.backend_ends(static_cast<u16>(found.flow.backend - 1))) {
        steps_.push_back({"flow", "its flow ends: the backend is not there for it any more"});
        return;
    }
    struct flow_ref entered = {nullptr, &place_};
    if (!enter(found.flow, index, entered)) return;
    flow_place by{};
    struct flow_ref key = {nullptr, &by};
    const bool alias = flow_find(&live.tables, &context.q, &key) && by.index != index;
    if (alias && read_slot(subject_.live, by.index, found))
        borrow_alias(found.flow, by.index, entered.at->index);
}

u32 Explainer::run_inside(u32 ifindex) {
    Decapsulation undo;
    const u32 word = decapsulate(pipeline_, undo);
    if (word != 0) return word;
    steps_.push_back({"tunnel", "unwrapped: the inner packet starts anew"});
    pipeline_begin(&pipeline_, ifindex, CONTEXT_DECAPSULATED);
    return pipeline_first(&pipeline_);
}

// What the proxy asks about a new connection.
u32 Explainer::run_proxied(u32 word) {
    proxied_ = true;
    const u32 denied = noted(&pipeline_, "policy", stage_policy(&pipeline_));
    proxied_ = false;
    if (denied != 0) return denied;
    noted(&pipeline_, "meter", stage_meter(&pipeline_));
    noted(&pipeline_, "backend", stage_backend(&pipeline_));
    return word;
}

u32 Explainer::run(std::span<const u8> bytes, u32 ifindex, u32 punts) {
    buffer_.assign(headroom + bytes.size(), 0);
    std::copy(bytes.begin(), bytes.end(), buffer_.begin() + headroom);
    struct frame frame {
        buffer_.data()
    };
    steps_.clear();
    asked_ = false;
    context_ = {};
    pipeline_.packet = {buffer_.data() + headroom, buffer_.data() + buffer_.size(), &frame};
    pipeline_.tables.punts = punts;
    pipeline_begin(&pipeline_, ifindex, 0);
    u32 word = pipeline_first(&pipeline_);
    if (word == punt(PUNT_TUNNEL) && !in_program_) word = run_inside(ifindex);
    if (word == 0) {
        borrow_flow();
        word = pipeline_second(&pipeline_);
    }
    return word == VERDICT_PROXY ? run_proxied(word) : word;
}

api::ExplainReport Explainer::explain(std::span<const u8> frame, u32 ifindex, u64 now_ns) {
    struct tables& t = pipeline_.tables;
    t.now_ns = now_ns;
    t.now = static_cast<u32>(now_ns >> 20);
    t.stamp = route_stamp(t.node, t.now);
    const DeviceTiers tiers = subject_.tiers(ifindex);
    u32 handed_over = 0;
    in_program_ = tiers.xdp;
    u32 word = run(frame, ifindex, in_program_ ? t.node->punts : 0);
    in_program_ = false;
    if (verdict_of(word) == VERDICT_PUNT) {
        handed_over = detail_of(word);
        word = tiers.engine.empty() ? drop(REASON_NO_ENGINE) : run(frame, ifindex, 0);
    } else if (tiers.xdp && verdict_of(word) == VERDICT_REJECT) {
        handed_over = PUNT_ANSWER;
        if (tiers.engine.empty()) word = drop(REASON_NO_ENGINE);
    } else if (tiers.xdp && word == drop(REASON_NO_NEIGHBOR)) {
        handed_over = PUNT_NEIGHBOR;
    }
    api::ExplainReport report;
    conclude(word, handed_over, tiers, report);
    return report;
}

std::string Explainer::asked_text() const {
    return context_.flags & CONTEXT_REVALIDATE ? "asked about anew; the flow goes on meanwhile"
                                               : "asked about first; what follows is for the answer yes";
}

api::ExplainQuestion Explainer::question(u32 word) const {
    api::ExplainQuestion out;
    const u32 position = context_.rule;
    if (position != 0 && position <= subject_.policy->rules.size()) {
        const config::Rule& rule = subject_.policy->rules[position - 1];
        if (rule.when) out.asks = conditions_of(*rule.when);
    }
    out.allowed = word_text(word);
    out.denied = word_text(drop(REASON_EVALUATION));
    const bool open = (context_.rule_flags & RULE_FALLBACK_ALLOW) != 0;
    out.unasked = open ? out.allowed : word_text(drop(REASON_EVALUATION_OVERLOAD));
    return out;
}

void Explainer::conclude(u32 word, u32 handed_over, const DeviceTiers& tiers, api::ExplainReport& report) {
    const pipeline_context& c = context_;
    const Naming& naming = *subject_.naming;
    report.interface = naming.port(c.port);
    report.verdict = api::verdict_name(verdict_of(word));
    if (verdict_of(word) == VERDICT_DROP) report.reason = api::reason_name(detail_of(word));
    if (handed_over != 0) report.handed_over = api::punt_name(handed_over);
    report.tier = tiers.xdp && handed_over == 0 ? "xdp" : tiers.engine;
    if (word == VERDICT_PROXY) report.tier = "epoll";
    if (!tiers.xdp && tiers.engine.empty()) report.tier = "";
    report.known = (c.flags & CONTEXT_KNOWN) != 0;
    report.service = naming.service(c.service);
    report.backend = naming.backend(c.backend);
    const bool judged = std::any_of(steps_.begin(), steps_.end(),
                                    [](const api::ExplainStep& step) { return step.stage == "policy"; });
    if (judged || report.known) report.rule = naming.rule(c.rule);
    if (verdict_of(word) == VERDICT_FORWARD) report.egress = naming.port(c.hop.port);
    if (asked_ && !(c.flags & CONTEXT_REVALIDATE)) report.question = question(word);
    if (report.question) {
        report.verdict = api::verdict_name(VERDICT_EVALUATE);
        report.reason.clear();
    }
    report.steps = std::move(steps_);
    steps_.clear();
}

}  // namespace sluice::control
