"""Workloads that must never migrate the database cannot be made to by values."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from conformance.checks import CORE, EXTENDED, Finding, rule
from conformance.contract import Migrations, declared
from conformance.environment import Seen
from conformance.refusal import Refusal
from conformance.render import Rendering
from conformance.rules.migration_values import Spelling, elsewhere, settings, spellings
from conformance.rules.trials import Settings, Trials, sees, told
from conformance.wording import several

_MOST_SHOWN = 8
_WHY = (
    "a variable that is missing or that the application does not know means auto: these workloads would apply "
    "migrations beside the one that may"
)
#: The ways to be wrong about a spelling, in the words of what is expected: why it matters, and what mends it.
_RENDERED = "no rendering where {key} is anything but {listed}"
_UNCLEAR = "a refusal that names the variable of {key}, and says what it may be"
_REFUSED = "a rendering where {key} is one of {listed}, in any case and with space around it"
_ONE_OF_THEM = "{key}, as text, trimmed and in lower case, is one of {listed}"
_DEFECTS = {
    _RENDERED: (_WHY, f"let the templates fail unless {_ONE_OF_THEM}; null and empty text are none of them"),
    _UNCLEAR: (
        "whoever meets the refusal has to find out what is wrong, and what to write instead",
        "compare the value as text, and name {key} and its spellings {listed} in the template's `fail`",
    ),
    _REFUSED: (
        "the application reads these as skip: a sound configuration cannot be installed",
        f"refuse nothing where {_ONE_OF_THEM}",
    ),
}
#: What text/template says when a template fails by accident; `fail`, `required` and the schema say it otherwise.
_ACCIDENT = re.compile(
    r"wrong type for value|incompatible types|invalid value; expected|can't evaluate|nil pointer"
)


@rule(
    "migrations/render-refuses-non-skip",
    level=CORE,
    seed="003 Validation: fail render if it is set to any non-skip value",
    needs=("migrations",),
)
def render_refuses_non_skip(trials: Trials) -> Iterator[Finding]:
    """Values that would let the controllers migrate do not render, with a reason; spellings of skip do."""
    migrations = _migrations(trials)
    wrong: dict[str, list[str]] = {}
    for spelling, rendering in _tried(trials, migrations):
        if found := _misjudged(trials, spelling, rendering):
            defect, observed = found
            wrong.setdefault(defect, []).append(f"{_shown(spelling)}: {observed}")
    key, listed = migrations.at(migrations.controllers), ", ".join(migrations.skip)
    for defect, observations in wrong.items():
        why, remedy = _DEFECTS[defect]
        yield Finding(
            object=f"Chart/{trials.name}",
            expected=defect.format(key=key, listed=listed),
            observed=several(observations, _MOST_SHOWN),
            why=why,
            remedy=remedy.format(key=key, listed=listed),
        )


def _misjudged(trials: Trials, spelling: Spelling, rendering: Rendering) -> tuple[str, str] | None:
    """Return in which way a chart is wrong about one spelling, and what it does; None where it is right."""
    migrations = _migrations(trials)
    if spelling.skips:
        # A chart may well take nothing but text.
        return (_REFUSED, str(rendering.refusal)) if rendering.refusal and spelling.plain else None
    if rendering.refusal is not None:
        return None if _explains(rendering.refusal, spelling, migrations) else (_UNCLEAR, str(rendering.refusal))
    seen = _seen_by(trials, rendering)
    if spelling.removable and all(_skips(found, migrations) for _, found in seen):
        return None  # Helm removed it, and the default took its place
    return _RENDERED, "; ".join(f"{name} then sees {found}" for name, found in seen)


@rule(
    "migrations/explicit-skip-kept",
    level=CORE,
    seed="003 Config Mapping: the controllers' own variable",
    needs=("migrations",),
)
def explicit_skip_kept(trials: Trials) -> Iterator[Finding]:
    """Each spelling of skip that the values give the controllers is the one that their container gets."""
    migrations = _migrations(trials)
    key = migrations.at(migrations.controllers)
    wrong: dict[str, list[str]] = {}
    for spelling, rendering in _tried(trials, migrations):
        if not spelling.skips or (rendering.refusal is not None and not spelling.plain):
            continue
        for name, seen in _seen_by(trials, rendering):
            kept = seen.text is not None and _same(seen.text, str(spelling.text))
            if not kept:
                said = f"the chart refuses it: {rendering.refusal}" if rendering.refusal else str(seen)
                wrong.setdefault(name, []).append(f"{_shown(spelling)}: {said}")
    for name, observed in wrong.items():
        yield Finding(
            object=name,
            expected=f"{migrations.variable} as {key} says it",
            observed=several(observed, _MOST_SHOWN),
            why="what is written is not what runs: nobody can tell from the values in which mode the workload is",
            remedy=f"set the default only where {key} is absent (hasKey), and hand on every other value",
        )


@rule(
    "migrations/rendered-default-skips",
    level=EXTENDED,
    seed="003 Current State: default of the controllers when it is not set for them",
    needs=("migrations",),
)
def rendered_default_skips(trials: Trials) -> Iterator[Finding]:
    """Where the values say nothing for the controllers they are rendered to skip, whatever is said elsewhere."""
    migrations = _migrations(trials)
    tried: list[Settings] = elsewhere(migrations)
    given = [(f"values {found.values}", found) for _, found in trials.as_given() if found.refusal is None]
    found = [*given, *((told(setting), made) for setting, made in zip(tried, trials.render(tried), strict=True))]
    wrong: dict[str, list[str]] = {}
    for said, rendering in found:
        if rendering.refusal is not None:
            continue  # what is refused migrates nothing
        for name, seen in _seen_by(trials, rendering):
            if not _skips(seen, migrations):
                wrong.setdefault(name, []).append(f"with {said}: {seen}")
    for name, observed in wrong.items():
        yield Finding(
            object=name,
            expected=f"{migrations.variable} is one of {', '.join(migrations.skip)} in its own environment",
            observed=several(observed, _MOST_SHOWN),
            why=_WHY,
            remedy=f"set {migrations.variable}: {migrations.skip[0]} in `env` of these workloads, above all that "
            "is shared, unless their own values set it",
        )


def plan(trials: Trials) -> list[Settings]:
    """Return every setting that the rules of this module will ask for."""
    migrations = trials.contract.migrations
    if migrations is None:
        return []
    return [*(settings(migrations, spelling) for spelling in spellings(migrations)), *elsewhere(migrations)]


def _migrations(trials: Trials) -> Migrations:
    return declared(trials.contract.migrations, "`migrations`")


def _tried(trials: Trials, migrations: Migrations) -> Iterator[tuple[Spelling, Rendering]]:
    tried = spellings(migrations)
    return zip(tried, trials.render(settings(migrations, spelling) for spelling in tried), strict=True)


def _seen_by(trials: Trials, rendering: Rendering) -> list[tuple[str, Seen]]:
    """Return what each of the workloads that must not migrate sees of the variable."""
    migrations = _migrations(trials)
    return [
        (
            str(manifest.key if manifest else f"{workload.kind}/{workload.name}"),
            sees(migrations.variable, workload, manifest, rendering) if manifest else Seen(),
        )
        for workload, manifest in trials.of_roles(rendering, [migrations.controllers_role])
    ]


def _skips(seen: Seen, migrations: Migrations) -> bool:
    return not seen.unseen and migrations.skips(seen.text)


def _same(one: str, other: str) -> bool:
    """Trimming and lowering are no other value to the application."""
    return one.strip().lower() == other.strip().lower()


def _explains(refusal: Refusal, spelling: Spelling, migrations: Migrations) -> bool:
    words = filter(str.isalpha, migrations.skip)  # a number may stand anywhere
    names_fix = any(re.search(rf"(?<![\w-]){word}(?!\w)", refusal.message) for word in words)
    by_accident = _ACCIDENT.search(refusal.message) is not None
    typed = not isinstance(
        spelling.value, str
    )  # for a wrong type the right type is fix enough, as a schema says it
    return migrations.variable in refusal.message and not by_accident and (names_fix or typed)


def _shown(spelling: Spelling) -> str:
    return json.dumps(spelling.value)
