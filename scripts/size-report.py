#!/usr/bin/env python3
"""Names long files and long functions among the files given as arguments.

Files over 300 lines and functions over 60 are listed; a file over 500 lines fails the check (exit 1). C and C++
functions are found by indentation, which clang-format guarantees: a body ends at the `}` under its first line.
"""

import ast
import pathlib
import re
import sys

FILE_LISTED, FILE_LIMIT, FUNCTION_LISTED = 300, 500, 60

NOT_A_FUNCTION = re.compile(r"(namespace|struct|class|union|enum|extern|if|for|while|switch|do|else|case|#|//|\*|\})\b")
END_OF_STATEMENT = re.compile(r"[;{}:]$|^$|^#|^//|\*/$")


def first_line(lines, number):
    """The line on which the signature begins whose `{` ends line `number`; both count from 1."""
    while number > 1 and not END_OF_STATEMENT.search(lines[number - 2].strip()):
        number -= 1
    return number


def c_functions(lines):
    """(first line number, length, text of the first line) of each function body; `lines` have no line ends."""
    start, end = None, ""
    for number, line in enumerate(lines, 1):
        if start and line == end:
            yield start, number - start + 1, lines[start - 1].strip()
            start = None
        elif start is None and line.endswith("{"):
            begin = first_line(lines, number)
            head = " ".join(lines[begin - 1 : number])
            indent = len(head) - len(head.lstrip())
            if indent <= 4 and "(" in head and not NOT_A_FUNCTION.match(head.strip()):
                start, end = begin, " " * indent + "}"


def python_functions(text):
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node.lineno, node.end_lineno - node.lineno + 1, f"def {node.name}"


def main(names):
    too_long = False
    for name in names:
        text = pathlib.Path(name).read_text()
        lines = text.splitlines()
        if len(lines) > FILE_LISTED:
            print(f"{name}: {len(lines)} lines" + (f", expected {FILE_LIMIT} at most" if len(lines) > FILE_LIMIT else ""))
        too_long = too_long or len(lines) > FILE_LIMIT
        functions = python_functions(text) if name.endswith(".py") else c_functions(lines)
        for line, length, first in functions:
            if length > FUNCTION_LISTED:
                print(f"{name}:{line}: function of {length} lines: {first}")
    return 1 if too_long else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
