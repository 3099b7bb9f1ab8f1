"""Runs the unittest cases of a module and prints TAP, a line per case, so that `meson test` counts them."""

import sys
import unittest


class TapResult(unittest.TestResult):
    def _line(self, word, test, note=""):
        name = test.id().removeprefix("__main__.")
        print(f"{word} {self.testsRun} - {name}{note}", flush=True)

    def addSuccess(self, test):
        self._line("ok", test)

    def addSubTest(self, test, subtest, error):
        super().addSubTest(test, subtest, error)
        if error is not None:
            self._line("not ok", subtest)
            told = self.failures if issubclass(error[0], test.failureException) else self.errors
            print("\n".join("# " + line for line in told[-1][1].splitlines()))

    def addSkip(self, test, reason):
        self._line("ok", test, f" # SKIP {reason}")

    def addFailure(self, test, error):
        super().addFailure(test, error)
        self._line("not ok", test)
        print("\n".join("# " + line for line in self.failures[-1][1].splitlines()))

    def addError(self, test, error):
        super().addError(test, error)
        self._line("not ok", test)
        print("\n".join("# " + line for line in self.errors[-1][1].splitlines()))


def main():
    suite = unittest.defaultTestLoader.loadTestsFromModule(sys.modules["__main__"])
    print(f"1..{suite.countTestCases()}")
    result = TapResult()
    suite.run(result)
    sys.exit(0 if result.wasSuccessful() else 1)
