"""Lists whose items have a key: one item for each key, and one object for each name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from conformance.checks import EXTENDED, Finding, rule
from conformance.kube_yaml import at, mappings
from conformance.manifests import Manifest
from conformance.rules.inputs import Rendered
from conformance.rules.pods import containers, pod_spec

#: The merge keys of the API reference for pods ("patch strategy: merge on key"), with what the server fills in.
_OF_POD = {
    "containers": ("name",), "ephemeralContainers": ("name",), "hostAliases": ("ip",),
    "imagePullSecrets": ("name",), "initContainers": ("name",), "resourceClaims": ("name",),
    "topologySpreadConstraints": ("topologyKey", "whenUnsatisfiable"), "volumes": ("name",),
}  # fmt: skip
_OF_CONTAINER = {
    "env": ("name",), "ports": ("containerPort", "protocol", "hostIP", "hostPort"),
    "volumeDevices": ("devicePath",), "volumeMounts": ("mountPath",),
}  # fmt: skip
_FILLED_IN = {"protocol": "TCP"}


@rule(
    "render/unique-list-keys", level=EXTENDED,
    seed="003 one value for each variable; Kubernetes: lists are merged by key",
)  # fmt: skip
def unique_list_keys(rendered: Rendered) -> Iterator[Finding]:
    """No variable, port, volume or mount stands twice in its list, and no object is release and hook at once."""
    for manifest in rendered.manifests:
        twice = list(_twice(manifest))
        if twice:
            yield Finding(
                object=str(manifest.key),
                expected="each key once in its list",
                observed="; ".join(twice),
                why="lists are merged by this key: of the two only one takes effect, a later change or a rollback "
                "removes or keeps both, and an apply on the server refuses the object",
                remedy="drop all but one, or merge the values before the list is written",
            )
    released = {found.key for found in rendered.manifests if not found.hooks}
    for manifest in rendered.manifests:
        if manifest.hooks and manifest.key in released:
            yield Finding(
                object=str(manifest.key),
                expected="an object of the release, or a hook",
                observed=f"both: a hook ({', '.join(manifest.hooks)}) as well",
                why="before it makes the hook, Helm deletes what has its name: the release's own object",
                remedy="give the hook a name of its own",
            )


def _twice(manifest: Manifest) -> Iterator[str]:
    for field, keys in _OF_POD.items():
        yield from _repeated(field, pod_spec(manifest).get(field), keys)
    for path, container in containers(manifest):
        for field, keys in _OF_CONTAINER.items():
            yield from _repeated(f"{path}.{field}", container.get(field), keys)
    if manifest.kind == "Service":
        yield from _repeated("ports", at(manifest.body, ("spec", "ports")), ("port", "protocol"))


def _repeated(path: str, found: Any, keys: tuple[str, ...]) -> Iterator[str]:  # noqa: ANN401
    listed = mappings(found)
    counted = Counter(tuple(str(item.get(key, _FILLED_IN.get(key, ""))) for key in keys) for item in listed)
    for values, times in counted.items():
        if times > 1 and any(values):
            shown = ", ".join(value for value in values if value)
            yield f"{path} has {shown} {times} times"
