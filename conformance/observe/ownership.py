"""Whose an object is: an owner's, a controller's, or the control plane's own where no release made it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from conformance.manifests import Body, ObjectKey
from conformance.observe.inventory import Inventory


@dataclass(frozen=True)
class ByItself:
    """A sort of object that the control plane makes without an owner reference, and why it does."""

    kinds: frozenset[tuple[str, str]]
    why: str
    recognised: Callable[[ObjectKey, Body, Inventory], bool]


def _kinds(*kinds: tuple[str, str]) -> frozenset[tuple[str, str]]:
    return frozenset(kinds)


def _annotation(body: Body, name: str) -> str:
    return str((body["metadata"].get("annotations") or {}).get(name, ""))


def _label(body: Body, name: str) -> str:
    return str((body["metadata"].get("labels") or {}).get(name, ""))


def _claimed_by_stateful_set(key: ObjectKey, _: Body, inventory: Inventory) -> bool:
    for other, body in inventory.items():
        if other.kind == "StatefulSet" and other.namespace == key.namespace:
            for template in body["spec"].get("volumeClaimTemplates") or ():
                if re.fullmatch(
                    rf"{re.escape(template['metadata']['name'])}-{re.escape(other.name)}-\d+", key.name
                ):
                    return True
    return False


#: What no release declares and no owner reference explains.
MADE_BY_CONTROL_PLANE: tuple[ByItself, ...] = (
    ByItself(
        _kinds(("", "ServiceAccount")), "the service account controller gives each namespace a default",
        lambda key, _body, _all: key.name == "default",
    ),
    ByItself(
        _kinds(("", "ConfigMap")), "the root CA publisher gives each namespace the cluster's certificate",
        lambda key, _body, _all: key.name == "kube-root-ca.crt",
    ),
    ByItself(
        _kinds(("", "Secret"), ("", "ConfigMap")), "Helm's own records of its releases",
        lambda key, body, _all: body.get("type") == "helm.sh/release.v1"
        or (key.kind == "ConfigMap" and _label(body, "owner") == "helm"),
    ),
    ByItself(
        _kinds(("", "Secret")), "the token controller of Kubernetes before 1.24",
        lambda key, body, _all: body.get("type") == "kubernetes.io/service-account-token"
        and bool(re.fullmatch(r".+-token-[a-z0-9]{5}", key.name)),
    ),
    ByItself(
        _kinds(("apiregistration.k8s.io", "APIService")),
        "the API aggregator registers each version of a CustomResourceDefinition's group",
        lambda _key, body, _all: bool(_label(body, "kube-aggregator.kubernetes.io/automanaged")),
    ),
    ByItself(
        _kinds(("networking.k8s.io", "IPAddress")), "the API server records the address of each Service",
        lambda _key, body, _all: _label(body, "ipaddress.kubernetes.io/managed-by").startswith("ipallocator"),
    ),
    ByItself(
        _kinds(("", "PersistentVolumeClaim")), "a StatefulSet that lives makes them from its claim templates",
        _claimed_by_stateful_set,
    ),
    ByItself(
        _kinds(("", "PersistentVolume")), "a provisioner makes them for claims",
        lambda _key, body, _all: bool(_annotation(body, "pv.kubernetes.io/provisioned-by")),
    ),
    ByItself(
        _kinds(("storage.k8s.io", "VolumeAttachment"), ("storage.k8s.io", "CSIStorageCapacity")),
        "the volume controllers' own records", lambda _key, _body, _all: True,
    ),
)  # fmt: skip


def owners(body: Body) -> list[dict[str, Any]]:
    """Return an object's references to its owners; none where it has none."""
    return body["metadata"].get("ownerReferences") or []


def owner_uids(body: Body) -> set[str]:
    """Return the UIDs of an object's owners."""
    return {owner["uid"] for owner in owners(body)}


def controller(body: Body) -> dict[str, Any]:
    """Return the reference to the owner that controls an object, empty where none does."""
    return next((owner for owner in owners(body) if owner.get("controller")), {})


def descendants(owner: Body, bodies: Iterable[Body]) -> list[Body]:
    """Return the objects that are owned, directly or through others, by an object."""
    owned = [body for body in bodies if owners(body)]
    known, found = {owner["metadata"]["uid"]}, []
    while more := [body for body in owned if body["metadata"]["uid"] not in known and owner_uids(body) & known]:
        found += more
        known |= {body["metadata"]["uid"] for body in more}
    return found


def by_itself(key: ObjectKey, body: Body, inventory: Inventory) -> str:
    """Return why the control plane made an object by itself, or an empty text where it did not."""
    for sort in MADE_BY_CONTROL_PLANE:
        if (key.group, key.kind) in sort.kinds and sort.recognised(key, body, inventory):
            return sort.why
    return ""
