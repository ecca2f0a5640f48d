"""The registry of checks: every id, its level, its seed and what it needs; and what a check answers.

A check is a rule (a pure function over renderings) or a scenario (a pytest test on a real cluster). Both say
what is wrong in the same way: they yield findings, and a check that yields none has passed.
"""

from __future__ import annotations

import enum
import functools
import inspect
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from conformance.errors import Incomplete

AREAS = (
    "render", "install", "upgrade", "rollback", "gitops", "rollout", "migrations", "agentrun", "crds",
    "handler", "publication",
)  # fmt: skip

#: What a check may need beyond a candidate chart; a contract may declare one absent, with a reason.
NEEDS = {
    "baseline": "a chart version to upgrade from and to roll back to",
    "services": "at least one Service declared in the contract",
    "crds": "at least one CustomResourceDefinition and example declared in the contract",
    "application": "the chart's real images, not the stub",
    "gitops": "a GitOps overlay declared in the contract",
    "database": "a database with its server declared in the contract",
    "environment": "a table of values and the variables that they become, declared in the contract",
    "runs": "the custom resource of which each is one run declared in the contract",
    "migrations": "the variable of the migrations' mode declared in the contract",
    "readme": "the section of the README about rollbacks declared in the contract",
    "checksums": "checksum annotations declared in the contract",
}


class Level(enum.StrEnum):
    """How much a check counts: every core check must run and pass for a verdict of `pass`."""

    CORE = "core"
    EXTENDED = "extended"


class Outcome(enum.StrEnum):
    """How one check ended. `incomplete` could not run here; `deselected` was left out by the caller."""

    PASS = "pass"  # noqa: S105 - an outcome
    FAIL = "fail"
    INCOMPLETE = "incomplete"
    DESELECTED = "deselected"


CORE, EXTENDED = Level.CORE, Level.EXTENDED


@dataclass(frozen=True)
class Finding:
    """One broken promise: the object, what was expected and observed, why it matters and what mends it.

    `object` reads `Kind/name`, or `Kind/name in namespace`. `accepted` holds the contract's reason when the
    finding was accepted there.
    """

    object: str
    expected: str
    observed: str
    why: str
    remedy: str
    accepted: str | None = None

    def __str__(self) -> str:
        """Return the finding as JUnit and pytest show it."""
        lines = [f"{self.object}: {self.why}", f"  expected  {self.expected}", f"  observed  {self.observed}"]
        return "\n".join([*lines, f"  fix       {self.remedy}"])


@dataclass(frozen=True)
class Check:
    """One id with everything that is fixed about it. `function` yields the findings."""

    id: str
    level: Level
    seed: str
    kind: str
    needs: tuple[str, ...]
    about: str
    function: Callable[..., Any] = field(repr=False, compare=False)


#: Every check known to this process, by id; filled by the two decorators below as modules are imported.
REGISTRY: dict[str, Check] = {}

Check_ = Callable[..., Iterator[Finding]]


def _register(
    kind: str,
    id_: str,
    level: Level,
    seed: str,
    needs: tuple[str, ...],
    function: Callable[..., Any],
    declared: Check_,
) -> None:
    area, _, proves = id_.partition("/")
    if area not in AREAS or not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", proves):
        raise ValueError(f"{id_}: a check id is <area>/<what-it-proves>, its area one of {', '.join(AREAS)}")
    if unknown := set(needs) - NEEDS.keys():
        raise ValueError(f"{id_}: unknown needs {sorted(unknown)}")
    about = (inspect.getdoc(declared) or "").split("\n\n")[0].replace("\n", " ")
    if not about or not seed:
        raise ValueError(f"{id_}: a check states what it proves (its docstring) and its seed")
    known = REGISTRY.get(id_)
    if known and inspect.unwrap(known.function).__code__.co_filename != declared.__code__.co_filename:
        raise ValueError(f"{id_} is declared twice")
    REGISTRY[id_] = Check(id_, level, seed, kind, needs, about, function)


def rule(id_: str, *, level: Level, seed: str, needs: tuple[str, ...] = ()) -> Callable[[Check_], Check_]:
    """Declare a rule: a function over renderings that yields findings and needs no cluster."""

    def declare(function: Check_) -> Check_:
        _register("rule", id_, level, seed, needs, function, function)
        return function

    return declare


def scenario(
    id_: str, *, level: Level, seed: str, needs: tuple[str, ...] = ()
) -> Callable[[Check_], Callable[..., list[Finding]]]:
    """Declare a scenario: a pytest test that yields findings.

    pytest collects no generators, so the test it sees returns the list of findings; the plugin reads the id
    from the function's `check_id`.
    """

    def declare(function: Check_) -> Callable[..., list[Finding]]:
        @functools.wraps(function)
        def judged(*args: Any, **kwargs: Any) -> list[Finding]:  # noqa: ANN401 - pytest fixtures
            found: list[Finding] = []
            try:
                for finding in function(*args, **kwargs):
                    found.append(finding)
            except Incomplete:
                if not found:  # a promise that is broken is broken, whatever else could not be judged
                    raise
            return found

        judged.check_id = id_  # type: ignore[attr-defined]
        _register("scenario", id_, level, seed, needs, judged, function)
        return judged

    return declare
