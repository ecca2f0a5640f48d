"""The timeline of an operation in one namespace: background watches that miss nothing, from before its begin."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self, TypeVar

from conformance.api import Api
from conformance.errors import Incomplete
from conformance.manifests import Body, ObjectKey
from conformance.observe.deadlines import DEADLINES, Deadline
from conformance.observe.history import History, Restart, Story, WarningEvent
from conformance.observe.logs import LogLine, forbidden_lines
from conformance.observe.watch import Stop, states

log = logging.getLogger(__name__)

T = TypeVar("T")

#: What is watched: the workloads, what their controllers make of them, and what is said about all of it.
WATCHED = (
    ("apps", "Deployment"), ("apps", "StatefulSet"), ("apps", "DaemonSet"), ("apps", "ReplicaSet"),
    ("batch", "Job"), ("", "Pod"), ("", "Event"),
)  # fmt: skip


class Timeline:
    """What was seen in a namespace while it was open, objects that were there before marked as such.

    Open it before the operation: `with Timeline(api, namespace) as seen: …`. It can be read while it is open and
    afterwards. Every reading raises `Incomplete` where a watch was lost for good, because then something may have
    been missed.
    """

    def __init__(self, api: Api, namespace: str, *, opening: Deadline = DEADLINES.api_server_back) -> None:
        self._api, self.namespace, self._opening = api, namespace, opening
        self._history = History()
        self._changed = threading.Condition(threading.RLock())
        self._stops = [Stop() for _ in WATCHED]
        self._to_list = len(WATCHED)
        self._failure: Exception | None = None
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def open(self) -> None:
        """Begin to watch; returns once what is there has been listed, so that nothing after is missed.

        Raises `Incomplete` where the API server does not let it.
        """
        for (group, kind), stop in zip(WATCHED, self._stops, strict=True):
            name = f"timeline-{kind}"
            thread = threading.Thread(target=self._follow, args=(group, kind, stop), name=name, daemon=True)
            thread.start()
            self._threads.append(thread)
        with self._changed:
            listed = self._changed.wait_for(lambda: self._failure or not self._to_list, self._opening.seconds)
        if self._failure or not listed:
            self.close()
            self._intact()
            raise Incomplete(f"the timeline of namespace {self.namespace} could not begin to watch")

    def close(self) -> None:
        """End all watches; what was seen stays."""
        for stop in self._stops:
            stop.set()
        for thread in self._threads:
            thread.join()
        self._threads.clear()

    def until(self, condition: Callable[[], object], seconds: float) -> bool:
        """Return True as soon as a condition on what was seen holds, or False when it has not in `seconds`.

        The condition is asked now and after every change; it may read this timeline.
        """
        with self._changed:
            met = self._changed.wait_for(lambda: self._failure or condition(), seconds)
            self._intact()
            return bool(met)

    def look_again(self) -> None:
        """Ask what is waited for again: something changed that is not watched."""
        with self._changed:
            self._changed.notify_all()

    def stories(self, kind: str | None = None) -> list[Story]:
        """Return what was seen, object by object, of all kinds or of one."""
        with self._changed:
            self._intact()
            return self._history.stories(kind)

    def restarts(self) -> list[Restart]:
        """Return the containers that restarted meanwhile."""
        return self._read(History.restarts)

    def warnings(self) -> list[WarningEvent]:
        """Return the warning events meanwhile."""
        return self._read(History.warnings)

    def image_digests(self) -> dict[tuple[str, str], tuple[str, ...]]:
        """Return the `imageID`s that each container ran, by the names of pod and container."""
        return self._read(History.image_digests)

    def replica_sets(self, workload: ObjectKey) -> list[str]:
        """Return the ReplicaSets made for a Deployment meanwhile."""
        return self._read(lambda history: history.replica_sets(workload))

    def generations(self, key: ObjectKey) -> tuple[int, ...]:
        """Return the generations of an object's spec in the order seen."""
        return self._read(lambda history: history.generations(key))

    def uids(self, key: ObjectKey) -> tuple[str, ...]:
        """Return the UIDs seen under one name."""
        return self._read(lambda history: history.uids(key))

    def least_available(self, workload: ObjectKey) -> int:
        """Return the fewest available replicas of a workload at any moment."""
        return self._read(lambda history: history.least_available(workload))

    def forbidden(self) -> list[LogLine]:
        """Return the log lines of the namespace's living pods that tell of a call refused for want of a right."""
        pods: list[Body] = self._api.list(self._api.resource("", "Pod"), self.namespace)["items"]
        return forbidden_lines(self._api, pods)

    def _read(self, derive: Callable[[History], T]) -> T:
        with self._changed:
            self._intact()
            return derive(self._history)

    def _intact(self) -> None:
        if self._failure is not None:
            raise Incomplete(
                f"the timeline of namespace {self.namespace} has a gap: {self._failure}"
            ) from self._failure

    def _follow(self, group: str, kind: str, stop: Stop) -> None:
        try:
            resource, before = self._api.resource(group, kind), True
            for state in states(self._api, resource, namespace=self.namespace, stop=stop):
                at = time.time()
                with self._changed:
                    for change in state.changes:
                        self._history.record(change, at, before=before)
                    if before:
                        self._to_list -= 1
                    before = False
                    self._changed.notify_all()
        except Exception as error:  # a reader is told
            with self._changed:
                if not stop.is_set:
                    self._failure = error
                self._changed.notify_all()
