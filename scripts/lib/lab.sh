# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# Network namespaces, processes and mounts that go when the script that sources this ends, however it ends. Names begin
# with sl-demo- and carry the script's process id, so that runs do not meet.
#
#   lab_begin                   makes $lab_home and its own bpffs, $lab_home/bpf
#   lab_namespace NAME          makes a namespace; its full name is "$(lab_name NAME)"
#   lab_wire NAME DEVICE ...    veth: DEVICE in the namespace "node", eth0 in NAMESPACE (see there)
#   lab_in NAME COMMAND ...     carries COMMAND out in there, with this script's mounts
#   lab_spawn NAME LOG COMMAND ...   starts COMMAND there; $lab_pid is its process id

lab_home=''
lab_pid=''
lab_namespaces=()
lab_processes=()

lab_name() { echo "sl-demo-$1-$$"; }

lab_begin() {
    lab_home=$(mktemp -d /tmp/sl-demo-XXXXXX)
    trap lab_end EXIT
    trap 'exit 129' HUP
    trap 'exit 130' INT
    trap 'exit 143' TERM
    mkdir "$lab_home/bpf"
    mount -t bpf bpf "$lab_home/bpf"
}

lab_end() {
    local pid namespace
    for pid in "${lab_processes[@]}"; do
        kill -KILL "$pid" 2>/dev/null || true
    done
    wait 2>/dev/null || true
    for namespace in "${lab_namespaces[@]}"; do
        ip netns del "$namespace" 2>/dev/null || true
    done
    [[ -n $lab_home ]] || return 0
    umount -l "$lab_home/bpf" 2>/dev/null || true
    rm -rf --one-file-system "$lab_home"
}

lab_in() {
    local namespace
    namespace=$(lab_name "$1")
    shift
    nsenter --net="/run/netns/$namespace" "$@"
}

lab_spawn() {
    local namespace log=$2
    namespace=$(lab_name "$1")
    shift 2
    nsenter --net="/run/netns/$namespace" setpriv --pdeathsig KILL "$@" </dev/null >"$log" 2>&1 &
    lab_pid=$!
    lab_processes+=("$lab_pid")
}

lab_namespace() {
    local namespace
    namespace=$(lab_name "$1")
    ip netns add "$namespace"
    lab_namespaces+=("$namespace")
    # reverse-path filters off: a virtual IP has no route of its own
    lab_in "$1" sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0 \
        net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0
    ip -n "$namespace" link set lo up
}

# lab_wire NAME DEVICE NODE-ADDRESS ADDRESS: both with their prefix length, the default route through the node.
# What sends has its offloads off, since XDP forwards a packet as it finds it; what receives has GRO on, without which a
# veth takes no redirected packet.
lab_wire() {
    local node namespace end
    node=$(lab_name node)
    namespace=$(lab_name "$1")
    ip link add "$2" netns "$node" type veth peer eth0 netns "$namespace"
    ip -n "$node" addr add "$3" dev "$2"
    ip -n "$namespace" addr add "$4" dev eth0
    for end in "node $2" "$1 eth0"; do
        # shellcheck disable=SC2086 # two words
        set -- "$1" "$2" "$3" "$4" $end
        ip -n "$(lab_name "$5")" link set "$6" up
        lab_in "$5" ethtool -K "$6" tx off tso off gso off gro on >/dev/null
    done
    ip -n "$namespace" route add default via "${3%/*}"
}

# lab_wait SECONDS COMMAND ...: until COMMAND succeeds.
lab_wait() {
    local deadline=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        ((SECONDS < deadline)) || return 1
        sleep 0.1
    done
}
