# SPDX-License-Identifier: Apache-2.0
"""Resident memory of a process by its mappings."""

import pathlib
import re


def resident_kb(pid):
    """{(name, kB mapped): kB resident}; name: of the file, empty for anonymous memory."""
    found, key, name = {}, None, ""
    for line in pathlib.Path(f"/proc/{pid}/smaps").read_text(encoding="ascii", errors="replace").splitlines():
        head = re.match(r"[0-9a-f]+-[0-9a-f]+ \S+ \S+ \S+ \S+\s*(.*)", line)
        if head:
            name = head[1]
        elif line.startswith("Size:"):
            key = (name, int(line.split()[1]))
        elif line.startswith("Rss:"):
            found[key] = found.get(key, 0) + int(line.split()[1])
    return found


def show(resident, most=12):
    """The largest, by name."""
    by_name = {}
    for (name, _), kb in resident.items():
        by_name[name] = by_name.get(name, 0) + kb
    for name, kb in sorted(by_name.items(), key=lambda item: -item[1])[:most]:
        print(f"  {kb:>8} kB resident: {name or 'anonymous'}")
