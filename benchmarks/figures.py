"""What a benchmark found: a figure, its limit, how far the rounds lie apart and how loaded the machine was."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import psutil

#: Where others keep the processors busier than this, a figure says more of the machine than of the suite.
QUIET = 0.2


@dataclass(frozen=True)
class Figure:
    """One figure: the median of its rounds. `limit` is what it must stay below, None where it only informs.

    `rounds` holds what was measured in each, and how busy others kept the processors just before it (`busy`).
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
    def busy(self) -> tuple[float, ...]:
        """Return how busy others kept the processors before each round."""
        return tuple(one["busy"] for one in self.rounds)

    def as_json(self) -> dict[str, Any]:
        """Return everything as plain data."""
        return {**dataclasses.asdict(self), "value": self.value, "kept": self.kept}


def busy() -> float:
    """Return the share of all processors' time that others take now, looking for two seconds."""
    return psutil.cpu_percent(2.0) / 100


def alternating(
    rounds: int, first: Callable[[], float], second: Callable[[], float]
) -> Iterator[tuple[float, float, float]]:
    """Yield `busy`, first and second of each round: A B A B, so that a slow minute of the machine meets both."""
    for _ in range(rounds):
        before = busy()
        yield before, first(), second()


def table(figures: Iterable[Figure]) -> list[str]:
    """Return the figures as lines to read."""
    rows = [("figure", "median", "rounds", "limit", "", "others", "what")]
    for found in figures:
        low, high = min(found.values), max(found.values)
        limit = "" if found.limit is None else f"<= {_shown(found.limit, found.unit)}"
        others = f"{min(found.busy):.0%}-{max(found.busy):.0%}"
        said = "" if found.limit is None else "kept" if found.kept else "EXCEEDED"
        noisy = "?" if any(one > QUIET for one in found.busy) else ""
        spread = f"{low:.2f}-{high:.2f} ({len(found.values)})"
        rows.append(
            (found.name, _shown(found.value, found.unit), spread, limit, said + noisy, others, found.about)
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    return ["  ".join([*map(str.ljust, row[:-1], widths), row[-1]]) for row in rows]


def _shown(value: float, unit: str) -> str:
    return f"{value:.2f} {unit}".rstrip()
