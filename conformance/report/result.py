"""How each check ended, and the one verdict that follows from all of them."""

from __future__ import annotations

import dataclasses
import datetime
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from conformance.checks import CORE, REGISTRY, Check, Finding, Outcome
from conformance.contract import Contract, Lack


@dataclass(frozen=True)
class CheckResult:
    """How one check ended. `reason` says why it is incomplete or deselected; `seconds` is wall time.

    `without` names the need that the contract declares absent, where that is why the check was left out.
    """

    id: str
    outcome: Outcome
    seconds: float = 0.0
    findings: tuple[Finding, ...] = ()
    reason: str | None = None
    without: str | None = None
    evidence: str | None = None

    @classmethod
    def lacking(cls, id_: str, lack: Lack) -> CheckResult:
        """Return the result of a check with an unmet need: left out if the contract says so, else incomplete."""
        if lack.declared:
            return cls(id_, Outcome.DESELECTED, reason=lack.reason, without=lack.need)
        return cls(id_, Outcome.INCOMPLETE, reason=f"it needs {lack.need}: {lack.reason}")

    @property
    def check(self) -> Check:
        """Return what is fixed about the check."""
        return REGISTRY[self.id]

    def as_json(self) -> str:
        """Return the result as JSON, for a worker to hand to the controlling process."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> CheckResult:
        """Return the result that `as_json` wrote."""
        data = json.loads(text)
        findings = tuple(Finding(**finding) for finding in data["findings"])
        return cls(**{**data, "outcome": Outcome(data["outcome"]), "findings": findings})


def judged(id_: str, findings: Iterable[Finding], contract: Contract, seconds: float) -> CheckResult:
    """Return the result of a check that ran: it fails on any finding that the contract does not accept."""

    def marked(finding: Finding) -> Finding:
        entry = contract.accepts(id_, finding.object, today())
        return dataclasses.replace(finding, accepted=entry.reason if entry else None)

    found = tuple(map(marked, findings))
    outcome = Outcome.FAIL if any(finding.accepted is None for finding in found) else Outcome.PASS
    return CheckResult(id_, outcome, seconds, found)


@dataclass(frozen=True)
class Verdict:
    """What the run says of the chart: `pass`, `fail` or `incomplete`; and the exit status that says it.

    `without` names the needs that the contract declares absent; `because` the checks that decided.
    """

    outcome: Outcome
    exit_status: int
    without: tuple[str, ...]
    because: tuple[str, ...]

    def __str__(self) -> str:
        """Return the verdict as people read it."""
        return f"{self.outcome}, without: {', '.join(self.without)}" if self.without else str(self.outcome)


def verdict(results: Sequence[CheckResult]) -> Verdict:
    """Return the verdict over the results of all known checks.

    A failed check of any level fails the run. A core check that could not run makes it incomplete, and so does
    one that the caller deselected, though that does not change the exit status of a deliberate selection. A
    check whose need the contract declares absent is named in the verdict instead.
    """

    def ids(outcome: Outcome) -> tuple[str, ...]:
        return tuple(result.id for result in results if result.outcome is outcome and not result.without)

    def core(of: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(id_ for id_ in of if REGISTRY[id_].level is CORE)

    without = tuple(sorted({result.without for result in results if result.without}))
    if failed := ids(Outcome.FAIL):
        return Verdict(Outcome.FAIL, 1, without, failed)
    if not_run := core(ids(Outcome.INCOMPLETE)):
        return Verdict(Outcome.INCOMPLETE, 3, without, not_run)
    if left_out := core(ids(Outcome.DESELECTED)):
        return Verdict(Outcome.INCOMPLETE, 0, without, left_out)
    return Verdict(Outcome.PASS, 0, without, ())


def today() -> datetime.date:
    """Return the date that expiry dates of accepted findings are held against (UTC)."""
    return datetime.datetime.now(datetime.UTC).date()
