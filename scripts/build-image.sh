#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Builds the container image without a container engine: buildah with chroot isolation, over a Debian base that debootstrap
# makes. Root.
#   scripts/build-image.sh [--programs BUILD] [--mirror URL] [--tag NAME] [--mount DIRECTORY]
#     --programs BUILD   take the programs of this build rather than compiling in the image (minutes less)
#     --mirror URL       Debian's archive (default: this machine's own, from apt's sources)
#     --mount DIRECTORY  leave the image's file system there as well
# The last lines are the image's size and what it holds of sluice. Needs: buildah debootstrap
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

programs='' mirror='' tag=sluice:0.1.0 mount=''
while [[ $# -gt 0 ]]; do
    case $1 in
        --programs | --mirror | --tag | --mount)
            [[ $# -ge 2 ]] || { sed -n '6,11s/^# \{0,1\}//p' "$0" >&2; exit 2; }
            printf -v "${1#--}" %s "$2"
            shift
            ;;
        *) sed -n '6,11s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
    esac
    shift
done
# shellcheck disable=SC2016 # apt expands it
[[ -n $mirror ]] || mirror=$(apt-get indextargets --format '$(SITE)' 'Codename: bookworm' 2>/dev/null | head -n1)
mirror=${mirror:-http://deb.debian.org/debian}

export BUILDAH_ISOLATION=chroot STORAGE_DRIVER=vfs
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

base=sluice-base:bookworm
if ! buildah inspect --type image "$base" >/dev/null 2>&1; then
    debootstrap --variant=minbase bookworm "$work/base" "$mirror" >"$work/debootstrap.log" 2>&1 ||
        { tail -n 20 "$work/debootstrap.log" >&2; echo "build-image: debootstrap failed" >&2; exit 1; }
    # Where this machine has its packages from; nothing else of its apt's
    if [[ -e /etc/apt/sources.list.d/debian.sources ]]; then
        cp /etc/apt/sources.list.d/debian.sources "$work/base/etc/apt/sources.list.d/"
        rm -f "$work/base/etc/apt/sources.list"
    fi
    container=$(buildah from scratch)
    buildah add -q "$container" "$work/base" / >/dev/null
    buildah commit -q --rm "$container" "$base" >/dev/null
fi

options=(--build-arg "BASE=localhost/$base")
if [[ -n $programs ]]; then
    scripts/install-tree.sh "$programs" "$work/programs/out"
    options+=(--build-context "build=$work/programs")
fi
buildah bud -q --format docker "${options[@]}" -t "$tag" .

container=$(buildah from --pull-never "localhost/$tag")
root=$(buildah mount "$container")
if [[ -n $mount ]]; then
    mkdir -p "$mount"
    cp -a "$root/." "$mount/"
fi
echo "$tag: $(du -sm "$root" | cut -f1) MB"
(cd "$root" && find usr/bin -name 'sluice*' -o -path '*/sluice/*' -type f | sort)
buildah rm "$container" >/dev/null
