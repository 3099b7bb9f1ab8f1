#!/usr/bin/env bash
# Tests this tree in emulated machines: two NUMA nodes with NICs on each, an IOMMU, older and newer kernels. No root, no
# host network. See docs/vm-tests.md.
#   scripts/test-vm.sh                  everything on the newest kernel in the cache (dpdk, move: before 7), the matrix on all
#   scripts/test-vm.sh smoke|daemon|devices|dpdk|far_pages|move|matrix [KERNEL]   one part
#   scripts/test-vm.sh --fetch          downloads the kernels (100 MB each) and, as root, installs QEMU and busybox
#   scripts/test-vm.sh --kernels        names those in the cache
# Time limit: SLUICE_VM_LIMIT seconds in all (default 5400). Exit status 0: passed; 1: failed; 77: skipped, and why.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

fetch() {
    local wanted
    if ! { command -v qemu-system-x86_64 && command -v busybox && command -v cpio && command -v depmod; } >/dev/null; then
        [[ $EUID -eq 0 ]] || { echo "test-vm: QEMU, busybox, cpio or kmod is missing; run --fetch as root" >&2; exit 1; }
        tests/vm/fetch.sh --install
    fi
    # the oldest that Debian has, its present one, and the newest; AF_XDP without a copy takes 6.16 or newer
    mapfile -t wanted < <(tests/vm/fetch.sh --list |
        awk '$1 == "bookworm-security" || $1 == "bookworm-backports" || $1 == "trixie-backports" {print $2}')
    tests/vm/fetch.sh "${wanted[@]}"
    echo "kernels: $(kernels | paste -sd' ')"
}

kernels() { python3 -c 'import sys; sys.path.insert(0, "tests/vm"); import machine; print(*machine.kernels(), sep="\n")'; }

case "${1:-}" in
    --fetch) fetch; exit ;;
    --kernels) kernels; exit ;;
    -*) sed -n '2,8s/^# //p' "$0" >&2; exit 2 ;;
esac
[[ -f build/build.ninja ]] || meson setup build
ninja -C build control/sluiced/sluiced control/sluicectl/sluicectl control/replay/sluice-replay tests/live/bpf-load >/dev/null
export SLUICED=build/control/sluiced/sluiced SLUICECTL=build/control/sluicectl/sluicectl
export SLUICE_REPLAY=build/control/replay/sluice-replay BPF_LOAD=build/tests/live/bpf-load
BPF_OBJECTS=$(find build/bpf -name '*.bpf.o' | paste -sd' ')
export BPF_OBJECTS SLUICE_VM_STATUS=77
exec timeout "${SLUICE_VM_LIMIT:-5400}" python3 tests/vm/vm_test.py "${@:-full}"
