"""From the caller's options to everything a run stands on, in the order that finds mistakes soonest.

Bad input is found before anything is made; then the machine is made ready; only then do clusters come to be.
What is prepared here is plain data that worker processes get as it is.
"""

from __future__ import annotations

import dataclasses
import functools
import logging
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from conformance import catalogue, chart, contract, evidence, interrupts, provision, rules
from conformance.chart import Chart, address
from conformance.checks import REGISTRY
from conformance.cluster import Journal, Lease, sweep, sweep_stale_runs
from conformance.cluster.journal import CLUSTER
from conformance.cluster.sweeping import end_processes
from conformance.errors import BadInput
from conformance.journey import (
    JOURNEYS,
    Beginnings,
    Committed,
    Delivery,
    GitSetting,
    Journey,
    Mishaps,
    MishapSetting,
    Rollouts,
    Setting,
)
from conformance.journey.showing import Showing
from conformance.judge import Judge
from conformance.mutants import asked_for
from conformance.observe.deadlines import DEADLINES, Deadlines
from conformance.options import COMMANDS, Options, report_folder
from conformance.provision import Machine, Tools
from conformance.redact import REDACTOR
from conformance.report.files import Context
from conformance.report.result import CheckResult, today
from conformance.rules import Rules
from conformance.run import Runner
from conformance.side_images import images_of_sides, probe_image, server_image
from conformance.subject import BASELINE, CANDIDATE, Subject, placeholders, targets
from conformance.temporary import made, private_folder
from conformance.values import possible_secrets, read_values

log = logging.getLogger(__name__)

S = TypeVar("S", bound=Setting)


@dataclass(frozen=True)
class Preparation:
    """What a run stands on.

    `probe` is the image that calls Services from inside a cluster, `server` the database server's where the
    contract asks for one.
    """

    options: Options
    subject: Subject
    machine: Machine
    journal: Journal
    report_dir: Path
    probe: str
    server: str | None
    notes: tuple[str, ...]
    secrets: frozenset[bytes] = dataclasses.field(repr=False)

    def take_part(self) -> None:
        """Take part as a worker process: hide the same values, end with the controlling process."""
        REDACTOR.add(*self.secrets)
        self.journal.join()

    @functools.cached_property
    def runner(self) -> Runner:
        """Return the runner of the run's commands, each recorded in the report folder."""
        return _runner(self.journal, self.report_dir)

    def lease(self, worker: str) -> Lease:
        """Return what lends a worker its one cluster."""
        return Lease(self.machine, self.runner, self.journal, worker, self._images())

    def _images(self) -> tuple[str, ...]:
        """Return all images that a cluster of the run needs, those first that are needed first."""
        sides = (
            f"{image.repository}@{image.digest}"
            for images in self.subject.images.values()
            for image in images.values()
        )
        return tuple(dict.fromkeys(filter(None, (self.server, self.probe, *sides))))

    def journey(self, name: str, lease: Lease, deadlines: Deadlines = DEADLINES) -> Journey:
        """Return a journey, at its beginning on a pristine cluster."""
        if name == "delivery":
            return Delivery(self.git_setting(lease, deadlines))
        if name == "committed":
            return Committed(self.git_setting(lease, deadlines))
        if name == "rollouts":
            folder = Path(tempfile.mkdtemp(prefix="showing-", dir=self.journal.folder))
            showing = Showing(self.subject, self.machine.tools, self.runner, folder)
            return Rollouts(self.setting(lease, deadlines), showing)
        if name in ("mishaps", "beginnings"):
            setting = self._setting_of(MishapSetting, lease, deadlines)
            return Mishaps(setting) if name == "mishaps" else Beginnings(setting)
        return JOURNEYS[name](self.setting(lease, deadlines))

    def git_setting(self, lease: Lease, deadlines: Deadlines = DEADLINES) -> GitSetting:
        """Return a setting with a repository and Argo CD, which is made ready first where it is missing."""
        argocd = provision.provision_argocd(self.machine)
        folder = Path(tempfile.mkdtemp(prefix="setting-", dir=self.journal.folder))
        helm = self.machine.tools.helm(self.subject.helm)
        return GitSetting(
            self.subject, lease.pristine_cluster(), helm, self.runner, self.probe, self.server, folder, deadlines,
            argocd=argocd, kustomize=self.machine.kustomize,
        )  # fmt: skip

    def setting(self, lease: Lease, deadlines: Deadlines = DEADLINES) -> Setting:
        """Return a pristine cluster with everything that the chart's life in it needs."""
        return self._setting_of(Setting, lease, deadlines)

    def _setting_of(self, kind: type[S], lease: Lease, deadlines: Deadlines) -> S:
        folder = Path(tempfile.mkdtemp(prefix="setting-", dir=self.journal.folder))
        helm = self.machine.tools.helm(self.subject.helm)
        return kind(self.subject, lease.pristine_cluster(), helm, self.runner, self.probe, self.server, folder,
                    deadlines)  # fmt: skip

    @contextmanager
    def rules(self) -> Iterator[Rules]:
        """Render the charts and start the judge."""
        with rules.opened(
            self.subject, self.machine.tools, self.runner, self.journal.make_folder("rules")
        ) as judging:
            yield judging

    def with_evidence(self, result: CheckResult, lease: Lease) -> CheckResult:
        """Capture what a cluster shows of a check that did not pass, and keep the cluster where that was asked."""
        if lease.cluster is None:
            return result
        captured = evidence.capture(self.report_dir, result.id, lease.cluster.scene)
        if self.options.keep_cluster:
            log.warning("%s", lease.keep())
        return dataclasses.replace(result, evidence=captured.name)

    def end_workers(self) -> None:
        """End the run's other processes at once: an interrupt is for the controlling process to handle."""
        end_processes(self.journal)

    def capture_interrupted(self) -> None:
        """Capture what an interrupt left in clusters, before the sweep."""
        clusters = self.journal.entries(CLUSTER)
        for entry in clusters:
            log.info("interrupted: taking the evidence of %s", entry)
        scenes = {f"interrupted-{entry.name}": evidence.Scene.of(entry) for entry in clusters}
        evidence.capture_all(self.report_dir, scenes)

    def context(self) -> Context:
        """Return what was judged and with what."""
        return _context(self.subject, self.machine.tools, self.machine.node.kubernetes, self.notes)


@contextmanager
def prepared(options: Options, checks: Collection[str] = ()) -> Iterator[Preparation]:
    """Prepare a run of these checks, and remove everything it made when it is over.

    What only some checks need is made ready now for those that are named, and for others once they run.
    Raises `BadInput` before anything is made that stays, `MachineLacks` where the machine cannot be made ready.
    """
    begun: list[Journal] = []
    with report_folder(options.report_dir) as folder:
        for line in sweep_stale_runs():
            log.info("a run that was killed left %s: removed", line)
        try:
            with interrupts.finished():
                begun.append(Journal.open_new())
            yield _prepare(options, folder, begun[0], checks)
        finally:
            with interrupts.finished():
                for journal in begun:
                    sweep(journal)


def _prepare(options: Options, report_dir: Path, journal: Journal, checks: Collection[str]) -> Preparation:
    runner = _runner(journal, None)
    tools = provision.tools(options.kube_version)
    subject = _subject(options, tools, runner, journal.make_folder("charts"))
    rendered = rules.require_usable(subject, tools, runner, journal.make_folder("guard"))
    machine = provision.provision(options.kube_version, install_engine=options.install_engine)
    if subject.contract.gitops and any(_drives_git(id_) for id_ in checks):
        provision.provision_argocd(machine)
    images = images_of_sides(subject.contract, options, machine, runner, journal.make_folder("platforms"))
    subject = dataclasses.replace(subject, images=images, targets=targets(subject.contract, rendered))
    notes = _notes(subject)
    for note in notes:
        log.info("%s", note)
    probe, server = probe_image(machine), server_image(subject.contract, machine)
    return Preparation(options, subject, machine, journal, report_dir, probe, server, notes, REDACTOR.known)


def _drives_git(id_: str) -> bool:
    return REGISTRY[id_].kind == "scenario" and "gitops" in REGISTRY[id_].needs


@contextmanager
def rules_alone(options: Options, judge: Judge | None = None) -> Iterator[tuple[Rules, Subject, Context]]:
    """Prepare a judgement by the rules alone: no engine, no cluster, nothing left behind.

    A `judge` that runs already and serves others as well is used as it is.
    """
    tools = provision.tools(options.kube_version)
    with private_folder() as folder:
        runner = Runner(made(folder / "home"))
        subject = _subject(options, tools, runner, made(folder / "charts"))
        context = _context(subject, tools, tools.version("kube-apiserver"), _notes(subject))
        with rules.opened(subject, tools, runner, made(folder / "rules"), judge=judge) as judging:
            rules.usable(subject, judging)
            yield judging, subject, context


def _runner(journal: Journal, report_dir: Path | None) -> Runner:
    return Runner(journal.make_folder("home"), record=report_dir / COMMANDS if report_dir else None)


def _subject(options: Options, tools: Tools, runner: Runner, folder: Path) -> Subject:
    known = catalogue.load().keys()
    promised = contract.load(options.contract, known) if options.contract else contract.builtin()
    given = [read_values(file) for file in options.values]
    candidate = promised.candidate_source if options.chart is None else options.chart
    if candidate is None:
        raise BadInput(f"{promised.file} names no chart: give --chart a {address.FORMS}")
    baseline = promised.baseline_source if options.baseline is None else options.baseline
    helm = tools.helm(options.helm)

    def opened(source: str, side: str) -> Chart:
        if broken := asked_for(source):
            return broken.chart(side, folder / side, runner)
        return chart.open_chart(source, into=folder / side, runner=runner, helm=helm)

    subject = Subject(
        promised,
        opened(candidate, CANDIDATE),
        opened(baseline, BASELINE) if baseline is not None else None,
        (*promised.values_files, *(file.absolute() for file in options.values)),
        options.kube_version,
        options.helm,
        placeholders(promised),
        overlay=promised.overlay,
    )
    public = "".join(_public_text(subject))
    for values in given:
        REDACTOR.add(*possible_secrets(values, public))
    return subject


def _public_text(subject: Subject) -> Iterator[str]:
    """Yield what is no secret, since whoever has the chart and the contract has it."""
    yield subject.contract.file.read_text(encoding="utf-8")
    for opened in filter(None, (subject.candidate, subject.baseline)):
        for file in opened.folder.rglob("*"):
            if file.is_file():
                yield file.read_text(encoding="utf-8", errors="replace")


def _notes(subject: Subject) -> tuple[str, ...]:
    """Return what a reader of the report should know of the input."""
    notes = [f"accepted finding {found.id} on {found.object} expired on {found.expires}: it counts again"
             for found in subject.contract.expired(today())]  # fmt: skip
    if subject.baseline and (said := chart.compare_versions(subject.baseline, subject.candidate)):
        notes.append(said)
    return tuple(notes)


def _context(subject: Subject, tools: Tools, kubernetes: str, notes: tuple[str, ...]) -> Context:
    return Context(
        chart=_described(subject.candidate),
        baseline=_described(subject.baseline) if subject.baseline else None,
        kube_version=kubernetes,
        helm_version=tools.version(subject.helm_program),
        tools=tools.versions(),
        notes=notes,
    )


def _described(opened: Chart) -> dict[str, str]:
    return {"name": opened.name, "version": str(opened.version), "digest": opened.digest, "source": opened.source}
