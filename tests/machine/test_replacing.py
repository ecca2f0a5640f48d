"""What a real API server says when one object takes another's place."""

from __future__ import annotations

import json
from typing import Any

import pytest

from conformance.judge import Judge
from conformance.manifests import Manifests
from conformance.replacing import Replacement, Replacer

pytestmark = pytest.mark.machine

POD = {"containers": [{"name": "a", "image": "a:1"}]}
LABELS = {"app": "a"}


@pytest.fixture(scope="module")
def replacer(judge: Judge) -> Replacer:
    return Replacer(judge)


def body(kind: str, version: str, **more: Any) -> dict[str, Any]:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": "a"}, **more}


def template(pod: dict[str, Any] = POD, **labels: str) -> dict[str, Any]:
    return {"metadata": {"labels": {**LABELS, **labels}}, "spec": pod}


def job(**labels: str) -> dict[str, Any]:
    return body("Job", "batch/v1", spec={"template": template({**POD, "restartPolicy": "Never"}, **labels)})


def stateful(size: str = "1Gi", replicas: int = 1) -> dict[str, Any]:
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}}
    return body("StatefulSet", "apps/v1", spec={
        "serviceName": "a", "replicas": replicas, "selector": {"matchLabels": LABELS}, "template": template(),
        "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": claim}],
    })  # fmt: skip


def claim(size: str) -> dict[str, Any]:
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}}
    return body("PersistentVolumeClaim", "v1", spec=spec)


def service(**spec: Any) -> dict[str, Any]:
    return body("Service", "v1", spec={"ports": [{"port": 80}], "selector": LABELS, **spec})


def binding(role: str) -> dict[str, Any]:
    role_ref = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": role}
    return body("RoleBinding", "rbac.authorization.k8s.io/v1", roleRef=role_ref, subjects=[])


def deployment(image: str, **labels: str) -> dict[str, Any]:
    spec = {"selector": {"matchLabels": {**LABELS, **labels}}}
    return body("Deployment", "apps/v1", spec={
        **spec, "template": template({"containers": [{"name": "a", "image": image}]}, **labels),
    })  # fmt: skip


def crd(*versions: tuple[str, bool], scope: str = "Namespaced", rule: str = "true") -> dict[str, Any]:
    sized = {"type": "object", "properties": {"size": {"type": "integer"}}}
    schema = {"type": "object", "properties": {"spec": {**sized, "x-kubernetes-validations": [{"rule": rule}]}}}
    found = body("CustomResourceDefinition", "apiextensions.k8s.io/v1", spec={
        "group": "x.io", "scope": scope, "names": {"kind": "Foo", "plural": "foos"},
        "versions": [
            {"name": name, "served": True, "storage": storage, "schema": {"openAPIV3Schema": schema}}
            for name, storage in versions
        ],
    })  # fmt: skip
    return {**found, "metadata": {"name": "foos.x.io"}}


FOO = crd(("v1", True), rule="self == oldSelf")


def foo(size: int) -> dict[str, Any]:
    return body("Foo", "x.io/v1", spec={"size": size})


def priority(value: int) -> dict[str, Any]:
    return body("PriorityClass", "scheduling.k8s.io/v1", value=value)


CONFIG = body("ConfigMap", "v1", data={"a": "b"})


def asked(replacer: Replacer, before: list[Any], after: list[Any]) -> list[Replacement]:
    versions = (Manifests.parse("\n---\n".join(map(json.dumps, bodies)), "agents") for bodies in (before, after))
    return replacer.replacements(*versions)


@pytest.mark.parametrize(("old", "new", "forth", "back", "field"), [
    (job(v="1"), job(v="2"), False, False, "spec.template"),
    (stateful(), stateful("2Gi"), False, False, "spec"),
    (claim("2Gi"), claim("1Gi"), False, False, "spec.resources.requests.storage"),
    (service(), service(clusterIP="None"), False, True, "spec.clusterIPs[0]"),
    (binding("a"), binding("b"), False, False, "roleRef"),
    (deployment("a:1"), deployment("a:1", v="2"), False, False, "spec.selector"),
    (CONFIG, {**CONFIG, "immutable": True}, True, False, "immutable"),
    (body("Secret", "v1", type="Opaque"), body("Secret", "v1", type="x.io/y"), False, False, "type"),
    (priority(1), priority(2), False, False, "value"),
    (body("StorageClass", "storage.k8s.io/v1", provisioner="a.io/b"),
     body("StorageClass", "storage.k8s.io/v1", provisioner="a.io/c"), False, False, "provisioner"),
    (body("IngressClass", "networking.k8s.io/v1", spec={"controller": "a.io/b"}),
     body("IngressClass", "networking.k8s.io/v1", spec={"controller": "a.io/c"}), False, False, "spec.controller"),
    (crd(("v1", True)), crd(("v1", True), scope="Cluster"), False, False, "spec.scope"),
    (crd(("v1", True)), crd(("v1", False), ("v2", True)), True, False, "status.storedVersions[1]"),
    (crd(("v1", True)), crd(("v2", True)), False, False, "status.storedVersions[0]"),
])  # fmt: skip
def test_what_can_never_change(
    replacer: Replacer, old: Any, new: Any, forth: bool, back: bool, field: str
) -> None:
    (found,) = asked(replacer, [old], [new])
    assert (found.forth.accepted, found.back.accepted) == (forth, back)
    refusal = found.back if forth else found.forth
    assert field in {name for name, _ in refusal.causes}, refusal
    assert "replaced" not in refusal.message
    assert all(len(said) < 400 for _, said in refusal.causes)


@pytest.mark.parametrize(("old", "new"), [
    (deployment("a:1"), deployment("a:2")), (stateful(replicas=1), stateful(replicas=2)), (job(), job()),
    (service(), service(type="NodePort")), (service(), service(type="LoadBalancer")),
    (crd(("v1", True)), crd(("v1", True), ("v2", False))),
    (body("Secret", "v1", stringData={"a": "b"}), body("Secret", "v1", stringData={"a": "c"})),
    (body("CronJob", "batch/v1", spec={"schedule": "@daily", "jobTemplate": {"spec": job(v="1")["spec"]}}),
     body("CronJob", "batch/v1", spec={"schedule": "@daily", "jobTemplate": {"spec": job(v="2")["spec"]}})),
    (body("Namespace", "v1"), body("Namespace", "v1", spec={})),
    (body("ValidatingWebhookConfiguration", "admissionregistration.k8s.io/v1", webhooks=[]),
     body("ValidatingWebhookConfiguration", "admissionregistration.k8s.io/v1")),
    (body("ResourceQuota", "v1", spec={"hard": {"pods": "1"}}),
     body("ResourceQuota", "v1", spec={"hard": {"pods": "2"}})),
    (body("ServiceAccount", "v1"), body("ServiceAccount", "v1", automountServiceAccountToken=False)),
    (body("NotServed", "y.io/v1", spec=1), body("NotServed", "y.io/v1", spec=2)),
    (service(clusterIP="bad"), service(clusterIP="None")),
])  # fmt: skip
def test_what_may_change_or_is_no_matter_of_this_rule(replacer: Replacer, old: Any, new: Any) -> None:
    for found in asked(replacer, [old], [new]):
        assert found.forth.accepted, found.forth
        assert found.back.accepted, found.back


def test_transition_rules_of_custom_resources_are_asked(replacer: Replacer) -> None:
    (found,) = [one for one in asked(replacer, [FOO, foo(1)], [FOO, foo(2)]) if one.before.kind == "Foo"]
    assert not found.forth.accepted
    assert not found.back.accepted
    loose = crd(("v1", True))
    assert all(
        one.forth.accepted and one.back.accepted for one in asked(replacer, [loose, foo(1)], [loose, foo(2)])
    )


def test_hooks_and_default_classes_meet_nobody(replacer: Replacer) -> None:
    hook = {"name": "a", "annotations": {"helm.sh/hook": "pre-upgrade"}}
    hooked = [{**job(v=version), "metadata": hook} for version in ("1", "2")]
    assert asked(replacer, [hooked[0]], [hooked[1]]) == []
    default = {"name": "a", "annotations": {"ingressclass.kubernetes.io/is-default-class": "true"}}
    parameters = {"kind": "Foo", "name": "a", "apiGroup": "x.io"}
    classes = [
        {
            **body("IngressClass", "networking.k8s.io/v1", spec={"controller": "a.io/b", **more}),
            "metadata": default,
        }
        for more in ({}, {"parameters": parameters})
    ]
    assert all(found.forth.accepted for found in asked(replacer, [classes[0]], [classes[1]]))
    backend = {"defaultBackend": {"service": {"name": "a", "port": {"number": 80}}}}
    plain, ruled = (
        body("Ingress", "networking.k8s.io/v1", spec=spec)
        for spec in (backend, {**backend, "rules": [{"host": "a.invalid"}]})
    )
    (found,) = asked(replacer, [plain], [ruled])
    assert found.forth.accepted, found.forth
