"""Rotate what a release's pods use, let Helm know, and see which of them are made anew and what they get."""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from conformance.api import Api
from conformance.contract import Checksums, Watching
from conformance.errors import Incomplete
from conformance.helm import Deployed, HelmError
from conformance.journey.configuration import told_by
from conformance.journey.driving import Driver
from conformance.journey.held import Fresh, Hashes, Held, checksum, hashes, secret
from conformance.journey.rotation import Rotated, Running, Step, owned, rolled
from conformance.journey.watched import ROTATED_KEY, Asked, Watched, places, uses, watched
from conformance.manifests import Body, Manifest, ObjectKey
from conformance.observe.deadlines import Deadlines
from conformance.observe.ready import wait_until_ready
from conformance.observe.rollout import is_current
from conformance.observe.timeline import Timeline
from conformance.observe.wait import NotReached
from conformance.rules.bumped import bumped
from conformance.rules.pods import pod_annotations
from conformance.subject import Subject

log = logging.getLogger(__name__)

_KINDS = ("Deployment", "StatefulSet", "DaemonSet")
IN_CHART, GIVEN, LOOKED_UP = "made by the chart", "with a given checksum", "looked up"


class Rotator:
    """One release whose watched objects are changed, with what its values ask for at the moment (`asked`).

    `drive` is Helm or git; `urls` are the database's by Secret and key, which are rotated to another URL of the
    same database; `folder` is a private one of the suite's own.
    """

    def __init__(
        self, api: Api, subject: Subject, drive: Driver, urls: Mapping[tuple[str, str], str], folder: Path,
        deadlines: Deadlines,
    ) -> None:  # fmt: skip
        contract = subject.contract
        if contract.checksums is None or contract.checksums.values is None:
            raise Incomplete("the contract declares no `checksums` with `values`")
        self.checksums: Checksums = contract.checksums
        self.values: Watching = contract.checksums.values
        self._chart, self.asked, self._folder = subject.candidate.folder, Asked(), folder
        self._api, self._contract, self.drive = api, contract, drive
        self.held = Held(api, contract, urls)
        self.deadlines = deadlines
        self._namespace = contract.release.namespace
        self.declared = {contract.key_of(found): found for found in contract.workloads}

    def install(self, *, on: bool = False) -> Step:
        """Install the chart without checksums, or with all of them."""
        self.asked = Asked(
            on=on,
            texts={str(one): secret() for one in self.watched if one.data},
            checksums={str(one): checksum() for one in self.watched if not one.data},
        )
        said = f"install {'with' if on else 'without'} checksums"
        return self.step(said, lambda _: self.drive.deploy(self.wanted))

    def upgrade(self, what: str, chart: Path | None = None, rotated: Sequence[Rotated] = ()) -> Step:
        """Upgrade with what the values ask for now, and wait until all is ready."""
        made = self.step(what, lambda _: self.drive.upgrade(self.wanted, chart))
        return dataclasses.replace(made, rotated=rotated)

    def upgrade_unwatched(self) -> Deployed:
        """Upgrade with what the values ask for now, and return at once."""
        return self.drive.upgrade(self.wanted, wait=False)

    def roll_back(self, to: int) -> Step:
        """Roll back to a revision, and wait until all is ready."""
        return self.step(f"rollback to revision {to}", lambda _: self.drive.rollback(to))

    def ask(self, **changes: Any) -> None:  # noqa: ANN401 - fields of `Asked`
        """Let the values ask for something else from the next upgrade on."""
        self.asked = dataclasses.replace(self.asked, **changes)

    def renumbered(self) -> Path:
        """Return the same chart with another version, its appVersion unchanged."""
        return bumped(self._chart, self._folder, application=False)

    @property
    def wanted(self) -> dict[str, Any]:
        """Return the values that say what is asked for now."""
        return self.asked.values(self.checksums, self.values)

    def step(self, what: str, act: Callable[[Timeline], Deployed]) -> Step:
        """Do something, watched, and return what became of the workloads, once all is ready or it failed."""
        log.info("%s", what)
        with Timeline(self._api, self._namespace) as seen:
            begun, failure, revision = time.time(), None, 0
            try:
                done = act(seen)
                wait_until_ready(self._api, done.manifest, deadline=self.deadlines.workloads_ready)
                revision = done.revision
            except (HelmError, NotReached) as error:
                failure = " ".join(str(error).split())
            ended = time.time()
            self._catch_up(seen)
            stories, live = seen.stories(), self.workloads()
            wanting = [one for one in live if one.kind == "Deployment" and one.body["spec"].get("replicas", 1)]
            return Step(
                release=self._contract.release.name, what=what, begun=begun, ended=ended, revision=revision,
                failure=failure,
                rolled={one.key: rolled(stories, one.key) for one in live},
                least={one.key: seen.least_available(one.key) for one in wanting},
                annotations={one.key: pod_annotations(one) for one in live},
                running=[
                    Running(story.key.name, key, not story.before, self._told(story.key.name))
                    for key in self.declared for story in owned(stories, key)
                    if not story.gone and is_current(story.last)
                ],
            )  # fmt: skip

    def workloads(self) -> list[Manifest]:
        """Return every workload of the release's namespace."""
        return [Manifest(body) for kind in _KINDS for body in self._list("apps", kind)]

    @property
    def watched(self) -> list[Watched]:
        """Return the watched objects."""
        return watched(self.checksums, self.values)

    def consumers(self, of: Watched) -> list[ObjectKey]:
        """Return the declared workloads whose pods use an object now."""
        return [found.key for found in self.workloads() if found.key in self.declared and uses(found, of)]

    def rotate(self, of: Watched, fresh: Fresh | None = None) -> Rotated:
        """Change an object's data, in the values or in the cluster, and its checksum in the values if it is given.

        Nothing is rolled before the next upgrade. Raises `Incomplete` where it is not there.
        """
        live, name = self.workloads(), of.name
        refers = {found.key for found in live if uses(found, of)}
        noted = {found.key for found in live if of.annotation in pod_annotations(found)}
        barred = {key for key in noted | refers if name not in self.asked.only.get(key.name, (name,))}
        rolls = frozenset(key for key in refers & self.declared.keys() if key not in barred)
        before, after = self._rotate_in_values(of) if of.data else self.held.rotate(of, fresh)
        how = IN_CHART if of.data else LOOKED_UP if str(of) in self.asked.looked_up else GIVEN
        if how == GIVEN:
            self.asked = self.asked.with_checksum(of, checksum())
        held = self.held.all()
        found = {
            one.key: self._told_places(places(one, self.declared[one.key].container, of, held), after)
            for one in live
            if one.key in refers & self.declared.keys()
        }
        unconcerned = {one.key for one in live} - refers - noted
        return Rotated(of, how, before, after, found, rolls, frozenset(barred | unconcerned))

    def _rotate_in_values(self, of: Watched) -> tuple[Hashes, Hashes]:
        before, text = self.asked.texts[str(of)], secret()
        self.asked = self.asked.with_text(of, text)
        return hashes({ROTATED_KEY: before.encode()}), hashes({ROTATED_KEY: text.encode()})

    def _told_places(self, found: Iterator[tuple[str, str]], keys: Collection[str]) -> list[tuple[str, str]]:
        """Return the places of some keys that processes tell of: variables, files, both or none."""
        process = self.checksums.process
        if process is None:
            return []
        tells = {True: process.files, False: process.environment}
        return [(key, place) for key, place in found if key in keys and tells[place.startswith("/")]]

    def _told(self, pod: str) -> dict[str, str] | None:
        process = self.checksums.process
        if process is None or self._contract.stub:
            return None
        told: dict[str, str] = {}
        for path in filter(None, (process.environment, process.files)):
            told |= told_by(self._api, self._namespace, pod, process.port, path)
        return told

    def _catch_up(self, seen: Timeline) -> None:
        """Return once the timeline knows every object as it is now."""
        now = {
            (body["metadata"]["uid"], body["metadata"]["resourceVersion"])
            for group, kind in (*(("apps", kind) for kind in (*_KINDS, "ReplicaSet")), ("", "Pod"))
            for body in self._list(group, kind)
        }

        def known() -> bool:
            stories = seen.stories()
            return now <= {
                (story.uid, one.body["metadata"]["resourceVersion"]) for story in stories for one in story.moments
            }

        if not seen.until(known, self.deadlines.object_there.seconds):
            raise Incomplete("the suite's watches do not tell of every ReplicaSet and pod that is there")

    def _list(self, group: str, kind: str) -> list[Body]:
        found: list[Body] = self._api.list(self._api.resource(group, kind), self._namespace)["items"]
        return found
