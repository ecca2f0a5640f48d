"""What runs that were followed to their end say of the chart's promises."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from conformance.checks import Finding
from conformance.contract.runs import Runs
from conformance.journey.carrying import Carried, Refused, at
from conformance.observe.history import Story
from conformance.observe.rollout import container_statuses


def wrong_ends(runs: Runs, carried: Iterable[Carried]) -> Iterator[Finding]:
    """Yield each run that hangs, or ended in another phase than declared, or failed without a reason."""
    for run in carried:
        phase = at(run.body, runs.phase)
        if run.failure is not None:
            yield _finding(run, f"the phase {run.expected}", run.failure, "the run does not come to its end",
                           "let every way in which a run can go end in a phase that is an end")  # fmt: skip
        elif phase in runs.terminal and phase != run.expected:
            said = at(run.body, runs.reason)
            yield _finding(
                run, f"the phase {run.expected}", f"{phase}: {said or 'no reason given'}",
                "the run ends otherwise than declared", "see the controllers' and the Job's pod's logs",
            )  # fmt: skip
        elif phase == runs.failed and not at(run.body, runs.reason):
            yield _finding(run, f"a reason at {runs.reason}", "none", "a failed run does not say why",
                           "write the reason with the phase")  # fmt: skip


def unproven(runs: Runs, carried: Iterable[Carried]) -> Iterator[Finding]:
    """Yield each run that says it succeeded though no Job of its own did: one, whose pod ended with status 0."""
    for run in carried:
        if at(run.body, runs.phase) != runs.succeeded:
            continue
        done = [pod for pod in run.pods if _ended_well(pod)]
        if len(run.jobs) != 1 or not done:
            yield _finding(
                run, "one Job of its own, whose pod ended with status 0", _told(run),
                "the run claims a success that nothing carried out",
                "take the phase from the Job's conditions, and from nothing else",
            )  # fmt: skip
        elif runs.artefact and not at(run.body, runs.artefact):
            yield _finding(run, f"what it left, at {runs.artefact}", "nothing", "the run's artefact is lost",
                           "keep it in the status before the run's end is told")  # fmt: skip


def not_carried_once(runs: Runs, run: Carried, through: str) -> Iterator[Finding]:
    """Yield what a run in flight suffered: another end than success, or a second start."""
    yield from wrong_ends(runs, [run])
    if run.failure is None and (len(run.jobs) != 1 or len(run.pods) != 1):
        yield _finding(
            run, f"one Job with one pod, begun before the {through}", _told(run),
            f"the {through} started the run's work again, or lost it",
            "give a run's Job a name that follows from the run, and look for it before creating one",
        )  # fmt: skip


def lost_status(runs: Runs, carried: Iterable[Carried]) -> Iterator[Finding]:
    """Yield each declared field that the status of a run that succeeded does not hold."""
    for run in carried:
        if at(run.body, runs.phase) != runs.succeeded:
            continue
        lost = [path for path in runs.status if at(run.body, path) in (None, "", [], {})]
        if lost:
            seen = ", ".join(sorted(at(run.body, "status") or {})) or "nothing"
            yield _finding(
                run, f"{', '.join(lost)} in the stored object", f"a status with {seen}",
                "what the controllers write is pruned, or they do not write it",
                "declare the field in the CustomResourceDefinition's schema, and write it",
            )  # fmt: skip


def _finding(run: Carried, expected: str, observed: str, why: str, remedy: str) -> Finding:
    return Finding(object=str(run), expected=expected, observed=observed, why=why, remedy=remedy)


def _told(run: Carried) -> str:
    jobs = ", ".join(story.key.name for story in run.jobs) or "no Job"
    pods = ", ".join(f"{story.key.name} ({at(story.last, 'status.phase')})" for story in run.pods) or "no pod"
    return f"{jobs}; {pods}"


def _ended_well(pod: Story) -> bool:
    ends = [(status.get("state") or {}).get("terminated") for status in container_statuses(pod.last)]
    return bool(ends) and all(end and end["exitCode"] == 0 for end in ends)


def taken(refusals: Iterable[Refused]) -> Iterator[Finding]:
    """Yield each resource that the API server took though it must not, or refused for another reason."""
    for found in refusals:
        refusal, field = found.refusal, found.invalid.field
        if refusal is None:
            observed = "the API server takes it"
        elif field in refusal.message or any(cause.get("field") == field for cause in refusal.causes):
            continue
        else:
            observed = f"refused for something else: {refusal.message}"
        yield Finding(
            object=found.resource,
            expected=f"a refusal that names {field}",
            observed=observed,
            why="a mistake is stored, and shows itself only when a run fails by it",
            remedy="state the field's type and bounds in the CustomResourceDefinition's schema",
        )
