"""What a benchmark found: a figure, its limit, how far the rounds lie apart and how loaded the machine was."""

from __future__ import annotations

import dataclasses
import os
import statistics
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

#: More than this many processes running or waiting, and a figure says something of the machine, not of the suite.
QUIET_LOAD = 2.5


@dataclass(frozen=True)
class Figure:
    """One figure: the median of its rounds. `limit` is what it must stay below, None where it only informs.

    `rounds` holds what was measured in each, and the load of the machine before it (`load`).
    """

    name: str
    about: str
    unit: str
    values: tuple[float, ...]
    limit: float | None = None
    rounds: tuple[dict[str, Any], ...] = field(default=(), repr=False)

    @property
    def value(self) -> float:
        """Return the median of the rounds."""
        return statistics.median(self.values)

    @property
    def kept(self) -> bool:
        """Say whether the limit is kept; a figure without one always does."""
        return self.limit is None or self.value <= self.limit

    @property
    def loads(self) -> tuple[float, ...]:
        """Return the load of the machine before each round, where it was noted."""
        return tuple(one["load"] for one in self.rounds if "load" in one)

    def as_json(self) -> dict[str, Any]:
        """Return everything as plain data."""
        return {**dataclasses.asdict(self), "value": self.value, "kept": self.kept}


def load() -> float:
    """Return how many processes ran or waited for a processor over the last minute."""
    return os.getloadavg()[0]


def alternating(
    rounds: int, first: Callable[[], float], second: Callable[[], float]
) -> Iterator[tuple[float, float, float]]:
    """Yield load, first and second of each round: A B A B, so that a slow minute of the machine meets both."""
    for _ in range(rounds):
        before = load()
        yield before, first(), second()


def table(figures: Iterable[Figure]) -> list[str]:
    """Return the figures as lines to read."""
    rows = [("figure", "median", "rounds", "limit", "", "load", "what")]
    for found in figures:
        low, high = min(found.values), max(found.values)
        limit = "" if found.limit is None else f"<= {_shown(found.limit, found.unit)}"
        loads = f"{min(found.loads):.1f}-{max(found.loads):.1f}" if found.loads else ""
        said = "" if found.limit is None else "kept" if found.kept else "EXCEEDED"
        noisy = "?" if any(one > QUIET_LOAD for one in found.loads) else ""
        spread = f"{low:.2f}-{high:.2f} ({len(found.values)})"
        rows.append((found.name, _shown(found.value, found.unit), spread, limit, said + noisy, loads, found.about))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    return ["  ".join([*map(str.ljust, row[:-1], widths), row[-1]]) for row in rows]


def _shown(value: float, unit: str) -> str:
    return f"{value:.2f} {unit}".rstrip()
