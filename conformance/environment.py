"""What the process of a container sees of one environment variable, as far as a rendering can tell."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from conformance.kube_yaml import mapping, mappings
from conformance.manifests import Manifest, Manifests, ObjectKey

#: Where a ConfigMap's or Secret's name and key stand in an entry of `env`, by its kind.
_KEY_REFERENCES = {"configMapKeyRef": "ConfigMap", "secretKeyRef": "Secret"}
_SOURCES = {"configMapRef": "ConfigMap", "secretRef": "Secret"}


@dataclass(frozen=True)
class Seen:
    """One variable in one container. `text` is None where it is not set, or not known from the rendering.

    `reference` names the object and key that it is taken from; `unseen` are objects outside the rendering that
    may set it, because all of their keys become variables and nothing else sets it.
    """

    text: str | None = None
    reference: tuple[str, str, str] | None = None
    unseen: tuple[str, ...] = ()

    @property
    def missing(self) -> bool:
        """Say whether nothing in the rendering sets it."""
        return self.text is None and self.reference is None

    def __str__(self) -> str:
        """Return it as a finding shows it; never a Secret's value."""
        if self.reference is not None:
            kind, name, key = self.reference
            shown = f" ({self.text!r})" if self.text is not None and kind != "Secret" else ""
            return f"the key {key} of {kind}/{name}{shown}"
        if self.text is not None:
            return repr(self.text)
        return f"not set (unless {' or '.join(self.unseen)} sets it)" if self.unseen else "not set"


def seen(variable: str, workload: Manifest, container: str, manifests: Manifests) -> Seen:
    """Return what a container of a workload sees of a variable.

    As the kubelet does it: an entry of `env` wins over `envFrom`, the last of equal names over the others, and a
    later source in `envFrom` over an earlier one. A ConfigMap or Secret counts when it is in the same rendering.
    """
    body = next((found for found in workload.containers() if found.get("name") == container), {})
    entries = [entry for entry in mappings(body.get("env")) if entry.get("name") == variable]
    if entries:
        return _entry(entries[-1], workload, manifests)
    unseen: list[str] = []
    for kind, name, prefix in reversed(list(sources(body))):
        if not variable.startswith(prefix):
            continue
        data = _data(kind, name, workload, manifests)
        key = variable.removeprefix(prefix)
        if data is None:
            unseen.append(f"{kind}/{name}")
        elif key in data and not unseen:
            return Seen(data[key], (kind, name, key))
        elif key in data:
            return Seen(None, (kind, name, key), tuple(unseen))
    return Seen(unseen=tuple(unseen))


def sources(container: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yield kind, name and prefix of each source in a container's `envFrom`, in its order."""
    for entry in mappings(container.get("envFrom")):
        for key, kind in _SOURCES.items():
            if isinstance(name := mapping(entry.get(key)).get("name"), str):
                yield kind, name, str(entry.get("prefix") or "")


def _entry(entry: dict[str, Any], workload: Manifest, manifests: Manifests) -> Seen:
    origin = mapping(entry.get("valueFrom"))
    for field, kind in _KEY_REFERENCES.items():
        if found := mapping(origin.get(field)):
            name, key = str(found.get("name")), str(found.get("key"))
            data = _data(kind, name, workload, manifests)
            return Seen((data or {}).get(key), (kind, name, key))
    if origin:
        return Seen(None, ("field", "the pod", next(iter(origin))))
    value = entry.get("value")
    return Seen("" if value is None else str(value))


def _data(kind: str, name: str, workload: Manifest, manifests: Manifests) -> dict[str, str] | None:
    found = manifests.get(ObjectKey("", kind, workload.namespace, name))
    if found is None:
        return None
    data = mapping(found.body.get("data"))
    if kind == "ConfigMap":
        return {key: str(value) for key, value in data.items()}
    texts = {key: str(value) for key, value in mapping(found.body.get("stringData")).items()}
    return {**{key: _decoded(value) for key, value in data.items()}, **texts}


def _decoded(value: object) -> str:
    try:
        return base64.b64decode(str(value), validate=True).decode(errors="replace")
    except (binascii.Error, ValueError):
        return str(value)
