"""List and watch one resource type as a stream of states, whatever happens to the connection.

The pattern is Kubernetes' own ("Efficient detection of changes" in its API concepts): list, then watch from the
list's resource version; bookmarks keep that version fresh; when it is too old (410), list again and tell what
changed meanwhile.
"""

from __future__ import annotations

import contextlib
import logging
import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

import tenacity

from conformance.api import Api, ApiRefusal, ApiUnreachable, Event, Resource, Watch
from conformance.manifests import Body
from conformance.observe.deadlines import DEADLINES

log = logging.getLogger(__name__)

T = TypeVar("T")
#: Namespace and name: what tells the objects of one resource type apart.
Name = tuple[str, str]

#: Seconds after which a watch is opened anew: the API server's own watches live 5 to 10 minutes.
_LONGEST_WATCH = 300
#: HTTP states of a server that is starting, stopping or busy; all others are answers.
_PASSING = frozenset({429, 500, 502, 503, 504})
_TOO_OLD = frozenset({410})


@dataclass(frozen=True)
class State:
    """Every object of the type at one moment, by namespace and name, and the changes that led here.

    `objects` lives on: read it before asking for the next state.
    """

    objects: Mapping[Name, Body]
    changes: tuple[Event, ...]


class Stop:
    """Ends a stream of states from another thread."""

    def __init__(self) -> None:
        self.event = threading.Event()
        self._watch: Watch | None = None
        self._lock = threading.Lock()

    @property
    def is_set(self) -> bool:
        """Return whether the end has come."""
        return self.event.is_set()

    def set(self) -> None:
        """End the stream at once."""
        with self._lock:
            self.event.set()
            if self._watch is not None:
                self._watch.close()

    @contextlib.contextmanager
    def closing(self, watch: Watch) -> Iterator[None]:
        """Close a watch when it is left, or when the end comes while it is read."""
        with self._lock:
            self._watch = watch
            if self.event.is_set():
                watch.close()
        try:
            yield
        finally:
            with self._lock:
                self._watch = None
            watch.close()


def states(
    api: Api,
    resource: Resource,
    *,
    namespace: str | None = None,
    seconds: float = math.inf,
    stop: Stop | None = None,
    away: float = DEADLINES.api_server_back.seconds,
    query: Mapping[str, str] | None = None,
) -> Iterator[State]:
    """Yield the state of a resource type now, and again after every change, for `seconds` or until `stop`.

    `query` narrows it (`fieldSelector`, `labelSelector`). A broken connection, an expired watch and a restart of
    the API server are bridged. Raises `ApiUnreachable` when the server is away for longer than `away` seconds
    (or than is left), and `ApiRefusal` for what waiting does not mend.
    """
    return _Follower(
        api,
        resource,
        namespace,
        time.monotonic() + seconds,
        stop if stop is not None else Stop(),
        away,
        query or {},
    ).states()


class _Follower:
    def __init__(
        self, api: Api, resource: Resource, namespace: str | None, end: float, stop: Stop, away: float,
        query: Mapping[str, str],
    ) -> None:  # fmt: skip
        self._api, self._resource, self._namespace = api, resource, namespace
        self._end, self._stop, self._away, self._query = end, stop, away, query
        self._objects: dict[Name, Body] = {}
        self._version = ""

    def states(self) -> Iterator[State]:
        listed = self._insisting(self._list)
        if listed is None:
            return
        yield State(self._objects, tuple(listed))
        while self._goes_on():
            try:
                opened = self._insisting(self._open)
                if opened is None:
                    return
                with self._stop.closing(opened):
                    for event in opened:
                        if self._took(event):
                            yield State(self._objects, (event,))
                        if not self._goes_on():
                            return
            except ApiUnreachable as error:
                log.debug("resuming: %s", error)
            except ApiRefusal as refusal:
                if refusal.status not in _TOO_OLD | _PASSING:
                    raise
                log.debug("listing %s again: %s", self._resource.plural, refusal)
                listed = self._insisting(self._list)
                if listed is None:
                    return
                if listed:
                    yield State(self._objects, tuple(listed))

    def _goes_on(self) -> bool:
        return not self._stop.is_set and time.monotonic() < self._end

    def _left(self) -> float:
        return max(0.0, self._end - time.monotonic())

    def _insisting(self, attempt: Callable[[], T]) -> T | None:
        """Make attempts until the server answers; None when the stream was ended meanwhile."""
        patient = tenacity.Retrying(
            retry=tenacity.retry_if_exception(_passes),
            wait=tenacity.wait_random_exponential(multiplier=0.05, max=1),
            stop=tenacity.stop_after_delay(min(self._away, self._left()))
            | tenacity.stop_when_event_set(self._stop.event),
            sleep=tenacity.sleep_using_event(self._stop.event),
            reraise=True,
        )
        try:
            return patient(attempt)
        except (ApiUnreachable, ApiRefusal):
            if self._stop.is_set:
                return None
            raise

    def _open(self) -> Watch:
        seconds = max(1, math.ceil(min(self._left(), _LONGEST_WATCH)))
        return self._api.watch(
            self._resource, namespace=self._namespace, since=self._version, seconds=seconds, **self._query
        )

    def _list(self) -> list[Event]:
        answer = self._api.list(self._resource, self._namespace, **self._query)
        self._version = answer["metadata"]["resourceVersion"]
        before, now = self._objects, {_name(body): body for body in answer["items"]}
        self._objects = now
        return [*_gone(before, now), *_new(before, now)]

    def _took(self, event: Event) -> bool:
        """Take a change into the state; False for a bookmark, which changes none."""
        self._version = event.object["metadata"]["resourceVersion"]
        if event.type == "BOOKMARK":
            return False
        if event.type == "DELETED":
            self._objects.pop(_name(event.object), None)
        else:
            self._objects[_name(event.object)] = event.object
        return True


def _name(body: Body) -> Name:
    metadata = body["metadata"]
    return metadata.get("namespace", ""), metadata["name"]


def _gone(before: Mapping[Name, Body], now: Mapping[Name, Body]) -> Iterator[Event]:
    for name, body in before.items():
        same = now.get(name)
        if same is None or same["metadata"]["uid"] != body["metadata"]["uid"]:
            yield Event("DELETED", body)


def _new(before: Mapping[Name, Body], now: Mapping[Name, Body]) -> Iterator[Event]:
    for name, body in now.items():
        was = before.get(name)
        if was is None or was["metadata"]["uid"] != body["metadata"]["uid"]:
            yield Event("ADDED", body)
        elif was["metadata"]["resourceVersion"] != body["metadata"]["resourceVersion"]:
            yield Event("MODIFIED", body)


def _passes(error: BaseException) -> bool:
    return isinstance(error, ApiUnreachable) or (isinstance(error, ApiRefusal) and error.status in _PASSING)
