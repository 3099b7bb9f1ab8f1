#!/usr/bin/env bash
# Makes the guest's initial ramdisk: busybox, /init (tests/vm/init) and modules, decompressed here since that takes
# seconds in an emulated machine.
#   make-initrd.sh TREE OUTPUT    TREE: where a Debian kernel package was unpacked
set -euo pipefail
here=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
tree=$1 output=$2
modules=(virtio_pci virtio_net 9p 9pnet_virtio overlay e1000e igb igbvf vmxnet3 veth tun vfio-pci vfio_iommu_type1
    bridge sch_ingress cls_bpf cls_u32 act_mirred xsk_diag nf_conntrack nf_tables)

[[ -e $tree/lib ]] || ln -s usr/lib "$tree/lib"  # newer packages have /usr merged
version=$(basename "$tree"/lib/modules/*)
depmod -b "$tree" "$version" 2>/dev/null

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work"/{bin,proc,sys,dev,mnt,"lib/modules/$version"}
cp "$(command -v busybox)" "$work/bin/busybox"
for name in sh mount umount modprobe cat echo mkdir chroot sleep poweroff sed; do ln -s busybox "$work/bin/$name"; done
ln -s bin "$work/sbin"  # where the kernel looks for modprobe

# A module that a kernel does not have (or has built in) is none of ours: the test that needs it says so.
for module in "${modules[@]}"; do
    modprobe -d "$tree" -S "$version" --show-depends "$module" 2>/dev/null | awk '$1 == "insmod" {print $2}' || true
done | sort -u | while read -r file; do
    target=$work/lib/modules/$version/${file#*"/lib/modules/$version/"}
    mkdir -p "$(dirname "$target")"
    case $file in
        *.xz) xz -dc "$file" >"${target%.xz}" ;;
        *) cp "$file" "$target" ;;
    esac
done
for name in modules.order modules.builtin modules.builtin.modinfo; do  # not in every package; depmod uses what is there
    [[ ! -e $tree/lib/modules/$version/$name ]] || cp "$tree/lib/modules/$version/$name" "$work/lib/modules/$version/"
done
depmod -b "$work" "$version" 2>/dev/null
install -m 755 "$here/init" "$work/init"
(cd "$work" && find . | cpio -o -H newc --quiet) >"$output"
