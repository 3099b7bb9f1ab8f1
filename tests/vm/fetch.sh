#!/usr/bin/env bash
# Brings what the emulated machine needs into its cache: kernels out of Debian's packages, downloaded and unpacked but
# never installed, each with an initial ramdisk made of busybox and the modules the guest loads.
#   tests/vm/fetch.sh --install     QEMU (from backports: 8.0 and later have igb) and busybox, by apt; root
#   tests/vm/fetch.sh --list        the newest kernel of each suite, "SUITE VERSION" a line
#   tests/vm/fetch.sh VERSION...    as --list names them, "6.12.95+deb12"
# SLUICE_VM_CACHE is the cache (default ~/.cache/sluice-vm). Kernels there: NAME/vmlinuz and NAME/initrd.
set -euo pipefail
here=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
# shellcheck source=scripts/lib/private-apt.sh
. "$here/../../scripts/lib/private-apt.sh"
cache=${SLUICE_VM_CACHE:-${HOME:-/root}/.cache/sluice-vm}
suites=(bullseye-security bookworm bookworm-security bookworm-backports trixie trixie-backports)

install_programs() {
    private_apt "$cache/apt-install" bookworm bookworm-updates bookworm-security bookworm-backports
    export DEBIAN_FRONTEND=noninteractive
    apt-get -qq install -y --no-install-recommends -t bookworm-backports qemu-system-x86
    apt-get -qq install -y --no-install-recommends busybox-static cpio kmod xz-utils
}

# What the suite's meta package stands for at present.
newest_of() {
    apt-cache madison linux-image-amd64 | awk -F'|' -v suite=" $1/" '$3 ~ suite {gsub(/ /, "", $2); print $2; exit}' |
        while read -r meta; do
            apt-cache show "linux-image-amd64=$meta" |
                sed -n 's/^Depends:.*linux-image-\([^ ]*\)-amd64 (=.*/\1/p' | head -n 1
        done
}

# From 6.19 on the package is split in two.
packages_of() {
    if apt-cache show "linux-modules-$1-amd64" >/dev/null 2>&1; then
        echo "linux-binary-$1-amd64" "linux-modules-$1-amd64"
    else
        echo "linux-image-$1-amd64"
    fi
}

fetch() {
    local version=$1 work kernel package
    [[ ! -s $cache/$version/initrd ]] || return 0
    work=$(mktemp -d "$cache/fetch.XXXXXX")
    for package in $(packages_of "$version"); do
        (cd "$work" && apt-get -qq download "$package")
        dpkg-deb -x "$work/$package"_*.deb "$work/tree"
        rm "$work/$package"_*.deb
    done
    kernel=$(find "$work/tree" -name 'vmlinuz*' -type f | head -n 1)
    mkdir -p "$work/done"
    cp "$kernel" "$work/done/vmlinuz"
    "$here/make-initrd.sh" "$work/tree" "$work/done/initrd"
    rm -rf "${cache:?}/$version"
    mv "$work/done" "$cache/$version"
    rm -rf "$work"
}

mkdir -p "$cache"
case "${1:-}" in
    --install) install_programs ;;
    --list)
        private_apt "$cache/apt" "${suites[@]}"
        for suite in "${suites[@]}"; do
            version=$(newest_of "$suite")
            [[ -z $version ]] || echo "$suite $version"
        done
        ;;
    "" | -*) sed -n '2,8s/^# //p' "$0" >&2; exit 2 ;;
    *)
        missing=()
        for version in "$@"; do [[ -s $cache/$version/initrd ]] || missing+=("$version"); done
        [[ ${#missing[@]} -ne 0 ]] || exit 0
        private_apt "$cache/apt" "${suites[@]}"
        for version in "${missing[@]}"; do fetch "$version"; done
        ;;
esac
