"""What a chart's own texts say about some of its versions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import semver

from conformance.kube_yaml import NotYaml, at, read

_NAMES = re.compile(
    r"^(readme|change|history|news|release|upgrad|migrat).*\.(md|markdown|txt|rst|adoc)$", re.IGNORECASE
)
_VERSION = re.compile(r"(?<![\w.])v?(\d+\.\d+(?:\.\d+)?(?:-[0-9A-Za-z.-]+)?)(?![\w])")
_HEADING = re.compile(r"^(#{1,6})\s+(.*)$")
_CHANGES = ("annotations", "artifacthub.io/changes")


def notes(chart: Path, *, since: str, until: str) -> str:
    """Return what a chart's texts say about the versions after `since`, up to and with `until`.

    A line that names such a version counts, and every line below a heading that does; so do the changes that
    Chart.yaml tells of.
    """
    found: list[str] = []
    for file in sorted(chart.rglob("*")):
        if file.is_file() and _NAMES.match(file.name) and "charts" not in file.relative_to(chart).parts:
            found += _about(file.read_text(errors="replace"), since, until)
    return "\n".join([*found, _told_in_metadata(chart)])


def readme_of(chart: Path) -> str | None:
    """Return the text of a chart's README, None where it has none."""
    found = sorted(file for file in chart.iterdir() if file.is_file() and file.name.lower() == "readme.md")
    return found[0].read_text(encoding="utf-8", errors="replace") if found else None


def _about(text: str, since: str, until: str) -> Iterator[str]:
    level = 0  # of the heading that we are below, if it is about such a version
    for line in text.splitlines():
        if heading := _HEADING.match(line):
            depth = len(heading[1])
            if level and depth <= level:
                level = 0
            if not level and _names(heading[2], since, until):
                level = depth
        if level or _names(line, since, until):
            yield line


def _names(line: str, since: str, until: str) -> bool:
    lowest, highest = _parsed(since), _parsed(until)
    for found in _VERSION.findall(line):
        version = _parsed(found)
        if found == until:
            return True
        if version and lowest and highest and lowest < version <= highest:
            return True
    return False


def _parsed(text: str) -> semver.Version | None:
    try:
        return semver.Version.parse(text.removeprefix("v"), optional_minor_and_patch=True)
    except (ValueError, TypeError):
        return None


def _told_in_metadata(chart: Path) -> str:
    try:
        return str(at(read((chart / "Chart.yaml").read_text()), _CHANGES) or "")
    except (OSError, NotYaml):
        return ""
