"""The engine is found, or it is said what to install; what it lacks is made up for and nothing more."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from conformance.errors import MachineLacks
from conformance.provision import engine as engines
from conformance.provision import runc_bounded
from conformance.provision.engine import NEEDED, RUNTIME, Engine
from conformance.provision.kind_config import kind_config, proxy_exception
from conformance.provision.node_image import NodeImage
from conformance.provision.registry import NAME, Registry, hosts_toml
from conformance.run import Runner

ALL = {f"CAP_{name}" for name in runc_bounded.CAPABILITIES}
INFO = {"ServerVersion": "27.1", "CgroupVersion": "2", "SecurityOptions": ["name=seccomp,profile=builtin"]}


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A docker command that says what it is told, and records the environment it sees."""
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))

    def put(info: dict[str, Any] | None) -> None:
        program = tmp_path / "docker"
        said = json.dumps(info) if info else "Cannot connect to the Docker daemon"
        program.write_text(f"#!/bin/sh\nenv > {tmp_path}/environment\necho '{said}'\nexit {0 if info else 1}\n")
        program.chmod(0o755)

    return put


def engine(**more: Any) -> Engine:
    known = {
        "version": "1",
        "cgroup": 2,
        "bounded": False,
        "rootless": False,
        "runtime": "runc",
        "environment": {"DOCKER_CONFIG": "/x"},
    }
    return Engine(docker=Path("docker"), runner=Runner(Path("/none")), **{**known, **more})


def test_a_running_engine_is_described(docker, runner: Runner, tmp_path: Path) -> None:
    docker(INFO)
    found = engines.find(runner)
    assert found is not None
    assert (found.version, found.cgroup, found.bounded, found.rootless) == ("27.1", 2, False, False)
    seen = (tmp_path / "environment").read_text()
    assert f"DOCKER_CONFIG={tmp_path}/state/agents-conformance/docker\n" in seen
    assert "DOCKER_HOST=tcp://127.0.0.1:1\n" in seen


def test_an_older_engine_on_cgroup_v1(docker, runner: Runner) -> None:
    docker({"ServerVersion": "20.10", "SecurityOptions": ["name=rootless"]})
    found = engines.find(runner)
    assert found is not None
    assert (found.cgroup, found.rootless) == (1, True)


def test_no_engine_is_found_where_none_answers(docker, runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    docker(None)
    assert engines.find(runner) is None
    monkeypatch.setenv("PATH", "/nowhere")
    assert engines.find(runner) is None


def test_an_engine_that_the_caller_names_is_not_replaced(docker, runner: Runner) -> None:
    docker(None)
    with pytest.raises(
        MachineLacks, match=r"DOCKER_HOST is tcp://127\.0\.0\.1:1, where no container engine answers"
    ):
        engines.ensure(runner)


@pytest.mark.parametrize(("user", "allowed"), [(0, False), (1000, True)])
def test_without_leave_or_right_it_is_said_what_to_install(
    docker, runner: Runner, monkeypatch: pytest.MonkeyPatch, user: int, allowed: bool
) -> None:
    docker(None)
    monkeypatch.delenv("DOCKER_HOST")
    monkeypatch.setattr("os.geteuid", lambda: user)
    with pytest.raises(MachineLacks, match=r"apt-get install docker\.io iptables"):
        engines.ensure(runner, install_engine=allowed)


def test_an_engine_without_the_capability_must_have_a_runtime_that_makes_up_for_it(
    docker, runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "_held", lambda _: ALL - {NEEDED})
    docker(INFO)
    with pytest.raises(MachineLacks, match=f"lacks {NEEDED}"):
        engines.ensure(runner)
    docker({**INFO, "DefaultRuntime": RUNTIME})
    assert engines.ensure(runner).bounded


def test_an_engine_elsewhere_is_refused(docker, runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    docker(INFO)
    monkeypatch.setenv("DOCKER_HOST", "tcp://build.example:2375")
    with pytest.raises(MachineLacks, match="cannot be reached from here"):
        engines.ensure(runner)


def test_an_engine_goes_to_another_process() -> None:
    one = engine(cgroup=1)
    other = pickle.loads(pickle.dumps(one))  # noqa: S301 - our own
    assert other == one
    assert other.runner.home == one.runner.home


@pytest.mark.parametrize("ours", [True, False])
def test_only_an_engine_of_ours_is_stopped(ours: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder, data = (tmp_path / name / "agents-conformance/engine" for name in ("state", "cache"))
    folder.mkdir(parents=True)
    data.mkdir(parents=True)
    config = folder / "daemon.json" if ours else tmp_path / "daemon.json"
    program = [sys.executable, "-c", "import time; print(flush=True); time.sleep(60)", "--config-file", config]
    with subprocess.Popen(program, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()  # until then its command line may be empty
        (folder / "pid").write_text(str(process.pid))
        assert engines.stop(None) == ([f"container engine (process {process.pid})"] if ours else [])
        assert (process.poll() is not None) is ours
        process.kill()
    assert not folder.exists()
    assert not data.exists()


STATUS = "Name:\tpython\nCapEff:\t{0:016x}\nCapBnd:\t{0:016x}\n"


def test_the_bounding_set_is_read_by_bit() -> None:
    everything = (1 << len(runc_bounded.CAPABILITIES)) - 1
    assert runc_bounded.bounding_set(STATUS.format(everything)) == ALL
    assert runc_bounded.bounding_set(STATUS.format(everything & ~(1 << 24))) == ALL - {NEEDED}
    assert runc_bounded.bounding_set(STATUS.format(1)) == {"CAP_CHOWN"}


@pytest.mark.parametrize(
    ("arguments", "file", "asked"),
    [
        (["--root", "/r", "create", "--bundle", "{0}", "id"], "config.json", "process"),
        (["--root", "/r", "run", "--bundle={0}", "id"], "config.json", "process"),
        (["exec", "--process", "{0}/process.json", "id"], "process.json", None),
        (["exec", "-p", "{0}/process.json", "id"], "process.json", None),
    ],
)
def test_a_container_is_asked_for_no_more_than_is_held(
    arguments: list[str], file: str, asked: str | None, tmp_path: Path
) -> None:
    kinds = {kind: ["CAP_CHOWN", NEEDED] for kind in ("bounding", "effective", "permitted")}
    process = {"args": ["sh"], "capabilities": kinds}
    (tmp_path / file).write_text(json.dumps({"root": {}, asked: process} if asked else process))
    runc_bounded.rewrite([word.format(tmp_path) for word in arguments], ALL - {NEEDED})
    said = json.loads((tmp_path / file).read_text())
    lowered = said[asked] if asked else said
    assert lowered["args"] == ["sh"]
    assert lowered["capabilities"] == {kind: ["CAP_CHOWN"] for kind in kinds}


@pytest.mark.parametrize("arguments", [["state", "id"], ["delete", "id"], ["exec", "id", "sh"], ["--version"]])
def test_other_commands_are_passed_on_as_they_are(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    runc_bounded.rewrite(arguments, set())
    assert list(tmp_path.iterdir()) == []


BUILT = NodeImage("agents-conformance/node:v1.35.4-abc", "v1.35.4", built=True)
PULLED = NodeImage("docker.io/kindest/node@sha256:a", "v1.35.4", built=False)
REGISTRY = Registry("127.0.0.1:5000", f"{NAME}:5000", Path("/cache/hosts"))


def test_nothing_is_patched_without_need() -> None:
    config = kind_config(PULLED, engine(), REGISTRY)
    assert "networking" not in config
    assert "kubeadmConfigPatches" not in config
    [containerd] = config["containerdConfigPatches"]
    assert "certs.d" in containerd
    [node] = config["nodes"]
    assert node["image"] == PULLED.reference
    mount = {"hostPath": "/cache/hosts", "containerPath": "/etc/containerd/certs.d", "readOnly": True}
    assert node["extraMounts"] == [mount]


def test_what_the_machine_and_the_image_need_is_patched() -> None:
    config = kind_config(BUILT, engine(bounded=True, cgroup=1), REGISTRY)
    assert config["networking"] == {"disableDefaultCNI": True}
    assert any("restrict_oom_score_adj = true" in patch for patch in config["containerdConfigPatches"])
    assert config["kubeadmConfigPatches"] == ["failCgroupV1: false\nkind: KubeletConfiguration\n"]


def test_nodes_are_told_that_the_registry_speaks_plain_http() -> None:
    assert f'[host."http://{NAME}:5000"]' in hosts_toml()


def test_a_proxy_of_the_callers_is_not_asked_for_the_local_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    assert proxy_exception(REGISTRY) == {}
    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    assert proxy_exception(REGISTRY) == {"NO_PROXY": NAME, "no_proxy": NAME}
    monkeypatch.setenv("no_proxy", "example.org,.internal")
    both = f"example.org,.internal,{NAME}"
    assert proxy_exception(REGISTRY) == {"NO_PROXY": both, "no_proxy": both}
