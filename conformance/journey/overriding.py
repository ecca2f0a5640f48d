"""Set a variable of a running workload past its chart, and see what its new pods make of it."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from conformance.api import Api
from conformance.contract import Contract, Workload
from conformance.database import Postgres
from conformance.errors import Incomplete
from conformance.journey.schema import Attempt, attributed, seen_pods
from conformance.manifests import Body, Manifest, ObjectKey
from conformance.observe.deadlines import Deadline, Deadlines
from conformance.observe.history import Story
from conformance.observe.logs import log_lines
from conformance.observe.ready import wait_until_ready
from conformance.observe.rollout import container_statuses, holds, termination, why_not_ready
from conformance.observe.timeline import Timeline
from conformance.observe.wait import NotReached

#: Seconds in which a new pod that is ready may still end.
_LATE_SECONDS = 10.0


@dataclass(frozen=True)
class Overridden:
    """What the new pods of a workload did with a variable set to `value`, or taken away (None).

    `exit_code` is how the first of them ended, None where none did; `ready` says whether one became ready;
    `lines` is what it logged; `least_available` the fewest replicas that were available meanwhile.
    """

    workload: ObjectKey
    value: str | None
    exit_code: int | None
    ready: bool
    lines: tuple[str, ...]
    least_available: int
    attempts: tuple[Attempt, ...]


class Overriding:
    """One workload, changed past its chart and restored on leaving: `with Overriding(…) as changed: …`."""

    def __init__(
        self, api: Api, contract: Contract, workload: Workload, database: Postgres, deadlines: Deadlines
    ) -> None:
        self._api, self._namespace, self._container = api, contract.release.namespace, workload.container
        self._database, self._deadlines = database, deadlines
        self._resource = api.resource("apps", workload.kind)
        self._key = contract.key_of(workload)
        body = api.get(self._resource, self._namespace, workload.name)
        if body is None:
            raise Incomplete(f"{self._key} is gone, so nothing can be changed in it")
        self._body: Body = body

    def __enter__(self) -> Overriding:
        return self

    def __exit__(self, *_: object) -> None:
        self._patch(self._body["spec"]["template"]["spec"]["containers"])
        restored = Manifest(self._body)
        wait_until_ready(self._api, [restored], deadline=self._deadlines.workloads_ready)

    def with_variable(self, variable: str, value: str | None) -> Overridden:
        """Return what new pods do once a variable has a value, or is taken away, in the contract's container."""
        with Timeline(self._api, self._namespace) as seen:
            begun = time.time()
            known = {story.uid for story in seen.stories("Pod")}
            self._patch(list(self._changed(variable, value)))
            seen.until(
                lambda: any(_has_ended(pod) or _ready(pod) for pod in self._new(seen, known)),
                self._deadlines.workloads_ready.seconds,
            )
            pods, stories = self._new(seen, known), seen.stories()
            attempts = attributed(self._database.ledger().between(begun, time.time()), stories)
            return Overridden(
                workload=self._key,
                value=value,
                exit_code=next((code for pod in pods if (code := _exit_code(pod)) is not None), None),
                ready=any(map(_ready, pods)),
                lines=tuple(line.text for line in log_lines(self._api, pods)),
                least_available=seen.least_available(self._key),
                attempts=tuple(found for found in attempts if found.workload == self._key),
            )

    def _changed(self, variable: str, value: str | None) -> Iterator[dict[str, Any]]:
        for container in copy.deepcopy(self._body["spec"]["template"]["spec"]["containers"]):
            if container["name"] == self._container:
                kept = [entry for entry in container.get("env") or () if entry["name"] != variable]
                container["env"] = [*kept, *([{"name": variable, "value": value}] if value is not None else [])]
            yield container

    def _patch(self, containers: Sequence[dict[str, Any]]) -> None:
        body = {"spec": {"template": {"spec": {"containers": list(containers)}}}}
        self._api.merge(self._resource, self._namespace, self._key.name, body)

    def _new(self, seen: Timeline, known: set[str]) -> list[Body]:
        stories = seen.stories()
        return [story.last for story in _pods_of(self._key, stories) if story.uid not in known]


def new_pods_settled(seen: Timeline, workload: ObjectKey, deadline: Deadline) -> None:
    """Return once a workload has new pods since a timeline began, all were ready, and none ended for a while.

    One that is ready may yet have to migrate. Raises `NotReached` as soon as a container of one ended before all
    were ready, and at the deadline.
    """

    def new() -> list[Body]:
        return [story.last for story in _pods_of(workload, seen.stories()) if not story.before and not story.gone]

    started = time.monotonic()
    seen.until(
        lambda: (pods := new()) and (any(map(_has_ended, pods)) or all(map(_ready, pods))), deadline.seconds
    )
    if not (pods := new()) or not all(map(_ready, pods)):
        final = any(map(_has_ended, pods))
        said = "; ".join([*_ends(pods), *why_not_ready(pods)]) or f"{workload} has no new pod"
        raise NotReached(said, time.monotonic() - started, deadline, final=final)
    seen.until(lambda: any(map(_has_ended, new())), _LATE_SECONDS)


def _ends(pods: Sequence[Body]) -> Iterator[str]:
    for pod in pods:
        for status in container_statuses(pod):
            if said := termination(status.get("state") or {}):
                yield f"{ObjectKey.of(pod)}: container {status['name']}: {said}"


def _has_ended(pod: Body) -> bool:
    return _exit_code(pod) is not None


def _pods_of(workload: ObjectKey, stories: Sequence[Story]) -> Iterator[Story]:
    names = {name for name, (_, owner) in seen_pods(stories) if owner == workload}
    yield from (story for story in stories if story.key.kind == "Pod" and story.key.name in names)


def _exit_code(pod: Body) -> int | None:
    """Return the exit code of a pod's container that ended, now or before its last restart.

    An init container that ended well did what it is for.
    """
    beforehand = {status["name"] for status in pod.get("status", {}).get("initContainerStatuses") or ()}
    for status in container_statuses(pod):
        for when in ("state", "lastState"):
            ended = (status.get(when) or {}).get("terminated")
            if ended and (ended["exitCode"] or status["name"] not in beforehand):
                return int(ended["exitCode"])
    return None


def _ready(pod: Body) -> bool:
    return holds(pod, "Ready")
