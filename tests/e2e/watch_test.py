# SPDX-License-Identifier: Apache-2.0
"""Configurations that change under a running daemon: by hand, by the kubelet, by signal."""

import json
import os
import signal
import time

from case import LabCase, main
from daemon import service
from topology import wait_until


class ConfigMap:
    """A mounted ConfigMap as the kubelet keeps it: the file is a link into `..data`, which is swapped whole."""

    def __init__(self, directory):
        self.directory, self.count = directory, 0
        directory.mkdir()

    def put(self, text):
        self.count += 1
        version = self.directory / f"..version_{self.count}"
        version.mkdir()
        (version / "sluice.yaml").write_text(text)
        (self.directory / "..data_tmp").symlink_to(version.name)
        (self.directory / "..data_tmp").rename(self.directory / "..data")
        if self.count == 1:
            (self.directory / "sluice.yaml").symlink_to("..data/sluice.yaml")


class Watch(LabCase):
    def generation(self, daemon):
        return int(daemon.metrics().sum("sluice_config_generation"))

    def services(self, daemon):
        return [each["name"] for each in daemon.ctl_json("services")["services"]]

    def with_config_map(self, lab, arguments=()):
        daemon = self.make_daemon(lab, {"services": [service(lab)]}, arguments=list(arguments))
        config_map = ConfigMap(lab.home / "map")
        self.text = json.loads(daemon.path.read_text())
        config_map.put(json.dumps(self.text))
        daemon.path = config_map.directory / "sluice.yaml"
        return daemon.start(), config_map

    def renamed(self, name):
        return json.dumps({**self.text, "services": [{**self.text["services"][0], "name": name}]})

    def test_a_config_maps_swap_reloads(self):
        lab = self.make_lab(backends=1)
        daemon, config_map = self.with_config_map(lab)
        before = self.generation(daemon)
        for step, name in enumerate(("first", "second"), 1):
            config_map.put(self.renamed(name))
            wait_until(lambda n=name: self.services(daemon) == [n], f"service {name} is there")
            self.assertEqual(self.generation(daemon), before + step)

    def test_a_bad_swap_changes_nothing_and_is_told_and_a_good_one_ends_it(self):
        lab = self.make_lab(backends=1)
        daemon, config_map = self.with_config_map(lab)
        before = self.generation(daemon)
        config_map.put(self.renamed("web").replace('"nat"', '"gnat"'))
        wait_until(lambda: daemon.metrics().sum("sluice_config_last_reload_successful") == 0, "the refusal")
        told = daemon.ctl_json("status")["config"]
        self.assertFalse(told["last_reload_ok"])
        self.assertIn('"gnat"', told["last_error"])
        self.assertEqual((self.generation(daemon), self.services(daemon)), (before, ["web"]))
        config_map.put(self.renamed("good"))
        wait_until(lambda: self.services(daemon) == ["good"], "the good one")
        self.assertEqual(daemon.metrics().sum("sluice_config_last_reload_successful"), 1)

    def test_a_file_of_a_set_that_changes_reloads(self):
        lab = self.make_lab(backends=1)
        listed = lab.home / "set.txt"
        listed.write_text("203.0.113.0/24\n")
        rule = {"name": "no", "from": ["set:listed"], "action": "drop"}
        daemon = self.start_daemon(lab, {"policy": {"sets": {"listed": {"file": str(listed)}}, "rules": [rule]}})
        before = self.generation(daemon)
        listed.write_text("203.0.113.0/24\n198.18.0.0/15\n")
        wait_until(lambda: self.generation(daemon) == before + 1, "the reload")

    def test_what_was_asked_for_is_not_done_twice(self):
        lab = self.make_lab(backends=1)
        daemon = self.start_daemon(lab, {"services": [service(lab)]})
        before = self.generation(daemon)
        daemon.reload({"services": [service(lab, "other")]})
        time.sleep(0.6)
        self.assertEqual(self.generation(daemon), before + 1)

    def test_without_watching_only_the_signal_counts(self):
        lab = self.make_lab(backends=1)
        daemon, config_map = self.with_config_map(lab, ["--no-watch"])
        config_map.put(self.renamed("other"))
        time.sleep(0.8)
        self.assertEqual(self.services(daemon), ["web"])
        os.kill(daemon.process.pid, signal.SIGHUP)
        wait_until(lambda: self.services(daemon) == ["other"], "the reload")


if __name__ == "__main__":
    main()
