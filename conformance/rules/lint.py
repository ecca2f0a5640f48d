"""What Helm's own linter says."""

from __future__ import annotations

from collections.abc import Iterator

from conformance.checks import EXTENDED, Finding, rule
from conformance.rules.inputs import Linted

_MOST = 5


@rule("render/lint-clean", level=EXTENDED, seed="000 Render exactly like Argo CD: helm lint")
def lint_clean(linted: Linted) -> Iterator[Finding]:
    """`helm lint --strict` has nothing to say: no error, and no warning."""
    problems = list(dict.fromkeys(linted.problems))
    if problems:
        more = f"; and {len(problems) - _MOST} more" if len(problems) > _MOST else ""
        yield Finding(
            object=f"Chart/{linted.version.rendering.name}",
            expected="`helm lint --strict` without a complaint",
            observed="; ".join(problems[:_MOST]) + more,
            why="what the linter warns of today the next Helm or Kubernetes refuses, on the day of a rollback too",
            remedy="mend what it names",
        )
