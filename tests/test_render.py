"""Rendering, with a shell script in Helm's place."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from conformance import render
from conformance.redact import REDACTOR
from conformance.refusal import Refusal
from conformance.render import Renderer, Surroundings, ValuesSet, metadata_of
from conformance.run import Runner

OWN = ValuesSet("own")
CONFIG = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"

Helm = Callable[[str], Renderer]


@pytest.fixture
def helm(tmp_path: Path) -> Helm:
    """Return a function that makes a renderer whose Helm is the given shell script."""

    def make(script: str, seconds: float = 10.0) -> Renderer:
        program = tmp_path / "helm"
        program.write_text(f"#!/bin/sh\necho called >> {tmp_path}/calls\n{script}\n")
        program.chmod(0o755)
        folder = tmp_path / "renderings"
        folder.mkdir()
        return Renderer(program, 3, Runner(tmp_path), release="agents", namespace="here", kube_version="1.35.4",
                        folder=folder, seconds=seconds)  # fmt: skip

    return make


def calls(tmp_path: Path) -> int:
    return (tmp_path / "calls").read_text().count("called")


def test_a_rendering_is_made_once(helm: Helm, tmp_path: Path) -> None:
    with helm(f"printf '{CONFIG}'") as renderer:
        first = renderer.render(tmp_path, OWN)
        assert [str(manifest.key) for manifest in first.manifests] == ["ConfigMap/a in here"]
        assert renderer.render(tmp_path, ValuesSet("by another name")) is first
        assert renderer.render(tmp_path, ValuesSet("other", sets={"a": 1})) is not first
        assert renderer.helm_seconds >= first.seconds > 0
    assert calls(tmp_path) == 2


def test_a_refusal_is_made_once_too(helm: Helm, tmp_path: Path) -> None:
    with helm("echo 'Error: execution error at (c/templates/x.yaml:1:6): no good' >&2; exit 1") as renderer:
        found = renderer.render(tmp_path, OWN)
        assert found.refusal == Refusal("execution error at (c/templates/x.yaml:1:6): no good",
                                        "c/templates/x.yaml", 1)  # fmt: skip
        assert len(found.manifests) == 0
        assert renderer.render(tmp_path, OWN) is found
    assert calls(tmp_path) == 1


def test_helm_is_told_what_to_render(helm: Helm, tmp_path: Path) -> None:
    values = ValuesSet("all", (Path("/v/a.yaml"), Path("/v/b.yaml")), {"image": {"tag": "x"}})
    with helm(
        f'printf "%s\\n" "$@" > {tmp_path}/argv; for last; do :; done; cp "$last" {tmp_path}/sets'
    ) as renderer:
        renderer.render(tmp_path / "chart", values)
    argv = (tmp_path / "argv").read_text().splitlines()
    assert argv[:8] == ["template", "agents", str(tmp_path / "chart"), "--namespace", "here", "--include-crds",
                        "--kube-version", "1.35.4"]  # fmt: skip
    assert argv[8:12] == ["--values", "/v/a.yaml", "--values", "/v/b.yaml"]
    assert json.loads((tmp_path / "sets").read_text()) == {"image": {"tag": "x"}}


def test_surroundings_reach_helm(helm: Helm, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    with helm(f'echo "$TZ $PWD $HOME" > {tmp_path}/seen') as renderer:
        renderer.render(tmp_path, OWN, Surroundings("there", {"TZ": "X", "HOME": "/nowhere"}, elsewhere))
        assert (tmp_path / "seen").read_text().split() == ["X", str(elsewhere), "/nowhere"]
        renderer.render(tmp_path, OWN)
        assert str(elsewhere) not in (tmp_path / "seen").read_text()


def test_a_template_that_never_ends_is_ended(helm: Helm, tmp_path: Path) -> None:
    with helm("exec sleep 60", seconds=0.2) as renderer:
        refusal = renderer.render(tmp_path, OWN).refusal
    assert refusal is not None
    assert "did not end within 0.2 s" in str(refusal)


def test_an_endless_rendering_is_cut_off(helm: Helm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(render, "_BOUNDED", render._BOUNDED.replace(str(render.MOST_BYTES // 512), "2048"))
    monkeypatch.setattr(render, "MOST_BYTES", 2**20)
    with helm("exec yes") as renderer:
        refusal = renderer.render(tmp_path, OWN).refusal
    assert refusal is not None
    assert "more than 1 MiB" in str(refusal)
    assert not list((tmp_path / "renderings").iterdir())


def test_a_rendering_may_have_to_wait(helm: Helm, tmp_path: Path) -> None:
    with helm("true") as renderer:
        wanted = time.time() + 0.1
        assert renderer.submit(tmp_path, OWN, not_before=wanted).result().begun >= wanted


def test_rendered_secrets_are_hidden_everywhere(helm: Helm, tmp_path: Path) -> None:
    body = "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\nstringData: {a: unlikely-to-be-said}\n"
    with helm(f"printf '{body}'") as renderer:
        renderer.render(tmp_path, OWN)
    assert "unlikely" not in REDACTOR.scrub("it is unlikely-to-be-said")


def test_output_that_is_no_yaml_is_a_refusal(helm: Helm, tmp_path: Path) -> None:
    with helm("printf '# Source: c/templates/a.yaml\\na: ['") as renderer:
        refusal = renderer.render(tmp_path, OWN).refusal
    assert refusal is not None
    assert "c/templates/a.yaml" in str(refusal)


def test_a_charts_name_and_version_come_from_its_metadata(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    assert metadata_of(tmp_path / "x") == ("x", "unknown")
    (tmp_path / "y").mkdir()
    (tmp_path / "y" / "Chart.yaml").write_text("name: agents\nversion: 0.9.2\n")
    assert metadata_of(tmp_path / "y") == ("agents", "0.9.2")


INCLUDED = """Error: template: c/templates/x.yaml:1:6: executing "c/templates/x.yaml" at <include "h" .>: error
calling include: template: c/templates/_h.tpl:3:10: executing "h"
at <.Values.a.b.c>: nil pointer evaluating interface {}.b

Use --debug flag to render out invalid YAML
"""
INCLUDED_4 = """Error: c/templates/x.yaml:1:6
  executing "c/templates/x.yaml" at <include "h" .>:
    error calling include:
c/templates/_h.tpl:3:10
  executing "h" at <.Values.a.b.c>:
    nil pointer evaluating interface {}.b
"""


@pytest.mark.parametrize(
    ("said", "file", "line"),
    [
        (INCLUDED, "c/templates/_h.tpl", 3),
        (INCLUDED_4, "c/templates/_h.tpl", 3),
        ("Error: parse error at (c/templates/x.yaml:2): missing value for if", "c/templates/x.yaml", 2),
        ("Error: YAML parse error on c/templates/x.yaml: yaml: line 2: mapping values", "c/templates/x.yaml", 2),
        ("Error: failed to parse /v/v.yaml: error converting YAML to JSON: yaml: line 7: x", "/v/v.yaml", 7),
        ("Error: values don't meet the specifications of the schema(s)\nc:\n- at '/n': got string", None, None),
        ("coalesce.go:286: warning: a\nError: chart requires kubeVersion: >=1.99", None, None),
    ],
)  # fmt: skip
def test_helms_errors_name_file_and_line(said: str, file: str | None, line: int | None) -> None:
    refusal = Refusal.from_helm(said)
    assert (refusal.file, refusal.line) == (file, line)
    assert "\n" not in str(refusal)
    assert not refusal.message.startswith(("Error:", "coalesce"))
    assert "--debug" not in str(refusal)
