#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Makes a machine and its interfaces ready for XDP, and says what it changed; run again it changes only what differs.
#   sudo scripts/enable-xdp.sh [--forwarding] [--busy-poll] [INTERFACE ...]
#     --forwarding  net.ipv4.ip_forward and net.ipv6.conf.all.forwarding, without which XDP asks the kernel for no route
#     --busy-poll   napi_defer_hard_irqs and gro_flush_timeout, for AF_XDP workers that poll (performance.md)
# For all: a BPF file system on /sys/fs/bpf, and the kernel's compiler for BPF. For each interface: LRO off, which XDP does
# not work with; on veth GRO on, without which it takes no redirected frame. It attaches nothing: sluiced does.
# Exit status 0: ready; 1: something could not be changed; 2: the command line makes no sense.
# What veth needs on its *sending* end is in docs/demo.md.
set -uo pipefail

usage() { sed -n '4,11s/^# \{0,1\}//p' "$0" >&2; exit 2; }

forwarding='' busy_poll='' interfaces=()
for argument in "$@"; do
    case $argument in
        --forwarding) forwarding=yes ;;
        --busy-poll) busy_poll=yes ;;
        -*) usage ;;
        *) interfaces+=("$argument") ;;
    esac
done
[[ $EUID -eq 0 ]] || { echo "enable-xdp: needs root" >&2; exit 1; }

failures=0
fault() { echo "enable-xdp: $*" >&2; failures=$((failures + 1)); }

# put FILE VALUE: what a file of the kernel's is to hold
put() {
    local file=$1 value=$2 before
    before=$(cat "$file" 2>/dev/null) || { fault "$file: not there"; return; }
    [[ $before != "$value" ]] || return 0
    if echo "$value" 2>/dev/null >"$file"; then
        echo "$file: $before -> $value"
    else
        fault "$file: cannot be set to $value"
    fi
}

# feature INTERFACE LETTERS LONG on|off: an offload, left alone where the device has no such switch
feature() {
    local interface=$1 short=$2 long=$3 wanted=$4 line
    line=$(ethtool -k "$interface" 2>/dev/null | grep "^$long: ") || return 0
    [[ $line == "$long: $wanted"* ]] && return 0
    if ethtool -K "$interface" "$short" "$wanted" 2>/dev/null; then
        echo "$interface: $long $wanted (back: ethtool -K $interface $short $([[ $wanted == on ]] && echo off || echo on))"
    else
        fault "$interface: $long is ${line#*: } and cannot be turned $wanted"
    fi
}

prepare() {
    local interface=$1 driver
    ip link show dev "$interface" >/dev/null 2>&1 || { fault "$interface: no such interface"; return; }
    driver=$(ethtool -i "$interface" 2>/dev/null | sed -n 's/^driver: //p')
    feature "$interface" lro large-receive-offload off
    [[ $driver != veth ]] || feature "$interface" gro generic-receive-offload on
    [[ -z $busy_poll ]] || put "/sys/class/net/$interface/napi_defer_hard_irqs" 2
    [[ -z $busy_poll ]] || put "/sys/class/net/$interface/gro_flush_timeout" 200000
}

if [[ $(stat -f -c %T /sys/fs/bpf 2>/dev/null) != bpf_fs ]]; then
    if mount -t bpf -o mode=0700 bpf /sys/fs/bpf; then
        echo "/sys/fs/bpf: a BPF file system was mounted"
    else
        fault "/sys/fs/bpf: no BPF file system, and none can be mounted"
    fi
fi
[[ ! -e /proc/sys/net/core/bpf_jit_enable ]] || put /proc/sys/net/core/bpf_jit_enable 1
if [[ -n $forwarding ]]; then
    put /proc/sys/net/ipv4/ip_forward 1
    put /proc/sys/net/ipv6/conf/all/forwarding 1
fi
for interface in "${interfaces[@]}"; do prepare "$interface"; done
[[ $failures -eq 0 ]]
