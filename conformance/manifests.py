"""The only typed view of Kubernetes objects: reading, naming, normalising and comparing them.

Bodies stay as written, unknown fields included. How YAML is read is in `kube_yaml`, how objects are compared in
`comparing`; both are reached through here.
"""

from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from conformance.comparing import ABSENT, NOT_DECLARED, Absent, Body, Change, difference, normalise, secret_values
from conformance.errors import BadInput
from conformance.kube_yaml import NotYaml, at, mapping, read

__all__ = [
    "ABSENT",
    "CLUSTER_SCOPED",
    "NOT_DECLARED",
    "WORKLOADS",
    "Absent",
    "Body",
    "Change",
    "Manifest",
    "Manifests",
    "ObjectKey",
    "difference",
    "normalise",
    "secret_values",
]

#: Built-in kinds with a pod template, and where it is.
_TEMPLATES = {
    ("apps", "Deployment"): ("spec", "template"),
    ("apps", "StatefulSet"): ("spec", "template"),
    ("apps", "DaemonSet"): ("spec", "template"),
    ("apps", "ReplicaSet"): ("spec", "template"),
    ("", "ReplicationController"): ("spec", "template"),
    ("batch", "Job"): ("spec", "template"),
    ("batch", "CronJob"): ("spec", "jobTemplate", "spec", "template"),
}

#: The kinds with a pod template.
WORKLOADS = frozenset(kind for _, kind in _TEMPLATES)

#: Built-in kinds that belong to no namespace, by API group; a chart's own CRDs say so themselves.
CLUSTER_SCOPED = frozenset(
    (group, kind)
    for group, kinds in {
        "": "Namespace Node PersistentVolume",
        "admissionregistration.k8s.io": "MutatingAdmissionPolicy MutatingAdmissionPolicyBinding "
        "MutatingWebhookConfiguration ValidatingAdmissionPolicy ValidatingAdmissionPolicyBinding "
        "ValidatingWebhookConfiguration",
        "apiextensions.k8s.io": "CustomResourceDefinition",
        "apiregistration.k8s.io": "APIService",
        "certificates.k8s.io": "CertificateSigningRequest ClusterTrustBundle",
        "flowcontrol.apiserver.k8s.io": "FlowSchema PriorityLevelConfiguration",
        "networking.k8s.io": "IngressClass IPAddress ServiceCIDR",
        "node.k8s.io": "RuntimeClass",
        "rbac.authorization.k8s.io": "ClusterRole ClusterRoleBinding",
        "resource.k8s.io": "DeviceClass DeviceTaintRule ResourceSlice",
        "scheduling.k8s.io": "PriorityClass",
        "storage.k8s.io": "CSIDriver CSINode StorageClass VolumeAttachment VolumeAttributesClass",
        "storagemigration.k8s.io": "StorageVersionMigration",
    }.items()
    for kind in kinds.split()
)

_HOOK = "helm.sh/hook"


@functools.total_ordering
@dataclass(frozen=True)
class ObjectKey:
    """What makes an object the same object: its group, kind, namespace (None where it has none) and name.

    The version is no part of it: one object is served at several.
    """

    group: str
    kind: str
    namespace: str | None
    name: str

    def __str__(self) -> str:
        """Return `Kind/name`, with ` in namespace` where there is one."""
        return f"{self.kind}/{self.name}" + (f" in {self.namespace}" if self.namespace else "")

    def __lt__(self, other: ObjectKey) -> bool:
        return self._order() < other._order()

    def _order(self) -> tuple[str, str, str, str]:
        return self.kind, self.group, self.namespace or "", self.name

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> ObjectKey:
        """Return the key of an object; a missing name is taken from `generateName`, else empty."""
        group = str(body.get("apiVersion") or "").rpartition("/")[0]
        kind = str(body.get("kind") or "")
        metadata = mapping(body.get("metadata"))
        cluster = (group, kind) in CLUSTER_SCOPED
        namespace = None if cluster else metadata.get("namespace")
        name = metadata.get("name") or metadata.get("generateName") or ""
        return cls(group, kind, str(namespace) if namespace else None, str(name))


@dataclass(frozen=True)
class Manifest:
    """One object of a rendering or a release. `text` is its source document, comments included, if known."""

    body: Body
    text: str = field(default="", compare=False, repr=False)

    def __hash__(self) -> int:
        return hash(self.key)

    @functools.cached_property
    def key(self) -> ObjectKey:
        """Return what makes the object the same object."""
        return ObjectKey.of(self.body)

    @property
    def kind(self) -> str:
        """Return the kind, without its group."""
        return self.key.kind

    @property
    def name(self) -> str:
        """Return the object's name."""
        return self.key.name

    @property
    def namespace(self) -> str | None:
        """Return the object's namespace, None where it has none."""
        return self.key.namespace

    @property
    def labels(self) -> dict[str, Any]:
        """Return the object's own labels."""
        return mapping(at(self.body, ("metadata", "labels")))

    @property
    def annotations(self) -> dict[str, Any]:
        """Return the object's own annotations."""
        return mapping(at(self.body, ("metadata", "annotations")))

    @property
    def hooks(self) -> tuple[str, ...]:
        """Return the Helm events the object is a hook of; none for an object that belongs to the release."""
        return tuple(filter(None, (word.strip() for word in str(self.annotations.get(_HOOK, "")).split(","))))

    @property
    def source(self) -> str:
        """Return the template the object was rendered from, as Helm's comment says, else an empty string."""
        found = re.search(r"^# Source: (.+)$", self.text, re.MULTILINE)
        return found.group(1).strip() if found else ""

    @property
    def selector(self) -> dict[str, Any] | None:
        """Return `spec.selector` of a workload, Service or PodDisruptionBudget; None where there is none."""
        found = at(self.body, ("spec", "selector"))
        return found if isinstance(found, dict) else None

    @property
    def pod_template(self) -> dict[str, Any] | None:
        """Return the pod template of a workload, a Pod itself as its own, None for everything else."""
        where = _TEMPLATES.get((self.key.group, self.kind))
        if where is None:
            return self.body if (self.key.group, self.kind) == ("", "Pod") else None
        found = at(self.body, where)
        return found if isinstance(found, dict) else None

    def containers(self, *, init: bool = False) -> list[dict[str, Any]]:
        """Return the containers of the pod template, init containers first where asked."""
        spec = mapping(mapping(self.pod_template).get("spec"))
        names = ("initContainers", "containers") if init else ("containers",)
        return [found for name in names for found in spec.get(name) or () if isinstance(found, dict)]


@dataclass(frozen=True)
class Manifests:
    """An immutable, ordered collection of objects."""

    items: tuple[Manifest, ...] = ()

    @classmethod
    def parse(
        cls, text: str, namespace: str | None = None, *, cluster_scoped: Collection[tuple[str, str]] = ()
    ) -> Manifests:
        """Read a YAML stream; items of a `List` become objects of their own.

        An object without a namespace gets `namespace`, unless its kind is known to have none: from Kubernetes,
        from a CustomResourceDefinition in the same stream, or from `cluster_scoped` (pairs of group and kind).
        Raises `BadInput` when a document is not YAML or no object.
        """
        found = [Manifest(body, source) for source, body in _documents(text)]
        scoped = {*CLUSTER_SCOPED, *cluster_scoped, *_cluster_scoped(found)}
        return cls(tuple(_placed(manifest, namespace, scoped) for manifest in found))

    @classmethod
    def of_bodies(cls, bodies: Iterable[Body]) -> Manifests:
        """Return a collection of objects whose source text is not known."""
        return cls(tuple(Manifest(body) for body in bodies))

    def __iter__(self) -> Iterator[Manifest]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)

    def __contains__(self, key: object) -> bool:
        return key in self._by_key

    @functools.cached_property
    def _by_key(self) -> dict[ObjectKey, Manifest]:
        return {manifest.key: manifest for manifest in self.items}

    def get(self, key: ObjectKey) -> Manifest | None:
        """Return the object with this key, the last where several have it, or None."""
        return self._by_key.get(key)

    def keys(self) -> frozenset[ObjectKey]:
        """Return the keys of all objects."""
        return frozenset(self._by_key)

    def of(self, kinds: str | Collection[str]) -> list[Manifest]:
        """Return the objects of one kind or several."""
        wanted = {kinds} if isinstance(kinds, str) else kinds
        return [manifest for manifest in self.items if manifest.kind in wanted]

    def paired_with(
        self, other: Manifests, kinds: Collection[str] | None = None
    ) -> Iterator[tuple[Manifest, Manifest]]:
        """Yield the objects that both have, mine first, in my order; of all kinds or of `kinds` only."""
        for key, mine in self._by_key.items():
            theirs = other.get(key)
            if theirs is not None and (kinds is None or key.kind in kinds):
                yield mine, theirs

    def repeated(self) -> list[ObjectKey]:
        """Return the keys that more than one object has."""
        counted = Counter(manifest.key for manifest in self.items)
        return [key for key, times in counted.items() if times > 1]


_SEPARATOR = re.compile(r"^---(?=\s|$)[ \t]*", re.MULTILINE)


def _documents(text: str) -> Iterator[tuple[str, Body]]:
    for source in _SEPARATOR.split(text):
        if not source.strip():
            continue
        for body in _bodies(source):
            kind, items = str(body.get("kind") or ""), body.get("items")
            if kind.endswith("List") and isinstance(items, list) and all(isinstance(item, dict) for item in items):
                yield from (("", item) for item in items)
            else:
                yield source, body


def _bodies(source: str) -> Iterator[Body]:
    try:
        body = read(source)
    except NotYaml as error:
        raise BadInput(f"{_where(source)}: expected YAML, seen {error}") from error
    if body is None:
        return
    if not isinstance(body, dict):
        raise BadInput(f"{_where(source)}: expected a Kubernetes object, seen {type(body).__name__}")
    yield body


def _where(source: str) -> str:
    return Manifest({}, source).source or "a rendered document"


def _cluster_scoped(manifests: Iterable[Manifest]) -> Iterator[tuple[str, str]]:
    for manifest in manifests:
        if manifest.kind == "CustomResourceDefinition":
            spec = mapping(manifest.body.get("spec"))
            if spec.get("scope") == "Cluster":
                yield str(spec.get("group")), str(mapping(spec.get("names")).get("kind"))


def _placed(manifest: Manifest, namespace: str | None, scoped: Collection[tuple[str, str]]) -> Manifest:
    key, metadata = manifest.key, manifest.body.get("metadata")
    if not namespace or key.namespace or (key.group, key.kind) in scoped or not isinstance(metadata, dict):
        return manifest
    return Manifest({**manifest.body, "metadata": {**metadata, "namespace": namespace}}, manifest.text)
