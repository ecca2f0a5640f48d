"""One chart's place on a cluster where git decides: its overlay in a repository, synced by a real Argo CD."""

from __future__ import annotations

import dataclasses
import datetime
import functools
import logging
import time
from collections.abc import Callable
from pathlib import Path

from conformance.api import ApiRefusal, ApiUnreachable
from conformance.cluster import Cluster
from conformance.errors import CommandFailed, Incomplete
from conformance.gitops import Application, Applications, Controller, Overlay, Repository, people
from conformance.gitops.application import of_repository
from conformance.gitops.repository import BRANCH, Commit
from conformance.helm import Deployed
from conformance.journey import judging
from conformance.journey.configuration import configurations
from conformance.journey.git_stage import BROKEN, GitStage, Wanted
from conformance.journey.setting import OWN_NAMESPACE, Setting
from conformance.manifests import Body, Manifest, Manifests, ObjectKey
from conformance.observe.availability import ensure_namespace
from conformance.observe.deadlines import DEADLINES, Deadlines
from conformance.observe.timeline import Timeline
from conformance.observe.wait import NotReached
from conformance.provision import ArgoCd
from conformance.run import Runner
from conformance.subject import CANDIDATE, PlaceholderImage, Subject
from conformance.values import over, read_values

log = logging.getLogger(__name__)

REPOSITORY = "deploy.git"
#: Argo CD's own word for an object that it makes at a moment of a sync only.
HOOK = "argocd.argoproj.io/hook"


class GitSetting(Setting):
    """A setting with a repository and an Argo CD that keeps the cluster as the repository says."""

    def __init__(
        self, subject: Subject, cluster: Cluster, helm: Path, runner: Runner, probe: str, server: str | None,
        folder: Path, deadlines: Deadlines = DEADLINES, *, argocd: ArgoCd, kustomize: Path,
    ) -> None:  # fmt: skip
        overlay = subject.overlay
        if overlay is None:
            raise ValueError("the contract declares no overlay")
        self._overlay = Overlay(overlay)
        self._application_body = self._overlay.application
        self._runner, self._kustomize, self._helm3 = runner, kustomize, cluster.machine.helm3
        self._applications = Applications(cluster.api, OWN_NAMESPACE, deadlines)
        ensure_namespace(cluster.api, OWN_NAMESPACE, deadlines)
        served, inside = cluster.shared_folder("git")
        self._controller = Controller(
            cluster.api, argocd, namespace=OWN_NAMESPACE, served=inside, deadlines=deadlines
        )
        self._controller.start()  # its images are pulled while the rest is made
        self.repository = Repository(runner, served / REPOSITORY, folder / "tree")
        super().__init__(subject, cluster, helm, runner, probe, server, folder, deadlines)
        self._made |= self._controller.made
        self._controller.ready()
        self._synced = 0
        self._created = False

    @property
    def name(self) -> str:
        """Return the Application's name."""
        return str(self._application_body["metadata"]["name"])

    @property
    def heals(self) -> bool:
        """Say whether the overlay has Argo CD put drift right by itself."""
        return bool(self._automated.get("selfHeal"))

    def close(self) -> None:
        """End what still watches, calls or heals; the cluster is the lease's."""
        super().close()
        try:
            self._controller.stop()
        except (ApiRefusal, ApiUnreachable) as error:  # the cluster is then replaced
            log.info("Argo CD could not be stopped: %s", error)

    def synced(self) -> int:
        """Return how many syncs have succeeded."""
        return max((number + 1 for number, _ in self._applications.read(self.name).synced), default=0)

    def write(self, wanted: Wanted) -> Commit:
        """Commit what is wanted and return the commit; nothing is synced yet."""
        chart = self.subject.chart(wanted.chart)
        further = [set_ for set_ in self._contract.values.sets if set_.name == wanted.values]
        files = [self._contract.folder / file for set_ in further for file in set_.files]
        values = functools.reduce(over, [*map(read_values, files), self._images(wanted.images), wanted.more])
        return self.repository.commit(str(wanted), lambda tree: self._overlay.write(tree, chart, values))

    def _images(self, side: str) -> Body:
        """Return the values for a side's images. Raises `Incomplete` where none can be chosen."""
        if side != BROKEN:
            return self.subject.image_values(side)
        there = self.subject.images.get(CANDIDATE)
        if not there:
            raise Incomplete("the chart runs its own images, so no commit of the suite's can name missing ones")
        missing = {name: PlaceholderImage(image.repository, "missing") for name, image in there.items()}
        return dataclasses.replace(self.subject, images={BROKEN: missing}).image_values(BROKEN)

    def revert(self, commit: Commit) -> Commit:
        """Commit the opposite of a commit; nothing is synced yet."""
        return self.repository.revert(commit)

    def deliver(self, operation: str, commit: Commit, chart_of: str) -> GitStage:
        """Have Argo CD take the newest commit, wait until it is settled, and record it."""
        return self.recorded(operation, commit, chart_of, lambda: self.settle_at(commit))

    def settle_at(self, commit: Commit) -> None:
        """Have Argo CD take the newest commit, and wait until it is settled. Raises `NotReached`."""
        self.take(commit)
        self._applications.until_settled(self.name, commit.id)

    def take(self, commit: Commit) -> None:
        """Have Argo CD look at git at once, and sync where the overlay leaves that to people."""
        if not self._created:
            url = self._controller.url(REPOSITORY)
            self._applications.create(
                of_repository(self._application_body, url=url, branch=BRANCH, namespace=OWN_NAMESPACE)
            )
            self._created = True
        else:
            self._applications.refresh(self.name)
        if "automated" not in self._policy:
            self._applications.until_refreshed(self.name)
            self._applications.sync(self.name, commit.id)

    def begin(self, commit: Commit) -> None:
        """Have Argo CD take the newest commit, and return as soon as its sync has begun. Raises `NotReached`."""
        self.take(commit)
        self._applications.until_begun(self.name, commit.id)

    def break_at(self, commit: Commit) -> None:
        """Have Argo CD take a commit whose images nobody has, until a pod waits in vain. Raises `NotReached`."""
        self.take(commit)
        people.until_image_missing(self._api, self._namespace, self._deadlines.application_settled)

    def end_sync(self) -> None:
        """End a sync that is under way, as people do before they sync again (`argocd app terminate-op`)."""
        self._applications.end_operation(self.name)

    def edit_by_hand(self, stage: GitStage) -> None:
        """Give each declared workload an image that nobody has."""
        for running in self._running(stage):
            people.set_image(self._api, running, people.BY_HAND)

    def heal(self, stage: GitStage) -> None:
        """Wait until what was edited is as a stage declares it: by itself where the overlay heals, else synced.

        The newest commit declares the same. Raises `NotReached`.
        """
        newest = self.repository.head().id
        if not self.heals:
            self._applications.sync(self.name, newest)
        for running in self._running(stage):
            people.until_image(self._api, running, running.image, self._deadlines.application_settled)
        self._applications.until_settled(self.name, newest)

    def undo(self, before: GitStage, stage: GitStage) -> str:
        """Take back, past git, the rollout of each workload that a stage rolled; return what refused to be.

        Raises `Incomplete` where it rolled none.
        """
        refused = []
        rolled = [running for running in self._running(stage) if running.rolled_since(before.declared)]
        if not rolled:
            raise Incomplete(f"{stage} rolls no declared workload, so no rollout can be undone")
        for running in rolled:
            try:
                people.undo(self._cluster.kubectl, running)
            except CommandFailed as error:
                refused.append(f"{running.declared.key}: {error}")
        return "\n".join(refused)

    def set_images(self, stage: GitStage) -> None:
        """Give each declared workload the image that it had at a stage, past git, as people do in an emergency."""
        for running in self._running(stage):
            people.set_image(self._api, running, running.image)

    def set_healing(self, *, on: bool) -> None:
        """Have Argo CD put drift right by itself, or not; where people sync it never does."""
        if self._automated:
            self._applications.set_spec(self.name, syncPolicy={"automated": {**self._automated, "selfHeal": on}})

    def refused(self, commit: Commit) -> list[tuple[ObjectKey, str]]:
        """Return what the API server, asked strictly, refuses of application.yaml and of a commit's objects."""
        own = [
            {**body, "metadata": {**body["metadata"], "namespace": OWN_NAMESPACE}}
            for body in self._overlay.documents()
        ]
        return people.refused(self._api, [*own, *(manifest.body for manifest in self.declared(commit))])

    def _running(self, stage: GitStage) -> list[people.Running]:
        found = judging.declared_workloads(self._contract, stage)
        return [people.Running(workload, container) for workload, container in found]

    def refreshed(self, times: int) -> list[Application]:
        """Return the Application after each of several further looks at git."""
        seen = []
        for _ in range(times):
            self._applications.refresh(self.name)
            seen.append(self._applications.until_refreshed(self.name))
        return seen

    def declared(self, commit: Commit) -> Manifests:
        """Return what the work tree renders to, its objects with a namespace where they need one."""
        try:
            return self._overlay.render(
                self.repository.tree, self._runner, self._kustomize, self._helm3, self.subject.kube_version
            )
        except CommandFailed as error:
            raise Incomplete(f"commit {commit} does not render: {error}") from error

    def recorded(self, operation: str, commit: Commit, chart_of: str, drive: Callable[[], object]) -> GitStage:
        """Watch what happens while something is driven, and make a stage of it; a wait in vain is its failure."""
        log.info("%s of commit %s", operation, commit)
        rendered = self.declared(commit)
        seen = self._open.enter_context(Timeline(self._api, self._namespace))
        begun, failure = time.time(), None
        try:
            drive()
        except NotReached as error:
            failure = str(error)
        live = self.live_state()
        ended = time.time()
        log.info("%s: %s after %.1f s", operation, failure or "as wanted", ended - begun)
        application = self._applications.read(self.name)
        before, self._synced = self._synced, self.synced()
        return GitStage(
            operation, self.subject.chart(chart_of), _deployed(commit, rendered, begun), begun, ended, seen, live,
            failure, commit=commit, application=application, syncs=self._synced - before,
            configurations=configurations(self._api, self._contract, live.inventory),
        )  # fmt: skip

    @property
    def _policy(self) -> Body:
        return self._application_body["spec"].get("syncPolicy") or {}

    @property
    def _automated(self) -> Body:
        return self._policy.get("automated") or {}


def _deployed(commit: Commit, rendered: Manifests, begun: float) -> Deployed:
    hooks = [manifest for manifest in rendered if _is_hook(manifest)]
    objects = [manifest for manifest in rendered if not _is_hook(manifest)]
    return Deployed(
        revision=0, chart_version="", status="deployed", description=commit.subject,
        deployed_at=datetime.datetime.fromtimestamp(begun, datetime.UTC),
        manifest=Manifests(tuple(objects)), hooks=Manifests(tuple(hooks)),
    )  # fmt: skip


def _is_hook(manifest: Manifest) -> bool:
    return bool(manifest.hooks) or HOOK in manifest.annotations
