#!/usr/bin/env python3
"""Manifests, unit and scripts of the deployment against the daemon's own options, flags, ports and checks."""

import configparser
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

import tap

ROOT = pathlib.Path(__file__).resolve().parents[2]
KUBERNETES = ROOT / "config/kubernetes"
HUGE_PAGES = ROOT / "config/kubernetes-hugepages"
CHART = ROOT / "config/helm/sluice"
try:
    import yaml
except ImportError:
    yaml = None


def run(*command, **options):
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False, **options)


class Manifests(unittest.TestCase):
    def setUp(self):
        if yaml is None:
            self.skipTest("python3-yaml is not installed")
        self.files = {os.path.relpath(path, KUBERNETES): list(yaml.safe_load_all(path.read_text()))
                      for folder in (KUBERNETES, HUGE_PAGES) for path in sorted(folder.glob("*.yaml"))}
        self.daemonset, = self.files["daemonset.yaml"]
        self.pod = self.daemonset["spec"]["template"]["spec"]
        self.container, = self.pod["containers"]
        self.map, = self.files["configmap.yaml"]
        self.config = yaml.safe_load(self.map["data"]["sluice.yaml"])

    def test_every_object_has_version_kind_and_one_namespace(self):
        for name, documents in self.files.items():
            for document in documents:
                self.assertTrue(document["apiVersion"] and document["kind"], name)
                if document["kind"] not in ("Kustomization", "Namespace"):
                    self.assertEqual(document["metadata"]["namespace"], "sluice-system", name)

    def test_kustomizations_name_what_is_there(self):
        for name, (kustomization,) in self.files.items():
            if not name.endswith("kustomization.yaml"):
                continue
            folder = (KUBERNETES / name).parent
            for each in kustomization["resources"] + [patch["path"] for patch in kustomization.get("patches", [])]:
                self.assertTrue((folder / each).exists(), f"{name}: {each}")

    def test_kubectl_renders_each_kustomization_with_all_its_objects(self):
        if shutil.which("kubectl") is None:
            self.skipTest("kubectl is not installed")
        for folder, extra in ((KUBERNETES, set()), (HUGE_PAGES, {"hugepages"})):
            done = run("kubectl", "kustomize", folder)
            self.assertEqual(done.returncode, 0, done.stderr)
            objects = list(yaml.safe_load_all(done.stdout))
            self.assertEqual(sorted(each["kind"] for each in objects), ["ConfigMap", "DaemonSet", "Namespace", "ServiceAccount"])
            daemonset, = (each for each in objects if each["kind"] == "DaemonSet")
            volumes = {volume["name"] for volume in daemonset["spec"]["template"]["spec"]["volumes"]}
            self.assertEqual(volumes, {volume["name"] for volume in self.pod["volumes"]} | extra)

    def test_the_selector_selects_the_pods(self):
        labels = self.daemonset["spec"]["template"]["metadata"]["labels"]
        self.assertEqual(self.daemonset["spec"]["selector"]["matchLabels"], labels)

    def test_mounts_and_volumes_pair_up(self):
        patch, = self.files["../kubernetes-hugepages/daemonset.yaml"]
        pod = patch["spec"]["template"]["spec"]
        volumes = {volume["name"] for volume in self.pod["volumes"] + pod["volumes"]}
        mounts = {mount["name"] for mount in self.container["volumeMounts"] + pod["containers"][0]["volumeMounts"]}
        self.assertEqual(volumes, mounts)
        self.assertEqual(pod["containers"][0]["name"], self.container["name"])
        self.assertEqual(next(v for v in self.pod["volumes"] if v["name"] == "config")["configMap"]["name"],
                         self.map["metadata"]["name"])

    def test_paths_are_where_the_configuration_looks(self):
        mounts = {mount["name"]: mount["mountPath"] for mount in self.container["volumeMounts"]}
        state = self.config.get("state", {}).get("bpffs", "/sys/fs/bpf/sluice")
        socket = self.config.get("control", {}).get("socket", "/run/sluice/sluice.sock")
        self.assertTrue(state.startswith(mounts["bpffs"] + "/"))
        self.assertTrue(socket.startswith(mounts["run"] + "/"))
        self.assertTrue(self.container["args"][1].startswith(mounts["config"] + "/"))
        self.assertIn(pathlib.PurePath(self.container["args"][1]).name, self.map["data"])
        self.assertNotIn("subPath", str(self.container["volumeMounts"]))

    def test_the_configuration_is_good(self):
        with tempfile.TemporaryDirectory() as folder:
            for name, text in self.map["data"].items():
                pathlib.Path(folder, name).write_text(text)
            done = run(os.environ["SLUICECTL"], "config", "check", pathlib.Path(folder, "sluice.yaml"))
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_ports_are_the_exporters(self):
        port = int(self.config["metrics"]["listen"].rsplit(":", 1)[1])
        named, = self.container["ports"]
        self.assertEqual((named["containerPort"], named["hostPort"]), (port, port))
        annotations = self.daemonset["spec"]["template"]["metadata"]["annotations"]
        self.assertEqual(annotations["prometheus.io/port"], str(port))
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            self.assertEqual(self.container[probe]["httpGet"]["port"], named["name"])

    def test_probes_ask_for_what_the_exporter_serves(self):
        served = set(re.findall(r'route\("GET", "([^"]+)"', (ROOT / "control/metrics/server.cc").read_text()))
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            self.assertIn(self.container[probe]["httpGet"]["path"], served)

    def test_every_flag_is_the_daemons_and_none_is_missing(self):
        names = {variable["name"]: variable["value"] for variable in self.container["env"]}
        known = set(re.findall(r'"(ENABLE_\w+)"', (ROOT / "control/config/flags.cc").read_text()))
        self.assertEqual(set(names), known)
        for name in names:
            done = run(os.environ["SLUICED"], "--config", "/nonexistent", env={**os.environ, name: "perhaps"})
            self.assertIn(f'{name}: value "perhaps"', done.stderr)

    def test_arguments_and_image_are_the_daemons(self):
        told = run(os.environ["SLUICED"], "--help").stdout
        for word in self.container["args"]:
            if word.startswith("--"):
                self.assertRegex(told, rf"{word}\b")
        version = run(os.environ["SLUICED"], "--version").stdout.strip()
        self.assertEqual(self.container["image"], f"sluice:{version}")

    def test_the_drain_fits_the_grace_period(self):
        limit = int(re.search(r"drain_limit = (\d+)s", (ROOT / "control/daemon/daemon.cc").read_text())[1])
        self.assertGreater(self.pod["terminationGracePeriodSeconds"], limit)


class Chart(unittest.TestCase):
    """The Helm chart, rendered by Go's templates and sprig: what Helm itself uses."""

    @classmethod
    def setUpClass(cls):
        go = "/usr/share/gocode/src/github.com"  # where Debian's Go libraries lie
        needed = [shutil.which("go"), yaml, *(os.path.isdir(f"{go}/{each}") for each in ("Masterminds/sprig", "ghodss/yaml"))]
        if not all(needed):
            raise unittest.SkipTest("golang-go, golang-github-masterminds-sprig-dev, golang-github-ghodss-yaml-dev or python3-yaml is not installed")
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        cls.render = pathlib.Path(cls.folder.name, "render")
        built = run("go", "build", "-o", cls.render, ROOT / "tests/scripts/helm/render.go",
                    env={**os.environ, "GO111MODULE": "off", "GOPATH": "/usr/share/gocode", "GOCACHE": f"{cls.folder.name}/cache"})
        if built.returncode:
            raise RuntimeError(built.stderr)

    def rendered(self, **values):
        """{kind: object} with VALUES in place of the chart's own."""
        given = pathlib.Path(self.folder.name, "given.yaml")
        given.write_text(yaml.safe_dump(values))
        done = run(self.render, CHART, "sluice", "sluice-system", given)
        self.assertEqual(done.returncode, 0, done.stderr)
        return {each["kind"]: each for each in yaml.safe_load_all(done.stdout) if each}

    def manifest(self, name):
        return yaml.safe_load((KUBERNETES / name).read_text())

    def test_without_values_it_renders_to_the_manifests(self):
        found = self.rendered(namespace={"create": True})
        self.assertEqual(sorted(found), ["ConfigMap", "DaemonSet", "Namespace", "ServiceAccount"])
        for kind, name in (("ConfigMap", "configmap.yaml"), ("DaemonSet", "daemonset.yaml"), ("Namespace", "namespace.yaml"), ("ServiceAccount", "rbac.yaml")):
            self.assertEqual(found[kind], self.manifest(name), kind)
        self.assertNotIn("Namespace", self.rendered())

    def test_huge_pages_are_those_of_the_manifests(self):
        pod = self.rendered(hugepages={"enabled": True})["DaemonSet"]["spec"]["template"]["spec"]
        patch = yaml.safe_load((HUGE_PAGES / "daemonset.yaml").read_text())["spec"]["template"]["spec"]
        self.assertEqual(pod["containers"][0]["resources"], patch["containers"][0]["resources"])
        self.assertIn(patch["containers"][0]["volumeMounts"][0], pod["containers"][0]["volumeMounts"])
        self.assertIn(patch["volumes"][0], pod["volumes"])

    def test_values_go_where_they_belong(self):
        found = self.rendered(image={"repository": "registry.example/sluice", "tag": "9", "pullPolicy": "Always"}, flags={"dpdk": True, "xdp": False},
                              arguments=["--no-confine"], metrics={"port": 9000}, bpffs={"path": "/run/bpf"}, nodeSelector={"pool": "edge"},
                              tolerations=[], podAnnotations={"a": "b"}, imagePullSecrets=[{"name": "key"}], existingConfigMap="mine")
        self.assertNotIn("ConfigMap", found)
        template = found["DaemonSet"]["spec"]["template"]
        pod, (container,) = template["spec"], template["spec"]["containers"]
        self.assertEqual((container["image"], container["imagePullPolicy"]), ("registry.example/sluice:9", "Always"))
        environment = {each["name"]: each["value"] for each in container["env"]}
        self.assertEqual((environment["ENABLE_DPDK"], environment["ENABLE_XDP"], environment["ENABLE_EBPF"]), ("true", "false", "auto"))
        self.assertEqual(container["args"], ["--config", "/etc/sluice/sluice.yaml", "--no-confine"])
        self.assertEqual((container["ports"][0]["containerPort"], template["metadata"]["annotations"]["prometheus.io/port"]), (9000, "9000"))
        self.assertEqual((pod["nodeSelector"], pod["imagePullSecrets"], template["metadata"]["annotations"]["a"]),
                         ({"kubernetes.io/os": "linux", "pool": "edge"}, [{"name": "key"}], "b"))
        self.assertNotIn("tolerations", pod)
        volumes = {each["name"]: each for each in pod["volumes"]}
        self.assertEqual((volumes["bpffs"]["hostPath"]["path"], volumes["config"]["configMap"]["name"]), ("/run/bpf", "mine"))

    def test_a_monitor_selects_the_service_that_selects_the_pods(self):
        found = self.rendered(serviceMonitor={"enabled": True, "labels": {"release": "prometheus"}})
        labels = found["DaemonSet"]["spec"]["template"]["metadata"]["labels"]
        service, monitor = found["Service"], found["ServiceMonitor"]
        self.assertEqual(service["spec"]["selector"], labels)
        self.assertEqual(monitor["spec"]["selector"]["matchLabels"], service["metadata"]["labels"])
        self.assertEqual(monitor["spec"]["endpoints"][0]["port"], service["spec"]["ports"][0]["name"])
        self.assertEqual(monitor["metadata"]["labels"]["release"], "prometheus")

    def test_files_without_a_configuration_are_refused(self):
        given = pathlib.Path(self.folder.name, "wrong.yaml")
        given.write_text("files: { sluice.yaml: \"\" }")
        done = run(self.render, CHART, "sluice", "sluice-system", given)
        self.assertEqual(done.returncode, 1)
        self.assertIn("files: expected sluice.yaml", done.stderr)

    def test_its_version_is_the_daemons(self):
        version = run(os.environ["SLUICED"], "--version").stdout.strip()
        self.assertEqual(yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"], version)


class Unit(unittest.TestCase):
    path = ROOT / "config/systemd/sluiced.service"

    def test_systemd_knows_every_line(self):
        if shutil.which("systemd-analyze") is None:
            self.skipTest("systemd-analyze is not installed")
        told = run("systemd-analyze", "verify", self.path)
        # That the programs are not installed here is no fault of the unit's.
        faults = [line for line in told.stderr.splitlines()
                  if "sluiced.service" in line and "is not executable" not in line and "bad unit file setting" not in line]
        self.assertEqual(faults, [])

    def test_its_programs_take_what_it_gives_them(self):
        unit = configparser.RawConfigParser(strict=False)
        unit.optionxform = str
        unit.read(self.path)
        self.assertIn("--config", run(os.environ["SLUICED"], "--help").stdout)
        self.assertEqual(unit["Service"]["ExecStart"].split()[1], "--config")
        for key in ("ExecReload", "ExecStartPre"):
            words = unit["Service"][key].split()[1:]
            words = [word for word in words if not word.startswith("/")]
            self.assertEqual(run(os.environ["SLUICECTL"], *words, "--help").returncode, 0, key)


class Image(unittest.TestCase):
    def test_it_has_every_library_that_the_programs_need(self):
        if shutil.which("dpkg-shlibdeps") is None:
            self.skipTest("dpkg-dev is not installed")
        with tempfile.TemporaryDirectory() as folder:
            pathlib.Path(folder, "debian").mkdir()
            pathlib.Path(folder, "debian/control").write_text("Source: sluice\n\nPackage: sluice\nArchitecture: any\n")
            told = run("dpkg-shlibdeps", "-O", os.environ["SLUICED"], os.environ["SLUICECTL"], cwd=folder)
        self.assertEqual(told.returncode, 0, told.stderr)
        needed = {each.split()[0].removesuffix("-fmt9") for each in told.stdout.split("=", 1)[1].split(", ")}
        if any(each.startswith("libasan") for each in needed):
            self.skipTest("this build has sanitizers, which are no part of an image")
        ours = {"libc6", "libgcc-s1", "libstdc++6", "libtinfo6"}  # of Debian's base, or with libncursesw6
        installed = set((ROOT / "Dockerfile").read_text().split())
        self.assertEqual(needed - ours - installed, set())


class EnableXdp(unittest.TestCase):
    script = ROOT / "scripts/enable-xdp.sh"

    def setUp(self):
        if os.geteuid() != 0:
            self.skipTest("needs root for network namespaces")
        self.name = f"sl-xdp-{os.getpid()}"
        self.assertEqual(run("ip", "netns", "add", self.name).returncode, 0)
        self.addCleanup(run, "ip", "netns", "del", self.name)
        self.inside("ip", "link", "add", "a0", "type", "veth", "peer", "a1")
        self.inside("ethtool", "-K", "a0", "gro", "off")

    def inside(self, *command):
        return run("ip", "netns", "exec", self.name, *command)  # with a /sys of its own, which the script writes to

    def test_it_prepares_an_interface_once(self):
        first = self.inside(self.script, "--forwarding", "--busy-poll", "a0")
        self.assertEqual(first.returncode, 0, first.stderr)
        self.assertIn("generic-receive-offload on", first.stdout)
        self.assertRegex(self.inside("ethtool", "-k", "a0").stdout, "generic-receive-offload: on")
        self.assertEqual(self.inside("cat", "/proc/sys/net/ipv4/ip_forward").stdout.strip(), "1")
        again = self.inside(self.script, "--forwarding", "a0")
        mounted = "/sys/fs/bpf: a BPF file system was mounted\n"  # each time in a mount namespace of its own
        self.assertEqual((again.returncode, again.stdout.replace(mounted, "")), (0, ""))

    def test_an_interface_that_is_not_there_is_a_fault(self):
        done = self.inside(self.script, "nosuch0")
        self.assertEqual(done.returncode, 1)
        self.assertIn("nosuch0: no such interface", done.stderr)

    def test_an_unknown_option_is_refused(self):
        self.assertEqual(self.inside(self.script, "--nosuch").returncode, 2)


if __name__ == "__main__":
    tap.main()
