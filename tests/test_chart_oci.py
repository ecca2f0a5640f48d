"""Charts from registries: the command that Helm gets, and what its answers mean."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from conformance.chart import Chart, open_chart
from conformance.chart.package import pack
from conformance.errors import BadInput, ConformanceError, MachineLacks
from conformance.run import Runner

SECRET = "r3gistry" + "-canary"
#: Stands for Helm: notes what it was asked and could read, then does as told.
HELM = """#!/bin/sh
printf '%s\\n' "$@" > {folder}/argv
env > {folder}/environment
cp "$HELM_REGISTRY_CONFIG" {folder}/logins
{behaviour}
"""


@pytest.fixture
def helm(tmp_path: Path) -> Callable[[str], Path]:
    def made(behaviour: str) -> Path:
        file = tmp_path / "helm"
        file.write_text(HELM.format(folder=tmp_path, behaviour=behaviour))
        file.chmod(0o755)
        return file

    return made


@pytest.fixture
def opened(tmp_path: Path) -> Callable[[str, Path | None], Chart]:
    runner = Runner(tmp_path, record=tmp_path / "commands.jsonl")
    return lambda source, helm: open_chart(source, into=tmp_path / "charts", runner=runner, helm=helm)


@pytest.fixture
def pulls(tmp_path: Path, helm: Callable[[str], Path]) -> Path:
    """A Helm that pulls one chart."""
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "Chart.yaml").write_text("apiVersion: v2\nname: app\nversion: 1.2.3\n")
    pack(tmp_path / "source", "app", tmp_path / "app-1.2.3.tgz")
    return helm(
        f'for word; do case $word in --destination=*) cp {tmp_path}/app-1.2.3.tgz "${{word#*=}}";; esac; done'
    )


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("oci://example.org/charts/app", ["--", "oci://example.org/charts/app"]),
        ("oci://example.org/app:1.2.3", ["--version=1.2.3", "--", "oci://example.org/app"]),
        ("oci://localhost:5000/app:1.2.3", ["--version=1.2.3", "--plain-http", "--", "oci://localhost:5000/app"]),
    ],
)
def test_the_command(
    opened: Callable[..., Chart], pulls: Path, tmp_path: Path, source: str, words: list[str]
) -> None:
    chart = opened(source, pulls)
    assert (chart.name, str(chart.version), chart.source) == ("app", "1.2.3", source)
    argv = (tmp_path / "argv").read_text().splitlines()
    assert argv[0] == "pull"
    assert argv[1].startswith(f"--destination={tmp_path}")
    assert argv[2:] == words
    assert (tmp_path / "logins").read_text() == "{}"
    assert {file.name for file in chart.folder.parent.iterdir()} == {"app", "app-1.2.3.tgz"}


def test_nothing_of_the_callers_is_read(
    opened: Callable[..., Chart], pulls: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (
        "HELM_REGISTRY_CONFIG",
        "HELM_CONFIG_HOME",
        "HELM_CACHE_HOME",
        "HELM_PLUGINS",
        "DOCKER_CONFIG",
        "KUBECONFIG",
    ):
        monkeypatch.setenv(name, "/poisoned")
    opened("oci://example.org/app", pulls)
    assert "poisoned" not in (tmp_path / "environment").read_text()


def test_credentials_reach_helm_in_a_file_that_goes(
    opened: Callable[..., Chart], pulls: Path, tmp_path: Path
) -> None:
    chart = opened(f"oci://robot:{SECRET}%40x@example.org:8443/app:1.2.3", pulls)
    (auth,) = json.loads((tmp_path / "logins").read_text())["auths"].items()
    assert auth == ("example.org:8443", {"auth": base64.b64encode(f"robot:{SECRET}@x".encode()).decode()})
    (tmp_path / "logins").unlink()
    assert chart.source == "oci://***@example.org:8443/app:1.2.3"
    for file in tmp_path.rglob("*"):
        text = file.read_text(errors="replace") if file.is_file() else ""
        assert SECRET not in text, file
        assert auth[1]["auth"] not in text, file
        assert "robot" not in text, file


@pytest.mark.parametrize(
    ("stderr", "error", "says"),
    [
        ("Error: localhost:5000/app:9.9.9: not found", BadInput, "expected a chart in the registry"),
        ('Error: failed to do request: "manifest unknown"', BadInput, "expected a chart in the registry"),
        ("Error: unable to locate any tags in provided repository: oci://h/app", BadInput, "expected a chart"),
        ("Error: could not locate a version matching provided version string 9", BadInput, "expected a chart"),
        ("Error: GET https://h/v2/app: unauthorized: access denied", BadInput, "expected leave to pull it"),
        ("Error: unexpected status from HEAD request: 403 Forbidden", BadInput, "expected leave to pull it"),
        ("Error: dial tcp: lookup nowhere.example: no such host", MachineLacks, "cannot be reached"),
        ("Error: dial tcp 127.0.0.1:9: connect: connection refused", MachineLacks, "cannot be reached"),
        ("Error: net/http: TLS handshake timeout", MachineLacks, "cannot be reached"),
        ("Error: tls: failed to verify certificate", MachineLacks, "Helm could not pull it"),
        ("", MachineLacks, "could not pull it: nothing"),
    ],
)
def test_what_helms_answers_mean(
    opened: Callable[..., Chart], helm: Callable[[str], Path], tmp_path: Path, stderr: str,
    error: type[ConformanceError], says: str,
) -> None:  # fmt: skip
    (tmp_path / "stderr").write_text(stderr)
    with pytest.raises(error) as caught:
        opened("oci://localhost:5000/app:1.0.0", helm(f"cat {tmp_path}/stderr >&2; exit 1"))
    assert says in str(caught.value)
    assert type(caught.value) is error
    assert not any((tmp_path / "charts").iterdir())


def test_an_answer_may_repeat_the_credentials(opened: Callable[..., Chart], helm: Callable[[str], Path]) -> None:
    with pytest.raises(BadInput) as caught:
        opened(f"oci://u:{SECRET}@example.org/app", helm(f"echo denied for {SECRET} >&2; exit 1"))
    assert SECRET not in str(caught.value)


def test_what_is_pulled_is_opened_as_carefully(opened: Callable[..., Chart], helm: Callable[[str], Path]) -> None:
    behaviour = 'for word; do case $word in --destination=*) echo x > "${word#*=}/app.tgz";; esac; done'
    with pytest.raises(BadInput, match="expected a gzipped tar"):
        opened("oci://example.org/app", helm(behaviour))
    with pytest.raises(BadInput, match="expected one chart archive, seen 0"):
        opened("oci://example.org/app", helm("true"))


def test_helm_is_needed(opened: Callable[..., Chart]) -> None:
    with pytest.raises(MachineLacks, match="Helm is needed"):
        opened("oci://example.org/app", None)
