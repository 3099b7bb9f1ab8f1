#!/usr/bin/env python3
"""Checks that includes point down the layers, and that few headers know which target they are compiled for.

    lint-includes.py [ROOT]

Quoted includes are paths from the repository's root. Exits 1 after naming every include that points up or nowhere.
"""

import pathlib
import re
import sys

SHARED = ["dataplane/packet", "dataplane/tables", "dataplane/pipeline"]
BELOW_WORKER = ["dataplane/base", *SHARED, "dataplane/io", "bpf"]

# Directory: what its files may include, besides itself. packet, tables and pipeline are compiled for BPF too, so they
# stand on nothing but one another.
MAY_INCLUDE = {
    "dataplane/base": [],
    "dataplane/packet": [],
    "dataplane/tables": SHARED[:1],
    "dataplane/pipeline": SHARED[:2],
    "bpf": SHARED,
    "dataplane/io": ["dataplane/base", *SHARED, "bpf"],
    "dataplane/placement": ["dataplane/base", "dataplane/packet"],
    "dataplane/worker": BELOW_WORKER,
    "dataplane/proxy": [*BELOW_WORKER, "dataplane/placement"],
    "dataplane/evaluate": [*BELOW_WORKER, "dataplane/worker"],
    "control": [*BELOW_WORKER, "dataplane/placement", "dataplane/worker", "dataplane/evaluate", "dataplane/proxy"],
}
# The table seam: for BPF, where a table lies is a matter of the program's maps. See the header's opening comment.
SEAM = {("dataplane/tables/lookup.h", "bpf/maps.h"), ("dataplane/tables/lookup.h", "bpf/apart.h")}
ANYTHING = ["tests", "perf"]  # may include every layer; no layer includes them

INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"')
TARGET_TEST = re.compile(r"^\s*#\s*(if|ifdef|ifndef|elif)\b.*(__bpf__|__BPF__|__cplusplus|__TARGET_ARCH)")
TARGET_HEADERS_ALLOWED = 2


def layer_of(path):
    """The longest directory of MAY_INCLUDE or ANYTHING that holds `path`, or None."""
    owners = [layer for layer in (*MAY_INCLUDE, *ANYTHING) if path.startswith(layer + "/")]
    return max(owners, key=len, default=None)


def include_error(root, source, included):
    """Why `source` may not include `included` (both relative to the root), or None if it may."""
    own, other = layer_of(source), layer_of(included)
    if other is None:
        return "is not a path from the repository's root"
    generated = included.endswith(".skel.h")
    if not generated and not (root / included).is_file():
        return "does not exist"
    if (source, included) in SEAM or own in ANYTHING or own == other or other in MAY_INCLUDE.get(own, []):
        return None
    return f"points from {own} to {other}, which is not below it"


def lint(root):
    """All complaints about the sources under `root`, as lines of text."""
    complaints, target_headers = [], set()
    sources = (file for end in ("h", "c", "cc") for file in root.rglob(f"*.{end}"))
    for file in sorted(sources):
        source = file.relative_to(root).as_posix()
        own = layer_of(source)
        if own is None or file.name == "vmlinux.h":
            continue
        for number, line in enumerate(file.read_text().splitlines(), 1):
            if found := INCLUDE.match(line):
                if error := include_error(root, source, found[1]):
                    complaints.append(f'{source}:{number}: "{found[1]}" {error}')
            if own in SHARED and TARGET_TEST.match(line):
                target_headers.add(source)
    if len(target_headers) > TARGET_HEADERS_ALLOWED:
        names = ", ".join(sorted(target_headers))
        allowed = TARGET_HEADERS_ALLOWED
        complaints.append(f"{len(target_headers)} shared headers test for the target, expected {allowed} at most: {names}")
    return complaints


if __name__ == "__main__":
    top = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).resolve().parent.parent
    found_complaints = lint(top)
    print("\n".join(found_complaints), end="\n" if found_complaints else "")
    sys.exit(1 if found_complaints else 0)
