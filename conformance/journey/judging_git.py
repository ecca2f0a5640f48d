"""What a commit and its revert say of the chart's promises under GitOps."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from conformance.checks import Finding
from conformance.contract import Contract
from conformance.journey import judging
from conformance.journey.configuration import other_configuration
from conformance.journey.delivery import Reverted
from conformance.journey.git_setting import HOOK
from conformance.journey.git_stage import GitStage
from conformance.manifests import ObjectKey

#: The moments of a sync, by Argo CD's own words and by Helm's, at which Argo CD runs a hook.
_WITH_A_SYNC = frozenset(
    {"PreSync", "Sync", "PostSync", "pre-install", "pre-upgrade", "post-install", "post-upgrade"}
)


def not_settled(stage: GitStage) -> Iterator[Finding]:
    """Yield what kept the Application from being synced and healthy at a commit."""
    if stage.failure is not None:
        yield Finding(
            object=f"Application/{stage.application.name}",
            expected=f"Synced and Healthy at commit {stage.commit}",
            observed=stage.failure,
            why=f"{stage} did not end synced and healthy",
            remedy="see the Application's conditions and the pods' events in the evidence; what a commit adds "
            "must go with its revert (prune), and nobody but git may write to what it declares",
        )


def several_syncs(stage: GitStage) -> Iterator[Finding]:
    """Yield a revert that took another number of successful syncs than one (seed 000, "within one sync").

    Argo CD syncs nothing at all where nothing differs in its eyes; whether it should have is told by the state.
    """
    if stage.failure is None and stage.syncs > 1:
        revisions = ", ".join(revision[:8] for _, revision in stage.application.synced[-stage.syncs :])
        yield Finding(
            object=f"Application/{stage.application.name}",
            expected=f"one sync brings commit {stage.commit}",
            observed=f"{stage.syncs} syncs: {revisions}",
            why="the revert did not bring the prior state within one sync",
            remedy="keep objects from being changed by others, or by themselves, after a sync",
        )


def skipped_hooks(stage: GitStage) -> Iterator[Finding]:
    """Yield each hook of a commit that Argo CD was to run with its sync, and that the last sync did not run.

    One that gets its name only as it is made (`generateName`) cannot be told among those that ran.
    """
    for hook in stage.hooks if stage.failure is None else ():
        own = str(hook.annotations.get(HOOK, ""))
        moments = {word.strip() for word in own.split(",")} if own else set(hook.hooks)
        named = "name" in hook.body["metadata"]
        if named and moments & _WITH_A_SYNC and (hook.kind, hook.name) not in stage.application.hooks_run:
            yield Finding(
                object=str(hook.key),
                expected=f"it runs with the sync of commit {stage.commit}",
                observed="the sync ended without it",
                why="what the hook does before or after a version is not done for the version that runs",
                remedy="give the hook a name of its own and a delete policy, and let every sync be a whole one",
            )


def restless(reverted: Reverted) -> Iterator[Finding]:
    """Yield an Application that does not stay synced, or syncs again, though nothing was committed."""
    settled = reverted.stage.application
    for number, seen in enumerate(reverted.later, start=1):
        if (seen.sync, seen.synced) != ("Synced", settled.synced) or seen.health != "Healthy":
            other = [str(found.key) for found in seen.resources if found.sync not in {"", "Synced"}]
            yield Finding(
                object=f"Application/{seen.name}",
                expected="Synced and Healthy, with no further sync, at every look at git",
                observed=f"{seen.sync} and {seen.health} after look {number}, {len(seen.synced)} syncs in its "
                f"history instead of {len(settled.synced)}; other than in git: {', '.join(other) or 'none'}",
                why="the Application never settles: what is rendered differs from itself or from what the API "
                "server keeps",
                remedy="render the same from the same input, and declare fields as the API server keeps them",
            )
            return


def not_reverted(contract: Contract, reverted: Reverted) -> Iterator[Finding]:
    """Yield whatever a revert did not bring back: settled in one sync, the prior images, the whole prior state."""
    yield from several_syncs(reverted.stage)
    yield from not_gits(contract, reverted)


def not_gits(contract: Contract, reverted: Reverted) -> Iterator[Finding]:
    """Yield what is not as the reverted commit says in the end, however many syncs that took."""
    yield from not_settled(reverted.stage)
    yield from judging.not_restored(reverted.before, reverted.stage, reverted.deviations)
    yield from judging.left_over(reverted.before, reverted.stage, reverted.deviations)
    yield from judging.other_images(contract, reverted.stage)
    if reverted.stage.failure is None:
        yield from other_configuration(reverted.before.configurations, reverted.stage.configurations)
    yield from restless(reverted)


def not_undone(emergency: Reverted) -> Iterator[Finding]:
    """Yield that a rollout could not be undone past git."""
    if emergency.refusal:
        yield Finding(
            object=f"Release/{emergency.changed.chart.name}",
            expected="`kubectl rollout undo` takes the last rollout of every declared workload back",
            observed=emergency.refusal,
            why="in an emergency, without git, nobody can go back to what ran before",
            remedy="keep a history of rollouts: leave revisionHistoryLimit out, or give it 1 or more",
        )


def refused(refusals: Iterable[tuple[ObjectKey, str]]) -> Iterator[Finding]:
    """Yield each object of an overlay that the API server does not accept as it stands."""
    for key, message in refusals:
        yield Finding(
            object=str(key),
            expected="the API server accepts it, unknown fields refused",
            observed=message,
            why="git holds what the cluster does not take, or takes without the field that was meant",
            remedy="correct the object in the overlay",
        )
