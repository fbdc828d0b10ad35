# SPDX-License-Identifier: Apache-2.0
"""What deploy/ has, for deploy_check.py: its files parsed, and their containers
in one form, whether they are Kubernetes' or compose's.
"""
import dataclasses
import json
import re

import yaml

# Streams of a card that graphs may take, and what one captured size takes in
# piecewise mode: a stream for each layer and one more (docs/ascend.md).
STREAMS_MAX = 1800
LAYERS = {"openPangu-1B": 26, "openPangu-7B": 34}


@dataclasses.dataclass
class Engine:
    """A container of vllm-ascend."""
    name: str
    flags: dict[str, str]
    after: set[str]  # of which engines it waits before it starts

    @property
    def model(self):
        return self.flags["served-model-name"]

    @property
    def memory(self):
        return float(self.flags["gpu-memory-utilization"])

    @property
    def sizes(self):
        return json.loads(self.flags["compilation-config"])[
            "cudagraph_capture_sizes"]

    @property
    def streams(self):
        return (LAYERS[self.model] + 1) * len(self.sizes)


def flags_of(command):
    """{"port": "8000", ...} of a command line; {} if it is not vllm's."""
    if command[:2] != ["vllm", "serve"]:
        return {}
    pairs = [word[2:].partition("=") for word in command if word[:2] == "--"]
    return {name: value for name, _, value in pairs}


class Kubernetes:
    def __init__(self, folder):
        self.folder = folder
        self.kustomization = load(folder / "kustomization.yaml")[0]
        self.objects = [
            one for name in self.kustomization["resources"]
            for one in load(folder / name)]

    def of(self, kind):
        return {one["metadata"]["name"]: one for one in self.objects
                if one["kind"] == kind}

    def pods(self):
        return {name: one["spec"]["template"]["spec"]
                for name, one in self.of("Deployment").items()}

    def engines(self):
        for name, pod in self.pods().items():
            main = pod["containers"][0]
            flags = flags_of(main.get("command", []) + main.get("args", []))
            if not flags:
                continue
            waits = " ".join(" ".join(init["command"])
                             for init in pod.get("initContainers", []))
            yield Engine(name, flags, set(re.findall(r"//([\w-]+):", waits)))


class Compose:
    def __init__(self, file):
        self.file = file
        self.services = load(file)[0]["services"]

    def engines(self):
        for name, service in self.services.items():
            flags = flags_of(service.get("command", []))
            needs = service.get("depends_on", {})
            if flags:
                yield Engine(name, flags,
                             {other for other, how in dict(needs).items()
                              if how["condition"] == "service_healthy"})


def load(file):
    with open(file, encoding="utf-8") as text:
        return list(yaml.safe_load_all(text))


def metrics_of(source):
    """Names of the metrics that the program makes."""
    make = re.compile(r'\b(?:Counter|Gauge|Seconds|Ratio|Share|Add|Set|Observe|'
                      r'counter|gauge|observe)\(\s*"(aio_[a-z_]+)"')
    return {name for file in source.glob("*/*.cc")
            if not file.name.endswith("_test.cc")
            for name in make.findall(file.read_text(encoding="utf-8"))}


def queries_of(dashboard):
    return [target["expr"] for panel in dashboard["panels"]
            for target in panel.get("targets", [])]


def named_in(query):
    names = re.findall(r"\baio_[a-z_]+", query)
    return {re.sub("_(bucket|sum|count)$", "", name) for name in names}


def instructions(dockerfile):
    """[(instruction, arguments)], continued lines joined."""
    text = re.sub(r"^#.*\n", "", dockerfile.read_text(encoding="utf-8"),
                  flags=re.M)
    text = text.replace("\\\n", " ")
    return [tuple(line.split(None, 1)) for line in text.splitlines()
            if line.strip()]
