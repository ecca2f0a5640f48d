"""Whether a contract meets what a check needs: the one place where that is decided."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from conformance.contract.model import Contract
from conformance.errors import Incomplete

T = TypeVar("T")


@dataclass(frozen=True)
class Lack:
    """A need that is not met. Declared absent it is named in the verdict; else the check is incomplete."""

    need: str
    declared: bool
    reason: str


def _application(contract: Contract) -> str | None:
    return f"a stub stands in for the chart's images: {contract.stub.reason}" if contract.stub else None


def _declares(section: str, present: Callable[[Contract], object]) -> Callable[[Contract], str | None]:
    return lambda contract: None if present(contract) else _undeclared(section)


def _undeclared(section: str) -> str:
    return f"the contract declares no {section}"


def declared(found: T | None, section: str) -> T:
    """Return what a contract declares, called `section` in messages. Raises `Incomplete` where it does not."""
    if found is None:
        raise Incomplete(_undeclared(section))
    return found


#: For each need, why a contract does not meet it; None where it does. A baseline is the run's, not the contract's.
WHY_UNMET: Mapping[str, Callable[[Contract], str | None]] = {
    "baseline": _declares("`baseline`", lambda contract: contract.baseline),
    "services": _declares("`services`", lambda contract: contract.services),
    "crds": _declares("`crds` with `examples`", lambda contract: contract.crds and contract.examples),
    "application": _application,
    "gitops": _declares("`gitops` overlay", lambda contract: contract.gitops),
    "database": _declares(
        "`database` with a `server`", lambda contract: contract.database and contract.database.server
    ),
    "environment": _declares("`environment`", lambda contract: contract.environment),
    "runs": _declares("`runs`", lambda contract: contract.runs),
    "migrations": _declares("`migrations`", lambda contract: contract.migrations),
    "readme": _declares("`readme`", lambda contract: contract.readme),
    "checksums": _declares("`checksums`", lambda contract: contract.checksums),
}


def lacks(contract: Contract, needs: tuple[str, ...], *, baseline: bool) -> list[Lack]:
    """Return the needs that are not met, in the order asked; `baseline` says whether the run has one."""
    found = []
    absent = {entry.need: entry.reason for entry in contract.absent}
    for need in needs:
        if need == "baseline":
            why = None if baseline else "no baseline was given; name one with --baseline"
        else:
            why = WHY_UNMET[need](contract)
        if why is not None:
            found.append(Lack(need, need in absent, absent.get(need, why)))
    return found
