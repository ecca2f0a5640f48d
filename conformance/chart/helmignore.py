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
    """Return the regular expression of a pattern as Go's filepath.Match reads it."""
    words, at = [], 0
    while at < len(glob):
        character = glob[at]
        at += 1
        if character == "*":
            words.append("[^/]*")
        elif character == "?":
            words.append("[^/]")
        elif character == "\\":
            if at == len(glob):
                raise re.error("nothing follows the backslash")
            words.append(re.escape(glob[at]))
            at += 1
        elif character == "[":
            found = re.compile(r"\^?(?:\\.|[^\]\\])+\]").match(glob, at)
            if found is None:
                raise re.error("a bracket is not closed")
            inside = re.sub(r"([\[&~|])", r"\\\1", found.group()[:-1])
            words.append(f"(?!/)[{inside}]")
            at = found.end()
        else:
            words.append(re.escape(character))
    return "".join(words)
