#!/usr/bin/env python3
"""The JSON schema takes the shipped files and refuses each key when it is wrong once."""

import copy
import json
import os
import pathlib
import subprocess
import unittest

import tap

ROOT = pathlib.Path(__file__).resolve().parents[2]
try:
    import jsonschema
    import yaml
except ImportError as error:
    jsonschema, absent = None, str(error)


def places(node, path=()):
    """Every key and entry of a document, as the way to it."""
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in items:
        yield (*path, key)
        yield from places(value, (*path, key))


def parent_of(document, path):
    for key in path[:-1]:
        document = document[key]
    return document


class Schema(unittest.TestCase):
    def setUp(self):
        if jsonschema is None:
            self.skipTest(absent)
        told = subprocess.run([os.environ["SLUICECTL"], "config", "schema"], capture_output=True, text=True, check=True)
        schema = json.loads(told.stdout)
        jsonschema.Draft202012Validator.check_schema(schema)
        self.validator = jsonschema.Draft202012Validator(schema)
        self.example = yaml.safe_load((ROOT / "config/sluice.example.yaml").read_text())

    def test_it_takes_the_shipped_configurations(self):
        for name in ("sluice.yaml", "sluice.example.yaml"):
            document = yaml.safe_load((ROOT / "config" / name).read_text())
            self.assertEqual([error.message for error in self.validator.iter_errors(document)], [])

    def test_it_refuses_every_value_of_a_wrong_kind(self):
        for path in places(self.example):
            wrong = copy.deepcopy(self.example)
            parent_of(wrong, path)[path[-1]] = None
            self.assertFalse(self.validator.is_valid(wrong), f"{path} may be null")

    def test_it_refuses_every_misspelt_key_but_names_of_sets(self):
        for path in places(self.example):
            if isinstance(path[-1], int) or path[:-1] == ("policy", "sets"):
                continue
            wrong = copy.deepcopy(self.example)
            mapping = parent_of(wrong, path)
            mapping[path[-1] + "x"] = mapping.pop(path[-1])
            self.assertFalse(self.validator.is_valid(wrong), f"{path} may be misspelt")

    def test_it_knows_words_and_bounds(self):
        for path, value in ((("services", 0, "mode"), "gnat"), (("workers", "batch"), 0), (("log", "level"), "loud"),
                            (("interfaces", 0, "queues"), 257), (("policy", "tcp_pickup"), "perhaps")):
            wrong = copy.deepcopy(self.example)
            parent_of(wrong, path)[path[-1]] = value
            self.assertFalse(self.validator.is_valid(wrong), f"{path} may be {value}")


if __name__ == "__main__":
    tap.main()
