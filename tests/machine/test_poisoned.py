"""A whole run of a caller whose own settings would all lead it astray: none is read, changed or followed."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from command_line import CommandLine

from conformance.provision import provision

pytestmark = pytest.mark.machine

KUBECONFIG = """\
apiVersion: v1
kind: Config
current-context: production
clusters: [{{name: production, cluster: {{server: "http://{trap}"}}}}]
users: [{{name: production, user: {{token: not-a-real-token}}}}]
contexts: [{{name: production, context: {{cluster: production, user: production, namespace: production}}}}]
"""
DOCKER = '{"auths": {"127.0.0.1": {"auth": "bm9ib2R5Ondyb25n"}}, "credsStore": "none", "currentContext": "none"}'
GIT = "[core]\n\thooksPath = {folder}/hooks\n[apply]\n\twhitespace = error-all\n[alias]\n\tapply = !false\n"
PLUGIN = "name: poison\nversion: 0.1.0\nusage: x\ndescription: x\ncommand: touch {trace}\n"
#: What would leave a trace when Python or a shell reads it.
TRACING = 'import pathlib\npathlib.Path("{trace}").touch()\n'
CHECKS = " or ".join(f"rollback/{name}" for name in ("helm-restores", "leaves-no-orphans", "crds-and-crs"))
STOPPING = "[pytest]\naddopts = --collect-only --no-such-option\npython_files = none_*.py\n"


@dataclass
class Trap:
    """A server on loopback that counts who comes."""

    listener: socket.socket
    callers: list[bytes] = field(default_factory=list)

    @property
    def address(self) -> str:
        return "{}:{}".format(*self.listener.getsockname())

    def listen(self) -> None:
        while True:
            try:
                caller, _ = self.listener.accept()
            except OSError:
                return
            with caller:
                caller.settimeout(1)
                try:
                    self.callers.append(caller.recv(200))
                except OSError as error:
                    self.callers.append(str(error).encode())


@pytest.fixture
def trap() -> Iterator[Trap]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        trap = Trap(listener)
        threading.Thread(target=trap.listen, daemon=True).start()
        yield trap
        listener.shutdown(socket.SHUT_RDWR)


def _poison(caller: CommandLine, home: Path, trap: Trap, trace: Path) -> dict[str, str]:
    """Write a caller's files and return the environment of his that names them."""
    kubeconfig = KUBECONFIG.format(trap=trap.address)
    files = {
        home / ".kube/config": kubeconfig,
        home / "kubeconfig": kubeconfig,
        home / ".docker/config.json": DOCKER,
        home / ".gitconfig": GIT.format(folder=home),
        home / "hooks/post-checkout": f"#!/bin/sh\ntouch {trace}\n",
        home / ".config/helm/repositories.yaml": "this: [is no list of repositories\n",
        home / ".config/helm/registry/config.json": DOCKER,
        home / "plugins/poison/plugin.yaml": PLUGIN.format(trace=trace),
        home / ".bashrc": f"touch {trace}\n",
        caller.here / "pytest.ini": STOPPING,
        caller.here / "tox.ini": STOPPING,
        caller.here / "conftest.py": TRACING.format(trace=trace),
        caller.here / "conformance.py": TRACING.format(trace=trace),
        caller.here / "fixtures/charts/agents/Chart.yaml": "this: [is no chart\n",
        caller.here / "scenarios/test_install.py": TRACING.format(trace=trace),
        caller.here / "kind.yaml": "this: [is no configuration\n",
    }
    for file, text in files.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(0o755)
    proxy = f"http://{trap.address}"
    return {
        "HOME": str(home),
        "KUBECONFIG": str(home / "kubeconfig"),
        "HELM_NAMESPACE": "production", "HELM_DRIVER": "memory", "HELM_MAX_HISTORY": "1", "HELM_DEBUG": "true",
        "HELM_KUBEAPISERVER": proxy, "HELM_KUBECONTEXT": "production", "HELM_KUBETOKEN": "not-a-real-token",
        "HELM_KUBEASUSER": "nobody", "HELM_KUBEINSECURE_SKIP_TLS_VERIFY": "true",
        "HELM_PLUGINS": str(home / "plugins"), "HELM_CONFIG_HOME": str(home / ".config/helm"),
        "HELM_CACHE_HOME": str(home / ".config/helm"), "HELM_DATA_HOME": str(home / ".config/helm"),
        "HELM_REGISTRY_CONFIG": str(home / ".config/helm/registry/config.json"),
        "HELM_REPOSITORY_CONFIG": str(home / ".config/helm/repositories.yaml"),
        "XDG_CONFIG_HOME": str(home / ".config"), "XDG_DATA_HOME": str(home / ".config"),
        "DOCKER_CONFIG": str(home / ".docker"), "DOCKER_CONTEXT": "production", "DOCKER_CLI_HINTS": "x",
        "DOCKER_DEFAULT_PLATFORM": "linux/s390x",
        "KIND_EXPERIMENTAL_PROVIDER": "poison", "KIND_EXPERIMENTAL_DOCKER_NETWORK": "poison",
        "KIND_CLUSTER_NAME": "production", "KUBECTL_EXTERNAL_DIFF": "false", "KUBERNETES_MASTER": proxy,
        "KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": trap.address.partition(":")[2],
        "GIT_DIR": str(home), "GIT_WORK_TREE": str(home), "GIT_CONFIG_GLOBAL": str(home / ".gitconfig"),
        "GIT_INDEX_FILE": str(home / ".gitconfig"), "GIT_EXEC_PATH": str(home / "hooks"),
        "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "apply.whitespace", "GIT_CONFIG_VALUE_0": "error-all",
        "PYTEST_ADDOPTS": "--collect-only --no-such-option", "PYTEST_PLUGINS": "no_such_plugin",
        "PYTEST_XDIST_AUTO_NUM_WORKERS": "9", "BASH_ENV": str(home / ".bashrc"), "ENV": str(home / ".bashrc"),
        "ETCD_NAME": "production", "ETCD_LISTEN_CLIENT_URLS": proxy,
        "HTTP_PROXY": proxy, "HTTPS_PROXY": proxy, "ALL_PROXY": proxy, "http_proxy": proxy, "https_proxy": proxy,
    }  # fmt: skip


def _bytes(*folders: Path) -> dict[Path, tuple[bytes, int]]:
    """Return the content of every file below some folders, and when it was last written."""
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    return {file: (file.read_bytes(), file.stat().st_mtime_ns) for file in files}


def test_a_run_passes_and_leaves_the_callers_own_alone(trap: Trap, tmp_path: Path) -> None:
    home, trace = tmp_path / "home", tmp_path / "trace"
    clean = CommandLine(tmp_path)
    caller = CommandLine(tmp_path, environment=_poison(clean, home, trap, trace))
    before = _bytes(home, caller.here)
    said = caller.run("run", "-k", CHECKS, "--report-dir", tmp_path / "report", seconds=600)
    assert said.status == 0, said
    assert said.errors == []
    report = json.loads((tmp_path / "report" / "report.json").read_text())
    assert {name: report["summary"][name] for name in ("pass", "fail", "incomplete")} == {
        "pass": 3, "fail": 0, "incomplete": 0,
    }  # fmt: skip
    assert _bytes(home, caller.here) == before
    assert not trace.exists()
    assert trap.callers == []
    assert caller.processes() == []
    assert [path for path in caller.left() if path not in before and path.is_file()] == []

    kubectl = [provision().kubectl, "get", "pods"]
    subprocess.run(kubectl, env={**os.environ, **caller.environment}, capture_output=True, check=False, timeout=60)
    assert trap.callers != [], "it would have been found by who follows the caller's settings"
