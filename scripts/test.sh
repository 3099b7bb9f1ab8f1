#!/usr/bin/env bash
# Builds and runs every test; ends with one line "N passed, N failed, N skipped", counted by test case.
#   sudo scripts/test.sh              all suites, then unit and property tests under ASan and UBSan
#   sudo scripts/test.sh --quick      unit and property tests only, without sanitizers
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

case "${1:-}" in
    "" | --quick) ;;
    *) echo "usage: scripts/test.sh [--quick]" >&2; exit 2 ;;
esac
if [[ $EUID -ne 0 ]]; then
    echo "test: needs root: tests make network namespaces and load BPF programs" >&2
    exit 1
fi

mount_if_missing() {
    mountpoint -q "$2" || { mkdir -p "$2" && mount -t "$1" "$1" "$2"; } ||
        echo "test: cannot mount $1 on $2" >&2
}

# run BUILD-DIRECTORY MESON-TEST-OPTION...: results go to meson-logs/results.json; failures are counted from there.
run() {
    local directory=$1
    shift
    rm -f "$directory"/meson-logs/results.*
    meson test -C "$directory" --no-rebuild --print-errorlogs --logbase results "$@" </dev/null || true
}

export ASAN_OPTIONS=abort_on_error=1:detect_stack_use_after_return=1
export UBSAN_OPTIONS=halt_on_error=1:abort_on_error=1:print_stacktrace=1

scripts/build.sh
directories=(build)
if [[ "${1:-}" == --quick ]]; then
    run build --suite unit --suite property
else
    mount_if_missing bpf /sys/fs/bpf
    mount_if_missing tracefs /sys/kernel/tracing
    scripts/build.sh --sanitize
    run build
    run build-sanitize --suite unit --suite property --timeout-multiplier 4
    directories+=(build-sanitize)
fi
python3 scripts/summarize-tests.py "${directories[@]}"
