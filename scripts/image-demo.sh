#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The demonstration with the programs of an image, each in the image's own root file system (scripts/build-image.sh --mount).
# What it mounts there is seen by nobody else, and gone afterwards. Root.
#   scripts/image-demo.sh DIRECTORY
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
[[ $# -eq 1 && -x $1/usr/bin/sluiced ]] || { echo "usage: scripts/image-demo.sh DIRECTORY, with an image's file system" >&2; exit 2; }
root=$(realpath "$1")

if [[ -z ${SLUICE_IMAGE_DEMO:-} ]]; then
    exec env SLUICE_IMAGE_DEMO=1 unshare --mount "$0" "$root"
fi
programs=$(mktemp -d)
trap 'rm -rf "$programs"' EXIT
# So that what the demonstration mounts below /tmp appears on both sides
mount --make-rshared /
for each in proc sys dev run tmp; do mount --rbind "/$each" "$root/$each"; done
for each in sluiced/sluiced sluicectl/sluicectl replay/sluice-replay; do
    mkdir -p "$programs/control/${each%/*}"
    printf '#!/bin/sh\nexec chroot %q /usr/bin/%s "$@"\n' "$root" "${each#*/}" >"$programs/control/$each"
    chmod +x "$programs/control/$each"
done
SLUICE_BUILD=$programs scripts/demo.sh
