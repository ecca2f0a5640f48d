"""Runs as the suite makes and follows them: begun from files, watched to their end, with the Jobs of each."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from conformance import kube_yaml
from conformance.api import Api, ApiRefusal, Resource
from conformance.contract import Contract, declared
from conformance.contract.runs import InvalidRun, Runs
from conformance.errors import Incomplete
from conformance.manifests import Body, Manifests
from conformance.observe.deadlines import Deadlines
from conformance.observe.history import Story
from conformance.observe.ownership import owner_uids, owners
from conformance.observe.rollout import holds
from conformance.observe.timeline import Timeline
from conformance.observe.wait import NotReached, wait_for

log = logging.getLogger(__name__)

#: Seconds in which a watch has told of what is there already.
_TOLD_SECONDS = 5.0


def at(body: Body | None, path: str) -> Any:  # noqa: ANN401 - any JSON
    """Return what is at a path of an object, None where nothing is."""
    return kube_yaml.at(body, path.split("."))


@dataclass(frozen=True)
class Carried:
    """One run as it was last seen: the phase wanted of it, and the Jobs and pods ever made for it.

    `body` is None and `failure` says why where the API server refused it; `failure` also says where it hung.
    """

    kind: str
    name: str
    expected: str
    body: Body | None
    jobs: tuple[Story, ...] = ()
    pods: tuple[Story, ...] = ()
    failure: str | None = None

    @property
    def completed(self) -> float | None:
        """Return when its Job was seen to be complete (Unix time, seconds), None where none was."""
        for story in self.jobs:
            for moment in story.moments:
                if holds(moment.body, "Complete"):
                    return moment.at
        return None

    def __str__(self) -> str:
        """Return `Kind/name`."""
        return f"{self.kind}/{self.name}"


@dataclass(frozen=True)
class Refused:
    """What the API server said to a resource that it must refuse; `refusal` is None where it took it."""

    invalid: InvalidRun
    resource: str
    refusal: ApiRefusal | None


class Carrier:
    """Begins runs in the release's namespace, and says how they ended; `seen` watches that throughout."""

    def __init__(
        self, api: Api, contract: Contract, create: Callable[[Body], None], seen: Timeline, deadlines: Deadlines
    ) -> None:
        self.runs: Runs = declared(contract.runs, "`runs`")
        self._api, self._contract, self._create, self._seen = api, contract, create, seen
        self._deadlines, self._namespace = deadlines, contract.release.namespace

    def manifests(self, file: Path) -> list[Body]:
        """Return the resources in a file, in the release's namespace."""
        return [found.body for found in Manifests.parse(file.read_text(encoding="utf-8"), self._namespace)]

    def refused(self, bodies: Iterable[Body]) -> str | None:
        """Create resources that are not there yet; return the API server's words on the first that it refuses."""
        for body in bodies:
            try:
                self._create(body)
            except ApiRefusal as refusal:
                return f"{body['kind']}/{body['metadata']['name']} was refused: {refusal.message}"
        return None

    def begin_long(self, name: str) -> str:
        """Begin the long run under a name of its own, and return it once it is under way.

        Raises `Incomplete` where it does not get that far.
        """
        if self.runs.long is None:
            raise Incomplete("the contract names no `runs.long`, so no run can be in flight")
        (body,) = self.manifests(self._contract.folder / self.runs.long)
        name = f"{body['metadata']['name']}-{name}"
        body = {**body, "metadata": {**body["metadata"], "name": name}}
        if words := self.refused([body]):
            raise Incomplete(words)
        deadline = self._deadlines.run_begun
        if not self._seen.until(lambda: self._under_way(name), deadline.seconds):
            raise Incomplete(f"{self.runs.kind}/{name}: no pod of its own runs after {deadline}")
        log.info("%s/%s is under way", self.runs.kind, name)
        return name

    def evict(self, name: str) -> None:
        """Evict the pods of a run, as draining a node does."""
        for story in self._of(name)[1]:
            pod = story.last["metadata"]
            eviction = {
                "apiVersion": "policy/v1",
                "kind": "Eviction",
                "metadata": {"name": pod["name"], "namespace": pod["namespace"]},
            }
            path = self._api.resource("", "Pod").path(pod["namespace"], pod["name"], "eviction")
            self._api.request("POST", path, body=eviction)

    def kill_controllers(self) -> None:
        """Kill every pod of the workloads that carry runs out, without a moment to say goodbye."""
        pods = self._api.resource("", "Pod")
        for workload in self._contract.workloads_of(self.runs.controllers_role):
            owner = self._api.get(self._api.resource("apps", workload.kind), self._namespace, workload.name)
            labels = at(owner, "spec.selector.matchLabels") or {}
            selector = ",".join(f"{key}={value}" for key, value in labels.items())
            for pod in self._api.list(pods, self._namespace, labelSelector=selector)["items"]:
                with contextlib.suppress(ApiRefusal):
                    self._api.delete(pods, self._namespace, pod["metadata"]["name"], gracePeriodSeconds="0")

    def ended(self, wanted: dict[str, str], namespace: str | None = None) -> list[Carried]:
        """Return runs, given by name and wanted phase, once all have ended or one of them wrongly."""
        seen: dict[str, Body] = {}

        def mismatch(bodies: Sequence[Body]) -> str | None:
            seen.update({body["metadata"]["name"]: body for body in bodies})
            going = [name for name in wanted if at(seen.get(name), self.runs.phase) not in self.runs.terminal]
            return f"{self.runs.kind} {', '.join(going)}: not ended" if going else None

        def wrong(bodies: Sequence[Body]) -> str | None:
            phases = {body["metadata"]["name"]: at(body, self.runs.phase) for body in bodies}
            other = [name for name, phase in phases.items() if name in wanted and self._wrong(phase, wanted[name])]
            return f"{', '.join(other)}: another end than declared" if other else None

        hung = True
        try:
            wait_for(self._api, self.resource, mismatch, deadline=self._deadlines.run_ended, failed=wrong,
                     namespace=namespace or self._namespace)  # fmt: skip
        except NotReached as error:
            hung = not error.final
        return [self._carried(name, phase, seen.get(name), hung=hung) for name, phase in wanted.items()]

    def _wrong(self, phase: str | None, wanted: str) -> bool:
        return phase in self.runs.terminal and phase != wanted

    def _carried(self, name: str, expected: str, body: Body | None, *, hung: bool) -> Carried:
        phase = at(body, self.runs.phase)
        failure = None
        if phase not in self.runs.terminal and hung:
            said = at(body, self.runs.reason)
            failure = f"still {phase or 'without a phase'}" + (f" ({said})" if said else "")
            failure += f" after {self._deadlines.run_ended}"
        if phase == self.runs.succeeded:
            # The watch of pods and Jobs may be a moment behind the run's.
            self._seen.until(lambda: any(holds(job.last, "Complete") for job in self._of(name)[0]), _TOLD_SECONDS)
        jobs, pods = self._of(name)
        return Carried(self.runs.kind, name, expected, body, tuple(jobs), tuple(pods), failure)

    def _of(self, name: str) -> tuple[list[Story], list[Story]]:
        """Return the Jobs that a run ever owned, and their pods."""
        jobs = [story for story in self._seen.stories("Job") if self._owned(story.last, {name})]
        uids = {story.uid for story in jobs}
        pods = [story for story in self._seen.stories("Pod") if owner_uids(story.last) & uids]
        return jobs, pods

    def _owned(self, body: Body, names: Collection[str]) -> bool:
        return any(owner["kind"] == self.runs.kind and owner["name"] in names for owner in owners(body))

    def _under_way(self, name: str) -> bool:
        return any(at(story.last, "status.phase") == "Running" for story in self._of(name)[1])

    @property
    def resource(self) -> Resource:
        """Return the resource type of runs."""
        named = {name.partition(".")[2] for name in (self._contract.crds.names if self._contract.crds else ())}
        served = self._api.resources(refresh=True)
        found = [one for one in served if one.kind == self.runs.kind and one.group in named]
        if not found:
            raise Incomplete(f"none of the contract's CustomResourceDefinitions is of the kind {self.runs.kind}")
        return found[0]
