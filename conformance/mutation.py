"""Break the reference chart in every known way, and tell which checks catch each defect."""

from __future__ import annotations

import json
import logging
import sys
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from conformance import catalogue, contract, paths, provision
from conformance.chart import reference_chart
from conformance.checks import REGISTRY, Outcome
from conformance.errors import BadInput, CommandFailed
from conformance.judge import Judge
from conformance.mutants import VERSION, Mutant, mutants
from conformance.options import HELM, KUBE_VERSION
from conformance.provision import Tools
from conformance.rules import opened
from conformance.run import Runner
from conformance.running import judge_rules, workers_carried
from conformance.subject import BASELINE, CANDIDATE, PlaceholderImage, Subject

log = logging.getLogger(__name__)

#: The version that a run upgrades from, unless the mutant is that version.
BASELINE_VERSION = "0.9.1"
#: One live trial takes about a minute; it may have to wait for a busy machine.
TRIAL_SECONDS = 900.0


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
    rules_only: bool = False,
    matrix: bool = False,
    workers: int | None = None,
    helm: int = HELM,
) -> list[Trial]:
    """Try mutants, all or those that one of `ids` has to catch (or are called so), and the healthy chart.

    All rules are asked about every mutant. One whose named catcher is a scenario lives on a cluster under that
    scenario; with `matrix` every mutant does, under all. With `rules_only` no cluster is made, and mutants of
    scenarios are left out. Raises `BadInput` for an id that has no mutant.
    """
    catalogue.load()
    chosen = [found for found in mutants() if not ids or set(ids) & {found.name, *found.caught_by}]
    if unknown := set(ids) - {known for found in chosen for known in (found.name, *found.caught_by)}:
        raise BadInput(f"{', '.join(sorted(unknown))}: expected a check or a mutant that is known, seen neither; "
                       "see `agents-conformance list` and fixtures/mutants")  # fmt: skip
    with tempfile.TemporaryDirectory(prefix=f"{paths.APP}-") as made:
        trials = _under_rules(chosen, helm, Path(made))
        if rules_only:
            return [trial for trial in trials if not trial.needs_cluster]
        lives = [trial.mutant for trial in trials if trial.mutant and (matrix or trial.needs_cluster)]
        lived = _on_clusters(lives, helm, workers or workers_carried(), Path(made), matrix=matrix)
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
            yield f"        {only}; {trial.mutant.about} See {trial.mutant.folder.name}/chart.patch"
        yield from (f"        could not judge: {reason}" for reason in trial.unjudged)
    broken = [trial for trial in trials if trial.mutant]
    yield f"score   {sum(trial.as_promised for trial in broken)} of {len(broken)} mutants caught by their check"


def _under_rules(chosen: Sequence[Mutant], helm: int, folder: Path) -> list[Trial]:
    """Ask all rules about the healthy chart and about each mutant, two at a time, with one judge for all."""
    tools = provision.tools(KUBE_VERSION)
    runner = Runner(_made(folder / "home"))
    with Judge(tools.judge, runner, _made(folder / "judge")) as judge, ThreadPoolExecutor(2) as pool:
        judge.start()
        trials = pool.map(
            lambda one: _rules_on(
                one, helm, tools, runner, judge, _made(folder / (one.name if one else "healthy"))
            ),
            [None, *chosen],
        )
        return list(trials)


def _rules_on(mutant: Mutant | None, helm: int, tools: Tools, runner: Runner, judge: Judge, folder: Path) -> Trial:
    promised = contract.builtin()
    charts = {
        side: mutant.chart(folder / side, runner)
        if mutant and mutant.side == side
        else reference_chart(version, folder / side, runner)
        for side, version in ((CANDIDATE, VERSION), (BASELINE, BASELINE_VERSION))
    }
    values = (*promised.values_files, *(mutant.values if mutant else ()))
    images = {side: PlaceholderImage(tag=side) for side in charts}
    subject = Subject(promised, charts[CANDIDATE], charts[BASELINE], values, KUBE_VERSION, helm, images)
    with opened(subject, tools, runner, folder, judge=judge) as rules:
        results = judge_rules(rules, promised)
    log.info("%s: the rules have judged", mutant.name if mutant else "the healthy chart")
    return _trial(mutant, [{"id": r.id, "outcome": r.outcome, "reason": r.reason} for r in results])


def _on_clusters(
    lives: Sequence[Mutant], helm: int, workers: int, folder: Path, *, matrix: bool
) -> dict[str, Trial]:
    """Let each mutant live on a cluster of its own, under the scenario that has to catch it or under all."""
    if not lives:
        return {}
    provision.provision(KUBE_VERSION)
    runner = Runner(folder / "home", paths.environment())
    with ThreadPoolExecutor(workers) as pool:
        trials = pool.map(
            lambda one: _lived(one, helm, runner, folder / f"{one.name}-report", matrix=matrix), lives
        )
        try:
            return {trial.name: trial for trial in trials}
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for child in psutil.Process().children():
                child.terminate()  # each sweeps what it made
            raise


def _lived(mutant: Mutant, helm: int, runner: Runner, report: Path, *, matrix: bool) -> Trial:
    words = [
        sys.executable,
        "-m",
        "conformance",
        "run",
        "-n",
        "1",
        "--helm",
        str(helm),
        "--report-dir",
        str(report),
    ]
    words += ["--chart" if mutant.side == CANDIDATE else "--baseline", f"mutant:{mutant.name}"]
    words += [word for file in mutant.values for word in ("--values", str(file))]
    words += [] if matrix else ["-k", mutant.caught_by[0]]
    try:
        said = runner.run(*words, timeout=TRIAL_SECONDS, check=False)
        checks = json.loads((report / "report.json").read_text())["checks"]
    except (CommandFailed, OSError, ValueError) as error:
        return Trial(mutant, (), (f"{error}",))
    trial = _trial(mutant, checks)
    log.info("%s: %s", mutant.name, "caught" if trial.as_promised else f"missed, status {said.status}")
    return trial


def _trial(mutant: Mutant | None, results: Sequence[Mapping[str, Any]]) -> Trial:
    def ids(outcome: Outcome) -> tuple[str, ...]:
        return tuple(result["id"] for result in results if result["outcome"] == outcome)

    reasons = {result["id"]: result.get("reason") for result in results}
    unjudged = tuple(f"{id_}: {reasons[id_]}" for id_ in ids(Outcome.INCOMPLETE))
    return Trial(mutant, ids(Outcome.FAIL), unjudged if mutant is None or mutant.caught_by[0] in reasons else ())


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder
