#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Makes sluice_VERSION_ARCH.deb out of a build: what `meson install` puts on a machine, with the libraries that its programs
# need as dependencies. The unit is neither enabled nor started by the installation.
#   scripts/build-deb.sh [--build DIRECTORY] [--output DIRECTORY]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

build=build output=.
while [[ $# -gt 0 ]]; do
    case $1 in
        --build | --output)
            [[ $# -ge 2 ]] || { echo "usage: scripts/build-deb.sh [--build DIRECTORY] [--output DIRECTORY]" >&2; exit 2; }
            printf -v "${1#--}" %s "$2"
            shift
            ;;
        *) echo "usage: scripts/build-deb.sh [--build DIRECTORY] [--output DIRECTORY]" >&2; exit 2 ;;
    esac
    shift
done

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
scripts/install-tree.sh "$build" "$work/root"
version=$(meson introspect --projectinfo "$build" | jq -r .version)
architecture=$(dpkg --print-architecture)

# dpkg-shlibdeps reads a source package's control file, too.
mkdir -p "$work/debian" "$work/root/DEBIAN" "$work/root/etc/sluice"
printf 'Source: sluice\n\nPackage: sluice\nArchitecture: any\n' >"$work/debian/control"
libraries=$(cd "$work" && dpkg-shlibdeps -O root/usr/bin/* 2>/dev/null | sed -n 's/^shlibs:Depends=//p')
cp config/sluice.yaml config/bogons.txt "$work/root/etc/sluice/"
chmod 0755 "$work/root"
cat >"$work/root/DEBIAN/control" <<END
Package: sluice
Version: $version
Architecture: $architecture
Maintainer: The Sluice authors <sluice@localhost>
Section: net
Priority: optional
Depends: $libraries
Recommends: bpftool, ethtool, librte-meta-net
Installed-Size: $(du -sk "$work/root" | cut -f1)
Description: L3/L4 dataplane for a node, in XDP, AF_XDP and DPDK
 Load-balances, filters, translates and forwards packets in an XDP program and
 in user space, from one configuration.
END
printf '/etc/sluice/sluice.yaml\n/etc/sluice/bogons.txt\n' >"$work/root/DEBIAN/conffiles"
package=$output/sluice_${version}_$architecture.deb
dpkg-deb --root-owner-group --build "$work/root" "$package" >/dev/null
echo "$package"
