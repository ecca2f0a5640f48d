"""The live state: what a release owns as the API server holds it, and how that differs from what it declares.

Live state is the inventory less what was there before (pristine), what controllers own, what the control plane
makes by itself and what the suite made. It needs no labels, so it tells what Argo CD leaves over as well.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from conformance.api import Api, ApiRefusal
from conformance.manifests import (
    ABSENT,
    Body,
    Change,
    Manifest,
    Manifests,
    ObjectKey,
    difference,
    normalise,
)
from conformance.observe.dry_run import CannotTell, as_declared, as_defaulted
from conformance.observe.inventory import Inventory

#: Comparisons under way at once; each is one or two requests that the API server answers in milliseconds.
_AT_ONCE = 8


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


@dataclass(frozen=True)
class LiveState(Mapping[ObjectKey, Body]):
    """The objects that a release owns, by key, as served; `inventory` is all that it was taken from."""

    inventory: Inventory = field(repr=False)
    owned: frozenset[ObjectKey]

    @classmethod
    def of(
        cls,
        inventory: Inventory,
        pristine: Inventory,
        *,
        made_by_suite: Collection[ObjectKey | str] = (),
        suite_namespaces: Collection[str] = (),
    ) -> LiveState:
        """Return what is left of an inventory when everything that is not the release's is taken away.

        `made_by_suite` holds keys or UIDs; everything in `suite_namespaces` is the suite's, they included.
        """
        before = pristine.uids()

        def is_owned(key: ObjectKey, body: Body) -> bool:
            uid = body["metadata"].get("uid", "")
            ours = key in made_by_suite or uid in made_by_suite or key.namespace in suite_namespaces
            ours = ours or (key.kind == "Namespace" and key.name in suite_namespaces)
            return not (ours or uid in before or has_controller(body) or by_itself(key, body, inventory))

        return cls(inventory, frozenset(key for key, body in inventory.items() if is_owned(key, body)))

    def __getitem__(self, key: ObjectKey) -> Body:
        if key not in self.owned:
            raise KeyError(key)
        return self.inventory[key]

    def __iter__(self) -> Iterator[ObjectKey]:
        return iter(sorted(self.owned))

    def __len__(self) -> int:
        return len(self.owned)

    def __eq__(self, other: object) -> bool:
        """Return whether both hold the same objects with the same content; status and bookkeeping apart."""
        return isinstance(other, LiveState) and not self.changed_to(other)

    def __hash__(self) -> int:
        return hash(self.owned)

    def difference(self, other: LiveState, key: ObjectKey) -> list[Change]:
        """Return what differs for one object between this state (expected) and another (observed)."""
        expected, observed = self.get(key), other.get(key)
        if expected is None or observed is None:
            there, absent = (ABSENT, "present") if expected is None else ("present", ABSENT)
            return [] if expected is observed else [Change(".", there, absent)]
        return difference(normalise(expected), normalise(observed))

    def changed_to(self, other: LiveState) -> list[Deviation]:
        """Return every object in which another state deviates from this one."""
        return [
            Deviation(
                key, tuple(self.difference(other, key)) if key in self and key in other else (),
                missing=key not in other, left_over=key not in self,
            )
            for key in sorted({*self, *other})
            if self.difference(other, key)
        ]  # fmt: skip


@dataclass(frozen=True)
class Deviation:
    """One object that is not as declared: `missing`, `left_over`, or with `changes`.

    `refusal` holds the API server's words where it would not even accept the declared object over the live one.
    """

    key: ObjectKey
    changes: tuple[Change, ...] = ()
    missing: bool = False
    left_over: bool = False
    refusal: str = ""

    def __str__(self) -> str:
        """Return what was observed, the object's name apart."""
        if self.missing:
            return "it is missing"
        if self.left_over:
            return "it is left over"
        refused = [f"the API server refuses what is declared: {self.refusal}"] if self.refusal else []
        return "\n".join([*refused, *map(str, self.changes)])


def has_controller(body: Body) -> bool:
    """Return whether an object has an owner that controls it."""
    return any(owner.get("controller") for owner in body["metadata"].get("ownerReferences") or ())


def by_itself(key: ObjectKey, body: Body, inventory: Inventory) -> str:
    """Return why the control plane made an object by itself, or an empty text where it did not."""
    for sort in MADE_BY_CONTROL_PLANE:
        if (key.group, key.kind) in sort.kinds and sort.recognised(key, body, inventory):
            return sort.why
    return ""


def compare(
    api: Api, expected: Manifests, live: LiveState, *, kept: Callable[[ObjectKey], bool] = lambda _: False
) -> list[Deviation]:
    """Return where the live state deviates from what is declared, both ways, in the order of keys.

    Law 4: each declared object is held against the live one as the API server itself would default it. Left
    over is every object that the release owns and nobody declared, hooks that remain included; `kept` says which
    objects may stay by the contract. Raises `Incomplete` where the API server cannot tell.
    """
    scaled = _scaled(live.inventory)
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="compare") as pool:
        compared = pool.map(
            lambda key: _compared(api, expected.get(key), live.inventory.get(key), scaled=key in scaled),
            sorted(expected.keys()),
        )
        found = [deviation for deviation in compared if deviation]
    left_over = [key for key in live.owned - expected.keys() if not kept(key)]
    return sorted([*found, *(Deviation(key, left_over=True) for key in left_over)], key=lambda found: found.key)


def _compared(api: Api, declared: Manifest | None, live: Body | None, *, scaled: bool) -> Deviation | None:
    if declared is None:
        return None
    try:
        live = _at_declared_version(api, declared, live)
        if live is None:
            return Deviation(declared.key, missing=True)
        defaulted, live = as_defaulted(api, declared, live, scaled=scaled)
    except ApiRefusal as refusal:
        if not isinstance(live, dict):
            return Deviation(declared.key, missing=True, refusal=refusal.message)
        changes = difference(normalise(as_declared(declared.body, live)), normalise(live))
        return Deviation(declared.key, tuple(changes), refusal=refusal.message)
    changes = difference(normalise(defaulted), normalise(live))
    return Deviation(declared.key, tuple(changes)) if changes else None


def _at_declared_version(api: Api, declared: Manifest, live: Body | None) -> Body | None:
    """Return the live object at the declared version; one of a noise kind is in no inventory, so it is read."""
    resource = api.resource_of(declared.body)
    if live is not None and live["apiVersion"] == declared.body["apiVersion"]:
        return live
    return api.get(resource, declared.namespace if resource.namespaced else None, declared.name)


def _scaled(inventory: Inventory) -> frozenset[ObjectKey]:
    """Return the workloads whose replicas an autoscaler decides."""
    found = set()
    for key, body in inventory.items():
        if key.kind == "HorizontalPodAutoscaler":
            target = body["spec"]["scaleTargetRef"]
            group = str(target.get("apiVersion") or "").rpartition("/")[0]
            found.add(ObjectKey(group, target["kind"], key.namespace, target["name"]))
    return frozenset(found)


__all__ = [
    "MADE_BY_CONTROL_PLANE",
    "CannotTell",
    "Deviation",
    "LiveState",
    "by_itself",
    "compare",
    "has_controller",
]
