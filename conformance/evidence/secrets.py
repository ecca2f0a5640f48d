"""Learn all secrets of a cluster before anything of it is written, and show objects without them (law 6)."""

from __future__ import annotations

import base64
import binascii
import gzip
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from conformance.errors import BadInput
from conformance.kube_yaml import mapping
from conformance.manifests import Body, Manifests, secret_values
from conformance.redact import REDACTOR

#: The type of the Secrets in which Helm keeps its releases.
HELM_SECRET = "helm.sh/release.v1"  # noqa: S105 - a type

_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


@dataclass(frozen=True)
class StoredRelease:
    """One revision as Helm keeps it in the cluster; `content` is its JSON, with secrets in it."""

    namespace: str
    name: str
    revision: int
    content: Mapping[str, Any]

    def manifests(self) -> Manifests:
        """Return the objects and hooks of the revision; raises `BadInput` where they are no YAML."""
        hooks = [str(mapping(hook).get("manifest", "")) for hook in self.content.get("hooks") or ()]
        return Manifests.parse("\n---\n".join([str(self.content.get("manifest", "")), *hooks]), self.namespace)


def learn(objects: Iterable[Body]) -> None:
    """Tell the redactor the values of all Secrets, also of those that only a stored Helm release knows by now.

    A value that is the name of an object of the cluster is no secret: hiding it would blank that name everywhere.
    """
    bodies = list(objects)
    public = {name.encode() for body in bodies for name in _names(body)}
    for body in bodies:
        if body.get("type") == HELM_SECRET:
            release = stored_release(body)
            if release is not None:
                _learn_manifests(release, public)
        else:
            REDACTOR.add(*(value for value in secret_values(body) if value.strip() not in public))


def _learn_manifests(release: StoredRelease, public: set[bytes]) -> None:
    try:
        manifests = release.manifests()
    except BadInput:
        return  # it will not be written either
    for manifest in manifests:
        REDACTOR.add(*(value for value in secret_values(manifest.body) if value.strip() not in public))


def stored_release(secret: Body) -> StoredRelease | None:
    """Return the release revision that a Secret of Helm's holds: JSON in gzip in base64; None if it is damaged."""
    for payload in secret_values({**secret, "data": {"release": mapping(secret.get("data")).get("release", "")}}):
        try:
            packed = base64.b64decode(payload, validate=True)
            content = json.loads(gzip.decompress(packed) if packed[:2] == b"\x1f\x8b" else packed)
            name, revision = str(content["name"]), int(content["version"])
        except (binascii.Error, ValueError, OSError, EOFError, zlib.error, KeyError, TypeError):
            return None
        return StoredRelease(str(secret["metadata"].get("namespace", "")), name, revision, content)
    return None


def stored_releases(secrets: Iterable[Body]) -> list[StoredRelease]:
    """Return the revisions of all Helm releases, in order."""
    found = (stored_release(secret) for secret in secrets if secret.get("type") == HELM_SECRET)
    return sorted(filter(None, found), key=lambda release: (release.namespace, release.name, release.revision))


def shown(body: Body) -> Body:
    """Return an object as it may be shown: a Secret with its keys and salted hashes, none with `managedFields`."""
    metadata = {name: value for name, value in mapping(body.get("metadata")).items() if name != "managedFields"}
    copied = {**body, "metadata": metadata}
    if body.get("kind") == "Secret":
        annotations = mapping(metadata.get("annotations"))
        if _LAST_APPLIED in annotations:
            hashed = REDACTOR.hash(str(annotations[_LAST_APPLIED]))
            copied["metadata"] = {**metadata, "annotations": {**annotations, _LAST_APPLIED: hashed}}
        for name in ("data", "stringData"):
            values = mapping(body.get(name))
            if values:
                of_one = {key: secret_values({**body, "data": {}, "stringData": {}, name: {key: values[key]}})
                          for key in values}  # fmt: skip
                copied[name] = {key: REDACTOR.hash(next(found, b"")) for key, found in of_one.items()}
            elif name in body:
                copied[name] = {}
    return copied


def as_yaml(bodies: Iterable[Body]) -> str:
    """Return objects as a YAML stream that may be shown, long texts in block form."""
    return yaml.dump_all(
        map(shown, bodies), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=10_000, explicit_start=True
    )


class _Dumper(yaml.CSafeDumper):
    """Writes each text of several lines as a block, and every object in full."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002
        return True


def _text(dumper: yaml.CSafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)


def _names(body: Body) -> Iterator[str]:
    metadata = mapping(body.get("metadata"))
    yield from (str(metadata[name]) for name in ("name", "namespace") if name in metadata)
    yield from map(str, mapping(metadata.get("labels")).values())
    spec = mapping(body.get("spec"))
    for containers in (spec.get("containers"), spec.get("initContainers")):
        yield from (str(mapping(container).get("name")) for container in containers or ())
