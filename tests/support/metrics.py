# SPDX-License-Identifier: Apache-2.0
"""What sluiced shows on /metrics."""

import re


class Metrics:
    """One scrape: samples by name and labels."""

    def __init__(self, text):
        self.text = text
        self.samples = []
        for line in text.splitlines():
            match = re.fullmatch(r"([a-z_]+)(?:\{(.*)\})? (\S+)", line)
            if match:
                labels = dict(re.findall(r'([a-z_]+)="((?:[^"\\]|\\.)*)"', match[2] or ""))
                self.samples.append((match[1], labels, float(match[3])))

    def all(self, name, **labels):
        return [(each, value) for sample, each, value in self.samples
                if sample == name and all(each.get(key) == wanted for key, wanted in labels.items())]

    def sum(self, name, **labels):
        """Of the samples with these labels; 0 without any. Counters are whole."""
        total = sum(value for _, value in self.all(name, **labels))
        return int(total) if total == int(total) else total

    def has(self, name, **labels):
        return bool(self.all(name, **labels))
