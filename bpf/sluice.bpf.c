// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
#include "bpf/capture_packet.h"
#include "bpf/trace_sample.h"
#include "dataplane/pipeline/pipeline.h"

char LICENSE[] SEC("license") = "GPL v2";

SHARED int hand_over(struct xdp_md* xdp, struct pipeline* s, u32* word) {
    u32 device = port_of(s, s->context->port)->device;
    u32 key = device * XSK_QUEUES + (xdp->rx_queue_index & (XSK_QUEUES - 1));
    int action = bpf_redirect_map(&sockets, key, XDP_DROP);
    if (action != XDP_REDIRECT) *word = drop(REASON_NO_ENGINE);
    return action;
}

SEC("xdp")
int sluice_xdp(struct xdp_md* xdp) {
    struct pipeline s;
    if (!pipeline_open(&s, xdp)) return XDP_PASS;
    pipeline_begin(&s, xdp->ingress_ifindex, 0);
    capture_arrived(&s, xdp);
    u32 word = pipeline_run(&s);
    u32 verdict = verdict_of(word);
    if (verdict == VERDICT_REJECT) word = punt(PUNT_ANSWER);
    int action = XDP_PASS;
    if (verdict == VERDICT_FORWARD) {
        u32 out = s.context->hop.port & (NODE_PORTS - 1);
        const struct node_port* port = &s.tables.node->ports[out];
        if (port->ifindex == s.context->ifindex && !(port->flags & PORT_REDIRECT))
            action = XDP_TX;
        else
            action = bpf_redirect_map(&egress, out, XDP_DROP);
    } else if (verdict == VERDICT_PUNT || verdict == VERDICT_REJECT) {
        if (s.context->flags & CONTEXT_METERED) meter_refund_apart(&s);
        action = hand_over(xdp, &s, &word);
    } else if (verdict == VERDICT_DROP) {
        action = XDP_DROP;
    }
    pipeline_count(&s, word);
    trace_packet(&s.tables, word);
    capture_decided(&s, xdp, word);
    return action;
}
