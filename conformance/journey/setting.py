"""One chart's place on one cluster: it drives the release and records each operation as a stage."""

from __future__ import annotations

import contextlib
import logging
import secrets
import time
from collections.abc import Callable
from pathlib import Path

import yaml

from conformance.api import Api, ApiRefusal
from conformance.cluster import Cluster
from conformance.contract import Workload, declared
from conformance.database import CONTROLLERS, OWNER, Postgres
from conformance.errors import Incomplete
from conformance.helm import Deployed, Helm, HelmError, Release, Wait
from conformance.journey.carrying import Carrier
from conformance.journey.driving import ByHelm, Driver, Values
from conformance.journey.overriding import Overriding, new_pods_settled
from conformance.journey.rotating import Rotator
from conformance.journey.schema import Schema
from conformance.journey.stage import Stage
from conformance.manifests import Body, Manifests, ObjectKey
from conformance.observe.availability import Availability, Calls, ensure_namespace
from conformance.observe.deadlines import DEADLINES, Deadlines
from conformance.observe.live_state import Deviation, LiveState, compare
from conformance.observe.ready import wait_until_ready
from conformance.observe.timeline import Timeline
from conformance.observe.wait import NotReached
from conformance.redact import REDACTOR
from conformance.run import Runner
from conformance.subject import Subject

log = logging.getLogger(__name__)

#: What the suite itself runs in a cluster lives here, apart from the release.
OWN_NAMESPACE = "agents-conformance"
#: Seconds after ready in which a warning still counts (`install/no-warnings`).
SETTLE_SECONDS = 60.0
#: Seconds of calls that say whether Services answer now.
ANSWERING_SECONDS = 1.0

#: Drives one operation with a chart's folder and values files, watched by a timeline.
Drive = Callable[[Path, list[Path], Timeline], Deployed]


class Setting:
    """A pristine cluster with the release's namespace and the objects that the contract requires beforehand.

    Every operation is watched from before it begins; its stage holds what was seen and the state it left. `probe`
    is the image that calls Services from inside the cluster, `server` the database server's, None where the
    contract asks for none; `folder` is a private one of the suite's own.
    """

    def __init__(
        self,
        subject: Subject,
        cluster: Cluster,
        helm: Path,
        runner: Runner,
        probe: str,
        server: str | None,
        folder: Path,
        deadlines: Deadlines = DEADLINES,
    ) -> None:
        self.subject = subject
        self._contract, self._deadlines = subject.contract, deadlines
        self._cluster, self._api = cluster, cluster.api
        self._folder = folder
        self._namespace = subject.contract.release.namespace
        self._release = Release(
            Helm(helm, runner, cluster.kubeconfig, subject.helm),
            subject.contract.release.name,
            self._namespace,
            api=self._api,
            deadlines=deadlines,
        )
        self._made: set[ObjectKey] = set()
        self._availability: Availability | None = None
        self._open = contextlib.ExitStack()
        self._database = self._served(server, deadlines) if server else None
        self._prepare()
        if subject.targets:
            # From the beginning, so that nothing waits for the probe to start.
            self._availability = self._open.enter_context(
                Availability(self._api, probe, subject.targets, namespace=OWN_NAMESPACE)
            )
        if self._database is not None:
            self._connect(self._database)

    def close(self) -> None:
        """End what still watches or calls; the cluster is the lease's."""
        self._open.close()

    def install(self, side: str, values: Values | None = None) -> Stage:
        """Install a side's chart and record it; the namespace stays watched until `close`.

        `values` are given after the run's own, here and below.
        """
        return self._driven("install", side, lambda chart, files, _: self._release.deploy(chart, files), values)

    def upgrade(self, side: str, values: Values | None = None) -> Stage:
        """Upgrade to a side's chart and record it."""
        return self._driven("upgrade", side, lambda chart, files, _: self._release.upgrade(chart, files), values)

    def upgrade_or_blocked(self, side: str, workload: ObjectKey) -> Stage:
        """Upgrade to a side's chart until a workload's new pods are ready or one of them gave up; record it."""

        def drive(chart: Path, files: list[Path], seen: Timeline) -> Deployed:
            made = self._release.upgrade(chart, files, wait=Wait.NONE)
            new_pods_settled(seen, workload, self._deadlines.workloads_ready)
            wait_until_ready(self._api, made.manifest, deadline=self._deadlines.workloads_ready)
            return made

        return self._driven("upgrade", side, drive)

    def rollback(self, side: str, to: Stage) -> Stage:
        """Roll back to an earlier stage's revision and record it."""
        return self._driven("rollback", side, lambda *_: self._release.rollback(to.revision))

    def overriding(self, workload: Workload) -> Overriding:
        """Return what changes a workload past its chart."""
        return Overriding(self._api, self._contract, workload, self.database, self._deadlines)

    @property
    def database(self) -> Postgres:
        """Return the database server. Raises `Incomplete` where the contract asks for none."""
        return declared(self._database, "`database` with a `server`")

    def settle(self, stage: Stage, enough: Callable[[Stage], object]) -> None:
        """Watch until a minute after a stage ended, or until enough was seen."""
        log.info("watching for warnings until a minute after ready")
        stage.seen.until(lambda: enough(stage), SETTLE_SECONDS - (time.time() - stage.ended))

    def unanswered(self) -> str | None:
        """Return which declared Services do not answer calls from inside the cluster, None when all do."""
        if self._availability is not None:
            try:
                self._availability.answered()
            except NotReached as error:
                return error.mismatch
        return None

    def answering(self) -> tuple[Calls, ...]:
        """Return the calls made to the declared Services from now on, for long enough to count."""
        return self.calls(now := time.time(), now + ANSWERING_SECONDS)

    def calls(self, begun: float, ended: float) -> tuple[Calls, ...]:
        """Return the calls made to the declared Services between two moments; none when nothing called them."""
        return self._availability.calls(begun, ended) if self._availability else ()

    @property
    def api(self) -> Api:
        """Return the cluster's API."""
        return self._api

    @property
    def kubeconfig(self) -> Path:
        """Return the cluster's kubeconfig."""
        return self._cluster.kubeconfig

    def rotator(self, drive: Driver | None = None) -> Rotator:
        """Return what rotates watched objects. Raises `Incomplete` where the contract does not say how."""
        drive = drive or ByHelm(self._release, self.subject.candidate.folder, self._values)
        return Rotator(self._api, self.subject, drive, self._urls(), self._folder, self._deadlines)

    def carrier(self, seen: Timeline) -> Carrier:
        """Return what begins runs and follows them. Raises `Incomplete` where the contract declares none."""
        return Carrier(self._api, self._contract, self._ensure, seen, self._deadlines)

    def refusal(self, body: Body) -> ApiRefusal | None:
        """Return the API server's refusal of an object, None where it would take it; nothing is stored."""
        try:
            self._api.create(body, dryRun="All")
        except ApiRefusal as refusal:
            return refusal
        return None

    def apply_examples(self, side: str, elsewhere: str | None = None) -> None:
        """Create the contract's examples as a side's chart ships them; those that are there already stay.

        They go to the release's namespace, or all to another that is made for them. Raises `Incomplete` when the
        API server refuses one.
        """
        if elsewhere is not None:
            ensure_namespace(self._api, elsewhere, self._deadlines)
        for example, file in self._contract.example_files(self.subject.chart(side).folder):
            if not file.is_file():
                raise Incomplete(f"example {example.in_chart or example.file} is not in the {side}")
            for manifest in Manifests.parse(file.read_text(), elsewhere or self._namespace):
                try:
                    self._ensure(manifest.body)
                except ApiRefusal as refusal:
                    raise Incomplete(f"{file.name}: {manifest.key} was refused: {refusal.message}") from refusal

    def _served(self, image: str, deadlines: Deadlines) -> Postgres:
        """Start the database server; its pod starts while the rest is made."""
        database = self._contract.database
        tls_only = database is not None and database.certificate is not None
        ensure_namespace(self._api, OWN_NAMESPACE, deadlines)
        kubectl = self._cluster.kubectl
        server = Postgres(
            self._api, kubectl, image, namespace=OWN_NAMESPACE, tls_only=tls_only, deadlines=deadlines
        )
        server.start()
        return server

    def _connect(self, server: Postgres) -> None:
        """Wait for the database server, and leave its certificate where the contract wants it."""
        server.ready()
        if (database := self._contract.database) and (wanted := database.certificate):
            self._create({**self._head("ConfigMap", wanted.name), "data": {wanted.key: server.certificate()}})

    def _urls(self) -> dict[tuple[str, str], str]:
        """Return the URLs of the database by the Secret and key that the contract names; none without a server."""
        database = self._contract.database
        if database is None or self._database is None:
            return {}
        keys = {OWNER: database.secret, CONTROLLERS: database.controllers_secret}
        return {(key.name, key.key): self._database.url(role) for role, key in keys.items() if key}

    def _prepare(self) -> None:
        self._create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self._namespace}})
        required, urls = self._contract.prerequisites, self._urls()
        for secret in required.secrets:
            made = {key: f"conformance-{secrets.token_urlsafe(24)}" for key in secret.keys}
            values = {key: urls.get((secret.name, key), value) for key, value in made.items()}
            REDACTOR.add(*values.values())
            self._create({**self._head("Secret", secret.name), "stringData": values})
        for config_map in required.config_maps:
            self._create({**self._head("ConfigMap", config_map.name), "data": dict(config_map.data)})

    def _head(self, kind: str, name: str) -> Body:
        return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": self._namespace}}

    def _create(self, body: Body) -> None:
        self._made.add(ObjectKey.of(body))
        self._api.create(body)

    def _ensure(self, body: Body) -> None:
        """Create an object unless it is there already. Raises `ApiRefusal` for every other refusal."""
        try:
            self._create(body)
        except ApiRefusal as refusal:
            if refusal.reason != "AlreadyExists":
                raise

    def _values(self, side: str, more: Values | None) -> list[Path]:
        """Return the values files of a side; the last of them are its images, and `more`."""
        images = self._folder / f"{side}-images.yaml"
        images.write_text(yaml.safe_dump(self.subject.image_values(side)))
        further = self._folder / "further.yaml"
        further.write_text(yaml.safe_dump(dict(more or {})))
        return [*self.subject.values, images, *([further] if more else [])]

    def _driven(self, operation: str, side: str, drive: Drive, more: Values | None = None) -> Stage:
        """Drive one operation until all it declares is ready, and record the state it left."""
        chart, values = self.subject.chart(side), self._values(side, more)
        log.info("%s: %s %s", operation, chart.name, chart.version)
        seen = self._open.enter_context(Timeline(self._api, self._namespace))
        begun, failure = time.time(), None
        try:
            made: Deployed | None = drive(chart.folder, values, seen)
        except (HelmError, NotReached) as error:
            made, failure = self._release.latest(), str(error)
        live = self.live_state()
        ended = time.time()
        said = f"failed: {' '.join(failure.split())}" if failure else "ready"
        log.info("%s: %s after %.1f s", operation, said, ended - begun)
        schema = self._schema(seen, begun)
        return Stage(operation, chart, made, begun, ended, seen, live, failure, schema)

    def _schema(self, seen: Timeline, begun: float) -> Schema | None:
        if self._database is None or self._contract.migrations is None:
            return None
        return Schema.read(self._api, self._contract, self._database, seen.stories(), begun, time.time())

    def live_state(self) -> LiveState:
        """Return what the release owns now, once what is being deleted is gone."""
        return LiveState.take(
            self._api, self._cluster.pristine, made_by_suite=self._made, suite_namespaces=(OWN_NAMESPACE,)
        )

    def deviations(self, stage: Stage, declared: Manifests) -> list[Deviation]:
        """Return where the state that a stage left deviates from what is declared, both ways.

        Ask before the next operation: the API server is asked what it would make of the declared objects. A
        CustomResourceDefinition that stays is no deviation: nothing may delete one (seed 000).
        """

        def kept(key: ObjectKey) -> bool:
            return key.kind == "CustomResourceDefinition" or self._contract.keeps(str(key)) is not None

        return compare(self._api, declared, stage.live, kept=kept)
