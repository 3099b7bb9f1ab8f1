// SPDX-License-Identifier: Apache-2.0
#include "dataplane/io/netlink/interface_state.h"

#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <netlink/errno.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>

#include <algorithm>
#include <cstring>

#include "dataplane/io/netlink/kernel_dump.h"

namespace sluice::netlink {

namespace {

using Message = std::vector<u8>;

nlmsghdr* header_of(const Message& message) {
    return reinterpret_cast<nlmsghdr*>(const_cast<u8*>(message.data()));
}

template <typename Body>
Body* body_of(nlmsghdr* header) {
    return static_cast<Body*>(nlmsg_data(header));
}

// Where a route names the interface that it leaves by; null: it has several next hops, or none.
u32* way_out_of(nlmsghdr* header) {
    nlattr* const attribute = nlmsg_find_attr(header, sizeof(rtmsg), RTA_OIF);
    return attribute == nullptr ? nullptr : static_cast<u32*>(nla_data(attribute));
}

bool is_ours(nlmsghdr* header, u32 ifindex) {
    switch (header->nlmsg_type) {
        case RTM_NEWADDR: {
            const auto* body = body_of<ifaddrmsg>(header);
            return body->ifa_index == ifindex && body->ifa_scope != RT_SCOPE_LINK;
        }
        case RTM_NEWROUTE: {
            const auto* body = body_of<rtmsg>(header);
            const u32* way_out = way_out_of(header);
            return way_out != nullptr && *way_out == ifindex && body->rtm_protocol != RTPROT_KERNEL &&
                   body->rtm_protocol != RTPROT_RA && (body->rtm_flags & RTM_F_CLONED) == 0;
        }
        case RTM_NEWNEIGH: {
            const auto* body = body_of<ndmsg>(header);
            return body->ndm_ifindex == static_cast<int>(ifindex) && (body->ndm_state & NUD_PERMANENT) != 0;
        }
        default: return false;
    }
}

void set_interface(nlmsghdr* header, u32 ifindex) {
    switch (header->nlmsg_type) {
        case RTM_NEWADDR: body_of<ifaddrmsg>(header)->ifa_index = ifindex; break;
        case RTM_NEWROUTE: *way_out_of(header) = ifindex; break;
        default: body_of<ndmsg>(header)->ndm_ifindex = static_cast<int>(ifindex);
    }
}

// Addresses make the routes that others need to reach their gateways.
int turn_of(const Message& message) {
    nlmsghdr* const header = header_of(message);
    if (header->nlmsg_type != RTM_NEWROUTE) return header->nlmsg_type == RTM_NEWADDR ? 0 : 1;
    return nlmsg_find_attr(header, sizeof(rtmsg), RTA_GATEWAY) == nullptr ? 2 : 3;
}

struct Gathered {
    u32 ifindex;
    std::vector<Message> messages;
};

int gather(nl_msg* message, void* argument) {
    auto* const into = static_cast<Gathered*>(argument);
    nlmsghdr* const header = nlmsg_hdr(message);
    const auto* const bytes = reinterpret_cast<const u8*>(header);
    if (is_ours(header, into->ifindex)) into->messages.emplace_back(bytes, bytes + header->nlmsg_len);
    return NL_OK;
}

}  // namespace

Result<InterfaceState> InterfaceState::of(u32 ifindex) {
    Result<Socket> socket = open_route_socket();
    if (!socket) return socket.error();
    Gathered found{ifindex, {}};
    nl_socket_modify_cb(socket->get(), NL_CB_VALID, NL_CB_CUSTOM, gather, &found);
    for (const int kind : {RTM_GETADDR, RTM_GETROUTE, RTM_GETNEIGH}) {
        rtgenmsg any{};
        any.rtgen_family = AF_UNSPEC;
        int code = nl_send_simple(socket->get(), kind, NLM_F_DUMP, &any, sizeof any);
        if (code >= 0) code = nl_recvmsgs_default(socket->get());
        if (code < 0)
            return make_error("netlink: what interface {} has cannot be read: {}", ifindex,
                              nl_geterror(code));
    }
    std::stable_sort(found.messages.begin(), found.messages.end(),
                     [](const Message& a, const Message& b) { return turn_of(a) < turn_of(b); });
    InterfaceState state;
    state.messages_ = std::move(found.messages);
    return state;
}

Status InterfaceState::restore(u32 ifindex) const {
    Result<Socket> socket = open_route_socket();
    if (!socket) return socket.error();
    Status first;
    for (Message message : messages_) {
        nlmsghdr* const header = header_of(message);
        set_interface(header, ifindex);
        header->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE;
        header->nlmsg_seq = nl_socket_use_seq(socket->get());
        header->nlmsg_pid = nl_socket_get_local_port(socket->get());
        int code = nl_sendto(socket->get(), message.data(), message.size());
        if (code >= 0) code = nl_wait_for_ack(socket->get());
        if (code < 0 && first)
            first = make_error("netlink: an address, route or neighbour of interface {}: {}", ifindex,
                               nl_geterror(code));
    }
    return first;
}

}  // namespace sluice::netlink
