# SPDX-License-Identifier: Apache-2.0
"""A flame graph, as SVG, of what `perf script` prints: width is the share of samples, a caller lies under what it called."""

import html
import re
import sys

WIDTH, ROW, FONT, LEAST = 1200, 17, 11, 0.4  # pixels; what is narrower than LEAST is left out
COLOURS = ("#e4572e", "#f08a24", "#f3a712", "#e9724c", "#d65108")
KERNEL = ("#5b8ba0", "#6ea4bf", "#41748d")


def stacks(lines):
    """Lists of (function, in the kernel), outermost first, one per sample of `perf script -F comm,ip,sym,dso`."""
    frames, comm = [], None
    for line in lines:
        if not line.strip():
            if comm is not None:
                yield [(comm, False), *reversed(frames)]
            frames, comm = [], None
        elif not line[0].isspace():
            comm = line.strip().split("/")[0]
        else:
            found = re.match(r"\s+[0-9a-f]+ (.*?) \((.*?)\)$", line)
            if found:
                name = re.sub(r"\+0x[0-9a-f]+$", "", found[1])
                frames.append((name if name != "[unknown]" else f"[{found[2].rsplit('/', 1)[-1]}]", "kernel" in found[2] or found[2].startswith("[") or
                               name.startswith("bpf_prog")))
    if comm is not None:
        yield [(comm, False), *reversed(frames)]


class Node:
    def __init__(self):
        self.samples, self.children = 0, {}

    def add(self, stack):
        self.samples += 1
        if stack:
            self.children.setdefault(stack[0], Node()).add(stack[1:])

    def depth(self):
        return 1 + max((child.depth() for child in self.children.values()), default=0)


def box(name, kernel, left, width, top, samples, total):
    palette = KERNEL if kernel else COLOURS
    colour = palette[sum(map(ord, name)) % len(palette)]
    shown = html.escape(name[: int(width / (FONT * 0.6))]) if width > 3 * FONT else ""
    told = html.escape(f"{name}: {samples} samples, {samples / total:.1%}")
    return (f'<g><title>{told}</title><rect x="{left:.1f}" y="{top}" width="{width:.1f}" height="{ROW - 1}" fill="{colour}"/>'
            f'<text x="{left + 2:.1f}" y="{top + ROW - 5}">{shown}</text></g>')


def boxes(node, left, level, height, total):
    for (name, kernel), child in sorted(node.children.items()):
        width = child.samples / total * WIDTH
        if width >= LEAST:
            yield box(name, kernel, left, width, height - (level + 1) * ROW, child.samples, total)
            yield from boxes(child, left, level + 1, height, total)
        left += width


def draw(root):
    height = root.depth() * ROW
    return "\n".join([f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="monospace" font-size="{FONT}">',
                      *boxes(root, 0, 0, height, root.samples), "</svg>", ""])


def main():
    root = Node()
    for stack in stacks(sys.stdin.read().splitlines()):
        root.add(stack)
    if not root.samples:
        raise SystemExit("no samples: was anything running?")
    sys.stdout.write(draw(root))
    return 0


if __name__ == "__main__":
    sys.exit(main())
