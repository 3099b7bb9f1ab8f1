#!/usr/bin/env python3
"""The lints name what breaks the layers or grows too long, and nothing else."""

import pathlib
import subprocess
import sys
import tempfile
import unittest

import tap

SCRIPTS = pathlib.Path(__file__).resolve().parents[2] / "scripts"


class Lint(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory()
        self.addCleanup(self.directory.cleanup)
        self.root = pathlib.Path(self.directory.name)

    def write(self, path, text):
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def run_script(self, name, *arguments):
        command = [sys.executable, SCRIPTS / name, *arguments]
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        self.assertEqual(run.stderr, "")
        return run.stdout.splitlines(), run.returncode


class Includes(Lint):
    def test_downward_includes_pass(self):
        self.write("dataplane/packet/parse.h", '#include <linux/types.h>\n#include "dataplane/packet/endian.h"\n')
        self.write("dataplane/packet/endian.h", "#if defined(__bpf__)\n#endif\n")
        self.write("dataplane/pipeline/run.h", '#include "dataplane/packet/parse.h"\n')
        self.write("bpf/sluice.bpf.c", '#include "dataplane/pipeline/run.h"\n')
        self.write("dataplane/io/xdp.cc", '#include "bpf/sluice.skel.h"\n')
        self.write("tests/unit/run_test.cc", '#include "dataplane/pipeline/run.h"\n')
        self.assertEqual(self.run_script("lint-includes.py", self.root), ([], 0))

    def test_an_upward_include_is_named_with_its_line(self):
        self.write("dataplane/io/port.h", "")
        self.write("dataplane/base/result.h", "")
        self.write("dataplane/packet/parse.h", '\n#include "dataplane/base/result.h"\n')
        self.write("dataplane/base/log.cc", '#include "dataplane/io/port.h"\n')
        lines, status = self.run_script("lint-includes.py", self.root)
        self.assertEqual(
            lines,
            [
                'dataplane/base/log.cc:1: "dataplane/io/port.h" points from dataplane/base to dataplane/io,'
                " which is not below it",
                'dataplane/packet/parse.h:2: "dataplane/base/result.h" points from dataplane/packet to'
                " dataplane/base, which is not below it",
            ],
        )
        self.assertEqual(status, 1)

    def test_paths_start_at_the_root_and_exist(self):
        self.write("control/main.cc", '#include "status.h"\n#include "control/gone.h"\n')
        lines, _ = self.run_script("lint-includes.py", self.root)
        self.assertEqual(
            lines,
            [
                'control/main.cc:1: "status.h" is not a path from the repository\'s root',
                'control/main.cc:2: "control/gone.h" does not exist',
            ],
        )

    def test_a_third_header_that_knows_its_target_is_one_too_many(self):
        for name in ("a", "b"):
            self.write(f"dataplane/packet/{name}.h", "#ifdef __bpf__\n#endif\n")
        self.assertEqual(self.run_script("lint-includes.py", self.root)[1], 0)
        self.write("dataplane/tables/c.h", "#if !defined(__cplusplus)\n#endif\n")
        self.assertEqual(self.run_script("lint-includes.py", self.root)[1], 1)


class Sizes(Lint):
    def test_only_a_file_over_the_limit_fails(self):
        medium = self.write("medium.cc", "\n" * 400)
        self.assertEqual(self.run_script("size-report.py", medium), ([f"{medium}: 400 lines"], 0))
        long = self.write("long.cc", "\n" * 501)
        lines, status = self.run_script("size-report.py", medium, long)
        self.assertEqual(lines, [f"{medium}: 400 lines", f"{long}: 501 lines, expected 500 at most"])
        self.assertEqual(status, 1)

    def test_long_functions_are_named_where_they_begin(self):
        body = "    if (x) {\n    }\n" * 30
        file = self.write(
            "f.cc",
            "namespace a {\n"
            f"int short_one() {{\n{'    x;' + chr(10)}}}\n"
            f"\nFoo::Foo(int a,\n         int b)\n    : a_(a) {{\n{body}}}\n"
            f"struct S {{\n    void method() const {{\n{('        x;' + chr(10)) * 59}    }}\n}};\n"
            "}\n",
        )
        lines, status = self.run_script("size-report.py", file)
        self.assertEqual(
            lines,
            [
                f"{file}:6: function of 64 lines: Foo::Foo(int a,",
                f"{file}:71: function of 61 lines: void method() const {{",
            ],
        )
        self.assertEqual(status, 0)


if __name__ == "__main__":
    tap.main()
