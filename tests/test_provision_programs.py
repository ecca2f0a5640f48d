"""PATH comes first, but only with versions that suit; the rest is built from pinned modules."""

from __future__ import annotations

from pathlib import Path

import pytest

from conformance.errors import MachineLacks
from conformance.provision import golang, host_programs, programs
from conformance.provision.golang import Go, GoProgram
from conformance.provision.pins import pins
from conformance.provision.store import Store
from conformance.redact import REDACTOR
from conformance.run import Runner

RELEASE = pins().release("1.35")


@pytest.fixture
def on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))

    def put(name: str, says: str, status: int = 0) -> Path:
        program = folder / name
        program.write_text(f"#!/bin/sh\nprintf '%s\\n' '{says}'\nexit {status}\n")
        program.chmod(0o755)
        return program

    return put


@pytest.mark.parametrize(
    ("name", "version", "suits"),
    [
        ("kind", "v0.33.0", True),
        ("kind", "v0.33.9", True),
        ("kind", "v0.32.0", False),
        ("kind", "v0.34.0", False),
        ("kustomize", "v5.8.0", True),
        ("kustomize", "v5.7.1", False),
        ("helm3", "v3.22.1", True),
        ("helm3", "v3.19.0", True),
        ("helm3", "v3.18.9", False),
        ("helm3", "v4.3.1", False),
        ("helm4", "v4.0.0", True),
        ("helm4", "v3.22.0", False),
        ("kubectl", "v1.34.0", True),
        ("kubectl", "v1.36.3", True),
        ("kubectl", "v1.33.9", False),
        ("kubectl", "v1.37.0", False),
    ],
)
def test_which_versions_on_path_suit(name: str, version: str, suits: bool) -> None:
    assert programs.suits(name, version, RELEASE) is suits


def test_what_is_on_path_comes_first(on_path, runner: Runner, tmp_path: Path) -> None:
    kind = on_path("kind", "kind v0.33.2 go1.26 linux/amd64")
    helm = on_path("helm", "v4.1.0")
    kubectl = on_path("kubectl", "Client Version: v1.35.1")
    found = host_programs.here(runner, Store(tmp_path), RELEASE)
    assert {name: (program.path, program.version) for name, program in found.items()} == {
        "kind": (kind, "v0.33.2"),
        "helm4": (helm, "v4.1.0"),
        "kubectl": (kubectl, "v1.35.1"),
    }


def test_helm_may_go_by_its_major_version(on_path, runner: Runner) -> None:
    on_path("helm", "v4.1.0")
    three = on_path("helm3", "v3.20.0")
    first = programs.find(runner, "helm3")[0]
    assert (first.path, first.suits) == (three, True)


def test_a_program_that_fails_or_says_nothing_is_passed_over(on_path, runner: Runner) -> None:
    on_path("kind", "no such option", status=1)
    on_path("kustomize", "unknown")
    assert programs.find(runner, "kind") == programs.find(runner, "kustomize") == []


def test_what_was_built_or_taken_from_an_image_is_found(
    on_path, runner: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path / "cache")
    built = store.path(host_programs.built_by("helm3", RELEASE).artefact) / "helm"
    node = store.path(host_programs.built_by("kubectl", RELEASE).artefact) / "kubectl"
    for file in (built, node):
        file.parent.mkdir(parents=True)
        file.touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    found = host_programs.here(runner, store, RELEASE)
    assert {name: program.path for name, program in found.items()} == {"helm3": built, "kubectl": node}
    assert found["helm3"].version == pins().tools["helm3"].version


def test_helm_is_built_to_assume_the_kubernetes_its_release_does() -> None:
    program = programs.tool_program(pins().tools["helm3"])
    assert "helm.sh/helm/v3/pkg/chartutil.k8sVersionMinor=37" in program.ldflags
    assert "internal/version.version=v3.22.0" in program.ldflags
    assert "k8sVersion" not in programs.tool_program(pins().tools["helm4"]).ldflags


def test_the_programs_of_a_release_are_built_at_the_versions_of_its_images() -> None:
    versions = {program.name: program.version for program in programs.kubernetes_programs(pins().release("1.34"))}
    assert versions["kube-apiserver"] == versions["kubernetes-node"] == "v1.34.4"
    assert versions["etcd"] == "v3.6.5"
    assert versions["coredns"] == "v1.12.1"


def test_a_change_of_our_own_source_builds_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(golang, "SOURCES", tmp_path)
    (tmp_path / "own").mkdir()
    program = GoProgram("own", "v1.0.0", own_main="own")
    keys = set()
    for text in ("package main", "package main // changed"):
        (tmp_path / "own" / "main.go").write_text(text)
        keys.add(program.artefact.key)
    assert len(keys) == 2


class FakeGo:
    """A go command that shows a module's folder, and remembers what it was asked to build and how."""

    def __init__(self, module: Path) -> None:
        self.module = module
        self.asked: list[tuple[str, ...]] = []
        self.environment: dict[str, str] = {}
        self.go_mod = ""

    def run(self, *words, env, cwd, **_):
        from conformance.run import Result

        self.asked.append(tuple(map(str, words)))
        self.environment = env
        if "build" in words:
            self.go_mod = (cwd / "go.mod").read_text()
        return Result((), {}, 0, f'{{"Dir": "{self.module}"}}', "", 0.0)


def test_what_a_module_replaces_is_replaced_and_staging_modules_by_what_was_published_of_them(
    tmp_path: Path,
) -> None:
    module = tmp_path / "module"
    module.mkdir()
    (module / "go.sum").write_text("sums")
    (module / "go.mod").write_text(
        "module k8s.io/kubernetes\n\ngo 1.25.0\n\ngodebug default=go1.25\n\n"
        "replace (\n\tk8s.io/api => ./staging/src/k8s.io/api\n\tother.io/x => other.io/y v1.0.0\n)\n"
    )
    runner = FakeGo(module)
    go = Go(Path("go"), runner, tmp_path / "go")  # type: ignore[arg-type]
    go.build(programs.kubernetes_programs(RELEASE)[0], tmp_path / "out")
    assert runner.go_mod.splitlines() == [
        "module conformance/build",
        "go 1.25.0",
        "godebug default=go1.25",
        "require k8s.io/kubernetes v1.35.4",
        "replace k8s.io/api => k8s.io/api v0.35.4",
        "replace other.io/x => other.io/y v1.0.0",
    ]
    assert runner.asked[-1][-1] == "k8s.io/kubernetes/cmd/kube-apiserver"
    assert "-trimpath" in runner.asked[-1]


def test_a_build_sees_the_callers_package_registries_and_nothing_else_of_his(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOPROXY", "https://someone:proxy-password@proxy.example")
    monkeypatch.setenv("GOMODCACHE", "/his/modules")
    monkeypatch.setenv("GOOS", "plan9")
    monkeypatch.setenv("PIP_INDEX_URL", "https://pypi.example/simple")
    monkeypatch.delenv("GOCACHE", raising=False)
    runner = FakeGo(tmp_path)
    go = Go(Path("go"), runner, tmp_path / "go")  # type: ignore[arg-type]
    go.run("version")
    assert runner.environment["GOPROXY"].endswith("@proxy.example")
    assert runner.environment["GOMODCACHE"] == "/his/modules"
    assert runner.environment["GOCACHE"] == str(tmp_path / "go" / "build")
    assert runner.environment["PIP_INDEX_URL"] == "https://pypi.example/simple"
    assert "GOOS" not in runner.environment
    assert "proxy-password" not in REDACTOR.scrub(runner.environment["GOPROXY"])


@pytest.mark.parametrize(
    ("says", "found"),
    [
        ("go version go1.26.8 linux/amd64", "1.26.8"),
        ("go version go1.27 linux/amd64", "1.27"),
        ("go version go1.26.2 linux/amd64", None),
        ("go version go1.9.9 linux/amd64", None),
        ("go version devel", None),
    ],
)
def test_an_old_go_is_passed_over(on_path, runner: Runner, says: str, found: str | None) -> None:
    go = on_path("go", says)
    assert golang.find(runner) == ((go, found) if found else None)


def test_without_go_and_pip_the_machine_says_what_it_lacks(
    on_path, runner: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.executable", str(on_path("python", "no pip", status=1)))
    with pytest.raises(MachineLacks, match=r"no Go >= 1\.26\.3 on PATH, and no pip"):
        golang.ready(runner, Store(tmp_path / "cache"))
