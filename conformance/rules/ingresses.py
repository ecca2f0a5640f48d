"""What rules ask of Ingresses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from conformance.kube_yaml import at, mapping, mappings
from conformance.manifests import Manifest


def services(ingress: Manifest) -> Iterator[dict[str, Any]]:
    """Yield each Service that an Ingress leads to, as its backends write it: a name and a port."""
    spec = mapping(ingress.body.get("spec"))
    paths = [path for found in mappings(spec.get("rules")) for path in mappings(at(found, ("http", "paths")))]
    for backend in (spec.get("defaultBackend"), *(path.get("backend") for path in paths)):
        yield mapping(mapping(backend).get("service"))
