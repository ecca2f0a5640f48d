"""What rotations, and changes beside them, say of the chart's promises: each function yields one's findings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from conformance.checks import Finding
from conformance.contract import Contract
from conformance.journey.committed import Synced
from conformance.journey.rotation import Rotated, Running, Step, Undone
from conformance.journey.rows import Row
from conformance.journey.showing import Shown
from conformance.manifests import ObjectKey
from conformance.observe.calls import Calls

#: Seconds without an answer that are a gap: four calls in a row. One call of many that is lost on a busy machine,
#: with answers before and after it, is no moment in which nobody serves.
GAP = 0.2

ANNOTATE = (
    "annotate the pod template of each workload that uses it with the hash of its data, or with the given checksum"
)


def not_ready(step: Step) -> Iterator[Finding]:
    """Yield what kept a step from ending with every workload ready."""
    if step.failure is not None:
        yield Finding(
            object=f"Release/{step.release}",
            expected=f"every workload ready after the {step.what}",
            observed=step.failure,
            why="the rollout did not come to its end",
            remedy="see the pods' events and logs in the evidence",
        )


def not_rolled(step: Step) -> Iterator[Finding]:
    """Yield each workload that uses what was rotated and was not rolled once, and each other that was rolled."""
    rolls = frozenset(key for one in step.rotated for key in one.rolls)
    for key in sorted(rolls):
        if len(came := step.rolled.get(key, ())) != 1:
            yield rollouts_of(
                key, f"exactly one {_new(key)} by the {step.what}, which it uses", came,
                "its pods go on with the old value" if not came else "its pods are replaced more than once",
                ANNOTATE if not came else "render the same annotations again for the same data",
            )  # fmt: skip
    yield from spared_but_rolled(step)


def spared_but_rolled(step: Step) -> Iterator[Finding]:
    """Yield each workload that a rotation rolled though it does not use the object or bars it in its list."""
    rolls = frozenset(key for one in step.rotated for key in one.rolls)
    for key in sorted(frozenset(key for one in step.rotated for key in one.spares) - rolls):
        if came := step.rolled.get(key, ()):
            yield rollouts_of(
                key, f"no {_new(key)} by the {step.what}", came,
                "pods are replaced for a change that does not concern them",
                "annotate each workload for the names alone that its list has",
            )  # fmt: skip


def rolled_unasked(steps: Iterable[Step], *, off: bool = False) -> Iterator[Finding]:
    """Yield each workload that was rolled though nothing that is watched had changed, or with checksums off."""
    for step in steps:
        for key, came in sorted(step.rolled.items()):
            if came:
                yield rollouts_of(
                    key, f"no {_new(key)} by the {step.what}", came,
                    "checksums are turned off, and pods are replaced for a rotation none the less"
                    if off
                    else "pods are replaced though none of the watched data has changed",
                    "make the checksum of the data alone: no metadata, version, time or random text",
                )  # fmt: skip


def stale(step: Step) -> Iterator[Finding]:
    """Yield each pod that does not have what was rotated in its process, as far as it can be told.

    By the hashes that the process tells; where none does, by the pod: one made after the rotation was given the
    new values by its kubelet, since a container's environment and files are made when it starts.
    """
    for one in step.rotated:
        for pod in step.running:
            if pod.workload in one.rolls:
                yield from _stale(pod, one, step)


def _stale(pod: Running, one: Rotated, step: Step) -> Iterator[Finding]:
    wrong = [] if pod.made else ["the pod is older than the rotation"]
    if told := _told(pod, one):
        old = {one.before.get(key): "has the old value" for key in one.after} | {None: "has it not"}
        wrong = [
            f"{place} {old.get(value, 'has another value')}"
            for key, place, value in told
            if value != one.after[key]
        ]
    if wrong:
        yield Finding(
            object=f"Pod/{pod.pod}",
            expected=f"its process has the new value of {one.of} after the {step.what}",
            observed="; ".join(wrong),
            why="a rotated credential or setting has not reached the process",
            remedy=ANNOTATE,
        )


def unavailable(contract: Contract, steps: Sequence[Step], made: Iterable[Calls] = ()) -> Iterator[Finding]:
    """Yield each Deployment that had no available replica at some moment, and each Service with a gap."""
    for step in steps:
        for key, least in sorted(step.least.items()):
            if least < 1:
                yield Finding(
                    object=str(key),
                    expected=f"an available replica at every moment of the {step.what}",
                    observed="at some moment none was available",
                    why="a rotation interrupts the service",
                    remedy="roll with maxUnavailable 0 and a readiness probe",
                )
    budgets = {service.target: service.failure_budget for service in contract.services}
    for calls in made:
        if calls.failures > budgets[calls.target] * len(steps) and calls.longest_gap >= GAP:
            yield Finding(
                object=f"Service/{calls.target}",
                expected=f"at most {budgets[calls.target]} failed calls during a rotation",
                observed=f"{calls.failures} of {calls.made} failed during {len(steps)}, the longest gap "
                f"{calls.longest_gap:.2f} s, the last with: {calls.last_error}",
                why="callers are turned away while pods are replaced",
                remedy="keep a ready pod at all times (RollingUpdate, maxUnavailable 0, readiness probe) and let "
                "pods serve until their endpoint is gone (preStop)",
            )


def other_credential(undone: Undone, policy: str) -> Iterator[Finding]:
    """Yield what is wrong with the values that processes have once a rotation was rolled back.

    What the contract's policy says holds for what the chart itself makes, where that is among it: no rollback
    reaches anything else. All pods of a workload have one value, whichever it is.
    """
    made = [one for one in undone.rotated if one.of.data] or undone.rotated
    for one in undone.rotated:
        for key in sorted(one.rolls):
            pods = {
                pod.pod: _had(pod, one, undone.held[one.of]) for pod in undone.step.running if pod.workload == key
            }
            wanted = {policy} if one in made else {"previous", "current"}
            if len({*pods.values()}) > 1 or not {*pods.values()} <= wanted:
                yield Finding(
                    object=str(key),
                    expected=f"every pod has the {' or every pod the '.join(sorted(wanted))} value of {one.of}, "
                    f"{one.how}, after the {undone.step.what}",
                    observed="\n".join(f"Pod/{pod} has the {value} value" for pod, value in sorted(pods.items())),
                    why="after the rollback nobody knows with which credential the pods work",
                    remedy="let the release own the Secret, so that a rollback brings it back and "
                    "rolls its pods; or declare in the contract's policies.rotateThenRollback what is meant",
                )


def _had(pod: Running, one: Rotated, held: Mapping[str, str]) -> str:
    """Return whether a pod has the `previous` or `current` value of what was rotated, `neither`, or both `mixed`.

    Where processes do not tell, a pod that the rollback made got what the cluster held then, and an older one what
    was rotated.
    """
    if told := _told(pod, one):
        names = {_name(one, key, value) for key, _, value in told}
    else:
        given = held if pod.made else one.after
        names = {_name(one, key, given.get(key)) for key in _changed(one)}
    return names.pop() if len(names) == 1 else "mixed"


def _told(pod: Running, one: Rotated) -> list[tuple[str, str, str | None]]:
    """Return each changed key with its place and the hash that the process tells; nothing where it tells none."""
    places = [(key, place) for key, place in one.places.get(pod.workload, ()) if key in _changed(one)]
    return [(key, place, pod.told.get(place)) for key, place in places] if pod.told is not None else []


def _changed(one: Rotated) -> set[str]:
    return {key for key, value in one.after.items() if value != one.before.get(key)}


def _name(one: Rotated, key: str, value: str | None) -> str:
    return {one.before.get(key): "previous", one.after[key]: "current"}.get(value, "neither")


def too_many_rollouts(step: Step, most: int) -> Iterator[Finding]:
    """Yield each workload that quick rotations rolled more often than there were, or not at all."""
    for key in sorted(frozenset(key for one in step.rotated for key in one.rolls)):
        if not 1 <= len(came := step.rolled.get(key, ())) <= most:
            yield rollouts_of(
                key, f"a {_new(key)} from once to {most} times by the {step.what}", came,
                "quick rotations roll pods more often than data changed, or not at all", ANNOTATE,
            )  # fmt: skip
    yield from spared_but_rolled(step)


def wrong_row(row: Row, form: str) -> Iterator[Finding]:
    """Yield what is wrong with the end of an unusual input; `form` is that of a Secret's annotation."""
    yield from not_ready(row.step)
    yield from not_rolled(row.step) if row.step.rotated else ()
    yield from stale(row.step)
    if row.told and not row.message:
        yield Finding(
            object=f"Release/{row.step.release}",
            expected=f"a message that names the Secret, from the API server or its pods, by the {row.step.what}",
            observed="none",
            why="an operator is not told why a rotation does not come to its end",
            remedy="refer to the Secret in the pod template without `optional`, and annotate that",
        )
    wanted = {form.replace("<name>", name) for name in row.listed}
    having = max((len(wanted & found.keys()) for found in row.step.annotations.values()), default=0)
    if having < len(wanted):
        yield Finding(
            object=f"Release/{row.step.release}",
            expected=f"{len(wanted)} annotations for {row.input}",
            observed=f"{having} at most on one workload's pods",
            why="an entry of the list is lost",
            remedy="annotate pods for every entry of the list, whether or not there is such an object",
        )


def shown_otherwise(shown: Iterable[Shown]) -> Iterator[Finding]:
    """Yield each workload for which a tool shows another checksum than it must, for the same values."""
    for one in shown:
        for (key, of), expected in sorted(one.expected.items(), key=lambda item: str(item[0])):
            if (seen := one.seen[key, of]) != expected:
                yield Finding(
                    object=str(key),
                    expected=f"{of.annotation}: {expected or 'none'} by {one.tool}, as it was installed",
                    observed=seen or "none",
                    why="who renders the same values with another tool, or only looks, rolls pods or is misled",
                    remedy="make the checksum of the data in the values alone, or of the given checksum",
                )


def several_syncs(synced: Synced) -> Iterator[Finding]:
    """Yield a rotation by a commit that took another number of successful syncs than one."""
    if synced.step.failure is None and synced.syncs != 1:
        yield Finding(
            object=f"Application/{synced.application}",
            expected=f"one sync by the {synced.step.what}",
            observed=f"{synced.syncs} syncs",
            why="the cluster is not as git says after one sync",
            remedy="render nothing that another writes to after the sync",
        )


def _new(key: ObjectKey) -> str:
    """Return what a rollout of a workload makes."""
    return "new ReplicaSet" if key.kind == "Deployment" else "new revision of its pods"


def rollouts_of(key: ObjectKey, expected: str, came: Sequence[str], why: str, remedy: str) -> Finding:
    """Return what is wrong with the rollouts of a workload."""
    return Finding(str(key), expected, f"{len(came)}: {', '.join(came)}" if came else "none", why, remedy)
