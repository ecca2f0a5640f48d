"""Count the calls that the availability probe reports: pure, one row a second and target."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

#: Calls a second to each target (issue: 20 calls a second to each Service).
RATE = 20.0
#: The share of the promised calls that a noisy machine may fail to make before the measurement proves nothing.
TOLERANCE = 0.05


@dataclass(frozen=True)
class Target:
    """One address to call, under a name of its own: an HTTP `url`, or `tcp` as `host:port` to connect to."""

    name: str
    url: str = ""
    tcp: str = ""

    def as_json(self) -> dict[str, str]:
        """Return the target as the probe reads it."""
        return {"name": self.name, "url": self.url} if self.url else {"name": self.name, "tcp": self.tcp}


@dataclass(frozen=True)
class Calls:
    """The calls made to one target between two moments; `longest_gap` in seconds without an answer.

    `late` is by how many seconds the latest call missed its turn: how busy the machine was.

    `too_few` says how many calls were made where they were fewer than promised, and is empty otherwise.
    """

    target: str
    made: int
    failures: int
    longest_gap: float
    last_error: str
    seconds: float
    too_few: str = ""
    late: float = 0.0

    @property
    def rate(self) -> float:
        """Return the calls a second that were really made."""
        return self.made / self.seconds if self.seconds else 0.0


class Lines:
    """What the probe wrote: one row a second and target. Pure, and safe to use from several threads."""

    def __init__(self, targets: Iterable[str], rate: float = RATE) -> None:
        self._targets = tuple(targets)
        self._rate = rate
        self._rows: dict[str, dict[int, dict[str, Any]]] = {name: {} for name in self._targets}
        self._answered: set[str] = set()
        self.changed = threading.Condition()

    def take(self, line: bytes) -> None:
        """Take in one line; whatever is no row of a known target is passed over."""
        try:
            row = json.loads(line)
        except ValueError:
            return
        if not isinstance(row, dict) or row.get("target") not in self._rows:
            return
        with self.changed:
            if row.get("first") or row.get("calls", 0) > row.get("failures", 0):
                self._answered.add(row["target"])
            if "second" in row:
                self._rows[row["target"]][int(row["second"])] = row
            self.changed.notify_all()

    def unanswered(self) -> str | None:
        """Return which targets have not answered yet, with what their last call said; None when all have."""
        with self.changed:
            silent = [name for name in self._targets if name not in self._answered]
            said = [f"{name}: {self._last_error(name) or 'no call has ended yet'}" for name in silent]
        return "; ".join(said) or None

    def counted(self, end: float) -> bool:
        """Return whether the second of a moment (Unix time) has been reported for every target."""
        return all(max(rows, default=-1) >= math.floor(end) for rows in self._rows.values())

    def calls(self, begin: float, end: float) -> tuple[Calls, ...]:
        """Return the calls of each target in the whole seconds from one moment's to another's (Unix time).

        Failures count from moment to moment: what fails in the second before an operation is not its doing.
        """
        with self.changed:
            return tuple(self._calls(name, begin, end) for name in self._targets)

    def _last_error(self, name: str) -> str:
        rows = self._rows[name]
        return str(rows[max(rows)].get("lastError", "")) if rows else ""

    def _calls(self, name: str, begin: float, end: float) -> Calls:
        seconds = range(math.floor(begin), math.floor(end) + 1)
        rows = [self._rows[name].get(second, {}) for second in seconds]
        made = sum(row.get("calls", 0) for row in rows)
        promised = self._rate * len(seconds)
        silent = sum(1 for row in rows if not row.get("calls"))
        too_few = ""
        if silent or made < promised * (1 - TOLERANCE):
            too_few = f"{made} of {promised:.0f} calls were made in {len(seconds)} s"
            too_few += f", none in {silent} of them" if silent else ""
        failed = [row for row in rows if any(begin <= at <= end for at in row.get("failedAt", ()))]
        return Calls(
            target=name,
            made=made,
            failures=sum(begin <= at <= end for row in failed for at in row["failedAt"]),
            longest_gap=max((row.get("longestGapMs", 0) for row in failed), default=0) / 1000,
            last_error=next((str(row["lastError"]) for row in reversed(failed) if row.get("lastError")), ""),
            seconds=float(len(seconds)),
            too_few=too_few,
            late=max((row.get("lateMs", 0) for row in rows), default=0) / 1000,
        )
