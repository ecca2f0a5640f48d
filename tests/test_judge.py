"""What the judge makes of an API server's answers; the server itself is made up."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from conformance import apiserver
from conformance.api import ApiRefusal, Resource
from conformance.errors import Incomplete, MachineLacks
from conformance.judge import Answer, Judge, JudgeBinaries
from conformance.manifests import Manifests
from conformance.run import Runner

ALL = frozenset({"create"})
BUILT_IN = [
    Resource("", "v1", "configmaps", "ConfigMap", True, ALL),
    Resource("", "v1", "namespaces", "Namespace", False, ALL),
    Resource("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget", True, ALL),
    Resource("apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", False, ALL),
]


class FakeApi:
    """Answers by what a body contains, and remembers what it was asked."""

    def __init__(self, refusals: Mapping[str, ApiRefusal]) -> None:
        self.refusals = refusals
        self.asked: list[tuple[str, str, Mapping[str, Any]]] = []
        self.defined: dict[str, Any] = {}

    def resources(self) -> list[Resource]:
        return BUILT_IN

    def request(self, method: str, path: str, *, body: Any = None, query: Any = None, **_: Any) -> dict[str, Any]:
        self.asked.append((method, path, query or {}))
        text = body if isinstance(body, str) else json.dumps(body)
        for part, refusal in self.refusals.items():
            if part in text or part == path:
                raise refusal
        if method == "POST" and path.endswith("customresourcedefinitions") and not query:
            established = [{"type": "Established", "status": "True"}]
            self.defined[body["metadata"]["name"]] = {**body, "status": {"conditions": established}}
        return {"gitVersion": "v1.35.4"}

    def get(self, _: Resource, __: None, name: str) -> dict[str, Any] | None:
        return self.defined.get(name)

    def merge(self, resource: Resource, _: None, name: str, patch: dict[str, Any], subresource: str) -> None:
        self.asked.append(("PATCH", resource.path(None, name, subresource), {}))

    def delete(self, resource: Resource, _: None, name: str) -> None:
        self.asked.append(("DELETE", resource.path(None, name), {}))
        self.defined.pop(name, None)

    def made(self, plural: str) -> list[str]:
        return [
            path for method, path, query in self.asked if method == "POST" and path.endswith(plural) and not query
        ]


def judge_with(api: FakeApi, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Judge:
    monkeypatch.setattr(Judge, "api", api)
    return Judge(JudgeBinaries(Path("etcd"), Path("kube-apiserver")), Runner(tmp_path), tmp_path)


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Return a function that has objects reviewed by a server with the given refusals."""

    def review(text: str, **refusals: ApiRefusal) -> list[Answer]:
        judge = judge_with(FakeApi(refusals), monkeypatch, tmp_path)
        return [verdict.answer for verdict in judge.review(Manifests.parse(text, "agents"))]

    return review


CONFIG = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"


def crd(kind: str, version: str = "v1", scope: str = "Namespaced") -> str:
    spec = {"group": "x.io", "scope": scope, "names": {"kind": kind, "plural": f"{kind.lower()}s"},
            "conversion": {"strategy": "Webhook"}, "versions": [{"name": version, "served": True}]}  # fmt: skip
    head = {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition"}
    return json.dumps({**head, "metadata": {"name": f"{kind.lower()}s.x.io"}, "spec": spec})


def test_the_source_itself_is_judged(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    sent = []

    class Api(FakeApi):
        def request(
            self, method: str, path: str, *, body: Any = None, query: Any = None, **more: Any
        ) -> dict[str, Any]:
            sent.append((path, body, query, more.get("content_type")))
            return super().request(method, path, body=body, query=query)

    judge = judge_with(Api({}), monkeypatch, tmp_path)
    twice = CONFIG + "data: {a: b, a: c}\n"
    assert [verdict.accepted for verdict in judge.review(Manifests.parse(twice, "agents"))] == [True]
    path, body, query, content_type = sent[-1]
    assert path == "/api/v1/namespaces/agents/configmaps"
    assert "a: b, a: c" in body
    assert (query, content_type) == ({"dryRun": "All", "fieldValidation": "Strict"}, "application/yaml")


def test_the_servers_words_and_causes_are_kept(ask: Any) -> None:
    body = {"message": "it is invalid", "details": {"causes": [{"field": "data", "message": "no"}]}}
    (answer,) = ask(CONFIG, ConfigMap=ApiRefusal(422, body))
    assert answer == Answer(False, "it is invalid", (("data", "no"),))


def test_an_object_that_exists_already_was_acceptable(ask: Any) -> None:
    exists = ApiRefusal(409, {"reason": "AlreadyExists"})
    assert ask("apiVersion: v1\nkind: Namespace\nmetadata: {name: agents}", Namespace=exists) == [Answer(True)]


def test_a_version_that_is_no_longer_served_is_named_with_the_one_that_is(ask: Any) -> None:
    (answer,) = ask("apiVersion: policy/v1beta1\nkind: PodDisruptionBudget\nmetadata: {name: a}",
                    PodDisruptionBudget=ApiRefusal(404, {}))  # fmt: skip
    assert "policy/v1beta1 PodDisruptionBudget in Kubernetes v1.35.4" in answer.message
    assert "served as policy/v1" in answer.message


def test_a_kind_that_nobody_defines_is_refused(ask: Any) -> None:
    (answer,) = ask("apiVersion: x.io/v1\nkind: Foo\nmetadata: {name: a}")
    assert not answer.accepted
    assert "no API serves x.io/v1 Foo" in answer.message


def test_an_object_without_a_kind_is_refused(ask: Any) -> None:
    assert [answer.accepted for answer in ask("metadata: {name: a}")] == [False]


def test_a_broken_judge_is_not_the_charts_fault(ask: Any) -> None:
    with pytest.raises(Incomplete, match="ConfigMap/a in agents"):
        ask(CONFIG, ConfigMap=ApiRefusal(503, {"message": "busy"}))


def test_definitions_are_only_made_for_custom_resources(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    api = FakeApi({})
    judge = judge_with(api, monkeypatch, tmp_path)
    judge.review(Manifests.parse(crd("Foo"), "agents"))
    assert api.made("customresourcedefinitions") == []
    foo = "apiVersion: x.io/v1\nkind: Foo\nmetadata: {name: a}"
    for _ in range(2):
        verdicts = judge.review(Manifests.parse(f"{crd('Foo')}\n---\n{foo}", "agents"))
        assert all(verdict.accepted for verdict in verdicts)
    assert len(api.made("customresourcedefinitions")) == 1
    assert "conversion" not in api.defined["foos.x.io"]["spec"]


def test_a_definition_of_another_chart_is_replaced_or_not_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    api = FakeApi({})
    judge = judge_with(api, monkeypatch, tmp_path)
    foo = "apiVersion: x.io/v1\nkind: Foo\nmetadata: {name: a}"
    old, new = (Manifests.parse(crd("Foo", version), "agents") for version in ("v1", "v2"))
    objects = Manifests.parse(foo, "agents")
    assert [found.accepted for found in judge.review(objects, old)] == [True]
    (answer,) = judge.review(objects, new)
    assert answer.message == "no API serves x.io/v1 Foo: CustomResourceDefinition/foos.x.io serves v2"
    assert "DELETE" in {method for method, _, _ in api.asked}
    assert [found.accepted for found in judge.review(objects)] == [False]


def test_the_objects_of_a_refused_definition_are_refused(ask: Any) -> None:
    foo = "apiVersion: x.io/v1\nkind: Foo\nmetadata: {name: a}"
    answers = ask(f"{crd('Foo')}\n---\n{foo}", CustomResourceDefinition=ApiRefusal(422, {"message": "bad schema"}))
    assert [answer.message for answer in answers] == [
        "bad schema", "CustomResourceDefinition/foos.x.io, which defines it, is itself refused",
    ]  # fmt: skip


def program(folder: Path, name: str, script: str) -> Path:
    file = folder / name
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)
    return file


@pytest.fixture
def room(tmp_path: Path) -> Path:
    folder = tmp_path / "room"
    folder.mkdir()
    return folder


def test_a_judge_that_dies_says_its_last_words(tmp_path: Path, room: Path) -> None:
    etcd = program(tmp_path, "broken", "echo Error: no space; exit 3")
    with Judge(JudgeBinaries(etcd, etcd), Runner(tmp_path), room) as judge:
        for _ in range(2):
            with pytest.raises(MachineLacks, match="etcd ended with status 3: Error: no space"):
                judge.review(Manifests.parse(CONFIG, "agents"))


def test_a_judge_that_never_answers_is_given_up(
    tmp_path: Path, room: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apiserver, "READY_SECONDS", 0.05)
    silent = program(tmp_path, "silent", "exec sleep 60")
    with (
        Judge(JudgeBinaries(silent, silent), Runner(tmp_path), room) as judge,
        pytest.raises(MachineLacks, match="did not answer"),
    ):
        _ = judge.version


def test_a_judge_may_be_closed_before_it_is_ready(tmp_path: Path, room: Path) -> None:
    silent = program(tmp_path, "silent", "exec sleep 60")
    judge = Judge(JudgeBinaries(silent, silent), Runner(tmp_path), room).start()
    judge.close()
    with pytest.raises(MachineLacks, match="closed"):
        _ = judge.version


LISTENS = """
import socket, sys, time
found = socket.socket(socket.AF_UNIX)
found.bind("client:1")
found.listen()
time.sleep(60)
"""


def test_a_port_in_use_is_no_crash(tmp_path: Path, room: Path) -> None:
    import sys

    etcd = program(tmp_path, "listening", f"exec {sys.executable} -c '{LISTENS}'")
    taken = "echo Error: failed to listen on 127.0.0.1:1: bind: address already in use; echo >> ../tries; exit 1"
    server = program(tmp_path, "unlucky", taken)
    with (
        Judge(JudgeBinaries(etcd, server), Runner(tmp_path), room) as judge,
        pytest.raises(MachineLacks, match="address already in use"),
    ):
        _ = judge.version
    assert (tmp_path / "tries").read_text().count("\n") == apiserver._PORTS
