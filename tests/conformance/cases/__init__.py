# SPDX-License-Identifier: Apache-2.0
"""The case list. Each module registers its cases; the order here is the order in which they run."""

from cases import (  # noqa: F401
    addresses,
    backends,
    dsr,
    echo,
    flows,
    fragments,
    fullnat,
    icmp_errors,
    ipv6_extensions,
    malformed,
    managed,
    nat,
    policy,
    policy_state,
    sctp,
    tunnels,
    unusual,
    vlan,
)
