"""The rules with real Helms and a real judge."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from conformance import contract
from conformance.chart import Chart, reference_chart
from conformance.judge import Judge
from conformance.manifests import Manifests
from conformance.provision import Tools
from conformance.refusal import Refusal
from conformance.render import Renderer, ValuesSet
from conformance.rules import load, opened, require_usable
from conformance.run import Runner
from conformance.subject import Subject, placeholders

pytestmark = pytest.mark.machine


@pytest.fixture(params=[3, 4])
def renderer(request: pytest.FixtureRequest, tools: Tools, runner: Runner, tmp_path: Path) -> Iterator[Renderer]:
    folder = tmp_path / "renderings"
    folder.mkdir()
    with Renderer(tools.helm3 if request.param == 3 else tools.helm4, request.param, runner, release="agents",
                  namespace="agents", kube_version="1.35", folder=folder) as found:  # fmt: skip
        yield found


def reference(version: str, folder: Path, runner: Runner) -> Chart:
    return reference_chart(version, folder / version, runner)


def subject(candidate: Chart, baseline: Chart, helm: int) -> Subject:
    own = contract.builtin()
    return Subject(
        own, candidate, baseline, own.values_files, "1.35", helm, placeholders(own), overlay=own.overlay
    )


@pytest.mark.parametrize("helm", [3, 4])
def test_the_reference_passes_every_rule(
    tools: Tools, runner: Runner, judge: Judge, tmp_path: Path, helm: int
) -> None:
    judged = subject(reference("0.9.2", tmp_path, runner), reference("0.9.1", tmp_path, runner), helm)
    assert len(require_usable(judged, tools, runner, tmp_path)) > 0
    with opened(judged, tools, runner, tmp_path, judge=judge) as rules:
        assert {id_: rules.judge(id_) for id_ in load()} == {id_: [] for id_ in load()}


FOO = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: foos.x.io}
spec:
  group: x.io
  scope: Namespaced
  names: {kind: Foo, plural: foos}
  conversion: {strategy: Webhook, webhook: {conversionReviewVersions: [v1], clientConfig: {url: "https://a.invalid"}}}
  versions:
    - name: v1
      served: true
      storage: true
      schema:
        openAPIV3Schema:
          type: object
          properties:
            spec:
              type: object
              properties: {size: {type: integer}}
              x-kubernetes-validations: [{rule: "self.size > 3", message: too small}]
"""


def foo(spec: str) -> str:
    return f"apiVersion: x.io/v1\nkind: Foo\nmetadata: {{name: a}}\nspec: {spec}"


def said(judge: Judge, *documents: str) -> list[str]:
    return [verdict.message for verdict in judge.review(Manifests.parse("\n---\n".join(documents), "agents"))]


@pytest.mark.parametrize(("document", "words"), [
    ("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {a: b, a: c}", 'key "a" already set in map'),
    ("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {a: 1}", "cannot unmarshal number"),
    ("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, annotations: {a/b/c: x}}", "Invalid value"),
    ("apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {portz: []}", 'unknown field "spec.portz"'),
    ("apiVersion: policy/v1beta1\nkind: PodDisruptionBudget\nmetadata: {name: a}", "it is served as policy/v1"),
    ("apiVersion: monitoring.coreos.com/v1\nkind: ServiceMonitor\nmetadata: {name: a}", "no API serves"),
    ("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: Not_ok}", "Not_ok"),
])  # fmt: skip
def test_the_judge_refuses_in_the_servers_words(judge: Judge, document: str, words: str) -> None:
    (message,) = said(judge, document)
    assert words in message


POD = """
apiVersion: v1
kind: Pod
metadata: {name: a}
spec: {serviceAccountName: b, priorityClassName: c, runtimeClassName: d, containers: [{name: a, image: b}]}
"""


@pytest.mark.parametrize("document", [
    "apiVersion: v1\nkind: Namespace\nmetadata: {name: agents}",
    POD,
    "apiVersion: v1\nkind: List\nitems: [{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}]",
])  # fmt: skip
def test_the_judge_accepts_what_only_needs_a_cluster(judge: Judge, document: str) -> None:
    assert said(judge, document) == [""]


def test_custom_resources_are_judged_by_the_charts_own_definitions(judge: Judge) -> None:
    narrow, wide = FOO, FOO.replace("{size: {type: integer}}", "{size: {type: integer}, more: {type: string}}")
    assert said(judge, narrow, foo("{size: 5}"), foo("{size: 1}"), foo("{size: 5, more: x}")) == [
        "", "", 'Foo.x.io "a" is invalid: spec: Invalid value: too small',
        'Foo in version "v1" cannot be handled as a Foo: strict decoding error: unknown field "spec.more"',
    ]  # fmt: skip
    assert said(judge, wide, foo("{size: 5, more: x}")) == ["", ""]
    assert "no API serves x.io/v1 Foo" in said(judge, foo("{size: 5}"))[0]


def chart(folder: Path, template: str) -> Path:
    (folder / "templates").mkdir(parents=True)
    (folder / "Chart.yaml").write_text("apiVersion: v2\nname: agents\nversion: 0.1.0\n")
    (folder / "templates" / "a.yaml").write_text(template)
    (folder / "templates" / "_h.tpl").write_text('{{ define "h" }}\n\n{{ .Values.a.b.c }}{{ end }}')
    return folder


@pytest.mark.parametrize(("template", "file", "line"), [
    ('a: {{ fail "no good" }}', "agents/templates/a.yaml", 1),
    ('a: {{ include "h" . }}', "agents/templates/_h.tpl", 3),
    ("b: 1\na: {{ if }}", "agents/templates/a.yaml", 2),
    ("kind: X\n  b: 1", "agents/templates/a.yaml", None),
])  # fmt: skip
def test_helm_names_file_and_line(
    renderer: Renderer, tmp_path: Path, template: str, file: str, line: int | None
) -> None:
    refusal = renderer.render(chart(tmp_path / "agents", template), ValuesSet("own")).refusal
    assert refusal is not None
    assert refusal.file == file
    assert line in (None, refusal.line)


def test_a_template_that_never_ends_is_ended(tools: Tools, runner: Runner, tmp_path: Path) -> None:
    folder = tmp_path / "renderings"
    folder.mkdir()
    endless = chart(tmp_path / "agents", '{{ range until 100000000 }}{{ end }}a: {{ repeat 1000000000 "x" }}')
    with Renderer(tools.helm3, 3, runner, release="a", namespace="a", kube_version="1.35", folder=folder,
                  seconds=0.5) as renderer:  # fmt: skip
        refusal = renderer.render(endless, ValuesSet("own")).refusal
    assert isinstance(refusal, Refusal)
    assert "did not end within 0.5 s" in str(refusal)
