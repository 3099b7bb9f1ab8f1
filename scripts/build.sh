#!/usr/bin/env bash
# Builds everything into build/, or with address and undefined-behaviour sanitizers into build-sanitize/.
#   scripts/build.sh [--sanitize] [ninja target ...]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

directory=build
options=()
if [[ "${1:-}" == --sanitize ]]; then
    shift
    directory=build-sanitize
    options=(-Dbuildtype=debugoptimized -Doptimization=1 '-Db_sanitize=address,undefined')
fi

# One compiler takes up to 1.5 GB here; more jobs than memory would swap.
jobs() {
    local by_memory
    by_memory=$(awk '/^MemAvailable/ { print int($2 / 1500000) }' /proc/meminfo)
    local most
    most=$(nproc)
    ((by_memory < most)) && most=$by_memory
    ((most < 1)) && most=1
    echo "$most"
}

scripts/setup.sh
[[ -f $directory/build.ninja ]] || meson setup "$directory" "${options[@]}" >/dev/null
ninja -C "$directory" -j "$(jobs)" "$@"
