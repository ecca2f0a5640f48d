"""What objects refer to by name: it is in the chart, or the contract says that it exists beforehand."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from conformance.checks import EXTENDED, Finding, rule
from conformance.kube_yaml import at, mapping, mappings, texts
from conformance.manifests import Manifest, Manifests
from conformance.rules.ingresses import services
from conformance.rules.inputs import Rendered
from conformance.rules.pods import containers, pod_spec, with_pods

#: Every cluster has these: made in each namespace, or by the API server itself when it starts.
_ALWAYS = {
    ("ServiceAccount", "default"), ("ConfigMap", "kube-root-ca.crt"), ("ClusterRole", "admin"),
    ("ClusterRole", "cluster-admin"), ("ClusterRole", "edit"), ("ClusterRole", "view"),
}  # fmt: skip
#: API groups of Kubernetes itself: an object of any other group has a controller, which may make what it names.
_BUILT_IN = re.compile(r"^(|apps|batch|policy|autoscaling|extensions|.*\.k8s\.io)$")
_BEFORE_INSTALL = "pre-install"

_STARTS = {
    "ConfigMap": "the pods wait for it for ever and never start",
    "Secret": "the pods wait for it for ever and never start",
    "ServiceAccount": "the API server refuses to make a pod for it",
    "PersistentVolumeClaim": "the pods are never scheduled",
    "Role": "the binding grants nothing, and every request of its subjects is forbidden",
    "ClusterRole": "the binding grants nothing, and every request of its subjects is forbidden",
}
_NOTHING = "what refers to it does nothing"


@dataclass(frozen=True)
class Reference:
    """One name of another object: where it stands, what it names, and which key of it, if one."""

    path: str
    kind: str
    name: str
    key: str | None = None


@rule(
    "render/references-exist", level=EXTENDED,
    seed="001 environment from Secrets and ConfigMaps; Kubernetes: a pod waits for what it refers to",
)  # fmt: skip
def references_exist(rendered: Rendered) -> Iterator[Finding]:
    """Objects named by pods, bindings, autoscalers and Ingresses are in the chart, or in the contract.

    What is declared optional, what every cluster has, and what a custom resource or a command line of the chart
    names as well (somebody makes it while the chart runs) is left alone. A hook that runs before the install
    cannot use what the install is yet to make. The Secrets of an Ingress may come at any time.
    """
    for manifest in rendered.manifests:
        missing = [
            (reference, why)
            for reference in references(manifest)
            if (why := _missing(reference, manifest, rendered))
        ]
        for reference, why in {
            (found.kind, found.name, found.key): (found, why) for found, why in missing
        }.values():
            yield Finding(
                object=str(manifest.key),
                expected=f"{reference.kind}/{reference.name}{_key(reference)}, which {reference.path} refers to",
                observed=why,
                why=f"{_STARTS.get(reference.kind, _NOTHING)}: neither the upgrade nor a rollback to this version "
                "comes to a good end",
                remedy=f"ship {reference.kind}/{reference.name}{_key(reference)}, correct {reference.path}, mark "
                "it optional where it may be absent, or declare it among the contract's prerequisites",
            )


def _key(reference: Reference) -> str:
    return f" with the key {reference.key}" if reference.key else ""


def _missing(reference: Reference, by: Manifest, rendered: Rendered) -> str | None:
    """Return what is wrong with a reference, None where nothing is."""
    name, kind = reference.name, reference.kind
    if (kind, name) in _ALWAYS or (kind == "ClusterRole" and name.startswith("system:")):
        return None
    there = [found for found in rendered.manifests.of(kind) if found.name == name]
    there = [found for found in there if found.namespace in (None, by.namespace)]
    if there:
        if _BEFORE_INSTALL in by.hooks and not any(_BEFORE_INSTALL in found.hooks for found in there):
            return f"the hook runs before the install, which is what makes {there[-1].key}"
        keys = _keys(there[-1])
        wrong_key = reference.key and keys and reference.key not in keys
        return f"{there[-1].key} has only {', '.join(sorted(keys))}" if wrong_key else None
    given = {"Secret": rendered.given.secrets, "ConfigMap": rendered.given.config_maps}.get(kind, {})
    if by.namespace == rendered.given.namespace and name in given:
        lacks_key = reference.key is not None and reference.key not in given[name]
        return f"the prerequisite has only {', '.join(sorted(given[name]))}" if lacks_key else None
    if _made_while_it_runs(reference, rendered.manifests):
        return None
    others = sorted({found.name for found in rendered.manifests.of(kind)})
    return f"no such {kind} in the chart or among the prerequisites; it has {', '.join(others) or 'none'}"


def _keys(manifest: Manifest) -> set[str]:
    parts = (mapping(manifest.body.get(part)) for part in ("data", "stringData", "binaryData"))
    return {key for part in parts for key in part}


def references(manifest: Manifest) -> Iterator[Reference]:
    """Yield everything that an object refers to by name."""
    yield from _of_pods(manifest)
    spec = mapping(manifest.body.get("spec"))
    if manifest.kind in {"RoleBinding", "ClusterRoleBinding"}:
        role = mapping(manifest.body.get("roleRef"))
        if role.get("kind") in {"Role", "ClusterRole"} and role.get("name"):
            yield Reference("roleRef", str(role["kind"]), str(role["name"]))
    if manifest.kind == "HorizontalPodAutoscaler":
        target = mapping(spec.get("scaleTargetRef"))
        group = str(target.get("apiVersion") or "").rpartition("/")[0]
        if target.get("name") and group in {"apps", ""}:
            yield Reference("spec.scaleTargetRef", str(target.get("kind")), str(target["name"]))
    if manifest.kind == "Ingress":
        yield from _of_ingress(manifest)


def _of_pods(manifest: Manifest) -> Iterator[Reference]:
    spec = pod_spec(manifest)
    if account := spec.get("serviceAccountName"):
        yield Reference("serviceAccountName", "ServiceAccount", str(account))
    for secret in mappings(spec.get("imagePullSecrets")):
        if secret.get("name"):
            yield Reference("imagePullSecrets", "Secret", str(secret["name"]))
    own = {
        str(at(claim, ("metadata", "name")))
        for claim in mappings(at(manifest.body, ("spec", "volumeClaimTemplates")))
    }
    for volume in mappings(spec.get("volumes")):
        if volume.get("name") not in own:
            yield from _of_volume(volume)
    for path, container in containers(manifest):
        for source in mappings(container.get("envFrom")):
            yield from _of_source(f"{path}.envFrom", source, "configMapRef", "secretRef")
        for variable in mappings(container.get("env")):
            where = f"{path}.env[{variable.get('name')}]"
            yield from _of_source(where, mapping(variable.get("valueFrom")), "configMapKeyRef", "secretKeyRef")


def _of_volume(volume: dict[str, Any]) -> Iterator[Reference]:
    path = f"volumes[{volume.get('name')}]"
    claim = mapping(volume.get("persistentVolumeClaim")).get("claimName")
    if claim:
        yield Reference(path, "PersistentVolumeClaim", str(claim))
    for part in (volume, *mappings(mapping(volume.get("projected")).get("sources"))):
        for kind in ("configMap", "secret"):
            source = mapping(part.get(kind))
            name = source.get("name") or source.get("secretName")
            if name and not source.get("optional"):
                what = "ConfigMap" if kind == "configMap" else "Secret"
                yield Reference(path, what, str(name))
                for item in mappings(source.get("items")):
                    if item.get("key"):
                        yield Reference(path, what, str(name), str(item["key"]))


def _of_source(path: str, source: dict[str, Any], config_map: str, secret: str) -> Iterator[Reference]:
    for field, kind in ((config_map, "ConfigMap"), (secret, "Secret")):
        named = mapping(source.get(field))
        if named.get("name") and not named.get("optional"):
            key = str(named["key"]) if named.get("key") else None
            yield Reference(path, kind, str(named["name"]), key)


def _of_ingress(ingress: Manifest) -> Iterator[Reference]:
    for service in services(ingress):
        # A controller's own actions are written as ports of Services that are none.
        if service.get("name") and at(service, ("port", "name")) != "use-annotation":
            yield Reference("backend", "Service", str(service["name"]))


def _made_while_it_runs(reference: Reference, manifests: Manifests) -> bool:
    """Say whether a custom resource names an object, or a command line a Secret or ConfigMap: they may make it."""
    if reference.kind in {"Role", "ClusterRole"}:
        return False
    for manifest in manifests:
        named = (manifest.name, *texts(manifest.body))
        if not _BUILT_IN.match(manifest.key.group) and reference.name in named:
            return True
    if reference.kind not in {"ConfigMap", "Secret"}:
        return False
    word = re.compile(r"(?:^|[\s=/,:\"'])" + re.escape(reference.name) + r"(?:$|[\s,:/\"'])")
    lines = (
        text
        for manifest in with_pods(manifests)
        for _, container in containers(manifest)
        for text in (*texts(container.get("command")), *texts(container.get("args")))
    )
    return any(word.search(text) for text in lines)
