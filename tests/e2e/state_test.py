# SPDX-License-Identifier: Apache-2.0
"""What a daemon keeps on the node, and what befalls it: pins, the directory they lie in, other daemons."""

import pathlib

import programs
from case import LabCase, main
from daemon import METRICS_PORT, interfaces, service
from topology import VIP4, wait_until


class State(LabCase):
    def serve(self, lab, config=None, **options):
        for backend in lab.backends:
            programs.nginx(backend)
        return self.start_daemon(lab, {"services": [service(lab)], **(config or {})}, **options)

    def assert_serves(self, lab):
        self.assertIsNotNone(programs.curl(lab.client, VIP4))

    def second(self, lab, **options):
        """Another daemon for the same node and directory, in no way of the first one's sockets."""
        return self.make_daemon(lab, {"services": [service(lab)], "metrics": {"listen": f"127.0.0.1:{METRICS_PORT + 1}"}},
                                name="second", **options)

    def launch(self, daemon):
        daemon.launch()
        wait_until(lambda: daemon.socket.exists() and daemon.ctl("status", check=False).returncode == 0, "sluiced answers", 20)

    def test_pins_that_somebody_removes_do_not_end_forwarding(self):
        lab = self.make_lab(backends=1)
        daemon = self.serve(lab)
        program = lab.program_id("cl0")
        for pin in (lab.bpffs / "sluice").iterdir():
            pin.unlink()
        self.assertEqual(lab.program_id("cl0"), program)
        self.assert_serves(lab)
        self.assertIn("reloaded", daemon.ctl("reload").stdout)
        self.assert_serves(lab)
        daemon.stop()
        self.start_daemon(lab, {"services": [service(lab)]})
        self.assert_serves(lab)

    def test_pins_of_others_stay_where_they_are(self):
        lab = self.make_lab(backends=1)
        self.serve(lab).stop()
        pins = lab.bpffs / "sluice"
        (pins / "trace").rename(pins / "of_somebody_else")
        (pins / "folder").mkdir()
        daemon = self.start_daemon(lab, {"services": [service(lab)]}, arguments=["--detach"])
        self.assertIn("trace is not pinned", daemon.log())
        self.assert_serves(lab)
        daemon.stop()
        self.assertEqual({path.name for path in pins.iterdir()}, {"of_somebody_else", "folder"})

    def test_two_daemons_do_not_share_a_directory(self):
        lab = self.make_lab(backends=1)
        self.serve(lab)
        other = self.second(lab, arguments=["--detach"])
        self.launch(other)
        tier = other.tier("cl0", "xdp")
        self.assertFalse(tier["active"])
        self.assertIn("another daemon uses it", tier["reason"])
        other.stop()
        self.assert_serves(lab)

    def test_no_bpf_file_system_is_mounted_over_what_is_there(self):
        lab = self.make_lab(backends=1)
        inside = lab.home / "full" / "kept"
        inside.parent.mkdir()
        inside.write_text("seen")
        before = pathlib.Path("/proc/mounts").read_text()
        for directory in (inside.parent, pathlib.Path("/sys/fs/bpf/../../..") / inside.parent.relative_to("/")):
            with self.subTest(directory=directory):
                daemon = self.make_daemon(lab, {"state": {"bpffs": str(directory)}}, name=f"d{len(directory.parts)}")
                self.launch(daemon)
                self.assertIn("expected an empty directory", daemon.tier("cl0", "xdp")["reason"])
                daemon.stop()
                self.assertEqual(inside.read_text(), "seen")
                self.assertEqual(pathlib.Path("/proc/mounts").read_text().count(" /sys/fs/bpf "), before.count(" /sys/fs/bpf "))

    def test_an_interface_with_a_dot_in_its_name_is_served(self):
        lab = self.make_lab(backends=1)
        backend = lab.backends[0]
        lab.node.ip("link", "del", "be1")
        lab.wire(backend.namespace, "be.1", backend.address4, backend.address6, "10.0.1.1", "2001:db8:1::1")
        lab.resolve()
        daemon = self.serve(lab, {"interfaces": [*interfaces(lab)[:1], {"name": "be.1"}]})
        self.assertTrue(daemon.tier("be.1", "xdp")["active"])
        daemon.kill()
        self.assert_serves(lab)


if __name__ == "__main__":
    main()
