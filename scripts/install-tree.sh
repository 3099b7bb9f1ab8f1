#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Puts what a package or an image holds below DIRECTORY, with prefix /usr, out of a build that is there.
#   scripts/install-tree.sh BUILD DIRECTORY
set -euo pipefail
[[ $# -eq 2 ]] || { echo "usage: scripts/install-tree.sh BUILD DIRECTORY" >&2; exit 2; }
build=$(realpath "$1")
mkdir -p "$2"
tree=$(realpath "$2")
prefix=$(meson introspect --buildoptions "$build" | jq -r '.[] | select(.name == "prefix").value')
meson install -C "$build" --no-rebuild --quiet --strip --tags runtime,config --destdir "$tree"
[[ $prefix == /usr ]] && exit
mkdir -p "$tree/usr"
cp -a "$tree$prefix/." "$tree/usr/"
rm -rf "${tree:?}/${prefix#/}"
find "$tree" -type d -empty -delete
