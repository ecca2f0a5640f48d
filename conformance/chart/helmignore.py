"""Which files of a chart's folder belong to the chart: .helmignore, as Helm reads it.

It resembles .gitignore and differs: the first rule that matches decides, `**` is not known, `*` never
crosses a slash, and a negated rule drops everything that it does *not* match
(https://helm.sh/docs/chart_template_guide/helm_ignore_file/).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePosixPath


@dataclass(frozen=True)
class _Rule:
    matches: Callable[[str], bool]
    negated: bool
    folders_only: bool


class Ignore:
    """The rules of one .helmignore; without any, only dot files directly in templates/ are left out."""

    def __init__(self, text: str = "") -> None:
        """Read the rules. Raises `ValueError` with the line's number for one that Helm refuses."""
        self._rules: list[_Rule] = []
        for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), 1):
            rule = line.strip()
            if not rule or rule.startswith("#"):
                continue
            if "**" in rule:
                raise ValueError(f"line {number}: expected a pattern without **, seen {rule}")
            try:
                self._rules.append(_read(rule))
            except re.error:
                raise ValueError(f"line {number}: expected a pattern that Helm can read, seen {rule}") from None
        self._rules.append(_read("templates/.?*"))

    def ignores(self, path: str, *, folder: bool) -> bool:
        """Say whether a path below the chart's folder is left out; a left-out folder's content is, too."""
        for rule in self._rules:
            if rule.negated:
                if (rule.folders_only and not folder) or not rule.matches(path):
                    return True
            elif (folder or not rule.folders_only) and rule.matches(path):
                return True
        return False


def _read(rule: str) -> _Rule:
    negated, rule = rule.startswith("!"), rule.removeprefix("!")
    folders_only, rule = rule.endswith("/"), rule.removesuffix("/")
    pattern = re.compile(_translated(rule.removeprefix("/")), re.DOTALL)

    def whole(path: str) -> bool:
        return pattern.fullmatch(path) is not None

    def name(path: str) -> bool:
        return pattern.fullmatch(PurePosixPath(path).name) is not None

    return _Rule(whole if "/" in rule else name, negated, folders_only)


def _translated(glob: str) -> str:
    """Return the regular expression of a pattern as Go's filepath.Match reads it. Raises `re.error`."""
    words, at = [], 0
    while at < len(glob):
        if glob[at] == "[":
            word, at = _class(glob, at + 1)
        elif glob[at] in "*?":
            word, at = "[^/]*" if glob[at] == "*" else "[^/]", at + 1
        else:
            character, at = _character(glob, at)
            word = re.escape(character)
        words.append(word)
    return "".join(words)


def _class(glob: str, at: int) -> tuple[str, int]:
    """Return the expression of a class that begins at a place, and the place behind it; `[b-a]` holds nothing."""
    negated = glob.startswith("^", at)
    at += negated
    ranges: list[str] = []
    while not ranges or not glob.startswith("]", at):
        if glob.startswith(("-", "]"), at):
            raise re.error("a range begins with a character")
        first, at = _character(glob, at)
        last = first
        if glob.startswith("-", at):
            if glob.startswith(("-", "]"), at + 1):
                raise re.error("a range ends with a character")
            last, at = _character(glob, at + 1)
        ranges.append(f"{re.escape(first)}-{re.escape(last)}" if first <= last else "")
    inside = "".join(ranges)
    if negated:
        return (f"[^{inside}]" if inside else "."), at + 1
    return (f"[{inside}]" if inside else "(?!)"), at + 1


def _character(glob: str, at: int) -> tuple[str, int]:
    """Return the character at a place, without its backslash, and the place behind it."""
    at += glob.startswith("\\", at)
    if at >= len(glob):
        raise re.error("the pattern ends too early")
    return glob[at], at + 1
