"""Wait until everything that a manifest declares is ready, and say what the pods suffer from when it is not."""

from __future__ import annotations

import dataclasses
import itertools
import time
from collections.abc import Callable, Collection, Iterable, Sequence

from conformance.api import Api
from conformance.manifests import Body, Manifest, ObjectKey
from conformance.observe import rollout
from conformance.observe.deadlines import Deadline
from conformance.observe.ownership import descendants
from conformance.observe.wait import NotReached, wait_for


def wait_until_ready(api: Api, declared: Iterable[Manifest], *, deadline: Deadline, jobs: bool = True) -> None:
    """Return as soon as every declared object is there and ready, Jobs complete (unless not to wait for `jobs`).

    One deadline for all. Raises `NotReached` with what is missing and what keeps the pods from being ready, at
    once where waiting does not mend it; `ApiUnreachable` when the API server stays away.
    """
    kinds = rollout.BECOMING if jobs else rollout.BECOMING - {("batch", "Job")}
    wanted = sorted(manifest.key for manifest in declared if _key(manifest) in kinds)
    end = time.monotonic() + deadline.seconds
    for (group, kind, namespace), keys in itertools.groupby(wanted, _collection):
        names = {key.name: key for key in keys}
        left = dataclasses.replace(deadline, seconds=max(0.0, end - time.monotonic()))
        try:
            wait_for(
                api, api.resource(group, kind), _of(names, rollout.missing, absent="is missing"),
                namespace=namespace, deadline=left, failed=_of(names, rollout.failed),
            )  # fmt: skip
        except NotReached as error:
            waited = deadline.seconds - (end - time.monotonic())
            seen = "; ".join([error.mismatch, *_pods_suffer_from(api, namespace, names.values())])
            raise NotReached(seen, waited, deadline, final=error.final) from error


def _collection(key: ObjectKey) -> tuple[str, str, str | None]:
    return key.group, key.kind, key.namespace


def _key(manifest: Manifest) -> tuple[str, str]:
    return manifest.key.group, manifest.key.kind


def _of(
    names: dict[str, ObjectKey], says: Callable[[Body], str | None], absent: str = ""
) -> Callable[[Sequence[Body]], str | None]:
    def mismatch(bodies: Sequence[Body]) -> str | None:
        there = {body["metadata"]["name"]: body for body in bodies}
        for name, key in names.items():
            if name not in there:
                if absent:
                    return f"{key} {absent}"
            elif said := says(there[name]):
                return said
        return None

    return mismatch


def _pods_suffer_from(api: Api, namespace: str | None, keys: Collection[ObjectKey]) -> list[str]:
    """Return what the pods of some objects suffer from."""
    kinds = {("", "Pod"), ("apps", "ReplicaSet"), *((key.group, key.kind) for key in keys)}
    bodies = [body for kind in kinds for body in api.list(api.resource(*kind), namespace)["items"]]
    owners = [body for body in bodies if ObjectKey.of(body) in keys]
    pods = [body for owner in owners for body in [owner, *descendants(owner, bodies)] if body["kind"] == "Pod"]
    events = api.list(api.resource("", "Event"), namespace, fieldSelector="type=Warning")["items"]
    return rollout.why_not_ready(pods, events)
