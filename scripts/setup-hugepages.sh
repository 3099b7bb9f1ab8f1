#!/usr/bin/env bash
# Reserves huge pages, mounts them, and says what it did; run again it changes only what differs.
#   scripts/setup-hugepages.sh --pages N [--node NODE|all] [--size 2M|1G] [--mount DIRECTORY]
#   scripts/setup-hugepages.sh --status
#   scripts/setup-hugepages.sh --undo [--size 2M|1G] [--node NODE|all] [--mount DIRECTORY]
#
#   --pages N        pages that a node is to have in all; +N: that many more than it has
#   --node NODE      on this memory node (default all: N on each)
#   --size SIZE      of a page (default 2M). 1G pages are rarely to be had once memory is in use: see hugepages.md
#   --mount DIR      hugetlbfs there, for programs that want files (default: none; sluiced needs no mount)
#   --undo           gives pages that nobody uses back to the system, and takes the mount away
# Exit status 0: as asked; 1: fewer pages than asked, or a fault; 2: the command line makes no sense.
# SLUICE_SYSFS is where /sys is (for tests).
set -euo pipefail

sysfs=${SLUICE_SYSFS:-/sys}
pages='' node=all size=2M mount='' action=set

usage() { sed -n '2,15s/^# \{0,1\}//p' "$0" >&2; exit 2; }
die() { echo "setup-hugepages: $*" >&2; exit 1; }

while [[ $# -gt 0 ]]; do
    case $1 in
        --pages | --node | --size | --mount)
            [[ $# -ge 2 ]] || usage
            printf -v "${1#--}" %s "$2"
            shift
            ;;
        --undo) action=undo ;;
        --status) action=status ;;
        *) usage ;;
    esac
    shift
done
case $size in
    2M) kilobytes=2048 ;;
    1G) kilobytes=1048576 ;;
    *) echo "setup-hugepages: --size $size: expected 2M or 1G" >&2; exit 2 ;;
esac
if [[ $action == set ]] && ! [[ $pages =~ ^\+?[0-9]{1,9}$ ]]; then
    echo "setup-hugepages: --pages ${pages:-(nothing)}: expected a number of at most nine digits, or + and a number" >&2
    exit 2
fi
[[ -z $mount ]] || mount=$(realpath -m "$mount")  # as /proc/self/mounts has it
[[ $node == all || $node =~ ^[0-9]+$ ]] || { echo "setup-hugepages: --node $node: expected a number or all" >&2; exit 2; }

# Directories that hold a nr_hugepages of this size, one for each node asked for.
pools() {
    local directory found=''
    for directory in "$sysfs"/devices/system/node/node[0-9]*/hugepages/hugepages-"$kilobytes"kB; do
        [[ -d $directory ]] || continue
        [[ $node == all || $directory == */node"$node"/* ]] || continue
        echo "$directory"
        found=yes
    done
    [[ -z $found && ($node == all || $node == 0) ]] || return 0
    directory=$sysfs/kernel/mm/hugepages/hugepages-${kilobytes}kB  # a kernel without NUMA
    [[ ! -d $directory ]] || echo "$directory"
}

node_of() {
    local rest=${1#*/node/node}
    if [[ $rest == "$1" ]]; then echo 0; else echo "${rest%%/*}"; fi
}

status() {
    local directory
    for directory in "$sysfs"/devices/system/node/node[0-9]*/hugepages/hugepages-*kB; do
        [[ -d $directory ]] || continue
        echo "node $(node_of "$directory"): $(<"$directory/nr_hugepages") pages of" \
            "${directory##*hugepages-}, $(<"$directory/free_hugepages") free"
    done
    awk '$3 == "hugetlbfs" {print "mounted: " $2 " (" $4 ")"}' /proc/self/mounts
}

# reserve DIRECTORY: brings one node to the number asked for; 1 when the kernel could not find all.
reserve() {
    local directory=$1 before wanted now
    before=$(<"$directory/nr_hugepages")
    wanted=$((10#${pages#+}))
    [[ $pages != +* ]] || wanted=$((before + wanted))
    if [[ $before -eq $wanted ]]; then
        echo "node $(node_of "$directory"): has $wanted pages of $size: nothing to do"
        return 0
    fi
    echo "$wanted" >"$directory/nr_hugepages" || die "$directory/nr_hugepages: cannot be written (root?)"
    now=$(<"$directory/nr_hugepages")
    echo "node $(node_of "$directory"): $before pages of $size before, $now now"
    [[ $now -ge $wanted ]] && return 0
    echo "setup-hugepages: node $(node_of "$directory"): $now of $wanted pages: its memory is in use or fragmented;" \
        "reserve them at boot (hugepages.md)" >&2
    return 1
}

# Pages in use stay: what is free goes.
release() {
    local directory=$1 before used
    before=$(<"$directory/nr_hugepages")
    used=$((before - $(<"$directory/free_hugepages")))
    [[ $before -ne $used ]] || { echo "node $(node_of "$directory"): no free pages of $size: nothing to do"; return 0; }
    echo "$used" >"$directory/nr_hugepages" || die "$directory/nr_hugepages: cannot be written (root?)"
    echo "node $(node_of "$directory"): $before pages of $size before, $used now (in use)"
}

mounted() { awk -v path="$1" '$3 == "hugetlbfs" && $2 == path {found = 1} END {exit !found}' /proc/self/mounts; }

mount_pages() {
    if mounted "$mount"; then
        echo "$mount: mounted already"
        return 0
    fi
    mkdir -p "$mount"
    mount -t hugetlbfs -o "pagesize=$size" hugetlbfs "$mount" || die "$mount: hugetlbfs cannot be mounted"
    echo "$mount: hugetlbfs with pages of $size"
}

[[ $action != status ]] || { status; exit 0; }
mapfile -t directories < <(pools)
[[ ${#directories[@]} -ne 0 ]] || die "node $node: the kernel has no pages of $size there"
result=0
for directory in "${directories[@]}"; do
    if [[ $action == undo ]]; then release "$directory"; else reserve "$directory" || result=1; fi
done
if [[ -n $mount && $action == undo ]]; then
    if mounted "$mount"; then
        umount "$mount" || die "$mount: in use"
        echo "$mount: unmounted"
    fi
elif [[ -n $mount ]]; then
    mount_pages
fi
exit "$result"
