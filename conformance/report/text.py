"""What the terminal says of each check and of the run."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from conformance.checks import Check, Finding, Outcome
from conformance.report.result import CheckResult, verdict

#: Columns of a terminal nobody has widened.
WIDTH = 80


def described(check: Check) -> Iterator[str]:
    """Yield the lines that tell what a check is: id, level, needs, what it proves and its seed."""
    needs = f"needs {', '.join(check.needs)}" if check.needs else ""
    yield f"{check.id:<36} {check.level:<9} {needs}".rstrip()
    yield from _wrapped(check.about, "    ")
    yield from _wrapped(f"seed: {check.seed}", "    ", hanging=10)


def lines_of(result: CheckResult, report: str, again: str) -> Iterator[str]:
    """Yield the lines that tell one check's end; a pass is one line.

    `report` is the report folder as the caller knows it, `again` the command that ran the checks.
    """
    seconds = f"{result.seconds:.1f} s"
    yield f"{result.outcome.upper():10} {result.id:<{WIDTH - 12 - len(seconds)}} {seconds}"
    if result.reason:
        yield from _wrapped(result.reason, "  ")
    for finding in result.findings:
        yield from finding_lines(finding)
    if result.outcome is Outcome.FAIL:
        if result.evidence:
            yield f"  evidence   {report}/{result.evidence}/"
        yield from _wrapped(f"reproduce  {again}", "  ", hanging=13)


def finding_lines(finding: Finding) -> Iterator[str]:
    """Yield one finding as a person reads it: the object and why, expected, observed, what mends it."""
    yield from _wrapped(f"{finding.object}: {finding.why}", "  ")
    if finding.accepted is not None:
        yield from _wrapped(f"accepted  {finding.accepted}", "    ")
    for word, said in (("expected", finding.expected), ("observed", finding.observed), ("fix", finding.remedy)):
        first, *rest = said.splitlines() or [""]
        yield from _wrapped(f"{word:9} {first}", "    ", hanging=14)
        for line in rest:
            yield from _wrapped(line, " " * 14)


def summary(results: Sequence[CheckResult], report: Path) -> Iterator[str]:
    """Yield the last lines of a run: how many ended how, the verdict and where the report lies."""
    counted = Counter(result.outcome for result in results)
    yield ", ".join(f"{counted[outcome]} {outcome}" for outcome in Outcome if counted[outcome])
    decided = verdict(results)
    yield f"verdict    {decided}"
    if decided.outcome is not Outcome.PASS and decided.because:
        yield from _wrapped(f"because    {', '.join(decided.because)}", "", hanging=11)
    yield f"report     {report}"


def _wrapped(text: str, indent: str, hanging: int | None = None) -> Iterator[str]:
    yield from textwrap.wrap(
        text,
        WIDTH,
        initial_indent=indent,
        subsequent_indent=" " * (len(indent) if hanging is None else hanging),
        break_long_words=False,
        break_on_hyphens=False,
    )
