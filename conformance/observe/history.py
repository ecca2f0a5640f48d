"""What was seen of a namespace's objects during an operation: every state of each, and what follows from them.

Pure: the timeline feeds it from its watches, and unit tests by hand.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from conformance.api import Event
from conformance.manifests import Body, ObjectKey
from conformance.observe.ownership import controller
from conformance.observe.rollout import container_statuses, termination


@dataclass(frozen=True)
class Moment:
    """One state of an object: `at` is when it was seen (Unix time, seconds); `type` is the watch's word."""

    at: float
    type: str
    body: Body


@dataclass
class Story:
    """The states of one object, by UID, in the order seen. `before`: it was there when the watch began."""

    key: ObjectKey
    uid: str
    before: bool
    moments: list[Moment] = field(default_factory=list)

    @property
    def first(self) -> Body:
        """Return the object as first seen."""
        return self.moments[0].body

    @property
    def last(self) -> Body:
        """Return the object as last seen."""
        return self.moments[-1].body

    @property
    def gone(self) -> bool:
        """Return whether the object was deleted meanwhile."""
        return self.moments[-1].type == "DELETED"


@dataclass(frozen=True)
class Restart:
    """Restarts of one container during the operation: how many, and how it last ended."""

    pod: str
    container: str
    count: int
    reason: str


@dataclass(frozen=True)
class WarningEvent:
    """A warning event. `object` reads `Kind/name`; `count` is how often meanwhile; times are RFC 3339."""

    reason: str
    object: str
    message: str
    count: int
    first_seen: str
    last_seen: str


class History:
    """The stories of all objects seen."""

    def __init__(self) -> None:
        self._stories: dict[str, Story] = {}

    def record(self, change: Event, at: float, *, before: bool) -> None:
        """Take a change in. `before` marks what was there when the watch began."""
        metadata = change.object["metadata"]
        uid = metadata["uid"]
        story = self._stories.get(uid)
        if story is None:
            story = self._stories[uid] = Story(ObjectKey.of(change.object), uid, before)
        slim = {name: value for name, value in metadata.items() if name != "managedFields"}
        story.moments.append(Moment(at, change.type, {**change.object, "metadata": slim}))

    def stories(self, kind: str | None = None) -> list[Story]:
        """Return the stories of all objects, or of one kind, in the order in which they were first seen."""
        return [story for story in self._stories.values() if kind is None or story.key.kind == kind]

    def of(self, key: ObjectKey) -> list[Story]:
        """Return the stories under one name: more than one where the object was made anew."""
        return [story for story in self._stories.values() if story.key == key]

    def uids(self, key: ObjectKey) -> tuple[str, ...]:
        """Return the UIDs seen under one name: two or more mean that it was made anew."""
        return tuple(story.uid for story in self.of(key))

    def generations(self, key: ObjectKey) -> tuple[int, ...]:
        """Return the generations of an object's spec in the order seen, each once."""
        seen = [moment.body["metadata"].get("generation", 0) for story in self.of(key) for moment in story.moments]
        return tuple(dict.fromkeys(seen))

    def made(self, kind: str) -> list[Story]:
        """Return the objects of a kind that were made during the operation."""
        return [story for story in self.stories(kind) if not story.before]

    def replica_sets(self, workload: ObjectKey) -> list[str]:
        """Return the names of the ReplicaSets that a Deployment's controller made during the operation."""
        made = self.made("ReplicaSet")
        return [story.key.name for story in made if controller(story.first).get("name") == workload.name]

    def least_available(self, workload: ObjectKey) -> int:
        """Return the fewest available replicas at any moment; 0 for an object never seen."""
        moments = [moment for story in self.of(workload) for moment in story.moments]
        return min(
            ((moment.body.get("status") or {}).get("availableReplicas", 0) for moment in moments), default=0
        )

    def image_digests(self) -> dict[tuple[str, str], tuple[str, ...]]:
        """Return the `imageID`s that each container ran, by the names of pod and container."""
        found: dict[tuple[str, str], dict[str, None]] = {}
        for story in self.stories("Pod"):
            for moment in story.moments:
                for status in container_statuses(moment.body):
                    if image := status.get("imageID"):
                        found.setdefault((story.key.name, status["name"]), {})[image] = None
        return {of: tuple(images) for of, images in found.items()}

    def restarts(self) -> list[Restart]:
        """Return the containers that restarted during the operation; earlier restarts do not count."""
        return [found for story in self.stories("Pod") for found in _restarts(story)]

    def warnings(self) -> list[WarningEvent]:
        """Return the warning events of the operation; what an event counted before it does not count."""
        stories = [story for story in self.stories("Event") if story.last.get("type") == "Warning"]
        return [found for story in stories if (found := _warning(story))]


def _restarts(story: Story) -> Iterator[Restart]:
    earlier = _restart_counts(story.first) if story.before else {}
    most: dict[str, int] = {}
    reasons: dict[str, str] = {}
    for moment in story.moments:
        for name, count in _restart_counts(moment.body).items():
            most[name] = max(most.get(name, 0), count)
        for status in container_statuses(moment.body):
            ended = termination(status.get("lastState") or {}) or termination(status.get("state") or {})
            if ended:
                reasons[status["name"]] = ended
    for name, count in most.items():
        if count > earlier.get(name, 0):
            yield Restart(story.key.name, name, count - earlier.get(name, 0), reasons.get(name, "no reason given"))


def _restart_counts(pod: Body) -> dict[str, int]:
    return {status["name"]: int(status.get("restartCount", 0)) for status in container_statuses(pod)}


def _warning(story: Story) -> WarningEvent | None:
    event = story.last
    count = _count(event) - (_count(story.first) if story.before else 0)
    if count <= 0:
        return None
    about = event.get("involvedObject") or {}
    series: dict[str, Any] = event.get("series") or {}
    made = event["metadata"].get("creationTimestamp") or ""
    return WarningEvent(
        reason=str(event.get("reason", "")),
        object=f"{about.get('kind')}/{about.get('name')}",
        message=" ".join((event.get("message") or "").split()),
        count=count,
        first_seen=event.get("firstTimestamp") or event.get("eventTime") or made,
        last_seen=series.get("lastObservedTime") or event.get("lastTimestamp") or event.get("eventTime") or made,
    )


def _count(event: Body) -> int:
    """Return how often an event was seen: recorders of both event APIs count in places of their own."""
    return int((event.get("series") or {}).get("count") or event.get("count") or 1)
