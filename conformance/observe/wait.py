"""Wait for a state of the cluster, on events: return with the one that satisfies, fail with the last mismatch."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence

from conformance.api import Api, Resource
from conformance.errors import ConformanceError
from conformance.manifests import Body
from conformance.observe.deadlines import Deadline
from conformance.observe.watch import states

log = logging.getLogger(__name__)

#: Says what keeps the objects from being as wanted, or None when nothing does.
Mismatch = Callable[[Sequence[Body]], str | None]


class NotReached(ConformanceError):
    """A wait ended without the state it waited for.

    `mismatch` is the last one seen, `waited` the seconds it took; `final` where waiting could not have mended it.
    """

    def __init__(self, mismatch: str, waited: float, deadline: Deadline, *, final: bool = False) -> None:
        self.mismatch = mismatch
        self.waited = waited
        self.deadline = deadline
        self.final = final
        ended = "waiting does not mend it" if final else f"the deadline is {deadline}"
        super().__init__(f"{mismatch} (seen after {waited:.1f} s; {ended})")


def wait_for(
    api: Api,
    resource: Resource,
    mismatch: Mismatch,
    *,
    deadline: Deadline,
    namespace: str | None = None,
    failed: Mismatch | None = None,
    query: Mapping[str, str] | None = None,
) -> list[Body]:
    """Return the objects of a resource type as soon as they do not mismatch.

    `query` narrows them (`fieldSelector`, `labelSelector`). Raises `NotReached` with the last mismatch at the
    deadline, or at once with what `failed` says; `ApiUnreachable` when the API server stays away.
    """
    started = time.monotonic()
    seen: str | None = None
    for state in states(
        api, resource, namespace=namespace, seconds=deadline.seconds, away=deadline.seconds, query=query
    ):
        bodies = list(state.objects.values())
        seen, last = mismatch(bodies), seen
        if seen is None:
            return bodies
        if seen != last:
            log.debug("%s", seen)
        if failed is not None and (final := failed(bodies)):
            raise NotReached(final, time.monotonic() - started, deadline, final=True)
    raise NotReached(seen or f"no {resource.plural} were listed", time.monotonic() - started, deadline)


def wait_for_one(
    api: Api,
    resource: Resource,
    name: str,
    mismatch: Callable[[Body | None], str | None],
    *,
    deadline: Deadline,
    namespace: str | None = None,
) -> Body | None:
    """Return one object, or None where it is absent, as soon as it does not mismatch.

    Raises as `wait_for` does.
    """
    found = wait_for(
        api, resource, lambda bodies: mismatch(bodies[0] if bodies else None), deadline=deadline,
        namespace=namespace, query={"fieldSelector": f"metadata.name={name}"},
    )  # fmt: skip
    return found[0] if found else None


def wait_until_gone(
    api: Api, resource: Resource, name: str, *, deadline: Deadline, namespace: str | None = None
) -> None:
    """Return as soon as an object is gone. Raises as `wait_for` does, naming the finalizers that hold it."""
    wait_for_one(
        api, resource, name, lambda body: _still_there(resource, body), deadline=deadline, namespace=namespace
    )


def _still_there(resource: Resource, body: Body | None) -> str | None:
    if body is None:
        return None
    metadata = body["metadata"]
    state = "is being deleted" if metadata.get("deletionTimestamp") else "is still there"
    held = metadata.get("finalizers") or []
    return f"{resource.kind}/{metadata['name']} {state}" + (f", held by {', '.join(held)}" if held else "")
