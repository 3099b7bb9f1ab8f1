#!/usr/bin/env python3
"""Counts test results by case from what `meson test --logbase results` wrote.

    summarize-tests.py BUILD-DIRECTORY...

Reads meson-logs/results.json and meson-info/intro-tests.json of each build directory. GoogleTest and TAP tests count
by case, any other test counts once by its exit status. A test that failed without a failed case (a crash, a timeout, a
sanitizer's report at exit), that ran no case, or that left no result counts as failed. Prints every failed and
skipped case, then as its last line `N passed, N failed, N skipped`; exits 1 if any failed or none passed.
"""

import json
import pathlib
import re
import sys

GTEST_RUN = re.compile(r"\[ RUN      \] (\S+)")
# The summary at the end of a GoogleTest run names cases again, without their time.
GTEST_END = re.compile(r"\[\s+(OK|FAILED|SKIPPED)\s+\] ([^\s,]+).* \(\d+ ms\)$")
TAP_LINE = re.compile(r"^(not )?ok\b\s*\d*\s*-?\s*(.*)$")
TAP_PLAN = re.compile(r"^1\.\.(\d+)(?:\s*#\s*skip\b\s*(.*))?", re.IGNORECASE)
TAP_DIRECTIVE = re.compile(r"#\s*(skip|todo)\S*\s*(.*)$", re.IGNORECASE)


def gtest_cases(output):
    """(name, passed|failed|skipped, reason) of each case; one that began and did not end has failed."""
    cases, running, said = [], None, []
    for line in output.splitlines():
        if begun := GTEST_RUN.search(line):
            running, said = begun[1], []
        elif (ended := GTEST_END.search(line)) and running:
            outcome = {"OK": "passed", "FAILED": "failed", "SKIPPED": "skipped"}[ended[1]]
            cases.append((running, outcome, skip_reason(said) if outcome == "skipped" else ""))
            running = None
        elif running:
            said.append(line)
    if running:
        cases.append((running, "failed", "did not finish"))
    return cases


def skip_reason(lines):
    """What GTEST_SKIP() said: the lines after `file:line: Skipped`."""
    for position, line in enumerate(lines):
        if line.endswith(": Skipped"):
            return " ".join(lines[position + 1 :]).strip()
    return ""


def tap_cases(output):
    """As gtest_cases(), for TAP; a plan that promises more than was shown adds one failure."""
    cases, planned = [], None
    for line in output.splitlines():
        if plan := TAP_PLAN.match(line):
            planned = int(plan[1])
            if planned == 0:
                cases.append(("all", "skipped", plan[2] or ""))
        elif line.startswith("Bail out!"):
            cases.append(("bail out", "failed", line[len("Bail out!") :].strip()))
        elif result := TAP_LINE.match(line):
            directive = TAP_DIRECTIVE.search(result[2])
            name = result[2][: directive.start()].strip() if directive else result[2]
            if directive and directive[1].lower() == "skip" and not result[1]:
                cases.append((name, "skipped", directive[2]))
            else:
                cases.append((name, "failed" if result[1] else "passed", ""))
    if planned and len(cases) < planned:
        cases.append(("plan", "failed", f"{planned} cases planned, {len(cases)} seen"))
    return cases


def test_cases(result, protocol):
    """All cases of one meson test; `result` is its line of results.json."""
    outcome = result["result"]
    if protocol == "gtest":
        cases = gtest_cases(result.get("stdout", ""))
    elif protocol == "tap":
        cases = tap_cases(result.get("stdout", ""))
    else:
        named = {"OK": "passed", "EXPECTEDFAIL": "passed", "SKIP": "skipped"}
        return [("", named.get(outcome, "failed"), last_line(result.get("stdout", "")))]
    failed = any(case[1] == "failed" for case in cases)
    if outcome not in ("OK", "SKIP") and not failed:
        cases.append(("", "failed", f"{outcome.lower()}, exit status {result.get('returncode')}"))
    elif not cases:
        cases.append(("", "failed", "ran no case"))
    return cases


def last_line(text):
    lines = text.strip().splitlines()
    return lines[-1] if lines else ""


def directory_cases(directory):
    """(title, outcome, reason) of every case run in one build directory."""
    info = json.loads((directory / "meson-info/intro-tests.json").read_text())
    protocols = {test["name"]: test["protocol"] for test in info}
    log = directory / "meson-logs/results.json"
    if not log.exists():
        return [(str(directory), "failed", "no results: meson test did not run")]
    cases = []
    for line in log.read_text().splitlines():
        result = json.loads(line)
        name = result["name"].rsplit(" / ", 1)[-1]
        for case, outcome, reason in test_cases(result, protocols.get(name, "exitcode")):
            title = " ".join(part for part in (directory.name, name, case) if part)
            cases.append((title, outcome, reason))
    return cases


def main(arguments):
    cases = [case for argument in arguments for case in directory_cases(pathlib.Path(argument))]
    for wanted in ("skipped", "failed"):
        for title, outcome, reason in cases:
            if outcome == wanted:
                print(f"{wanted.upper()} {title}" + (f": {reason}" if reason else ""))
    count = {kind: sum(case[1] == kind for case in cases) for kind in ("passed", "failed", "skipped")}
    print(f"{count['passed']} passed, {count['failed']} failed, {count['skipped']} skipped")
    return 1 if count["failed"] or not count["passed"] else 0


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("usage: summarize-tests.py BUILD-DIRECTORY...")
    sys.exit(main(sys.argv[1:]))
