"""Moments of an operation under way: what the timeline has seen when it is time to interfere."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from conformance.journey.schema import seen_pods
from conformance.manifests import Body, ObjectKey
from conformance.observe.history import Story
from conformance.observe.rollout import NO_IMAGE, container_statuses
from conformance.observe.timeline import Timeline


def begun(seen: Timeline, workloads: Iterable[ObjectKey]) -> bool:
    """Say whether the first change is there: a hook's Job or pod, or a workload with another spec."""
    made = (story for story in seen.stories() if not story.before and story.key.kind in {"Job", "Pod"})
    return any(True for _ in made) or any(_changed(seen, key) for key in workloads)


def cannot_start(seen: Timeline, workloads: Sequence[ObjectKey]) -> bool:
    """Say whether each of the workloads that is there was changed and has a pod that waits for its image in vain.

    The pod of a hook is enough: nothing follows before it has ended.
    """
    there = [key for key in workloads if any(not story.gone for story in _stories(seen, key))]
    owners = {name: owner for name, (_, owner) in seen_pods(seen.stories())}
    waiting = {owners[pod["metadata"]["name"]] for pod in _without_image(seen.stories("Pod"))}
    hooks = {key for key in waiting if key.kind in {"Job", "Pod"}}
    return bool(hooks) or (bool(there) and all(key in waiting and _changed(seen, key) for key in there))


def _changed(seen: Timeline, workload: ObjectKey) -> bool:
    return len(seen.generations(workload)) > 1 or any(not story.before for story in _stories(seen, workload))


def _stories(seen: Timeline, key: ObjectKey) -> Iterator[Story]:
    yield from (story for story in seen.stories(key.kind) if story.key == key)


def _without_image(pods: Iterable[Story]) -> Iterator[Body]:
    for story in pods:
        statuses = () if story.gone else container_statuses(story.last)
        waiting = (((status.get("state") or {}).get("waiting") or {}).get("reason") for status in statuses)
        if any(reason in NO_IMAGE for reason in waiting):
            yield story.last
