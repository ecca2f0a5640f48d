"""The programs that provisioning brings: which of them PATH may stand in for, and how the others are built."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from conformance.errors import ConformanceError
from conformance.provision.golang import Go, GoProgram
from conformance.provision.pins import Kubernetes, Tool, pins
from conformance.provision.store import Store
from conformance.run import Runner

#: How each tool says its version.
ASKED = {
    "kind": ("version",),
    "kustomize": ("version",),
    "helm3": ("version", "--template", "{{.Version}}"),
    "helm4": ("version", "--template", "{{.Version}}"),
    "kubectl": ("version", "--client"),
}


@dataclass(frozen=True)
class Found:
    """A program on PATH and the version it says it is; `suits` when the suite uses it."""

    path: Path
    version: str
    suits: bool


def tool_program(tool: Tool) -> GoProgram:
    """Return how a tool is built: as `go install` does it."""
    ldflags = ""
    if tool.name.startswith("helm"):
        ldflags = f"-X {tool.module}/internal/version.version={tool.version}"
    if tool.kubernetes:
        for place in ("pkg/chartutil", "pkg/lint/rules"):
            for part, number in zip(("Major", "Minor"), tool.kubernetes.split("."), strict=True):
                ldflags += f" -X {tool.module}/{place}.k8sVersion{part}={number}"
    return GoProgram(tool.name, tool.version, tool.module, (tool.package,), ldflags=ldflags, install=True)


def tool_path(store: Store, tool: Tool) -> Path:
    """Return where the built tool is, or will be."""
    parts = [part for part in tool.package.split("/") if not re.fullmatch(r"v\d+", part)]
    return store.path(tool_program(tool).artefact) / parts[-1]


def build(go: Go, store: Store, program: GoProgram) -> Path:
    """Return the folder of a built program, building it first where it is missing."""
    what = f"{program.name} {program.version} from its module"
    return store.make(program.artefact, lambda into: go.build(program, into), what=what)


def find(runner: Runner, name: str, release: Kubernetes | None = None) -> list[Found]:
    """Return what PATH has of a tool, the first suitable one first.

    Suitable are: the same minor version for kind (its node files belong to it) and kustomize; the same major
    version, at least the pinned oldest minor, for Helm; one minor version beside `release` for kubectl, which is
    Kubernetes' own rule for version skew.
    """
    candidates = [name] if not name.startswith("helm") else [name, "helm"]
    found = []
    for candidate in candidates:
        path = shutil.which(candidate)
        version = path and _version(runner, path, *ASKED[name])
        if path and version:
            found.append(Found(Path(path), version, suits(name, version, release)))
    return sorted(found, key=lambda program: not program.suits)


def suits(name: str, version: str, release: Kubernetes | None = None) -> bool:
    """Return whether the suite may use this version of a tool."""
    major, minor = _minor(version)
    if name == "kubectl":
        wanted = _minor(release.version if release else pins().releases[pins().default].version)
        return major == wanted[0] and abs(minor - wanted[1]) <= 1
    tool = pins().tools[name]
    if tool.oldest:
        return _minor(tool.oldest) <= (major, minor) < (_minor(tool.oldest)[0] + 1, 0)
    return (major, minor) == _minor(tool.version)


def kubernetes_programs(release: Kubernetes) -> tuple[GoProgram, ...]:
    """Return what the judge runs (the first two) and what a node image holds besides."""
    version = release.version
    major, minor = _minor(version)
    info = {"gitVersion": version, "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
    stamps = [f"-X k8s.io/component-base/version.{name}={value}" for name, value in info.items()]
    stamps += [f"-X k8s.io/client-go/pkg/version.{name}={value}" for name, value in info.items()]
    staging = version.replace(f"v{major}.", "v0.")

    def kubernetes(name: str, *commands: str) -> GoProgram:
        module = pins().modules["kubernetes"]
        return GoProgram(name, version, module, tuple(f"{module}/cmd/{command}" for command in commands),
                         ldflags=" ".join(stamps), staging=staging)  # fmt: skip

    etcd = f"v{release.etcd.partition('-')[0]}"
    containerd, path = pins().versions["containerd"], pins().modules["containerd"]
    return (
        kubernetes("kube-apiserver", "kube-apiserver"),
        GoProgram("etcd", etcd, pins().modules["etcd"], own_main="etcd"),
        kubernetes("kubernetes-node", "kubeadm", "kubelet", "kubectl", "kube-controller-manager", "kube-scheduler",
                   "kube-proxy"),
        GoProgram("containerd", containerd, path,
                  tuple(f"{path}/cmd/{command}" for command in ("containerd", "ctr", "containerd-shim-runc-v2")),
                  tags="no_aufs no_zfs no_btrfs no_devmapper",
                  ldflags=f"-X {path}/version.Version={containerd} -X {path}/version.Package={path}"),
        GoProgram("coredns", release.coredns, pins().modules["coredns"], own_main="coredns"),
        GoProgram("pause", release.pause, own_main="pause"),
    )  # fmt: skip


def registry_program() -> GoProgram:
    """Return the registry: its own command line, with storage in a folder and without the clouds'."""
    return GoProgram("registry", pins().versions["registry"], pins().modules["registry"], own_main="registry")


def argocd_program() -> GoProgram:
    """Return Argo CD: one program that is a different process under each of its names."""
    version, module = pins().versions["argocd"], pins().modules["argocd"]
    return GoProgram("argocd", version, module, (f"{module}/cmd",),
                     ldflags=f"-X {module}/common.version={version.removeprefix('v')}")  # fmt: skip


def _version(runner: Runner, *argv: str) -> str | None:
    try:
        said = runner.run(*argv, timeout=30)
    except ConformanceError:
        return None
    found = re.search(r"v\d+\.\d+(\.\d+)?", said.stdout)
    return found[0] if found else None


def _minor(version: str) -> tuple[int, int]:
    major, minor = re.findall(r"\d+", version)[:2]
    return int(major), int(minor)
