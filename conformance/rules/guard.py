"""What no cluster should be asked to do: refused as bad input before one is made, in one line each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from conformance.errors import BadInput
from conformance.kube_yaml import at, mapping
from conformance.manifests import Manifest
from conformance.render import Rendering

#: Kubernetes' own namespaces, and the one that everything without a namespace of its own ends up in.
FOREIGN = frozenset({"default", "kube-node-lease", "kube-public", "kube-system"})


def guard(renderings: Iterable[Rendering], namespace: str) -> None:
    """Refuse charts that must not be installed on anybody's cluster.

    Each rendering is one of the run's own values: one that Helm refuses is bad input too. Raises `BadInput` with
    the first thing found: object and template, expected, seen, what to do.
    """
    for rendering in renderings:
        if rendering.refusal is not None:
            raise BadInput(
                f"{rendering.name}: expected a chart that renders with values {rendering.values}, seen "
                f"{rendering.refusal}; mend the template or the values"
            )
        for manifest in rendering.manifests:
            if wrong := next(_wrong(manifest, namespace), None):
                raise BadInput(f"{manifest.key} ({manifest.source or rendering.name}): {wrong}")


def _wrong(manifest: Manifest, namespace: str) -> Iterator[str]:
    concerned = manifest.name if manifest.kind == "Namespace" else manifest.namespace
    if concerned in FOREIGN - {namespace}:
        yield (
            f"expected objects in the release's namespace {namespace} only, seen {concerned}; "
            "use `.Release.Namespace`, or leave the object out by a value"
        )
    for volume in _host_paths(manifest):
        yield (
            f"expected volumes that belong to the cluster, seen hostPath {volume} of the machine; "
            "use emptyDir or a PersistentVolumeClaim, or leave it out by a value"
        )
    finalizers = at(manifest.body, ("metadata", "finalizers"))
    if finalizers:
        shown = ", ".join(map(str, finalizers)) if isinstance(finalizers, list) else str(finalizers)
        yield (
            f"expected objects that can be deleted, seen finalizers {shown}, which nothing may ever remove; "
            "let the controller that removes them add them"
        )


def _host_paths(manifest: Manifest) -> Iterator[str]:
    volumes: Any = at(manifest.pod_template, ("spec", "volumes"))
    if manifest.kind == "PersistentVolume":
        volumes = [mapping(manifest.body.get("spec"))]
    for volume in volumes if isinstance(volumes, list) else ():
        if path := mapping(volume).get("hostPath"):
            yield str(mapping(path).get("path", path))
