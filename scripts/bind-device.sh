#!/usr/bin/env bash
# Gives a PCI network device to vfio-pci, for DPDK, or back to the kernel's driver.
#   scripts/bind-device.sh status [DEVICE]
#   scripts/bind-device.sh bind [--force] [--no-iommu] [--driver NAME] DEVICE...
#   scripts/bind-device.sh unbind DEVICE...
#
#   DEVICE       a PCI address ("0000:3b:00.0", "3b:00.0") or an interface ("eth1")
#   --force      although an interface of the device is up. The device that carries the default route
#                is refused in any case
#   --no-iommu   without an IOMMU: the device can then write to all of memory (hugepages.md says what that means)
#   --driver     other than vfio-pci
# Without a binding of its own left, `unbind` lets the kernel find the device's driver again.
# Exit status 0: as asked, or so already; 1: refused or failed; 2: the command line makes no sense.
# SLUICE_SYSFS and SLUICE_PROC are where /sys and /proc are (for tests; nothing is loaded then).
set -euo pipefail

sysfs=${SLUICE_SYSFS:-/sys} proc=${SLUICE_PROC:-/proc}
driver=vfio-pci force='' no_iommu=''

usage() { sed -n '2,16s/^# \{0,1\}//p' "$0" >&2; exit 2; }
die() { echo "bind-device: $*" >&2; exit 1; }

# The full PCI address of what the operator named.
address_of() {
    local name=$1 path
    if [[ -e $sysfs/class/net/$name ]]; then
        path=$(readlink -f "$sysfs/class/net/$name/device") || die "$name: not a PCI device"
        # a virtio device's PCI device is one up
        while [[ $path != / && ! ${path##*/} =~ ^[0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]$ ]]; do path=$(dirname "$path"); done
        [[ $path != / ]] || die "$name: not a PCI device"
        basename "$path"
        return
    fi
    [[ $name =~ ^[0-9a-f]{2}: ]] && name=0000:$name
    [[ -e $sysfs/bus/pci/devices/$name ]] || die "$1: expected a PCI address or an interface; there is none of that name"
    echo "$name"
}

interfaces_of() {
    local place
    for place in "$sysfs/bus/pci/devices/$1"/net/* "$sysfs/bus/pci/devices/$1"/virtio*/net/*; do
        [[ ! -e $place ]] || basename "$place"
    done
}

driver_of() {
    local link=$sysfs/bus/pci/devices/$1/driver
    if [[ -e $link ]]; then basename "$(readlink -f "$link")"; else echo none; fi
}

group_of() {
    local link=$sysfs/bus/pci/devices/$1/iommu_group
    if [[ -e $link ]]; then basename "$(readlink -f "$link")"; else echo none; fi
}

# Interfaces over which default routes lead, IPv4 and IPv6: every hop, and every table where iproute2 can be asked.
default_route_interfaces() {
    { if [[ $proc == /proc ]] && command -v ip >/dev/null; then
          for family in -4 -6; do ip -o "$family" route show table all default; done | awk '{for (i = 1; i < NF; i++) if ($i == "dev") print $(i + 1)}'
      fi
      [[ ! -r $proc/net/route ]] || awk 'NR > 1 && $2 == "00000000" && $8 == "00000000" {print $1}' "$proc/net/route"
      [[ ! -r $proc/net/ipv6_route ]] ||
          awk '$1 ~ /^0+$/ && $2 == "00" && $NF != "lo" {print $NF}' "$proc/net/ipv6_route"; } | sort -u
}

# The interface itself and what stands on it: bonds, bridges, VLANs.
with_uppers() {
    local name=$1 upper
    echo "$name"
    for upper in "$sysfs/class/net/$name"/upper_*; do
        [[ ! -e $upper && ! -L $upper ]] || with_uppers "${upper##*/upper_}"
    done
}

show() {
    local address=$1 names node
    names=$(interfaces_of "$address" | paste -sd, -)
    node=$(cat "$sysfs/bus/pci/devices/$address/numa_node" 2>/dev/null || echo -1)
    echo "$address driver $(driver_of "$address"), interface ${names:-none}, node $node, IOMMU group $(group_of "$address")"
}

check_use() {
    local address=$1 name each state
    for name in $(interfaces_of "$address"); do
        for each in $(with_uppers "$name"); do
            if default_route_interfaces | grep -qx "$each"; then
                die "$address: its interface $name carries the default route$([[ $each == "$name" ]] || echo " (by $each)"): refused"
            fi
        done
        state=$(cat "$sysfs/class/net/$name/operstate" 2>/dev/null || echo unknown)
        if [[ $state == up && -z $force ]]; then
            die "$address: its interface $name is up: take it down first, or say --force"
        fi
    done
}

# Every device of a group has to be free of the kernel's drivers, or vfio refuses the group.
check_iommu() {
    local address=$1 group member other
    group=$(group_of "$address")
    if [[ $group == none ]]; then
        [[ -n $no_iommu ]] && return
        die "$address: in no IOMMU group: switch the IOMMU on (intel_iommu=on, or in the firmware), or say --no-iommu"
    fi
    for member in "$sysfs/kernel/iommu_groups/$group/devices"/*; do
        [[ -e $member || -L $member ]] || continue
        other=${member##*/}
        [[ $other != "$address" ]] || continue
        case $(driver_of "$other") in
            none | vfio-pci | pcieport) ;;
            *) die "$address: shares IOMMU group $group with $other, which $(driver_of "$other") drives: both must go" ;;
        esac
    done
}

load_driver() {
    [[ $sysfs == /sys ]] || return 0
    [[ -e $sysfs/bus/pci/drivers/$driver ]] || modprobe "$driver" || die "$driver: the kernel has no such module"
    [[ -z $no_iommu ]] || echo Y >/sys/module/vfio/parameters/enable_unsafe_noiommu_mode ||
        die "vfio: built without CONFIG_VFIO_NOIOMMU"
}

write() { echo "$2" >"$1" || die "$1: \"$2\": the kernel refused it"; }

bind() {
    local address=$1 now place=$sysfs/bus/pci/devices/$1
    now=$(driver_of "$address")
    if [[ $now == "$driver" ]]; then
        echo "$address: has $driver already: nothing to do"
        return
    fi
    check_use "$address"
    [[ $driver != vfio-pci ]] || check_iommu "$address"
    load_driver
    write "$place/driver_override" "$driver"
    [[ $now == none ]] || write "$place/driver/unbind" "$address"
    write "$sysfs/bus/pci/drivers_probe" "$address"
    echo "$address: $now before, $driver now"
    [[ $sysfs != /sys || $(driver_of "$address") == "$driver" ]] || die "$address: $driver did not take it"
}

unbind() {
    local address=$1 now place=$sysfs/bus/pci/devices/$1 override
    now=$(driver_of "$address")
    override=$(cat "$place/driver_override" 2>/dev/null || true)
    if [[ -z $override || $override == "(null)" ]]; then
        echo "$address: has no binding of ours (driver $now): nothing to do"
        return
    fi
    write "$place/driver_override" ""
    [[ $now == none ]] || write "$place/driver/unbind" "$address"
    write "$sysfs/bus/pci/drivers_probe" "$address"
    echo "$address: $now before, $(driver_of "$address") now"
}

command=${1:-}
[[ $# -eq 0 ]] || shift
devices=()
while [[ $# -gt 0 ]]; do
    case $1 in
        --force) force=yes ;;
        --no-iommu) no_iommu=yes ;;
        --driver) [[ $# -ge 2 ]] || usage; driver=$2; shift ;;
        -*) usage ;;
        *) devices+=("$1") ;;
    esac
    shift
done

case $command in
    status)
        if [[ ${#devices[@]} -eq 0 ]]; then
            for class in "$sysfs"/bus/pci/devices/*/class; do
                [[ ! -e $class || $(<"$class") != 0x0200* ]] || devices+=("$(basename "$(dirname "$class")")")
            done
        fi
        [[ ${#devices[@]} -ne 0 ]] || { echo "no PCI network device"; exit 0; }
        for device in "${devices[@]}"; do show "$(address_of "$device")"; done
        ;;
    bind | unbind)
        [[ ${#devices[@]} -ne 0 ]] || usage
        for device in "${devices[@]}"; do
            address=$(address_of "$device") || exit 1
            "$command" "$address"
        done
        ;;
    *) usage ;;
esac
