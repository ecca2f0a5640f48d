"""What a mishap and the way out of it say of the chart's promises."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from conformance.checks import Finding
from conformance.contract import Contract
from conformance.errors import Incomplete
from conformance.journey import judging
from conformance.journey.mishaps import Drifted, Mishap, Pruned
from conformance.journey.stage import Stage
from conformance.manifests import Manifest, ObjectKey
from conformance.observe import rollout
from conformance.observe.ownership import descendants

_DELETED_BEFORE = "before-hook-creation"


def not_taken_back(contract: Contract, mishap: Mishap) -> Iterator[Finding]:
    """Yield whatever is not as the good revision declares once a mishap was taken back, and calls that failed.

    Raises `Incomplete` where too few calls were made to tell.
    """
    after = mishap.after
    yield from judging.not_ready(after)
    yield from not_deployed(mishap)
    yield from judging.not_restored(mishap.good, after, mishap.deviations)
    excused = {key for stage in mishap.during for key in kept_until_next_run(stage)}
    deviations = [found for found in mishap.deviations if found.key not in excused]
    yield from judging.left_over(mishap.good, after, deviations)
    yield from judging.other_images(contract, after)
    yield from judging.failed_calls(contract, dataclasses.replace(after, operation=mishap.name), mishap.calls)


def kept_until_next_run(stage: Stage) -> Iterator[ObjectKey]:
    """Yield the hooks that Helm leaves where it fails or is killed, and removes before it runs them again."""
    for hook in stage.hooks:
        policy = hook.annotations.get("helm.sh/hook-delete-policy", _DELETED_BEFORE)
        if _DELETED_BEFORE in policy:
            yield hook.key


def not_deployed(mishap: Mishap) -> Iterator[Finding]:
    """Yield a release whose newest revision is not deployed, or of which another one is as well."""
    said = ", ".join(f"{one.revision} {one.status}" for one in mishap.history)
    newest = mishap.history[-1].status if mishap.history else ""
    if newest != "deployed" or [one.status for one in mishap.history].count("deployed") != 1:
        yield Finding(
            object=f"Release/{mishap.after.chart.name}",
            expected=f"the newest revision is deployed, and no other, after {mishap.name}",
            observed=f"the history holds {said or 'nothing'}",
            why="the way out did not lead out: the next operation begins at the mishap",
            remedy="let hooks of rollbacks end well whatever state an operation was left in",
        )


def not_interrupted(mishap: Mishap) -> None:
    """Raise `Incomplete` where an operation that was to be cut short left no pending revision."""
    killed = mishap.during[0]
    if killed.made is None or not killed.made.pending:
        status = killed.made.status if killed.made else "not there"
        raise Incomplete(f"{killed} was killed, and the release is {status}: nothing was interrupted")


def not_ready_again(stage: Stage) -> Iterator[Finding]:
    """Yield what kept an upgrade from ending ready that follows one that was killed and rolled back."""
    for finding in judging.not_ready(stage):
        yield dataclasses.replace(
            finding,
            why="after an upgrade that was killed and rolled back, the next one does not end ready",
            remedy="let nothing that an unfinished operation leaves, such as a hook's Job, be in the way of the "
            "next (helm.sh/hook-delete-policy: before-hook-creation)",
        )


def not_refused(contract: Contract, pruned: Pruned) -> Iterator[Finding]:
    """Yield what changed though a rollback was refused, and workloads whose pods went while the history aged.

    Raises `Incomplete` where the revision was still there.
    """
    if pruned.refusal is None:
        raise Incomplete(f"revision {pruned.revision} is still in the history: nothing was pruned")
    if pruned.stage.failure is None:
        yield Finding(
            object=f"Release/{pruned.stage.chart.name}",
            expected=f"a rollback to revision {pruned.revision}, which is not in the history, is refused",
            observed=f"revision {pruned.stage.revision} was made",
            why="a rollback went to a revision that nobody has",
            remedy="keep more revisions (--history-max)",
        )
    for deviation in pruned.aged.live.changed_to(pruned.stage.live):
        yield Finding(
            object=str(deviation.key),
            expected="as it was before a rollback that was refused",
            observed=str(deviation),
            why="a refused rollback changed the cluster",
            remedy="let nothing but the release's own operations write to what the chart declares",
        )
    yield from _rolled_for_nothing(contract, pruned.before, pruned.stage)


def _rolled_for_nothing(contract: Contract, before: Stage, after: Stage) -> Iterator[Finding]:
    """Yield each declared workload with other pods, though chart and values stayed the same."""
    for workload, _ in judging.declared_workloads(contract, before):
        was, now = _pods(before, workload), _pods(after, workload)
        if gone := was - now:  # an autoscaler may have added some
            yield Finding(
                object=str(workload.key),
                expected=f"the pods of {before.declared_by} go on running: chart and values are the same",
                observed=f"pods {', '.join(sorted(now - was)) or 'none'} in place of {', '.join(sorted(gone))}",
                why="an upgrade that changes nothing rolls the pods, so each ages the history and interrupts work",
                remedy="take nothing into the pod template that changes by itself: the revision, the time, chance",
            )


def not_as_promised(policy: str, drifted: Drifted) -> Iterator[Finding]:
    """Yield each workload whose hand-edited replicas a rollback restored or kept against the contract's policy."""
    yield from judging.not_ready(drifted.after)
    for key, edited in drifted.edited.items():
        declared = drifted.good.declaration(key)
        restored = declared.body["spec"].get("replicas") if declared else None
        wanted = restored if policy == "restored" else edited
        live = drifted.after.inventory.get(key)
        seen = live["spec"].get("replicas") if live else None
        if seen != wanted:
            yield Finding(
                object=str(key),
                expected=f"spec.replicas is {wanted} after the rollback: what people edit is {policy}",
                observed=f"it is {seen}; {restored} is declared, {edited} was set by hand",
                why="a rollback does with what was edited by hand what nobody expects",
                remedy="let the release own the workload and declare its replicas, or declare the other policy",
            )


def _pods(stage: Stage, workload: Manifest) -> set[str]:
    owner = stage.inventory.get(workload.key)
    owned = descendants(owner, stage.inventory.values()) if owner else []
    return {body["metadata"]["name"] for body in owned if body["kind"] == "Pod" and rollout.is_current(body)}
