"""What rules ask of pods: which labels select them, their containers, and the ports these name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from conformance.kube_yaml import at, mapping, mappings
from conformance.manifests import WORKLOADS, Manifest, Manifests

#: Everything with pods of its own.
POD_KINDS = WORKLOADS | {"Pod"}


def pod_spec(manifest: Manifest) -> dict[str, Any]:
    """Return the spec of an object's pods; empty for everything else."""
    return mapping(mapping(manifest.pod_template).get("spec"))


def pod_labels(manifest: Manifest) -> dict[str, Any]:
    """Return the labels of an object's pods."""
    return mapping(at(manifest.pod_template, ("metadata", "labels")))


def pod_annotations(manifest: Manifest) -> dict[str, Any]:
    """Return the annotations of an object's pods."""
    return mapping(at(manifest.pod_template, ("metadata", "annotations")))


def containers(manifest: Manifest) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every container of an object's pods, init containers too, with its path in the pod's spec."""
    for kind in ("initContainers", "containers"):
        for container in mappings(pod_spec(manifest).get(kind)):
            yield f"{kind}[{container.get('name')}]", container


def with_pods(manifests: Manifests) -> list[Manifest]:
    """Return the objects that have pods of their own."""
    return [manifest for manifest in manifests.of(POD_KINDS) if manifest.pod_template is not None]


def wanted_labels(manifest: Manifest) -> dict[str, Any]:
    """Return the labels that an object's selector asks for by name and value."""
    selector = manifest.selector or {}
    bare = manifest.kind in {"Service", "ReplicationController"}
    return selector if bare else mapping(selector.get("matchLabels"))


def selected(service: Manifest, manifests: Manifests) -> list[Manifest]:
    """Return the objects whose pods a Service selects; none for a Service without a selector."""
    wanted = service.selector or {}
    return [
        found
        for found in with_pods(manifests)
        if wanted and found.namespace == service.namespace and _has_all(wanted, pod_labels(found))
    ]


def chosen(selector: Any, namespace: str | None, manifests: Manifests) -> list[Manifest]:  # noqa: ANN401
    """Return the objects whose pods a label selector (matchLabels and matchExpressions) chooses in a namespace."""
    wanted = mapping(selector)
    return [
        found
        for found in with_pods(manifests)
        if found.namespace == namespace and matches(wanted, pod_labels(found))
    ]


def matches(selector: dict[str, Any], labels: dict[str, Any]) -> bool:
    """Say whether a label selector chooses these labels; an empty one chooses everything."""
    return _has_all(mapping(selector.get("matchLabels")), labels) and all(
        _expressed(expression, labels) for expression in mappings(selector.get("matchExpressions"))
    )


def port_names(manifest: Manifest) -> dict[str, Any]:
    """Return the named ports of an object's pods, with their numbers; init containers that stay (sidecars) too."""
    return {
        str(port["name"]): port.get("containerPort")
        for _, container in containers(manifest)
        for port in mappings(container.get("ports"))
        if port.get("name")
    }


def _has_all(wanted: dict[str, Any], labels: dict[str, Any]) -> bool:
    return all(labels.get(name) == value for name, value in wanted.items())


def _expressed(expression: dict[str, Any], labels: dict[str, Any]) -> bool:
    key, operator = str(expression.get("key")), expression.get("operator")
    among = labels.get(key) in (expression.get("values") or ())
    return {
        "In": key in labels and among, "NotIn": not among,
        "Exists": key in labels, "DoesNotExist": key not in labels,
    }.get(str(operator), True)  # fmt: skip
