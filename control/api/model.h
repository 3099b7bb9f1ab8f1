// SPDX-License-Identifier: Apache-2.0
//
// What the daemon tells about itself: plain data, read at one moment, out of which the API, the metrics and
// sluicectl are served. Everything in it was measured; what is not known is absent.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "control/health/backend_health.h"
#include "dataplane/base/result.h"
#include "dataplane/io/af_xdp/xsk_options.h"
#include "dataplane/io/dpdk/dpdk_statistics.h"
#include "dataplane/io/packet_socket/packet_ring_statistics.h"
#include "dataplane/io/xdp/xdp_attacher.h"
#include "dataplane/tables/counters.h"
#include "dataplane/tables/flow.h"

namespace sluice::api {

struct TierReport {
    std::string tier;     // xdp, af_xdp, dpdk, epoll
    bool active = false;  // serves packets of the interface
    std::string mode;  // of an active one: native, generic, hand-over, zero-copy, copy, packet sockets, proxy
    std::string reason;   // why not active, or why not in a better mode; empty: nothing to say
    std::string decided;  // what flag and file say: "auto (default)"
};

struct QueueReport {
    u32 queue = 0;
    u32 worker = 0;
    bool zero_copy = false;
    XskStatistics statistics;
};

// A DPDK port: its device, and what the device, its driver and our side of it count.
struct DpdkReport {
    std::string device;  // as configured
    std::string driver;
    u32 rx_queues = 0;
    u32 tx_queues = 0;
    bool symmetric_rss = false;
    DpdkLink link;
    DpdkDeviceStatistics statistics;
    DpdkPortStatistics ports;                           // over all workers
    std::vector<std::pair<std::string, u64>> extended;  // the driver's own, by its names
    std::vector<u32> memory_percent;  // of its buffers on each node, measured; empty: not known
    std::string pages;                // that they lie on: huge, normal
    std::string elsewhere;            // why not where they were wished; empty: they are, or may lie anywhere
    std::string host_path;            // name of the exception device; empty: none
    u64 host_delivered = 0;
    u64 host_refused = 0;
};

// An interface whose packets the engine takes from packet sockets, or took.
struct PacketReport {
    u32 rings = 0;  // 0: it is served otherwise now
    PacketRingStatistics statistics;
    std::string host_path;  // name of the device by which passed packets go to the host; empty: none
    u64 host_delivered = 0;
    u64 host_refused = 0;
};

struct InterfaceReport {
    std::string name;
    u32 port = 0;     // its number, 1 to 63
    u32 ifindex = 0;  // of the device, 0: it is gone
    u32 vlan = 0;
    std::string mac;
    u32 mtu = 0;
    bool up = false;
    std::vector<std::string> addresses;
    std::vector<TierReport> tiers;  // of a sub-interface: none, they are the device's
    std::vector<QueueReport> queues;
    std::optional<DpdkReport> dpdk;
    std::optional<PacketReport> packets;
};

// Of one port by one tier.
struct TrafficReport {
    std::string interface;  // "none": frames with a tag that no interface has
    std::string tier;
    struct port_counters counters {};
};

struct BackendReport {
    std::string name;   // "10.0.1.11:8080"
    std::string state;  // active, draining, disabled, down
    u32 weight = 0;
    struct backend_counters counters {};
    std::string configured;                                      // state by the file
    bool drained = false;                                        // by command
    std::optional<health::BackendHealth> health = std::nullopt;  // of one that is probed
};

struct ServiceReport {
    std::string name;
    std::string vip;
    std::string protocol;
    std::string ports;
    std::string mode;
    std::string tier;
    std::vector<BackendReport> backends;
};

struct WorkerReport {
    u32 id = 0;
    std::string thread;  // its name
    std::optional<u32> core;
    u32 node = 0;                     // of its core
    std::optional<u32> memory_node;   // that its memory was asked from; empty: not bound
    std::vector<u32> memory_percent;  // of its packet buffers on each node, measured; empty: not known
    std::string pages;                // that they lie on: normal, transparent, huge_2m
    std::string placement;            // why there
    u64 busy_ns = 0;                  // in batches that held frames
    u64 idle_ns = 0;                  // looking for frames in vain, or asleep
    u64 sleeps = 0;
    u64 batches = 0;  // that held frames
    u64 frames = 0;
    u64 transmit_refused = 0;            // frames that no ring took
    u64 host_path_refused = 0;           // frames for the host that it did not take
    u64 sent_elsewhere = 0;              // frames that left by a packet socket
    std::optional<FrameCensus> buffers;  // of an AF_XDP worker
};

struct PlacementReport {
    bool numa = false;               // memory is bound and nearness decides
    std::string reason;              // why, or why not; empty: nothing was placed
    std::vector<std::string> lines;  // the whole plan in words
};

struct FlowTableReport {
    u64 capacity = 0;
    std::array<u64, STATE_COUNT> live{};  // by state, as of the last sweep
    u64 aliases = 0;
    u64 expired = 0;
    u64 repaired = 0;
    struct worker_counters counters {};  // of all tiers
};

// Counts by powers of two of microseconds: bucket i has what took up to 2^i us, the last one all above.
struct HistogramReport {
    std::vector<u64> buckets;
    u64 sum_ns = 0;
};

// What was decided for an evaluate rule.
struct EvaluationReport {
    std::vector<std::pair<std::string, u64>> outcomes;  // questions by how they were answered
    u64 cached = 0;                                     // authorizer's answers taken again
    HistogramReport latency;                            // from the packet's arrival to the verdict
};

struct RuleReport {
    std::string name;
    std::string action;
    bool dry_run = false;  // counts what it would decide
    struct pair_counters counters {};
    std::optional<EvaluationReport> evaluation;
};

// The thread that decides for evaluate rules.
struct EvaluatorReport {
    u64 questions = 0;
    u64 answers_lost = 0;
    u64 waiting = 0;
    u64 connections = 0;  // held by sources under a limit
    u64 wakes = 0;
    u64 dns_answers = 0;  // read for FQDN sets
    u64 dns_unread = 0;   // passed unread
    u64 learned = 0;      // addresses in FQDN sets
    u64 learned_replaced = 0;
};

struct ProxyBackendReport {
    std::string name;  // "10.0.1.11:8080"
    u64 connections = 0;
    u64 failures = 0;  // connects that failed
    u64 bytes_to = 0;
    u64 bytes_from = 0;
};

// A service in mode proxy, as the epoll tier counts it.
struct ProxyServiceReport {
    std::string name;
    u64 opened = 0;
    u64 open = 0;
    std::vector<std::pair<std::string, u64>> ended;  // by how
    u64 retries = 0;
    u64 bytes_to_backend = 0;
    u64 bytes_to_client = 0;
    u64 datagrams_to_backend = 0;
    u64 datagrams_to_client = 0;
    u64 datagrams_lost = 0;
    std::vector<std::pair<std::string, u64>> without_session;  // of these, by why there is none
    HistogramReport connect;
    HistogramReport first_byte;
    std::vector<ProxyBackendReport> backends;
};

struct ProxyReport {
    std::vector<ProxyServiceReport> services;
    std::vector<u64> cpu_ns;  // of each loop's thread
    u64 connections = 0;      // open, sessions included
    u64 listeners = 0;
    u64 wakes = 0;
    u64 events = 0;
    u64 accept_pauses = 0;
    u64 held_bytes = 0;
    u64 buffer_bound = 0;
    u64 high_water = 0;
    u64 starved = 0;
    u64 splices = 0;
    u64 copies = 0;
    u64 closed_forgotten = 0;
    u64 log_lines = 0;
    u64 log_dropped = 0;
};

struct ConfigReport {
    std::string file;
    u32 generation = 0;
    bool last_reload_ok = true;
    std::string last_error;
    double loaded_at = 0;  // seconds since 1970 of the configuration in force
    u64 reloads = 0;       // tried
    u64 failures = 0;
    double compile_ms = 0;
    u64 image_bytes = 0;
};

struct KernelReport {
    u64 changes = 0;
    u64 overruns = 0;
    u64 neighbor_requests = 0;
    u64 neighbor_failures = 0;
    u64 neighbor_requests_lost = 0;
};

struct CaptureReport {
    u32 running = 0;
    u64 packets = 0;
    u64 lost = 0;  // found no room on the way, before any filter
};

// What the daemon may still do.
struct ConfinementReport {
    std::vector<std::string> capabilities;
    bool filtered = false;       // its system calls
    std::string not_filtered{};  // why not
    std::vector<std::pair<std::string, u64>> refused_calls{};
};

struct Report {
    std::string version;
    int pid = 0;
    double uptime = 0;  // seconds
    bool ready = false;
    std::string not_ready;  // why not
    std::string adoption;   // what was found under bpffs at start; empty without XDP
    ConfigReport config;
    std::vector<InterfaceReport> interfaces;
    std::vector<TrafficReport> traffic;
    std::vector<ServiceReport> services;
    std::string default_action;
    std::vector<RuleReport> rules;  // in order
    std::vector<WorkerReport> workers;
    std::string no_workers;  // why there are none; empty: there are
    PlacementReport placement;
    FlowTableReport flows;
    KernelReport kernel;
    std::optional<XdpRunStatistics> run;  // while the kernel keeps them
    u32 trace_every = 0;
    CaptureReport capture;
    ConfinementReport confinement;
    std::optional<EvaluatorReport> evaluator;  // where a tier of ours serves
    std::optional<ProxyReport> proxy;          // once a service was in mode proxy
};

struct FlowRequest {
    u32 limit = 100;
    u64 cursor = 0;        // where to go on: of the page before
    std::string service;   // filters; empty: any
    std::string protocol;  // tcp, udp, sctp, icmp, icmpv6 or a number
    std::string address;   // of either end or the backend
};

struct FlowReport {
    std::string protocol;
    std::string initiator;  // "10.0.0.2:4242"
    std::string responder;  // as the initiator addresses it
    std::string backend;    // empty: none
    std::string service;    // empty: managed traffic
    std::string mode;
    std::string state;
    std::string rule;              // of the snapshot in force; empty: decided under another one
    double idle = 0;               // seconds
    std::array<u64, 2> packets{};  // from the initiator, from the responder
    std::array<u64, 2> bytes{};
};

struct FlowPage {
    std::vector<FlowReport> flows;
    std::optional<u64> next;  // cursor of the next page; empty: this was the last
};

struct TraceReport {
    double time = 0;  // seconds since boot
    std::string interface, verdict, reason, service, backend, rule, protocol, source, destination;
    u32 length = 0;
};

constexpr u32 longest_capture = 2048;  // bytes of a packet

struct CaptureRequest {
    std::string interface, tier;             // empty: any
    std::string direction = "in";            // packets as they come; "out": as they leave; or "both"
    u32 bytes = longest_capture;             // of each
    std::vector<std::array<u32, 4>> filter;  // classic BPF; empty: every packet
};

struct CaptureSummary {
    u64 packets = 0;
    u64 lost = 0;
};

struct ExplainRequest {
    std::string protocol, source, destination;  // the first packet of such a connection, or
    std::vector<std::vector<u8>> frames;        // these, in order
    std::string interface;  // they come by; empty: the one towards the source, or the first
    std::string config;     // file of a candidate; empty: what is in force
};

struct ExplainStep {
    std::string stage, says;
};

// A question that a new flow's first packet would wait for. The steps after `policy` are those of a flow that
// is allowed.
struct ExplainQuestion {
    std::vector<std::string> asks;         // conditions, in the order in which they are asked
    std::string allowed, denied, unasked;  // what comes after each answer, and without room for the question
};

// Of one packet. Empty: none, or nobody was asked.
struct ExplainReport {
    std::string verdict, reason, interface, tier, rule, service, backend, egress;
    std::string handed_over;  // by the XDP program to the engine: why
    bool known = false;       // its flow was there
    std::vector<ExplainStep> steps;
    std::optional<ExplainQuestion> question;  // the verdict is "evaluate"
};

// What another configuration would do to live flows.
struct FlowChanges {
    u64 flows = 0;
    u64 ended = 0;       // service or backend gone, disabled or down
    u64 denied = 0;      // by policy
    u64 other_rule = 0;  // that go on, allowed by another rule
    std::vector<std::string> examples;
};

struct ExplainAnswer {
    std::vector<ExplainReport> packets;
    std::optional<FlowChanges> changes;  // by a candidate
};

struct DiffReport {
    std::vector<std::string> changes;  // one line each
    std::string refused;               // why a reload would not take it; empty: it would
    FlowChanges flows;
};

// What the daemon does for the API. Called on any thread; answers within seconds or fails.
class Provider {
public:
    virtual ~Provider() = default;
    virtual Result<Report> report() = 0;
    virtual Result<FlowPage> flows(const FlowRequest& request) = 0;
    virtual Status reload() = 0;
    // Serves an interface by "xdp", "af_xdp", "dpdk" or "epoll"; "auto": as the configuration says. An error
    // leaves it as it was.
    virtual Status set_tier(const std::string& interface, const std::string& tier) = 0;
    virtual Status set_trace(u32 every) = 0;  // 0: off
    virtual Result<std::vector<TraceReport>> trace() = 0;
    virtual Result<u64> start_capture(const CaptureRequest& request) = 0;  // its number
    virtual Result<std::string> read_capture(u64 id) = 0;  // blocks of a pcapng file since the last time
    virtual Result<CaptureSummary> stop_capture(u64 id) = 0;
    virtual Status set_log_level(const std::string& level) = 0;
    virtual Result<ExplainAnswer> explain(const ExplainRequest& request) = 0;
    virtual Result<DiffReport> config_diff(const std::string& file) = 0;
    // `backend` as reports name it, or its address alone where that is enough. Stays so over a reload.
    virtual Status set_drained(const std::string& service, const std::string& backend, bool drained) = 0;
};

}  // namespace sluice::api
