"""What turning checksums on and off, and lists of names, say of the annotations of pods."""

from __future__ import annotations

from collections.abc import Iterator

from conformance.checks import Finding
from conformance.contract import Checksums
from conformance.journey.judging_rollouts import ANNOTATE, rollouts_of
from conformance.journey.rotation import Step
from conformance.manifests import ObjectKey


def noted(checksums: Checksums, step: Step, key: ObjectKey) -> list[str]:
    """Return the annotations for watched objects that a workload's pods have after a step."""
    wanted = {annotation for _, _, annotation in checksums.watched()}
    return sorted(wanted & step.annotations.get(key, {}).keys())


def not_one_rollout(step: Step, verb: str) -> Iterator[Finding]:
    """Yield each workload that turning checksums on or off rolled more than once."""
    for key, came in sorted(step.rolled.items()):
        if len(came) > 1:
            yield rollouts_of(
                key, f"one rollout at most by {verb}", came, "its pods are replaced more than once",
                "render the same annotations again for the same data",
            )  # fmt: skip


def not_annotated(checksums: Checksums, step: Step) -> Iterator[Finding]:
    """Yield what is wrong where checksums were turned on and no pod has any, or has them without being rolled."""
    having = {key: names for key in sorted(step.annotations) if (names := noted(checksums, step, key))}
    if not having:
        yield Finding(
            object=f"Release/{step.release}",
            expected=f"annotations for watched objects after {step.what}",
            observed="no workload's pods have any",
            why="no change will ever roll a pod",
            remedy=ANNOTATE,
        )
    for key, came in sorted(step.rolled.items()):
        if came and key not in having:
            yield rollouts_of(
                key, f"no rollout by {step.what}, since its pods have no checksum", came,
                "pods are replaced though nothing of theirs is watched",
                "annotate what is watched, and nothing else",
            )  # fmt: skip


def still_annotated(checksums: Checksums, step: Step) -> Iterator[Finding]:
    """Yield each workload whose pods have annotations for watched objects though checksums are turned off."""
    for key in sorted(step.annotations):
        if names := noted(checksums, step, key):
            yield Finding(
                object=str(key),
                expected=f"no annotation for a watched object after {step.what}",
                observed=", ".join(names),
                why="what is turned off goes on rolling pods",
                remedy="render the annotations only where the values ask for them",
            )


def beside_the_list(checksums: Checksums, step: Step, only: dict[ObjectKey, frozenset[str]]) -> Iterator[Finding]:
    """Yield each workload whose annotations are not those of the names in its list."""
    for key, names in sorted(only.items()):
        wanted = sorted(annotation for _, name, annotation in checksums.watched() if name in names)
        if (seen := noted(checksums, step, key)) != wanted:
            yield Finding(
                object=str(key),
                expected=f"annotations for the names in its list: {', '.join(wanted)}",
                observed=", ".join(seen) or "none",
                why="operators cannot scope restarts to the workloads that a change concerns",
                remedy="annotate each workload for the names alone that its list has",
            )
