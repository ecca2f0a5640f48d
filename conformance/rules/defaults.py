"""Defaults: one that changes or goes is told, because a rollback brings the old one back."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from conformance.checks import EXTENDED, Finding, rule
from conformance.kube_yaml import mapping
from conformance.manifests import Manifests, difference
from conformance.render import metadata_of
from conformance.rules.baseline_values import defaults as defaults_of
from conformance.rules.change_notes import notes
from conformance.rules.inputs import Defaults
from conformance.wording import short

#: Keys whose value says which image runs: another one is what a release is for.
_IMAGES = frozenset({"appVersion", "digest", "image", "registry", "repository", "tag", "version"})
_LONGEST = 80
_LABEL = re.compile(r"(^|\.)metadata\.(labels|annotations)\b")


@dataclass(frozen=True)
class _Changed:
    """One default that is another in the candidate, or is not there any more."""

    path: tuple[str, ...]
    before: Any
    after: Any
    gone: bool

    @property
    def dotted(self) -> str:
        return ".".join(self.path)


@rule(
    "render/default-changes-told", level=EXTENDED, needs=("baseline",),
    seed='000 "Rollback reintroduces old defaults unexpectedly: document default changes"',
)  # fmt: skip
def default_changes_told(defaults: Defaults) -> Iterator[Finding]:
    """Every default that is gone, or changes what the same values render to, is named in the chart's notes.

    Notes are the lines and sections of README, CHANGELOG and the like, and of the changes in Chart.yaml, about the
    versions since the baseline. New defaults, images and defaults that no template asks for need no note: they
    surprise nobody.
    """
    before, after = (version.rendering.chart for version in (defaults.before, defaults.after))
    changed = list(_changes(defaults_of(before), defaults_of(after), ()))
    if not changed:
        return
    told = notes(after, since=metadata_of(before)[1], until=metadata_of(after)[1])
    effective = _effective(defaults.after.manifests, defaults.reused.manifests)
    used_before, used_after = _templates(before), _templates(after)
    for one in changed:
        if _named(one, told) or not _mentions(used_before, one):
            continue
        if one.gone and not _mentions(used_after, one):
            yield _finding(
                defaults, one, "there is no such value any more, and no template asks for it",
                "whoever sets it is not heard from the upgrade on, and heard again after the rollback",
            )  # fmt: skip
        elif effective:
            now = "there is no such default any more" if one.gone else f"it is {_short(one.after)}"
            yield _finding(
                defaults, one, now,
                "the same values render to something else, and the rollback brings the old behavior back unasked",
            )  # fmt: skip


def _finding(defaults: Defaults, one: _Changed, observed: str, why: str) -> Finding:
    return Finding(
        object=f"Value/{one.dotted}",
        expected=f"{_short(one.before)}, as in {defaults.before.said}, or a note that names {one.dotted}",
        observed=f"{observed} in {defaults.after.said}, and nothing about this version names it",
        why=why,
        remedy=f"name {one.dotted} and both values in the README or CHANGELOG, in the part about this version",
    )


def _changes(before: dict[str, Any], after: dict[str, Any], path: tuple[str, ...]) -> Iterator[_Changed]:
    for name, was in before.items():
        here, now = (*path, name), after.get(name)
        if name not in after:
            if not (name in _IMAGES and not isinstance(was, dict)):
                yield _Changed(here, was, None, gone=True)
        elif isinstance(was, dict) and isinstance(now, dict):
            yield from _changes(was, now, here)
        elif was != now and name not in _IMAGES:
            yield _Changed(here, was, now, gone=False)


def _effective(own: Manifests, reused: Manifests) -> bool:
    """Say whether the baseline's defaults make another rendering, images and labels apart."""
    if own.keys() != reused.keys():
        return True
    return any(
        not change.path.endswith((".image", ".imagePullPolicy")) and not _LABEL.search(change.path)
        for mine, theirs in own.paired_with(reused)
        for change in difference(mine.body, theirs.body)
    )


def _templates(chart: Path) -> str:
    """Return the text of every template and helper of a chart, its subcharts' and its values' own (`tpl`) too."""
    files = [file for folder in ("templates", "charts") for file in sorted((chart / folder).rglob("*"))]
    return "\n".join(_text(file) for file in files if file.suffix in {".json", ".tpl", ".txt", ".yaml", ".yml"})


def _mentions(templates: str, one: _Changed) -> bool:
    """Say whether templates ask for a value: by its name, or as a part of a mapping that they take whole."""
    names = [re.escape(name) for name in one.path]
    outer = [r"\.".join(names[:depth]) for depth in range(1, len(names))]
    wholes = [rf"\.Values\.{name}(?![\w.])" for name in outer]
    return any(re.search(found, templates) for found in (rf"\b{names[-1]}\b", *wholes))


def _named(one: _Changed, told: str) -> bool:
    """Say whether a text names a value by its path, or by its own name or an outer one's as code."""
    if re.search(rf"(?<![\w.]){re.escape(one.dotted)}(?![\w-])", told):
        return True
    last = re.escape(one.path[-1])
    return bool(re.search(rf"`[^`\n]*\b{last}\b[^`\n]*`", told)) or (
        len(one.path) > 1 and bool(re.search(rf"`{re.escape('.'.join(one.path[:-1]))}`", told))
    )


def _short(value: Any) -> str:  # noqa: ANN401
    if value is None or value in ("", {}, []):
        return "nothing"
    text = repr(value) if not isinstance(value, dict) else ", ".join(mapping(value))
    return short(text, _LONGEST)


def _text(file: Path) -> str:
    try:
        return file.read_text(errors="replace") if file.is_file() else ""
    except OSError:
        return ""
