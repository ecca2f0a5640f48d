"""A setting in which things go wrong: upgrades whose pods never start, a Helm that is cut short or killed."""

from __future__ import annotations

import logging
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from conformance.cluster import Cluster
from conformance.errors import Incomplete
from conformance.helm import Deployed, HelmError, InvalidRollbackTarget, ReleaseRevision, Wait
from conformance.journey.moments import begun, cannot_start
from conformance.journey.setting import Setting
from conformance.journey.stage import Stage
from conformance.manifests import Body, ObjectKey
from conformance.observe.deadlines import DEADLINES, Deadlines
from conformance.observe.ready import wait_until_ready
from conformance.observe.timeline import Timeline
from conformance.run import Runner
from conformance.subject import Subject

log = logging.getLogger(__name__)


class MishapSetting(Setting):
    """A setting whose Helm can be cut short (SIGINT, as by a person who gives up) or killed (SIGKILL)."""

    def __init__(
        self, subject: Subject, cluster: Cluster, helm: Path, runner: Runner, probe: str, server: str | None,
        folder: Path, deadlines: Deadlines = DEADLINES,
    ) -> None:  # fmt: skip
        self._own = runner.with_environment()  # its signals reach no command of anybody else's
        super().__init__(subject, cluster, helm, self._own, probe, server, folder, deadlines)

    def upgrade_to_missing(self, side: str, number: int, *, patience: float = 0.0, undo: bool = False) -> Stage:
        """Upgrade to a side's chart with images that nobody has, others for each number, and record it.

        Helm waits for the workloads, and is told to give up once their pods say that they cannot start and
        Services were called for another `patience` seconds: it does the same then as at its own timeout, only
        sooner. With `undo` it is to take a failure back itself, and the stage is without failure when it did.
        """

        def drive(chart: Path, files: list[Path], seen: Timeline) -> Deployed:
            try:
                return self._given_up(
                    seen,
                    lambda: self._release.upgrade(chart, files, wait=Wait.HELM, undo_on_failure=undo),
                    patience,
                )
            except HelmError:
                latest = self._release.latest()
                if not undo or latest is None or latest.status != "deployed":
                    raise
                wait_until_ready(self._api, latest.manifest, deadline=self._deadlines.workloads_ready)
                return latest

        return self._driven("upgrade", side, drive, self.subject.missing_image_values(number))

    def install_missing(self, side: str) -> Stage:
        """Install a side's chart with images that nobody has, as `upgrade_to_missing` does."""

        def drive(chart: Path, files: list[Path], seen: Timeline) -> Deployed:
            return self._given_up(seen, lambda: self._release.deploy(chart, files, wait=Wait.HELM))

        return self._driven("install", side, drive, self.subject.missing_image_values(1))

    def install_onto(self, side: str, service: str) -> tuple[Body, Stage, Body | None]:
        """Install a side's chart where somebody else has a Service of that name.

        Return that Service before, the install, and the Service after, None where it is gone. It is then deleted.
        """
        body = {**self._head("Service", service), "spec": {"ports": [{"port": 80}]}}
        services, key = self._api.resource("", "Service"), ObjectKey.of(body)
        self._made.add(key)
        before = self._api.create(body)
        stage = self._driven(
            "install", side, lambda chart, files, _: self._release.deploy(chart, files, wait=Wait.NONE)
        )
        after = self._api.get(services, self._namespace, service)
        if after is not None and after["metadata"]["uid"] == before["metadata"]["uid"]:
            self._api.delete(services, self._namespace, service)
        self._made.discard(key)
        return before, stage, after

    def upgrade_killed(self, side: str) -> Stage:
        """Upgrade to a side's chart, and kill Helm as soon as its first change is seen."""

        def drive(chart: Path, files: list[Path], seen: Timeline) -> Deployed:
            return self._killed(seen, lambda: self._release.upgrade(chart, files, wait=Wait.HELM))

        return self._driven("upgrade", side, drive)

    def rollback_killed(self, side: str, to: Stage) -> Stage:
        """Roll back to an earlier stage's revision, and kill Helm as soon as its first change is seen."""

        def drive(_chart: Path, _files: list[Path], seen: Timeline) -> Deployed:
            return self._killed(seen, lambda: self._release.rollback(to.revision, wait=Wait.HELM))

        return self._driven("rollback", side, drive)

    def scale_by_hand(self, stage: Stage) -> dict[ObjectKey, int]:
        """Give each declared workload one replica more than a stage declares, and return how many each has now.

        Workloads whose replicas nobody declares, as beside an autoscaler, are left alone.
        """
        edited = {}
        for workload in self._contract.workloads:
            key = self._contract.key_of(workload)
            declared = stage.declaration(key)
            replicas = declared.body["spec"].get("replicas") if declared else None
            if isinstance(replicas, int):
                resource = self._api.resource("apps", workload.kind)
                self._api.merge(resource, self._namespace, key.name, {"spec": {"replicas": replicas + 1}})
                edited[key] = replicas + 1
        return edited

    def rollback_over(self, side: str, to: Stage) -> Stage:
        """Roll back to an earlier stage's revision, over what somebody edited by hand, and record it."""
        return self._driven("rollback", side, lambda *_: self._release.rollback(to.revision, take_over=True))

    def rollback_to_last_good(self, side: str) -> Stage:
        """Roll back to the last good revision, whichever that is, and record it."""
        return self._driven("rollback", side, lambda *_: self._release.rollback())

    def history(self) -> list[ReleaseRevision]:
        """Return the release's revisions, oldest first."""
        rows = self._release.history()
        log.info("history: %s", ", ".join(f"{row.revision} {row.status}" for row in rows))
        return rows

    def age(self, side: str, most: int) -> Stage:
        """Upgrade to a side's chart that is there already, and let Helm keep so many revisions at most."""
        return self._driven(
            "upgrade", side, lambda chart, files, _: self._release.upgrade(chart, files, history_max=most)
        )

    def refused_target(self, revision: int) -> InvalidRollbackTarget | None:
        """Return why a revision must not be rolled back to, None where it may."""
        try:
            self._release.validate_rollback_target(revision)
        except InvalidRollbackTarget as refusal:
            return refusal
        return None

    def _given_up(self, seen: Timeline, operate: Callable[[], Deployed], patience: float = 0.0) -> Deployed:
        """Drive Helm until pods say that they cannot start, then interrupt it as a person does."""
        with_images = [self._contract.key_of(workload) for workload in self._contract.workloads if workload.image]

        def give_up() -> None:
            if patience:
                self.calls(now := time.time(), now + patience)
            self._own.signal(signal.SIGINT)

        made = self._cut_short(
            seen, operate, lambda: cannot_start(seen, with_images), give_up, "a pod that waits for a missing image"
        )
        raise Incomplete(f"revision {made.revision} became ready, though nobody has the images it was given")

    def _killed(self, seen: Timeline, operate: Callable[[], Deployed]) -> Deployed:
        """Drive Helm until it has begun to change something, then kill it."""
        workloads = [self._contract.key_of(workload) for workload in self._contract.workloads]
        made = self._cut_short(
            seen, operate, lambda: begun(seen, workloads), lambda: self._own.signal(signal.SIGKILL), "a change"
        )
        raise Incomplete(f"revision {made.revision} was complete before Helm could be killed")

    def _cut_short(
        self,
        seen: Timeline,
        operate: Callable[[], Deployed],
        moment: Callable[[], object],
        interfere: Callable[[], object],
        what: str,
    ) -> Deployed:
        """Drive Helm until a moment is seen, then interfere; return or raise what the operation came to."""
        deadline = self._deadlines.workloads_ready
        with ThreadPoolExecutor(1, thread_name_prefix="helm") as pool:
            running = pool.submit(operate)
            running.add_done_callback(lambda _: seen.look_again())
            try:
                met = seen.until(lambda: running.done() or moment(), deadline.seconds)
                if met and not running.done():
                    interfere()
            except BaseException:
                self._own.signal(signal.SIGKILL)
                raise
            if not met:
                self._own.signal(signal.SIGKILL)
                raise Incomplete(f"{what} was not seen within {deadline}")
            return running.result()
