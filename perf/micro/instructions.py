#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Instructions per packet of the hot functions, by callgrind: no neighbour disturbs them.

    instructions.py PROGRAM [--write]    compares with instructions.json; --write: keeps what was counted

Prints TAP, a line per function. A function that takes more than 3 % and one instruction more than was kept fails, and so
does one that takes as much less: then --write states the gain. Another compiler makes other code: skipped.
"""

import argparse
import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

KEPT = pathlib.Path(__file__).with_name("instructions.json")
TOLERANCE, SLACK = 0.03, 1.0


def compiler():
    return subprocess.run(["g++", "-dumpfullversion"], capture_output=True, text=True, check=True).stdout.strip()


def counted(program):
    """{function: instructions per packet}."""
    with tempfile.TemporaryDirectory(prefix="sl-counts-") as home:
        done = subprocess.run(["valgrind", "--tool=callgrind", "--collect-atstart=no", f"--callgrind-out-file={home}/out", program],
                              capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(done.stderr[-2000:])
        found = {}
        for path in pathlib.Path(home).iterdir():
            text = path.read_text(errors="replace")
            head = re.search(r"^desc: Trigger: Client Request: (\d+)\|(.*)$", text, re.MULTILINE)
            total = re.search(r"^(?:totals|summary): (\d+)", text, re.MULTILINE)
            if head and total:
                found[head[2]] = int(total[1]) / int(head[1])
    return found


def judged(kept, found):
    """(ok, name, word) of every function."""
    for name, before in kept.items():
        now = found.get(name)
        if now is None:
            yield False, name, "was not counted"
            continue
        change = now - before
        ok = abs(change) <= TOLERANCE * before + SLACK
        yield ok, name, f"{now:.1f} instructions, kept {before:.1f}" + ("" if ok else ": more" if change > 0 else ": fewer; state it by --write")
    for name in found.keys() - kept.keys():
        yield False, name, "is not in instructions.json: --write"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program")
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    if arguments.write:
        found = {name: round(value, 1) for name, value in sorted(counted(arguments.program).items())}
        KEPT.write_text(json.dumps({"compiler": compiler(), "instructions": found}, indent=1) + "\n")
        print(KEPT.read_text(), end="")
        return 0
    kept = json.loads(KEPT.read_text())
    why = "valgrind is not installed" if not shutil.which("valgrind") else \
        f"counts are of g++ {kept['compiler']}, this is {compiler()}" if kept["compiler"] != compiler() else None
    if why:
        print(f"1..1\nok 1 - instructions # SKIP {why}")
        return 0
    rows = list(judged(kept["instructions"], counted(arguments.program)))
    print(f"1..{len(rows)}")
    for number, (ok, name, word) in enumerate(rows, 1):
        print(f"{'ok' if ok else 'not ok'} {number} - {name}: {word}")
    return 0 if all(ok for ok, _, _ in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
