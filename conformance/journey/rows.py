"""Unusual inputs of checksums, each tried on the release: what was said of it, and in which state it ended."""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from conformance.api import ApiRefusal
from conformance.errors import Incomplete
from conformance.helm import Deployed
from conformance.journey.held import Fresh, checksum, secret
from conformance.journey.rotating import GIVEN, Rotator
from conformance.journey.rotation import Rotated, Step
from conformance.journey.watched import Watched, mounted
from conformance.observe.rollout import why_not_ready
from conformance.observe.timeline import Timeline
from conformance.redact import REDACTOR

#: Bytes of a Secret's values, together, that the API server takes at most (Kubernetes: `MaxSecretSize`).
LARGEST = 2**20
#: How many entries a long list has (issue: 50).
ENTRIES = 50
_IMMUTABLE, _ABSENT, _EMPTY = "conformance-immutable", "conformance-absent", "conformance-empty"
_ENTRY = "conformance-entry-{}"


@dataclass(frozen=True)
class Row:
    """One input and its end. `message` is what was said where it is refused or waited for, None if nothing was.

    `told` says whether a message is due; `listed` are further names in the lists, whose annotations are due.
    """

    input: str
    step: Step
    told: bool = False
    message: str | None = None
    listed: Sequence[str] = ()


def rows(rotator: Rotator, used: Sequence[Watched]) -> Iterator[Row]:
    """Try each input, one after the other; those with a mounted Secret only where the chart mounts a watched one.

    Raises `Incomplete` where every watched Secret is made by the chart.
    """
    outside = [one for one in used if one.kind == "Secret" and one.data is None]
    if not outside or rotator.values.secrets is None:
        raise Incomplete("the contract declares no list of Secrets with one that the chart does not make")
    rotator.ask(looked_up=frozenset())
    yield _immutable(rotator)
    rotator.ask(more=())
    yield _missing(rotator, outside[0])
    if volume := next((one for one in outside if any(mounted(found, one) for found in rotator.workloads())), None):
        yield _changed(rotator, volume, "a mounted Secret of 1 MiB", _large(len(rotator.held.hashes(volume))))
        yield _changed(rotator, volume, "a mounted Secret with binary data", _binary)
    yield _listed(rotator, "a name in the list that nothing has", [_ABSENT])
    rotator.held.make(Watched("Secret", _EMPTY, "", None), {})
    yield _listed(rotator, "a Secret in the list without data", [_EMPTY])
    yield _listed(rotator, f"{ENTRIES} further entries in the list", list(map(_ENTRY.format, range(ENTRIES))))
    rotator.ask(more=(), looked_up=frozenset())


def _immutable(rotator: Rotator) -> Row:
    """Try to change one, then take it away and make it again, with another checksum.

    No pod uses it: kubelets keep what is immutable for as long as a pod of the node uses it, also when it is made
    again (Kubernetes: "Immutable Secrets"), which no chart can help.
    """
    of = Watched("Secret", _IMMUTABLE, rotator.checksums.secret_annotation.replace("<name>", _IMMUTABLE), None)
    fixed = {"immutable": True, "data": {"value": ""}}
    rotator.held.make(of, fixed)
    rotator.ask(more=(of.name,), checksums={**rotator.asked.checksums, str(of): checksum()})
    before = rotator.upgrade("upgrade with an immutable Secret in the list")
    refusal = None
    try:
        rotator.held.rotate(of)
    except ApiRefusal as said:
        refusal = said.message
    rotator.held.take(of)
    rotator.held.make(of, fixed)
    rotator.ask(checksums={**rotator.asked.checksums, str(of): checksum()})
    annotated = frozenset(key for key, found in before.annotations.items() if of.annotation in found)
    rotated = Rotated(of, GIVEN, {}, {}, {}, annotated, frozenset())
    step = rotator.upgrade("rotation of an immutable Secret, made again", rotated=[rotated])
    return Row("an immutable Secret", step, told=True, message=refusal, listed=[of.name])


def _missing(rotator: Rotator, of: Watched) -> Row:
    """Let new pods wait for it, and say so, while the old ones serve; give it back, so that they start."""
    said: list[str] = []
    rotated = rotator.rotate(of)

    def act(seen: Timeline) -> Deployed:
        taken = rotator.held.take(of)
        done = rotator.upgrade_unwatched()
        seen.until(lambda: _waiting(seen, of), rotator.deadlines.run_begun.seconds)
        said.extend(_waiting(seen, of))
        rotator.held.make(of, {"data": taken.get("data") or {}})
        return done

    step = rotator.step("upgrade with a Secret that is missing and comes later", act)
    step = dataclasses.replace(step, rotated=[rotated])
    return Row("a missing Secret", step, told=True, message=said[0] if said else None)


def _waiting(seen: Timeline, of: Watched) -> list[str]:
    new = [story.last for story in seen.stories("Pod") if not story.before]
    events = [story.last for story in seen.stories("Event")]
    return [line for line in why_not_ready(new, events) if of.name in line]


def _changed(rotator: Rotator, of: Watched, what: str, fresh: Fresh) -> Row:
    rotated = rotator.rotate(of, fresh)
    return Row(what, rotator.upgrade(f"rotation to {what}", rotated=[rotated]))


def _listed(rotator: Rotator, what: str, names: Sequence[str]) -> Row:
    """Put names into the list: many with checksums, one alone as it is, which is looked up where the chart can."""
    keys = [f"Secret/{name}" for name in names]
    if len(names) > 1:
        rotator.ask(checksums={**rotator.asked.checksums, **{key: checksum() for key in keys}})
    rotator.ask(more=tuple(names), looked_up=frozenset(keys if len(names) == 1 else ()))
    step = rotator.upgrade(f"upgrade with {what}")
    # What is looked up and not there, or empty, need not make an annotation; a checksum that is given must.
    return Row(what, step, listed=names if len(names) > 1 else ())


def _large(keys: int) -> Fresh:
    """Return what makes a Secret with some keys as large as it can be."""

    def fresh(_of: Watched, _key: str, _value: bytes) -> bytes:
        return secret().encode().ljust(LARGEST // keys, b".")

    return fresh


def _binary(_of: Watched, _key: str, _value: bytes) -> bytes:
    made = b"\xff\x00" + secrets.token_bytes(62)
    REDACTOR.add(made)
    return made
