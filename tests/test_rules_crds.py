"""Schemas compared, and the rules on CustomResourceDefinitions."""

from __future__ import annotations

import json
from typing import Any

import pytest
from made_up import pair

from conformance.checks import Finding
from conformance.rules.crds import never_deleted, schema_not_narrower, stable_versions
from conformance.rules.narrowing import Schemas


def narrower(before: Any, after: Any, **more: Any) -> list[str]:
    return [str(found) for found in Schemas(before, after, **more).narrower()]


def of(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


TEXT, NUMBER, WHOLE = {"type": "string"}, {"type": "number"}, {"type": "integer"}


@pytest.mark.parametrize(("before", "after"), [
    (of(a=TEXT), of(a=TEXT, b=TEXT)), (of(a=WHOLE), of(a=NUMBER)), (of(a={**TEXT, "enum": ["x"]}), of(a=TEXT)),
    (of(a={**TEXT, "enum": ["x"]}), of(a={**TEXT, "enum": ["y", "x"]})),
    (of(a={**WHOLE, "minimum": 3}), of(a={**WHOLE, "minimum": 2})),
    (of(a={**TEXT, "maxLength": 3}), of(a={**TEXT, "maxLength": 4})),
    ({**of(a=TEXT), "required": ["a"]}, of(a=TEXT)),
    (of(a=TEXT), {**of(a=TEXT, b={**TEXT, "default": "x"}), "required": ["b"]}),
    (of(a=TEXT), of(a={**TEXT, "nullable": True, "description": "more"})),
    (of(a=TEXT), {**of(a=TEXT, b=TEXT), "x-kubernetes-validations": [{"rule": "!has(self.b) || self.b != 'x'"}]}),
    (of(a=TEXT), {"type": "object", "x-kubernetes-preserve-unknown-fields": True}),
    (of(a={"oneOf": [TEXT, WHOLE]}), of(a={"oneOf": [TEXT, WHOLE, NUMBER]})),
    (of(a={"type": "array", "items": TEXT}), of(a={"type": "array", "items": TEXT, "minItems": 0})),
    (of(a=TEXT), of(a={"type": ["string", "integer"]})), (of(a=TEXT), of(a={"x-kubernetes-int-or-string": True})),
])  # fmt: skip
def test_what_accepts_as_much_or_more_passes(before: Any, after: Any) -> None:
    assert narrower(before, after, pruned=True) == []


@pytest.mark.parametrize(("before", "after", "said"), [
    (of(a=TEXT), of(), "a: a field, now dropped"),
    (of(a=NUMBER), of(a=WHOLE), "a: integer or number, now integer"),
    (of(a=TEXT), {**of(a=TEXT), "required": ["a"]}, "a: optional, now required"),
    (of(a={"enum": ["x", "y"]}), of(a={"enum": ["x"]}), 'a: one of "y" too, now one of "x" only'),
    (of(a=TEXT), of(a={**TEXT, "pattern": "^x"}), "a: no pattern, now pattern ^x"),
    (of(a=WHOLE), of(a={**WHOLE, "minimum": 1}), "a: no minimum, now minimum 1"),
    (of(a={**WHOLE, "maximum": 9}), of(a={**WHOLE, "maximum": 8}), "a: maximum 9, now maximum 8"),
    (of(a={"type": "array", "items": TEXT}), of(a={"type": "array", "items": WHOLE}), "a.[]: string, now integer"),
    (of(a=of(b={**TEXT, "nullable": True})), of(a=of(b=TEXT)), "a.b: null or string, now string"),
    (of(a=TEXT), {**of(a=TEXT), "x-kubernetes-validations": [{"rule": "self.a == oldSelf.a"}]},
     "the root: no such rule, now the rule self.a == oldSelf.a"),
    ({"type": "object", "x-kubernetes-preserve-unknown-fields": True}, of(),
     "the root: any further field, now dropped"),
    (of(a={"type": "object", "additionalProperties": TEXT}),
     of(a={"type": "object", "additionalProperties": WHOLE}), "a.*: string, now integer"),
    (of(a={"anyOf": [TEXT, WHOLE]}),
     of(a={"anyOf": [TEXT]}), 'a: more of anyOf, now anyOf of [{"type": "string"}]'),
])  # fmt: skip
def test_what_accepts_less_is_named(before: Any, after: Any, said: str) -> None:
    assert said in narrower(before, after, pruned=True)


def test_values_are_open_unless_they_say_otherwise_and_supplied_ones_are_there() -> None:
    closed = {**of(a=TEXT), "additionalProperties": False}
    assert narrower(of(a=TEXT), of()) == []
    assert narrower(of(a=TEXT, b=TEXT), closed) == [
        "b: a field, now refused",
        "the root: any further field, now refused",
    ]
    required = {**of(a=TEXT), "required": ["a"]}
    assert narrower(of(a=TEXT), required, supplied={"a": "x"}) == []
    assert narrower(of(a=TEXT), required, supplied={}) == ["a: optional, now required"]


def test_references_are_followed_and_loops_end() -> None:
    before = {"definitions": {"x": TEXT, "y": {"$ref": "#/definitions/y"}}, **of(a={"$ref": "#/definitions/x"})}
    after = {"definitions": {"x": WHOLE, "y": TEXT}, **of(a={"$ref": "#/definitions/x"})}
    assert narrower(before, after) == ["a: string, now integer"]
    tree = {"definitions": {"t": of(t={"$ref": "#/definitions/t"}, a=TEXT)}, **of(r={"$ref": "#/definitions/t"})}
    other = {"definitions": {"t": of(t={"$ref": "#/definitions/t"}, a=WHOLE)}, **of(r={"$ref": "#/definitions/t"})}
    assert 0 < len(narrower(tree, other)) < 100


# --- the rules ---


def crd(
    *versions: dict[str, Any], source: str = "a/crds/foo.yaml", annotations: Any = None, scope: str = "Namespaced",
    strategy: str = "None",
) -> str:  # fmt: skip
    spec = {"group": "x.io", "scope": scope, "names": {"kind": "Foo", "plural": "foos"},
            "conversion": {"strategy": strategy}, "versions": versions}  # fmt: skip
    metadata = {"name": "foos.x.io", "annotations": annotations or {}}
    head = {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition"}
    return f"# Source: {source}\n{json.dumps({**head, 'metadata': metadata, 'spec': spec})}"


def version(name: str = "v1", *, storage: bool = True, served: bool = True, **schema: Any) -> dict[str, Any]:
    return {"name": name, "served": served, "storage": storage, "subresources": {"status": {}},
            "schema": {"openAPIV3Schema": schema or of(spec=of(a=TEXT))}}  # fmt: skip


def judged(rule: Any, before: list[str], after: list[str]) -> list[Finding]:
    return list(rule(pair(before, after)))


V1, V2 = version(), version("v2", storage=False)


@pytest.mark.parametrize(("before", "after", "seen"), [
    ([V1], [V1], None), ([V1], [V1, V2], None),
    ([V1, V2], [{**V1, "storage": False}, {**V2, "storage": True}], None),
    ([V1], [{**V1, "storage": False}, {**V2, "storage": True}], "stored as v2"),
    ([V1, V2], [V1], "v2 is not there"), ([V1], [{**V1, "served": False}], "v1 is not served"),
    ([V1], [{**V1, "subresources": {}}], "without it"),
    ([V1], [V1, version("v2", storage=False, **of(spec=of(b=TEXT)))], "the strategy None"),
])  # fmt: skip
def test_versions_are_kept(before: Any, after: Any, seen: str | None) -> None:
    found = judged(stable_versions, [crd(*before)], [crd(*after)])
    assert [seen in finding.observed for finding in found if seen] == ([True] if seen else [])
    assert bool(found) is bool(seen)


def test_scope_and_conversion_are_kept() -> None:
    assert judged(stable_versions, [crd(V1)], [crd(V1, scope="Cluster")])
    assert judged(stable_versions, [crd(V1, V2, strategy="Webhook")], [crd(V1, V2)])
    assert not judged(stable_versions, [crd(V1)], [crd(V1, V2, strategy="Webhook")])


def test_each_version_is_compared_with_itself() -> None:
    wider, stricter = version(**of(spec=of(a=TEXT, b=TEXT))), version(**of(spec=of(a={**TEXT, "maxLength": 2})))
    assert judged(schema_not_narrower, [crd(V1)], [crd(wider)]) == []
    (finding,) = judged(schema_not_narrower, [crd(V1)], [crd(stricter)])
    assert finding.observed.startswith("v1 spec.a: no maxLength, now maxLength 2")
    (finding,) = judged(schema_not_narrower, [crd(wider)], [crd(V1)])
    assert "spec.b: a field, now dropped" in finding.observed


KEEP = {"helm.sh/resource-policy": "keep"}
TEMPLATE = "a/templates/foo.yaml"


@pytest.mark.parametrize(("before", "after", "why"), [
    ([crd(V1)], [crd(V1)], None), ([crd(V1, source=TEMPLATE)], [crd(V1, source=TEMPLATE)], None),
    ([], [crd(V1)], None), ([], [crd(V1, source="a/charts/b/crds/foo.yaml")], None),
    ([], [crd(V1, source=TEMPLATE, annotations=KEEP)], None),
    ([], [crd(V1, source=TEMPLATE)], "the rollback deletes it"),
    ([], [crd(V1, source="a/charts/b/templates/crds/foo.yaml")], "the rollback deletes it"),
    ([crd(V1, source=TEMPLATE)], [crd(V1)], "the upgrade deletes it"),
    ([crd(V1, source=TEMPLATE, annotations=KEEP)], [crd(V1)], None),
    ([crd(V1)], [crd(V1, source=TEMPLATE)], "Helm refuses the upgrade"),
    ([], [crd(V1, source=TEMPLATE, annotations={"helm.sh/hook": "pre-install"})], None),
    ([], [crd(V1, source=TEMPLATE, annotations={"helm.sh/hook": "pre-upgrade"})], "Helm deletes a hook"),
])  # fmt: skip
def test_definitions_stay_where_they_are(before: list[str], after: list[str], why: str | None) -> None:
    found = judged(never_deleted, before, after)
    assert [finding.why.startswith(why) for finding in found if why] == ([True] if why else [])
    assert bool(found) is bool(why)
