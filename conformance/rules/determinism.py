"""The same chart and values give the same bytes: nobody's machine, clock or luck has a say."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from conformance.checks import CORE, Finding, rule
from conformance.manifests import Change, Manifest, ObjectKey, difference
from conformance.render import Rendering
from conformance.rules.inputs import Repeats
from conformance.rules.surroundings import CLOCK, NETWORK, RANDOM, UNORDERED, suspects
from conformance.wording import several, short

#: More findings or fields of one object than these tell nobody anything more.
MOST_FINDINGS = 8
_MOST_FIELDS = 3
_LONGEST_VALUE = 60

_EXPECTED = "the same bytes from every rendering, whoever makes it, where and when"
_REMEDIES = {
    RANDOM: "{used} gives another value each time: take it from a value or from a Secret that exists already "
    "(`lookup` is no way out: it finds nothing under `helm template` and Argo CD)",
    CLOCK: "{used} follows the renderer's clock and time zone: drop it; to roll pods when their configuration "
    "changes, annotate them with its sha256sum",
    UNORDERED: "{used} has no order: pipe it through sortAlpha",
    NETWORK: "{used} asks the network: take the address from a value",
}
_UNKNOWN = "let values and the chart's own files alone decide this field"


@dataclass
class _Differing:
    """One object that differs, with its template and what differs where."""

    source: str
    changes: dict[str, str] = field(default_factory=dict)


@rule("render/deterministic", level=CORE, seed="001 deterministic rollout; public report argo-cd#5202")
def deterministic(repeats: Repeats) -> Iterator[Finding]:
    """Five renderings, in other time zones, homes, folders and seconds, are equal to the byte."""
    plain, *others = repeats.renderings
    found: dict[ObjectKey, _Differing] = {}
    for other in others:
        if other.refusal is not None or plain.refusal is not None:
            if (other.refusal is None) != (plain.refusal is None):
                yield _refused(plain, other)
                return
        elif other.text != plain.text:
            for key, source, path, text in _differences(plain, other):
                found.setdefault(key, _Differing(source)).changes.setdefault(path, text)
    if not found and any(other.text != plain.text for other in others):
        yield _in_text_only(plain, next(other for other in others if other.text != plain.text))
    for key, differing in list(found.items())[:MOST_FINDINGS]:
        yield _finding(plain, key, differing, len(found))


def _differences(plain: Rendering, other: Rendering) -> Iterator[tuple[ObjectKey, str, str, str]]:
    """Yield object, template, field and sentence for each field in which two renderings differ."""
    lost = [manifest for manifest in plain.manifests if manifest.key not in other.manifests]
    new = [manifest for manifest in other.manifests if manifest.key not in plain.manifests]
    for manifest in lost:
        twin = next((found for found in new if _like(found, manifest)), None)
        seen = f"is {twin.name}" if twin else "is not there at all"
        yield manifest.key, manifest.source, "name", f"its name {seen} {other.surroundings.name}"
    for manifest in new if len(new) > len(lost) else ():
        yield manifest.key, manifest.source, "name", f"it is only there {other.surroundings.name}"
    for mine, theirs in plain.manifests.paired_with(other.manifests):
        for change in difference(mine.body, theirs.body):
            yield mine.key, mine.source, change.path, _sentence(change, other)


def _like(one: Manifest, another: Manifest) -> bool:
    return (one.kind, one.source, one.namespace) == (another.kind, another.source, another.namespace)


def _sentence(change: Change, other: Rendering) -> str:
    was, now = _short(change.expected), _short(change.observed)
    return f"{change.path} is {was}, and {now} {other.surroundings.name}"


def _short(value: object) -> str:
    return short(repr(value), _LONGEST_VALUE)


def _finding(plain: Rendering, key: ObjectKey, differing: _Differing, objects: int) -> Finding:
    used = list(suspects(plain.chart, differing.source))
    seen = several(list(differing.changes.values()), _MOST_FIELDS, "more fields")
    seen += f"; {objects} objects differ in all" if objects > MOST_FINDINGS else ""
    return Finding(
        object=str(key),
        expected=_EXPECTED,
        observed=seen,
        why="a rendering that differs from itself rolls pods without a change, makes GitOps report a difference "
        "for ever, and cannot be restored by reverting a commit",
        remedy=_remedy(used),
    )


def _remedy(used: list[tuple[str, str]]) -> str:
    for functions, advice in _REMEDIES.items():
        guilty = [(file, name) for file, name in used if name in functions]
        if guilty:
            names = " and ".join(dict.fromkeys(f"`{name}`" for _, name in guilty))
            return advice.format(used=f"{names} in {guilty[0][0]}")
    return _UNKNOWN


def _in_text_only(plain: Rendering, other: Rendering) -> Finding:
    lines = zip(plain.text.splitlines(), other.text.splitlines(), strict=False)
    number, (was, now) = next(
        ((at, pair) for at, pair in enumerate(lines, start=1) if pair[0] != pair[1]), (0, ("", "another length"))
    )
    return Finding(
        object=f"Chart/{plain.name}",
        expected=_EXPECTED,
        observed=f"line {number} of the rendering is {_short(was)}, and {_short(now)} {other.surroundings.name}",
        why="the objects are equal, but their text is not: whatever hashes or stores the rendering sees a change",
        remedy=_remedy(list(suspects(plain.chart, ""))),
    )


def _refused(plain: Rendering, other: Rendering) -> Finding:
    refusal = other.refusal or plain.refusal
    refusing = other if other.refusal else plain
    return Finding(
        object=f"Chart/{plain.name}",
        expected=_EXPECTED,
        observed=f"it does not render {refusing.surroundings.name}: {refusal}",
        why="whether the chart renders at all depends on who renders it",
        remedy=_remedy(list(suspects(plain.chart, (refusal.file if refusal else None) or ""))),
    )
