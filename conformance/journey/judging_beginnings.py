"""What first installs, and features turned on and off, say of the chart's promises."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator

from conformance.checks import Finding
from conformance.errors import Incomplete
from conformance.journey import judging
from conformance.journey.beginnings import Adoption, Recovered, Switched
from conformance.journey.judging_mishaps import kept_until_next_run
from conformance.manifests import ObjectKey, difference, normalise


def adopted(adoptions: Iterable[Adoption]) -> Iterator[Finding]:
    """Yield each Service of somebody else's that an install took over or changed, or refused without a name.

    Raises `Incomplete` where the chart makes no such Service.
    """
    for adoption in adoptions:
        key, stage = ObjectKey.of(adoption.before), adoption.stage
        if stage.failure is None and key not in stage.declared.keys() | stage.hooks.keys():
            raise Incomplete(f"{key} is declared in the contract, and the chart makes none")
        if changed := _changed(adoption):
            yield Finding(
                object=str(key),
                expected="as it was: it is somebody else's, and no part of any release",
                observed=changed,
                why="an install took what it did not own",
                remedy="make it an ordinary object of the release, of which Helm asks first whose it is; hooks "
                "are deleted and made anew without a question",
            )
        elif stage.failure is None or key.name not in stage.failure:
            yield Finding(
                object=str(key),
                expected="the install is refused, naming the object that is in its way",
                observed=stage.failure or f"revision {stage.revision} was made",
                why="nobody is told that an object of the chart's name is somebody else's",
                remedy="declare the object in a template, without conditions on what is in the cluster (lookup)",
            )


def _changed(adoption: Adoption) -> str:
    was, now = adoption.before, adoption.after
    if now is None:
        return "it is gone"
    if was["metadata"]["uid"] != now["metadata"]["uid"]:
        return f"it was made anew, uid {now['metadata']['uid']}"
    return "\n".join(map(str, difference(normalise(was), normalise(now))))


def not_recovered(recovered: Recovered) -> Iterator[Finding]:
    """Yield what a failed first install kept from being ready or as declared, and what it left over.

    Raises `Incomplete` where the first install did not fail.
    """
    failed, stage = recovered.failed, recovered.stage
    if failed.made is None:
        raise Incomplete(f"no revision was made of the {failed}: {failed.failure}")
    for finding in judging.not_ready(stage):
        yield dataclasses.replace(
            finding,
            why="after a first install that failed, the same release cannot be upgraded with the right values",
            remedy="let nothing stand in the template of an object that cannot be changed, such as a Job's, that "
            "values may correct; or give the object a name that changes with it",
        )
    yield from judging.not_restored(stage, stage, recovered.deviations)
    excused = {*stage.hooks.keys(), *kept_until_next_run(failed)}
    for deviation in recovered.deviations:
        if deviation.left_over and deviation.key not in excused:
            yield Finding(
                object=str(deviation.key),
                expected=f"absent: {stage.declared_by} does not declare it",
                observed="it lives after the upgrade that followed a failed first install",
                why="left over by a first install that failed",
                remedy="let the release own it, or give a hook the delete policy before-hook-creation",
            )


def not_switched_off(switched: Iterable[Switched]) -> Iterator[Finding]:
    """Yield whatever is not as before once a values set was turned on and off again."""
    for one in switched:
        yield from judging.not_ready(one.off)
        found = (
            *judging.not_restored(one.before, one.off, one.deviations),
            *judging.left_over(one.before, one.off, one.deviations),
        )
        for finding in found:
            yield dataclasses.replace(
                finding, why=f"turning values set {one.name} on and off again needs cleaning up by hand"
            )
