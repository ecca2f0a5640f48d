"""The live state: what a release owns as the API server holds it, and how that differs from what it declares.

Live state is the inventory less what was there before (pristine), what controllers own, what the control plane
makes by itself and what the suite made. It needs no labels, so it tells what Argo CD leaves over as well.
"""

from __future__ import annotations

import contextlib
import dataclasses
import time
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
from conformance.observe.deadlines import DEADLINES, Deadline
from conformance.observe.dry_run import CannotTell, as_declared, as_defaulted
from conformance.observe.inventory import Inventory
from conformance.observe.ownership import by_itself, controller
from conformance.observe.wait import NotReached, wait_until_gone

#: Comparisons under way at once; each is one or two requests that the API server answers in milliseconds.
_AT_ONCE = 8


@dataclass(frozen=True)
class LiveState(Mapping[ObjectKey, Body]):
    """The objects that a release owns, by key, as served; `inventory` is all that it was taken from."""

    inventory: Inventory = field(repr=False)
    owned: frozenset[ObjectKey]

    @classmethod
    def take(
        cls,
        api: Api,
        pristine: Inventory,
        *,
        made_by_suite: Collection[ObjectKey | str] = (),
        suite_namespaces: Collection[str] = (),
        deadline: Deadline = DEADLINES.object_gone,
    ) -> LiveState:
        """Return what a release owns now, once what is being deleted is gone.

        What is not gone by the deadline (a finalizer that nobody removes) is the release's still. Raises
        `ApiRefusal` where a type that is served cannot be read, and `ApiUnreachable`.
        """

        def taken() -> LiveState:
            return cls.of(
                Inventory.take(api), pristine, made_by_suite=made_by_suite, suite_namespaces=suite_namespaces
            )

        state, end = taken(), time.monotonic() + deadline.seconds
        going = [body for body in state.values() if body["metadata"].get("deletionTimestamp")]
        for body in going:
            metadata, left = (
                body["metadata"],
                dataclasses.replace(deadline, seconds=max(0.0, end - time.monotonic())),
            )
            with contextlib.suppress(NotReached):
                wait_until_gone(
                    api,
                    api.resource_of(body),
                    metadata["name"],
                    namespace=metadata.get("namespace"),
                    deadline=left,
                )
        return taken() if going else state

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
            return not (ours or uid in before or controller(body) or by_itself(key, body, inventory))

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


__all__ = ["CannotTell", "Deviation", "LiveState", "compare"]
