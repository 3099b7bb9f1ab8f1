// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// On the ingress of a TAP device: every frame goes on as if the device it stands in for had received it.
#include "dataplane/packet/target.h"

char LICENSE[] SEC("license") = "GPL v2";

const volatile u32 device = 0;  // ifindex, set before the program is loaded

SEC("tc")
int sluice_host_path(struct __sk_buff* skb) { return (int)bpf_redirect(device, BPF_F_INGRESS); }
