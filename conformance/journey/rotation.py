"""One change of what is watched, or of something beside it: what the workloads made of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from conformance.journey.watched import Watched
from conformance.manifests import Body, ObjectKey
from conformance.observe.history import Story
from conformance.observe.ownership import controller

#: The label by which pods of a workload that has no ReplicaSets tell its revision.
_REVISION = "controller-revision-hash"


@dataclass(frozen=True)
class Running:
    """One pod that counts after a step: whether the step made it, and what its process was started with.

    `told` holds SHA-256s by variable and path; None where processes of this chart do not tell.
    """

    pod: str
    workload: ObjectKey
    made: bool
    told: Mapping[str, str] | None


@dataclass(frozen=True)
class Rotated:
    """An object whose data was changed: the SHA-256 of each key's value before and after.

    `places` are where each consumer's process finds a key; `rolls` are the workloads that must be rolled for it,
    `spares` those that must not.
    """

    of: Watched
    how: str
    before: Mapping[str, str]
    after: Mapping[str, str]
    places: Mapping[ObjectKey, Sequence[tuple[str, str]]]
    rolls: frozenset[ObjectKey]
    spares: frozenset[ObjectKey]


@dataclass(frozen=True)
class Step:
    """What was done to a release, from when to when (Unix time), and what became of the workloads.

    `rolled` are the ReplicaSets that came (or revisions, where a workload has no ReplicaSets), `least` the fewest
    replicas available at any moment of the Deployments that want any, `annotations` those of the pod templates
    at the end. `failure` is Helm's or the workloads' own last words where it did not end ready.
    """

    release: str
    what: str
    begun: float
    ended: float
    revision: int
    rolled: Mapping[ObjectKey, Sequence[str]]
    least: Mapping[ObjectKey, int]
    annotations: Mapping[ObjectKey, Mapping[str, str]]
    running: Sequence[Running]
    rotated: Sequence[Rotated] = ()
    failure: str | None = None

    def __str__(self) -> str:
        """Return it as a sentence names it."""
        return f"{self.what} (revision {self.revision})"


@dataclass(frozen=True)
class Undone:
    """A rotation that a rollback followed: what was rotated, and what the cluster holds of it after all."""

    step: Step
    rotated: Sequence[Rotated]
    held: Mapping[Watched, Mapping[str, str]]


def rolled(stories: Sequence[Story], workload: ObjectKey) -> tuple[str, ...]:
    """Return the ReplicaSets that came for a Deployment: made, or brought back from none wanted.

    For other workloads, the revisions of new pods that no earlier pod had.
    """
    kind = "ReplicaSet" if workload.kind == "Deployment" else "Pod"
    own = [story for story in stories if story.key.kind == kind and _owner(story.first) == workload]
    if kind == "ReplicaSet":
        return tuple(story.key.name for story in own if not story.before or _came_back(story))
    earlier = {_revision(story.first) for story in own if story.before}
    return tuple(sorted({_revision(story.first) for story in own if not story.before} - earlier))


def owned(stories: Sequence[Story], workload: ObjectKey) -> Iterator[Story]:
    """Yield the pods of a workload, its ReplicaSets' among them."""
    sets = {story.uid for story in stories if story.key.kind == "ReplicaSet" and _owner(story.first) == workload}
    for story in stories:
        owners = story.first["metadata"].get("ownerReferences") or ()
        if story.key.kind == "Pod" and (
            _owner(story.first) == workload or any(owner["uid"] in sets for owner in owners)
        ):
            yield story


def _came_back(story: Story) -> bool:
    wanted = [moment.body["spec"].get("replicas", 1) for moment in story.moments]
    return bool(wanted[0] == 0 and max(wanted) > 0)


def _revision(pod: Body) -> str:
    return str((pod["metadata"].get("labels") or {}).get(_REVISION, ""))


def _owner(body: Body) -> ObjectKey | None:
    if not (owner := controller(body)):
        return None
    group = str(owner["apiVersion"]).rpartition("/")[0]
    return ObjectKey(group, owner["kind"], body["metadata"].get("namespace"), owner["name"])
