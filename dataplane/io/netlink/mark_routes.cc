// SPDX-License-Identifier: Apache-2.0
#include "dataplane/io/netlink/mark_routes.h"

#include <linux/fib_rules.h>
#include <netlink/errno.h>
#include <netlink/route/rule.h>
#include <sys/socket.h>

#include "dataplane/io/netlink/route_object.h"

namespace sluice::netlink {

namespace {

struct RulePut {
    void operator()(rtnl_rule* rule) const { rtnl_rule_put(rule); }
};
using RuleObject = std::unique_ptr<rtnl_rule, RulePut>;

Result<RuleObject> rule_of(int family, u32 mark) {
    RuleObject rule(rtnl_rule_alloc());
    if (!rule) return make_error("rule for marked packets: out of memory");
    rtnl_rule_set_family(rule.get(), family);
    rtnl_rule_set_action(rule.get(), FR_ACT_TO_TBL);
    rtnl_rule_set_table(rule.get(), mark_table);
    rtnl_rule_set_prio(rule.get(), mark_rule_priority);
    rtnl_rule_set_mark(rule.get(), mark);
    rtnl_rule_set_mask(rule.get(), mark);
    rtnl_rule_set_protocol(rule.get(), route_protocol);
    return rule;
}

LocalPrefix everything(int family) {
    if (family == AF_INET) return {address_from_ipv4_word(0), 96};
    return {{}, 0};
}

Status refused(const char* what, int error) {
    return make_error("{} for marked packets: {}", what, nl_geterror(error));
}

}  // namespace

Result<MarkRoutes> MarkRoutes::open(u32 mark) {
    Result<Socket> socket = open_route_socket();
    if (!socket) return socket.error();
    return MarkRoutes(std::move(*socket), mark);
}

Status MarkRoutes::set_family(int family, bool wanted) {
    Result<RuleObject> rule = rule_of(family, mark_);
    if (!rule) return rule.error();
    Result<RouteObject> route = local_route(everything(family), mark_table);
    if (!route) return route.error();
    if (!wanted) {  // gone already: as it should be
        rtnl_rule_delete(socket_.get(), rule->get(), 0);
        rtnl_route_delete(socket_.get(), route->get(), 0);
        return {};
    }
    int error = rtnl_route_add(socket_.get(), route->get(), NLM_F_EXCL);
    if (error < 0 && error != -NLE_EXIST) return refused("route", error);
    error = rtnl_rule_add(socket_.get(), rule->get(), NLM_F_EXCL);
    if (error < 0 && error != -NLE_EXIST) return refused("rule", error);
    return {};
}

Status MarkRoutes::set(bool wanted) {
    for (const int family : {AF_INET, AF_INET6}) {
        if (Status status = set_family(family, wanted); !status) return status;
    }
    return {};
}

}  // namespace sluice::netlink
