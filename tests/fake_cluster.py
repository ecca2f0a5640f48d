"""A cluster in memory, as far as inventory, reset and evidence speak to one."""

from __future__ import annotations

import itertools
from typing import Any

from conformance.api import Api, ApiRefusal, Body, Resource
from conformance.manifests import CLUSTER_SCOPED, ObjectKey

KINDS = (
    "v1/Namespace", "v1/Secret", "v1/ConfigMap", "v1/Pod", "v1/Event", "v1/Service",
    "apps/v1/Deployment", "apps/v1/ReplicaSet",
    "apiextensions.k8s.io/v1/CustomResourceDefinition",
    "rbac.authorization.k8s.io/v1/ClusterRole",
    "certificates.k8s.io/v1/CertificateSigningRequest",
    "admissionregistration.k8s.io/v1/ValidatingWebhookConfiguration",
)  # fmt: skip


class FakeCluster(Api):
    """Holds objects and deletes them as an API server does: what has finalizers stays until they are off."""

    def __init__(self, *bodies: Body) -> None:
        super().__init__("https://fake.test")
        self.objects: dict[ObjectKey, Body] = {}
        self.logs: dict[str, str] = {}
        self.broken: dict[str, ApiRefusal] = {}
        self.undeletable: set[str] = set()
        self.asked: list[str] = []
        self._numbers = itertools.count(1)
        self.put(*bodies)

    def put(self, *bodies: Body) -> None:
        for body in bodies:
            number = next(self._numbers)
            metadata = {"uid": f"uid-{number}", "resourceVersion": str(number), **body["metadata"]}
            self.objects[ObjectKey.of(body)] = {**body, "metadata": metadata}

    def resources(self, **_: Any) -> list[Resource]:
        self._resources = {}
        for kind in KINDS:
            *group, version, name = kind.split("/")
            found = Resource(
                "".join(group), version, name.lower() + "s", name,
                ("".join(group), name) not in CLUSTER_SCOPED, frozenset({"list", "delete"}),
            )  # fmt: skip
            self._resources[found.group, found.kind] = found
        return list(self._resources.values())

    def request(self, method: str, path: str, **_: Any) -> Body:
        parts = path.split("/")[3 if path.startswith("/api/") else 4 :]
        namespace = parts[1] if parts[0] == "namespaces" and len(parts) > 2 and parts[2] != "finalize" else None
        plural, *rest = parts[2:] if namespace else parts
        if plural in self.broken:
            raise self.broken[plural]
        if method == "GET":
            found = [b for b in self.objects.values() if b["kind"].lower() + "s" == plural]
            return {"metadata": {"resourceVersion": "9"}, "items": found}
        self.asked.append(f"{method} {'/'.join([plural, *rest])}")
        key = next(k for k in self.objects if k.kind.lower() + "s" == plural and k.name == rest[0]
                   and k.namespace == namespace)  # fmt: skip
        metadata = self.objects[key]["metadata"]
        if method == "PATCH":
            metadata.pop("finalizers", None)
        elif method == "DELETE" and key.name not in self.undeletable:
            metadata["deletionTimestamp"] = "now"
        gone = metadata.get("deletionTimestamp") and not metadata.get("finalizers")
        if gone and (plural != "namespaces" or method == "PUT"):
            del self.objects[key]
        return {}

    def read(self, _: str, path: str, *, query: Any = None, **__: Any) -> str:
        pod = path.split("/")[-2]
        name = f"{pod}/{query['container']}{'/previous' if query['previous'] == 'true' else ''}"
        if name not in self.logs:
            raise ApiRefusal(400, {"message": f"no log of {name}"})
        return self.logs[name]


def body(kind: str, name: str, namespace: str | None = None, **rest: Any) -> Body:
    """Return an object; `metadata` among the rest is merged."""
    *group, version, kind = next(known for known in KINDS if known.endswith(f"/{kind}")).split("/")
    metadata = {"name": name, **({"namespace": namespace} if namespace else {}), **rest.pop("metadata", {})}
    return {"apiVersion": "/".join([*group, version]), "kind": kind, "metadata": metadata, **rest}
