"""Compare objects: drop what nobody declares, name what differs by readable paths, never show a Secret's value."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from conformance.kube_yaml import mapping
from conformance.redact import REDACTOR

#: One object as written or as the API server says it.
Body = dict[str, Any]

#: What nobody declares, so that no comparison may look at it: by path, and who owns it.
NOT_DECLARED: tuple[tuple[tuple[str, ...], str], ...] = (
    (("status",), "controllers"),
    (("metadata", "creationTimestamp"), "the API server"),
    (("metadata", "generation"), "the API server"),
    (("metadata", "managedFields"), "the API server"),
    (("metadata", "resourceVersion"), "the API server"),
    (("metadata", "selfLink"), "the API server"),
    (("metadata", "uid"), "the API server"),
    (("metadata", "finalizers"), "the API server and controllers; a chart's own are refused as bad input"),
    (("metadata", "labels", "app.kubernetes.io/managed-by"), "Helm: its ownership label"),
    (("metadata", "annotations", "meta.helm.sh/release-name"), "Helm: its ownership annotation"),
    (("metadata", "annotations", "meta.helm.sh/release-namespace"), "Helm: its ownership annotation"),
    (("metadata", "annotations", "kubectl.kubernetes.io/last-applied-configuration"), "kubectl and Argo CD"),
    (("metadata", "annotations", "argocd.argoproj.io/tracking-id"), "Argo CD"),
    (("metadata", "annotations", "argocd.argoproj.io/installation-id"), "Argo CD"),
    (("metadata", "labels", "argocd.argoproj.io/instance"), "Argo CD"),
    (("metadata", "annotations", "deployment.kubernetes.io/revision"), "the deployment controller"),
    (("metadata", "annotations", "deprecated.daemonset.template.generation"), "the daemonset controller"),
    (("metadata", "annotations", "pv.kubernetes.io/bind-completed"), "the volume controller"),
    (("metadata", "annotations", "pv.kubernetes.io/bound-by-controller"), "the volume controller"),
    (("metadata", "annotations", "volume.kubernetes.io/selected-node"), "the scheduler"),
    (("metadata", "annotations", "volume.kubernetes.io/storage-provisioner"), "the volume controller"),
    (("metadata", "annotations", "volume.beta.kubernetes.io/storage-provisioner"), "the volume controller"),
)

#: What tells the items of a list apart, best first.
_ITEM_KEYS = ("name", "mountPath", "containerPort", "port", "key", "kind")


class Absent:
    """Stands for a field that is not there, which is not the same as one that is null."""

    def __repr__(self) -> str:
        return "absent"


ABSENT = Absent()


@dataclass(frozen=True)
class Change:
    """One field that differs; `ABSENT` where one side lacks it. A path reads `spec.containers[server].image`."""

    path: str
    expected: Any
    observed: Any

    def __str__(self) -> str:
        """Return one line: the path and both values."""
        return f"{self.path}: expected {self.expected!r}, observed {self.observed!r}"


def normalise(body: Body) -> Body:
    """Return the object without what nobody declares (`NOT_DECLARED`), a Secret's text where the server puts it.

    The given body is left as it is.
    """
    copied: Body = _without(body, tuple(path for path, _ in NOT_DECLARED))
    metadata = copied.get("metadata")
    if isinstance(metadata, dict):
        for name in ("labels", "annotations"):
            if name in metadata and not metadata[name]:
                metadata.pop(name)
    if _is_secret(copied) and isinstance(text := copied.pop("stringData", None), dict):
        encoded = {name: base64.b64encode(str(value).encode()).decode() for name, value in text.items()}
        copied["data"] = {**mapping(copied.get("data")), **encoded}
    return copied


def difference(expected: Any, observed: Any) -> list[Change]:  # noqa: ANN401 - any two parts of objects
    """Return what differs between two objects, or parts of them, in the order of the expected one.

    Items of lists are told apart by name where they have one. Values in a Secret are shown as hashes.
    """
    if isinstance(expected, dict) and isinstance(observed, dict) and _is_secret(expected) | _is_secret(observed):
        expected, observed = _hashed(expected), _hashed(observed)
    return list(_changes("", expected, observed))


def secret_values(body: Mapping[str, Any]) -> Iterator[bytes]:
    """Yield every value that a Secret holds, decoded, for the redactor; nothing for other kinds."""
    if _is_secret(body):
        for value in mapping(body.get("stringData")).values():
            yield str(value).encode()
        for value in mapping(body.get("data")).values():
            yield _decoded(value)


def _changes(path: str, expected: Any, observed: Any) -> Iterator[Change]:  # noqa: ANN401
    if isinstance(expected, dict) and isinstance(observed, dict):
        yield from _of_mappings(path, expected, observed)
    elif isinstance(expected, list) and isinstance(observed, list):
        yield from _of_lists(path, expected, observed)
    elif expected != observed or isinstance(expected, bool) != isinstance(observed, bool):
        yield Change(path or ".", expected, observed)


def _of_mappings(path: str, expected: Mapping[str, Any], observed: Mapping[str, Any]) -> Iterator[Change]:
    for name in [*expected, *(name for name in observed if name not in expected)]:
        inner = f"[{name}]" if re.search(r"[./\[\]\s]", name) else f".{name}" if path else name
        yield from _changes(path + inner, expected.get(name, ABSENT), observed.get(name, ABSENT))


def _of_lists(path: str, expected: list[Any], observed: list[Any]) -> Iterator[Change]:
    key = _item_key(expected, observed)
    if key is None:
        for at in range(max(len(expected), len(observed))):
            mine = expected[at] if at < len(expected) else ABSENT
            theirs = observed[at] if at < len(observed) else ABSENT
            yield from _changes(f"{path}[{at}]", mine, theirs)
        return
    mine, theirs = ({str(item[key]): item for item in items} for items in (expected, observed))
    for name in [*mine, *(name for name in theirs if name not in mine)]:
        yield from _changes(f"{path}[{name}]", mine.get(name, ABSENT), theirs.get(name, ABSENT))
    order, seen = [n for n in mine if n in theirs], [n for n in theirs if n in mine]
    if order != seen:
        yield Change(f"{path} (order)", order, seen)


def _item_key(*lists: list[Any]) -> str | None:
    items = [item for items in lists for item in items]
    if items and all(isinstance(item, dict) for item in items):
        for key in _ITEM_KEYS:
            if all(isinstance(item.get(key), str | int) for item in items) and all(
                len({str(item[key]) for item in items_}) == len(items_) for items_ in lists
            ):
                return key
    return None


def _without(value: Any, paths: tuple[tuple[str, ...], ...]) -> Any:  # noqa: ANN401
    """Copy the mappings that a path goes through; everything else is shared with the original."""
    if not isinstance(value, dict) or not paths:
        return value
    gone = {path[0] for path in paths if len(path) == 1}
    inner = {name: tuple(path[1:] for path in paths if path[0] == name and len(path) > 1) for name in value}
    return {name: _without(item, inner[name]) for name, item in value.items() if name not in gone}


def _is_secret(body: Mapping[str, Any]) -> bool:
    return body.get("kind") == "Secret" and body.get("apiVersion") == "v1"


def _hashed(body: Body) -> Body:
    shown = dict(body)
    for name in ("data", "stringData"):
        if isinstance(values := body.get(name), dict):
            decode = _decoded if name == "data" else lambda value: str(value).encode()
            shown[name] = {key: REDACTOR.hash(decode(value)) for key, value in values.items()}
    return shown


def _decoded(value: Any) -> bytes:  # noqa: ANN401
    try:
        return base64.b64decode(str(value), validate=True)
    except (binascii.Error, ValueError):
        return str(value).encode()
