"""What Helm's own linter says."""

from __future__ import annotations

import re
from collections.abc import Iterator

from conformance.checks import EXTENDED, Finding, rule
from conformance.rules.inputs import Linted
from conformance.wording import several

_MOST = 5
#: A List has no name, and Kubernetes wants none; the linter takes it for an object.
_NAMELESS = re.compile(r'^\[WARNING\] (?P<file>\S+): object name does not conform [^"]*"": ')
_LIST = re.compile(r"^kind: \w*List\s*$", re.MULTILINE)


@rule("render/lint-clean", level=EXTENDED, seed="000 Render exactly like Argo CD: helm lint")
def lint_clean(linted: Linted) -> Iterator[Finding]:
    """`helm lint --strict` has nothing to say: no error, and no warning.

    A List without a name is left alone: the linter warns of it, Kubernetes does not.
    """
    text = linted.version.rendering.text
    problems = [found for found in dict.fromkeys(linted.problems) if not _about_a_list(found, text)]
    if problems:
        yield Finding(
            object=f"Chart/{linted.version.rendering.name}",
            expected="`helm lint --strict` without a complaint",
            observed=several(problems, _MOST),
            why="what the linter warns of today the next Helm or Kubernetes refuses, on the day of a rollback too",
            remedy="mend what it names",
        )


def _about_a_list(problem: str, text: str) -> bool:
    """Say whether a problem is the missing name of a List in a rendered text."""
    nameless = _NAMELESS.match(problem)
    if nameless is None:
        return False
    documents = re.split(r"^---", text, flags=re.MULTILINE)
    return any(_LIST.search(found) for found in documents if f"/{nameless['file']}\n" in found)
