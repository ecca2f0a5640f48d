"""Break the reference chart in every known way, and tell which checks catch each defect."""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from queue import SimpleQueue

from conformance import catalogue, contract, provision
from conformance.chart import reference_chart
from conformance.checks import REGISTRY, Outcome
from conformance.cluster import Lease
from conformance.contract import Contract, lacks
from conformance.errors import BadInput, ConformanceError
from conformance.journey import Journey, journey_of
from conformance.judge import Judge
from conformance.mutants import VERSIONS, Mutant, mutants, one_for_each
from conformance.observe.deadlines import DEADLINES, Deadlines
from conformance.options import HELM, KUBE_VERSION, Options
from conformance.preparation import Preparation, prepared
from conformance.provision import Tools
from conformance.report.result import CheckResult, judged
from conformance.rules import builds_overlay, chooses_values, load, opened
from conformance.run import Runner
from conformance.running import judge_rules, workers_carried
from conformance.side_images import platform_images
from conformance.subject import BASELINE, CANDIDATE, Subject, placeholders
from conformance.temporary import made, private_folder

log = logging.getLogger(__name__)

#: A mutant that never becomes ready, or whose runs never end, is waited for: half as long as a chart that may yet.
#: What the suite itself needs is waited for as long as ever: its lateness says nothing of a mutant.
_HALF = Deadlines.of(0.5)
TRIAL_DEADLINES = dataclasses.replace(
    DEADLINES,
    workloads_ready=_HALF.workloads_ready,
    helm_operation=_HALF.helm_operation,
    run_ended=_HALF.run_ended,
    application_settled=_HALF.application_settled,
)


@dataclass(frozen=True)
class Trial:
    """What a mutant, or the healthy chart (None), came to: the checks that failed or could not judge."""

    mutant: Mutant | None
    caught: tuple[str, ...]
    unjudged: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Return the mutant's name."""
        return self.mutant.name if self.mutant else "the healthy chart"

    @property
    def named(self) -> str | None:
        """Return the check that has to catch it; none may fail the healthy chart."""
        return self.mutant.caught_by[0] if self.mutant else None

    @property
    def as_promised(self) -> bool:
        """Say whether the named check caught the mutant; whether nothing failed the healthy chart."""
        return self.named in self.caught if self.named else not (self.caught or self.unjudged)

    @property
    def needs_cluster(self) -> bool:
        """Say whether the check that has to catch it is a scenario."""
        return self.named is not None and REGISTRY[self.named].kind == "scenario"

    def and_(self, other: Trial) -> Trial:
        """Return two trials of one mutant as one."""
        return Trial(self.mutant, (*self.caught, *other.caught), (*self.unjudged, *other.unjudged))


def mutate(
    ids: Collection[str],
    *,
    contract_file: Path | None = None,
    one_each: bool = False,
    rules_only: bool = False,
    matrix: bool = False,
    workers: int | None = None,
    helm: int = HELM,
) -> list[Trial]:
    """Try mutants, all or those that one of `ids` has to catch (or are called so), and the healthy chart.

    All rules are asked about every mutant; those that choose values, which take most of the time, only where it
    names one of them. One whose named catcher is a scenario lives on a cluster under that scenario; with `matrix`
    every mutant does, under all. With `rules_only` no cluster is made, mutants of scenarios are left out, and the
    others are asked the rules that they name first, all the others only where those miss them. With `one_each`
    every check has to catch one mutant only, the first that names it. The reference chart is judged under
    `contract_file`, or else under the built-in contract; mutants of checks whose needs that does not meet are left
    out.
    Raises `BadInput` for an id that has no mutant.
    """
    catalogue.load()
    chosen = [found for found in mutants() if not ids or set(ids) & {found.name, *found.caught_by}]
    if unknown := set(ids) - {known for found in chosen for known in (found.name, *found.caught_by)}:
        raise BadInput(f"{', '.join(sorted(unknown))}: expected a check or a mutant that is known, seen neither; "
                       "see `agents-conformance list` and fixtures/mutants")  # fmt: skip
    promised = contract.load(contract_file, REGISTRY) if contract_file else contract.builtin()
    chosen = [found for found in chosen if not lacks(promised, REGISTRY[found.caught_by[0]].needs, baseline=True)]
    if one_each:
        chosen = one_for_each(chosen)
    with private_folder() as folder:
        if rules_only:
            ruled = [found for found in chosen if found.caught_by[0] in load()]
            return _under_rules(ruled, promised, helm, folder, few=True)
        trials = _under_rules(chosen, promised, helm, folder)
        lives = [trial.mutant for trial in trials if trial.mutant and (matrix or trial.needs_cluster)]
        options = Options(contract=contract_file, helm=helm, report_dir=folder / "report")
        lived = _on_clusters(lives, options, workers or workers_carried(promised), folder, matrix=matrix)
    return [trial.and_(lived[trial.name]) if trial.name in lived else trial for trial in trials]


def score(trials: Sequence[Trial]) -> Iterator[str]:
    """Yield the lines that tell what caught each mutant, and the score."""
    width = max(len(trial.name) for trial in trials)
    for trial in trials:
        others = [id_ for id_ in trial.caught if id_ != trial.named]
        said = {True: "caught", False: "MISSED"}[trial.as_promised] if trial.mutant else (
            "passes" if trial.as_promised else "FAILS")  # fmt: skip
        by = " ".join(filter(None, [trial.named, f"(also {', '.join(others)})" if others else ""]))
        yield f"{said}  {trial.name:<{width}}  {by}".rstrip()
        if trial.mutant and not trial.as_promised:
            only = "only an unrelated check failed" if others else "nothing failed"
            yield f"        {only}; {trial.mutant.about} See fixtures/mutants/{trial.mutant.folder.name}"
        yield from (f"        could not judge: {reason}" for reason in trial.unjudged)
    broken = [trial for trial in trials if trial.mutant]
    yield f"score   {sum(trial.as_promised for trial in broken)} of {len(broken)} mutants caught by their check"


def _under_rules(
    chosen: Sequence[Mutant], promised: Contract, helm: int, folder: Path, *, few: bool = False
) -> list[Trial]:
    """Ask rules about the healthy chart and about each mutant, two at a time, with one judge for all.

    With `few` a mutant is asked only the rules that it names, unless those miss it.
    """
    tools = provision.tools(KUBE_VERSION)
    runner = Runner(made(folder / "home"))
    with Judge(tools.judge, runner, made(folder / "judge")) as judge, ThreadPoolExecutor(2) as pool:
        judge.start()
        trials = pool.map(
            lambda one: _rules_on(
                one,
                promised,
                helm,
                tools,
                runner,
                judge,
                made(folder / (one.name if one else "healthy")),
                few=few,
            ),
            [None, *chosen],
        )
        return list(trials)


def _rules_on(
    mutant: Mutant | None,
    promised: Contract,
    helm: int,
    tools: Tools,
    runner: Runner,
    judge: Judge,
    folder: Path,
    *,
    few: bool,
) -> Trial:
    charts = {
        side: mutant.chart(side, folder / side, runner)
        if mutant
        else reference_chart(version, folder / side, runner)
        for side, version in VERSIONS.items()
    }
    values = (*promised.values_files, *(mutant.values if mutant else ()))
    images = placeholders(promised)
    overlay = promised.overlay
    if mutant:
        overlay = mutant.overlay(overlay, folder / "overlay", runner)
    subject = Subject(
        promised, charts[CANDIDATE], charts[BASELINE], values, KUBE_VERSION, helm, images, overlay=overlay
    )
    caught_by = load().keys() & set(mutant.caught_by) if mutant else load().keys()
    trying = any(map(chooses_values, caught_by))
    building = any(map(builds_overlay, caught_by)) or (mutant is not None and mutant.breaks_overlay)
    slow = [(chooses_values, trying), (builds_overlay, building)]
    asked = [id_ for id_ in load() if all(worth or not is_one(id_) for is_one, worth in slow)]
    named = [id_ for id_ in asked if mutant and few and id_ in mutant.caught_by]
    with opened(subject, tools, runner, folder, judge=judge, trials=trying, ahead=not named) as rules:
        results = judge_rules(rules, promised, named or asked)
        if named and not any(found.outcome is Outcome.FAIL for found in results):
            results += judge_rules(rules, promised, [id_ for id_ in asked if id_ not in named])
    log.info("%s: the rules have judged", mutant.name if mutant else "the healthy chart")
    return _trial(mutant, results)


def _on_clusters(
    lives: Sequence[Mutant], options: Options, workers: int, folder: Path, *, matrix: bool
) -> dict[str, Trial]:
    """Let each mutant live on a pristine cluster, under the scenario that has to catch it or under all."""
    if not lives:
        return {}
    checks = {found.caught_by[0] for found in lives}
    with prepared(options, checks) as preparation, ExitStack() as stack:
        leases: SimpleQueue[Lease] = SimpleQueue()
        for number in range(workers):
            leases.put(stack.enter_context(preparation.lease(f"mutants{number}")))

        def lived(mutant: Mutant) -> Trial:
            lease = leases.get()
            try:
                return _lived(mutant, preparation, lease, folder / f"{mutant.name}-live", matrix=matrix)
            finally:
                leases.put(lease)

        with ThreadPoolExecutor(workers) as pool:
            try:
                return {trial.name: trial for trial in pool.map(lived, lives)}
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                preparation.end_workers()  # and with them what the threads are waiting for
                raise


def _lived(mutant: Mutant, preparation: Preparation, lease: Lease, folder: Path, *, matrix: bool) -> Trial:
    subject = preparation.subject
    broken = dataclasses.replace(
        subject,
        candidate=mutant.chart(CANDIDATE, folder / CANDIDATE, preparation.runner),
        baseline=mutant.chart(BASELINE, folder / BASELINE, preparation.runner),
        values=(*subject.values, *mutant.values),
        images={
            side: platform_images(preparation.machine, side, source) if source else subject.images[side]
            for side in (CANDIDATE, BASELINE)
            for source in [mutant.platform(side, folder / f"{side}-platform", preparation.runner)]
        },
        overlay=mutant.overlay(subject.overlay, folder / "overlay", preparation.runner),
    )
    scenarios = [id_ for id_, check in REGISTRY.items() if check.kind == "scenario"]
    results = _judged(
        dataclasses.replace(preparation, subject=broken), lease, scenarios if matrix else [mutant.caught_by[0]]
    )
    trial = _trial(mutant, results)
    log.info("%s: %s", mutant.name, "caught" if trial.as_promised else "not caught by the check it names")
    return trial


def _judged(preparation: Preparation, lease: Lease, ids: Sequence[str]) -> list[CheckResult]:
    results = []
    for name, same in groupby(sorted(ids, key=journey_of), journey_of):
        waiting = list(same)
        try:
            with preparation.journey(name, lease, TRIAL_DEADLINES) as journey:
                while waiting:
                    results.append(_asked(waiting.pop(0), journey, preparation.subject.contract))
        except ConformanceError as error:  # there is no such journey to be had here: no fault of the mutant's
            results += [CheckResult(id_, Outcome.INCOMPLETE, reason=str(error)) for id_ in waiting]
    return results


def _asked(id_: str, journey: Journey, promised: Contract) -> CheckResult:
    started = time.monotonic()
    try:
        findings = REGISTRY[id_].function(journey)
    except ConformanceError as error:
        return CheckResult(id_, Outcome.INCOMPLETE, reason=str(error))
    return judged(id_, findings, promised, time.monotonic() - started)


def _trial(mutant: Mutant | None, results: Sequence[CheckResult]) -> Trial:
    unjudged = [f"{found.id}: {found.reason}" for found in results if found.outcome is Outcome.INCOMPLETE]
    return Trial(mutant, tuple(found.id for found in results if found.outcome is Outcome.FAIL), tuple(unjudged))
