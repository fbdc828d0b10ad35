#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The kits of deploy/: what they say is there, fits together, and fits a card.
Nothing of them can be run here but A-IO itself; that is run.

    deploy_check.py AIO SOURCE
"""
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
import urllib.request

try:
    import kit
except ImportError as error:
    print(f"skipped: {error} (Debian: python3-yaml)")
    sys.exit(77)

AIO, ROOT = (pathlib.Path(p).resolve() for p in sys.argv[1:3])
DEPLOY = ROOT / "deploy"
CLUSTER = kit.Kubernetes(DEPLOY / "kubernetes")
COMPOSE = kit.Compose(DEPLOY / "compose/docker-compose.yaml")
CONFIG = kit.load(DEPLOY / "kubernetes/aio.yaml")[0]
KEY = "a-key-of-the-deploy-check"
ENVIRONMENT = os.environ | {"VLLM_API_KEY": KEY}


def run(*command, **more):
    return subprocess.run([str(part) for part in command], text=True,
                          capture_output=True, timeout=120, **more)


class Files(unittest.TestCase):
    def test_yaml_parses(self):
        files = sorted(DEPLOY.rglob("*.yaml"))
        self.assertGreater(len(files), 10)
        for file in files:
            with self.subTest(file=file.name):
                self.assertTrue(all(kit.load(file)))

    def test_every_file_of_the_cluster_is_used_or_named(self):
        named = set(CLUSTER.kustomization["resources"])
        for generated in CLUSTER.kustomization["configMapGenerator"]:
            named |= set(generated["files"])
        named |= {"kustomization.yaml", "prometheus-scrape.yaml"}
        self.assertEqual({f.name for f in CLUSTER.folder.iterdir()
                          if f.is_file()}, named)

    @unittest.skipUnless(shutil.which("kubectl"), "no kubectl")
    def test_kustomize_renders(self):
        done = run("kubectl", "kustomize", CLUSTER.folder)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("0.0.0.0:8080", done.stdout)

    def test_images_have_a_tag(self):
        images = [service["image"] for service in COMPOSE.services.values()]
        for pod in CLUSTER.pods().values():
            images += [c["image"] for c in
                       pod["containers"] + pod.get("initContainers", [])]
        images += [words.split()[0] for what, words in
                   kit.instructions(DEPLOY / "Dockerfile") if what == "FROM"]
        self.assertGreater(len(images), 8)
        for image in images:
            self.assertRegex(image, r":v?\d[\w.-]*$")


class Containers(unittest.TestCase):
    def test_probes_and_limits(self):
        for name, pod in CLUSTER.pods().items():
            for container in pod["containers"]:
                with self.subTest(container=name):
                    for probe in ("startup", "readiness", "liveness"):
                        self.assertIn(probe + "Probe", container)
            for container in pod["containers"] + pod.get("initContainers", []):
                for kind in ("requests", "limits"):
                    self.assertEqual(set(container["resources"][kind]),
                                     {"cpu", "memory"})
                self.assertFalse(
                    container["securityContext"]["allowPrivilegeEscalation"])
        for name, service in COMPOSE.services.items():
            with self.subTest(service=name):
                limits = service["deploy"]["resources"]["limits"]
                self.assertEqual(set(limits), {"cpus", "memory"})
                # A-IO's image has its own.
                self.assertTrue("healthcheck" in service or name == "aio")

    def test_what_is_mounted_exists(self):
        made = {one["name"] for one in
                CLUSTER.kustomization["configMapGenerator"]}
        secrets = CLUSTER.of("Secret")
        for pod in CLUSTER.pods().values():
            volumes = {v["name"]: v for v in pod["volumes"]}
            for volume in volumes.values():
                if "configMap" in volume:
                    self.assertIn(volume["configMap"]["name"], made)
                if "secret" in volume:
                    secret = secrets[volume["secret"]["secretName"]]
                    for item in volume["secret"]["items"]:
                        self.assertIn(item["key"], secret["stringData"])
            for container in pod["containers"]:
                for mount in container["volumeMounts"]:
                    self.assertIn(mount["name"], volumes)
                for variable in container["env"]:
                    ref = variable.get("valueFrom", {}).get("secretKeyRef")
                    if ref:
                        self.assertIn(ref["key"],
                                      secrets[ref["name"]]["stringData"])
        for service in COMPOSE.services.values():
            for volume in service["volumes"]:
                source = volume.split(":")[0]
                if source[0] == "." and source != "./keys.txt":
                    self.assertTrue((COMPOSE.file.parent / source).exists(),
                                    source)

    def test_services_and_budgets_select_pods(self):
        labels = [one["spec"]["template"]["metadata"]["labels"]
                  for one in CLUSTER.of("Deployment").values()]
        for one in CLUSTER.of("Service").values():
            self.assertIn(one["spec"]["selector"], labels)
        for one in CLUSTER.of("PodDisruptionBudget").values():
            self.assertIn(one["spec"]["selector"]["matchLabels"], labels)

    def test_draining_ends_before_patience_does(self):
        drain = int(CONFIG["server"]["drain_timeout"].removesuffix("s"))
        pod = CLUSTER.pods()["aio"]
        stop = pod["containers"][0]["lifecycle"]["preStop"]["exec"]["command"]
        self.assertGreater(pod["terminationGracePeriodSeconds"],
                           drain + int(stop[1]))
        self.assertEqual(COMPOSE.services["aio"]["stop_grace_period"], "1m")
        unit = (DEPLOY / "systemd/aio.service").read_text()
        default = re.search(r"drain_timeout = (\d+)s",
                            (ROOT / "src/config/config.h").read_text())
        self.assertGreater(
            int(re.search(r"TimeoutStopSec=(\d+)s", unit)[1]), int(default[1]))


class Card(unittest.TestCase):
    """What shares an NPU, of either kit."""

    def each(self):
        for kind in (CLUSTER, COMPOSE):
            engines = list(kind.engines())
            self.assertEqual({e.model for e in engines}, set(kit.LAYERS))
            with self.subTest(kit=type(kind).__name__):
                yield engines

    def test_graphs_leave_streams(self):
        for engines in self.each():
            streams = [engine.streams for engine in engines]
            self.assertEqual(sorted(streams), [270, 350])
            self.assertLess(sum(streams), kit.STREAMS_MAX)

    def test_no_step_is_larger_than_its_graphs(self):
        for engines in self.each():
            for engine in engines:
                self.assertEqual(max(engine.sizes),
                                 int(engine.flags["max-num-seqs"]))

    def test_the_second_starts_after_the_first_and_counts_it(self):
        for engines in self.each():
            first, second = sorted(engines, key=lambda e: e.memory)
            self.assertEqual(first.after, set())
            self.assertEqual(second.after, {first.name})
            self.assertLess(first.memory, second.memory)
            self.assertLessEqual(second.memory, 0.95)

    def test_both_kits_start_the_same_engines(self):
        kits = [{e.model: e.flags for e in kind.engines()}
                for kind in (CLUSTER, COMPOSE)]
        self.assertEqual(*kits)


class Gateway(unittest.TestCase):
    def test_upstreams_are_there_under_their_names(self):
        self.assertEqual(len(CONFIG["variants"]), 2)
        for variant in CONFIG["variants"].values():
            host, port = re.fullmatch(r"http://([\w-]+):(\d+)/v1",
                                      variant["upstream"]).groups()
            service = CLUSTER.of("Service")[host]["spec"]
            self.assertEqual(service["clusterIP"], "None")
            self.assertEqual(service["ports"][0]["port"], int(port))
            for kind in (CLUSTER, COMPOSE):
                engine, = (e for e in kind.engines() if e.name == host)
                self.assertEqual(engine.model, variant["model"])
                self.assertEqual(engine.flags["port"], port)

    def test_files_of_the_config_are_where_it_says(self):
        copied = [words.split()[-1] for what, words in
                  kit.instructions(DEPLOY / "Dockerfile") if what == "COPY"]
        self.assertIn(CONFIG["probe"]["text"], copied)
        keys = pathlib.Path(CONFIG["server"]["api_keys"])
        mounts = CLUSTER.pods()["aio"]["containers"][0]["volumeMounts"]
        self.assertIn(str(keys.parent), [m["mountPath"] for m in mounts])
        self.assertIn(f"./keys.txt:{keys}:ro",
                      COMPOSE.services["aio"]["volumes"])


def start(folder, config, *sets):
    """A-IO on a free port with a key; the process and its URL."""
    keys = folder / "keys.txt"
    keys.write_text(KEY + "\n")
    flags = [word for key in (f"server.api_keys={keys}", *sets)
             for word in ("--set", key)]
    process = subprocess.Popen(
        [AIO, "serve", "--config", config, "--listen", "127.0.0.1:0", *flags],
        stdout=subprocess.PIPE, text=True, env=ENVIRONMENT)
    for line in process.stdout:
        if line.startswith("listening on "):
            return process, line.split()[-1]
    process.communicate()
    raise AssertionError(f"A-IO ended with {process.returncode}")


class Served(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def serve(self, config, *sets):
        process, url = start(self.folder, config, *sets)
        self.addCleanup(process.stdout.close)
        self.addCleanup(lambda: self.assertEqual(process.wait(60), 0))
        self.addCleanup(process.terminate)
        return process, url

    def get(self, url):
        with urllib.request.urlopen(url, timeout=10) as response:
            return response.status, response.read().decode()

    def test_the_gateway_starts_with_the_config(self):
        config = self.folder / "aio.yaml"
        config.write_text(json.dumps(CONFIG))
        _, url = self.serve(config, f"probe.text={ROOT}/models/intent.ftz")
        pod = CLUSTER.pods()["aio"]["containers"][0]
        for probe in ("startup", "readiness", "liveness"):
            path = pod[probe + "Probe"]["httpGet"]["path"]
            self.assertEqual(self.get(url + path)[0], 200)
        self.assertEqual(self.get(url + "/metrics")[0], 200)
        ask = urllib.request.Request(
            url + "/v1/models", headers={"Authorization": f"Bearer {KEY}"})
        with urllib.request.urlopen(ask, timeout=10) as response:
            names = {model["id"] for model in json.load(response)["data"]}
        self.assertEqual(names, {"auto", *CONFIG["variants"]})

    def test_it_does_not_start_without_a_key_of_ones_own(self):
        text = CLUSTER.of("Secret")["aio-keys"]["stringData"]["keys.txt"]
        keys = self.folder / "keys.txt"
        keys.write_text(text)
        done = run(AIO, "serve", "-c", ROOT / "tests/e2e/aio.yaml", "--listen",
                   "127.0.0.1:0", "--set", f"server.api_keys={keys}")
        self.assertEqual(done.returncode, 1)
        self.assertIn("holds no API key", done.stderr)

    def test_the_image_knows_whether_it_is_alive(self):
        words = next(words for what, words in
                     kit.instructions(DEPLOY / "Dockerfile")
                     if what == "HEALTHCHECK")
        bash, flag, script = json.loads(words[words.index("["):])
        process, url = self.serve(ROOT / "tests/e2e/aio.yaml")
        port = url.rsplit(":", 1)[1]
        self.assertIn("/8080 ", script)
        script = script.replace("/8080 ", f"/{port} ")
        self.assertEqual(run(bash, flag, script).returncode, 0)
        missing = script.replace("/health", "/nothing")
        self.assertNotEqual(run(bash, flag, missing).returncode, 0)
        process.terminate()
        process.wait(60)
        self.assertNotEqual(run(bash, flag, script).returncode, 0)

    def test_the_probe_of_engines_warms_them_once(self):
        probe = DEPLOY / "kubernetes/vllm_probe.py"
        done = self.folder / "warm"
        # As it is, but for what this model has room for.
        text = probe.read_text().replace("/tmp/vllm_probe.warm", str(done))
        copy = self.folder / "vllm_probe.py"
        copy.write_text(text.replace("(1, 1200)", "(1, 100)"))
        self.assertIn("(1, 1200)", text)
        process, url = self.serve(ROOT / "tests/e2e/aio.yaml")

        def ask(*arguments, key=KEY):
            return run(sys.executable, copy, *arguments,
                       env=os.environ | {"VLLM_API_KEY": key}).returncode

        self.assertEqual(ask("health", url), 0)
        self.assertEqual(ask("wait", url), 0)
        self.assertEqual(ask("warm", url, "large", key="another"), 1)
        self.assertFalse(done.exists())
        self.assertEqual(ask("warm", url, "large"), 0)
        # Nothing is asked again, so no key is wrong.
        self.assertEqual(ask("warm", url, "large", key="another"), 0)
        process.terminate()
        process.wait(60)
        self.assertEqual(ask("health", url), 1)
        self.assertEqual(ask("warm", url, "large"), 1)


class Dashboard(unittest.TestCase):
    def test_it_shows_every_metric_and_no_other(self):
        file = DEPLOY / "grafana/aio.json"
        queries = kit.queries_of(json.loads(file.read_text()))
        made = kit.metrics_of(ROOT / "src")
        self.assertGreater(len(made), 40)
        shown = set()
        for query in queries:
            self.assertEqual(query.count("("), query.count(")"), query)
            self.assertTrue(kit.named_in(query), query)
            shown |= kit.named_in(query)
        self.assertEqual(shown, made)

    def test_panels_do_not_overlap(self):
        panels = json.loads((DEPLOY / "grafana/aio.json").read_text())["panels"]
        cells = [(x, y) for p in panels for at in [p["gridPos"]]
                 for x in range(at["x"], at["x"] + at["w"])
                 for y in range(at["y"], at["y"] + at["h"])]
        self.assertEqual(len(cells), len(set(cells)))
        self.assertLess(max(x for x, _ in cells), 24)
        ids = [p["id"] for p in panels]
        self.assertEqual(len(ids), len(set(ids)))


class Packages(unittest.TestCase):
    @unittest.skipUnless(shutil.which("dpkg"), "no dpkg")
    def test_the_image_has_the_libraries_of_the_program(self):
        runtime, = (words for what, words in
                    kit.instructions(DEPLOY / "Dockerfile")
                    if what == "RUN" and "libssl3" in words)
        installed = set(re.findall(r"\S+", runtime))
        # Every image of Debian has these.
        installed |= {"libc6", "libgcc-s1", "libstdc++6"}
        libraries = re.findall(r"=> (/\S+)", run("ldd", AIO).stdout)
        self.assertGreater(len(libraries), 8)
        real = [pathlib.Path(library).resolve().name for library in libraries]
        owners = re.findall(r"^([^:\s]+)(?::\w+)?: \S*/lib/\S*/([^/\s]+)$",
                            run("dpkg", "-S", *real).stdout, flags=re.M)
        for name in real:
            packages = {package for package, file in owners if file == name}
            with self.subTest(library=name):
                self.assertTrue(packages & installed, packages)

    def test_the_image_is_nobodys(self):
        user = [words for what, words in
                kit.instructions(DEPLOY / "Dockerfile") if what == "USER"]
        self.assertEqual(user, ["65532:65532"])


@unittest.skipUnless(shutil.which("systemd-analyze"), "no systemd-analyze")
class Unit(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.file = pathlib.Path(folder.name) / "aio.service"
        text = (DEPLOY / "systemd/aio.service").read_text()
        self.file.write_text(text.replace("/usr/bin/aio", str(AIO)))

    def test_systemd_understands_all_of_it(self):
        done = run("systemd-analyze", "verify", "--man=no", self.file)
        said = [line for line in done.stderr.splitlines()
                if "aio.service" in line]
        self.assertEqual(said, [])

    def test_it_may_do_little(self):
        done = run("systemd-analyze", "security", "--offline=yes",
                   "--threshold=20", self.file)
        self.assertEqual(done.returncode, 0, done.stdout[-2000:] + done.stderr)


unittest.main(argv=sys.argv[:1])
