#!/usr/bin/env bash
# What a change must pass before it is committed: format, include directions, sizes, shellcheck, and as root that the
# BPF programs pass the kernel's verifier.
#   scripts/check.sh [--fix] [--tidy] [--tests]
#     --fix    let clang-format rewrite the files instead of complaining
#     --tidy   clang-tidy over everything compiled but the tests (minutes)
#     --tests  scripts/test.sh afterwards
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1

fix='' tidy='' tests=''
for argument in "$@"; do
    case "$argument" in
        --fix) fix=yes ;;
        --tidy) tidy=yes ;;
        --tests) tests=yes ;;
        *) echo "usage: scripts/check.sh [--fix] [--tidy] [--tests]" >&2; exit 2 ;;
    esac
done

# Tracked and new files with one of the endings, without generated ones.
sources() {
    git ls-files -co --exclude-standard -- "$@" | grep -v vmlinux.h | while read -r file; do
        [[ ! -f $file ]] || echo "$file"
    done
}

format() {
    local mode=(--dry-run -Werror)
    [[ -z $fix ]] || mode=(-i)
    sources '*.h' '*.c' '*.cc' | xargs -r clang-format "${mode[@]}"
}

sizes() {
    sources '*.h' '*.c' '*.cc' '*.py' | xargs -r python3 scripts/size-report.py
}

shell_scripts() {
    { sources '*.sh' .ci/run; } | xargs -r shellcheck -x
}

# Each finding once, though a header's come with every file that includes it.
clang_tidy() {
    local findings
    findings=$(jq -r '.[].file' build/compile_commands.json | grep '\.cc$' | grep -v /tests/ | sort -u |
        (cd build && xargs -r -P "$(nproc)" -n 1 clang-tidy -p . --quiet 2>/dev/null) |
        grep -E '(error|warning): ' | sort -u)
    [[ -z $findings ]] || { echo "$findings"; return 1; }
}

# The test that loads every program; it is part of scripts/test.sh, too. Meson is content with a test that is not there.
bpf_load() {
    local names
    names=$(meson test -C build --list 2>/dev/null)
    grep -qw bpf-load <<<"$names" || { echo "no test is named bpf-load"; return 1; }
    meson test -C build --no-rebuild --print-errorlogs --logbase bpf-load bpf-load </dev/null
}

failed=()
check() {
    echo "== $1"
    shift
    "$@" || failed+=("$*")
}

scripts/setup.sh || exit 1
check "format" format
check "include directions" scripts/lint-includes.py
check "sizes" sizes
check "shell scripts" shell_scripts
if [[ -n $tidy || $EUID -eq 0 ]]; then
    check "build" scripts/build.sh
fi
[[ -z $tidy ]] || check "clang-tidy" clang_tidy
if [[ $EUID -eq 0 ]]; then
    check "BPF programs load" bpf_load
else
    echo "== BPF programs load: not checked, needs root"
fi
[[ -z $tests ]] || check "tests" scripts/test.sh

if [[ ${#failed[@]} -ne 0 ]]; then
    echo "check: failed: ${failed[*]}" >&2
    exit 1
fi
