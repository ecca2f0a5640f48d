"""What a server's log says of the schema: who tried to change it, from where, and what was refused. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from conformance.wording import short

#: A line of the log as start.sh has it written: seconds, process, host, role, database, application, severity.
_LINE = re.compile(
    r"(?P<at>\d+\.\d+)\|(?P<process>\d+)\|(?P<host>[^|]*)\|(?P<role>[^|]*)\|(?P<database>[^|]*)\|"
    r"(?P<application>.*?)\|(?P<severity>[A-Z]+\d?):  (?P<text>.*)",
    re.DOTALL,
)
#: How `log_statement` begins a statement, sent alone or prepared. PostgreSQL documentation, "Error Reporting and
#: Logging".
_STATEMENT = re.compile(r"(?:statement|execute [^:]+): (.*)", re.DOTALL)
#: What the server writes of a connection that came over its own socket: the suite's.
OWN = "[local]"


@dataclass(frozen=True)
class Statement:
    """One attempt to change the schema: at Unix time `at`, over one connection (`process`) from a `host`.

    `refused` is the server's error where it did not let it happen.
    """

    at: float
    process: int
    host: str
    role: str
    application: str
    text: str
    refused: str = ""

    def __str__(self) -> str:
        """Return who did what, on one line."""
        by = f"role {self.role}" + (f" ({self.application})" if self.application else "") + f" at {self.host}"
        shown = short(" ".join(self.text.split()), 200)
        return f"{by}: {shown}" + (f" [refused: {self.refused}]" if self.refused else "")


@dataclass(frozen=True)
class Ledger:
    """The attempts to change the schema, in the order of the log."""

    statements: tuple[Statement, ...] = ()

    @classmethod
    def parse(cls, log: str) -> Ledger:
        """Return what a server's log says; what comes from the suite itself is left out."""
        return cls(tuple(_statements(_entries(log.splitlines()))))

    def between(self, begin: float, end: float) -> Ledger:
        """Return the attempts from one moment to another (Unix time)."""
        return Ledger(tuple(found for found in self.statements if begin <= found.at <= end))

    def repeated(self) -> Iterator[tuple[Statement, ...]]:
        """Yield the attempts of several hosts to do one thing, where nothing guards it (`IF NOT EXISTS`).

        Two migrators at once are seen by this also where the database refuses the later one.
        """
        by_text: dict[str, list[Statement]] = {}
        for found in self.statements:
            if not re.search(r"\bIF\s+(NOT\s+)?EXISTS\b|\bOR\s+REPLACE\b", found.text, re.IGNORECASE):
                by_text.setdefault(" ".join(found.text.split()), []).append(found)
        yield from (tuple(same) for same in by_text.values() if len({found.host for found in same}) > 1)


def _entries(lines: Iterable[str]) -> Iterator[re.Match[str]]:
    """Yield the entries of a log; an entry of several lines goes on with a tab."""
    pending: list[str] = []
    for line in [*lines, ""]:
        if line.startswith("\t"):
            pending.append(line[1:])
            continue
        if pending and (found := _LINE.fullmatch("\n".join(pending))):
            yield found
        pending = [line]


def _statements(entries: Iterable[re.Match[str]]) -> Iterator[Statement]:
    found: list[Statement] = []
    last: dict[str, int] = {}  # of a connection: the place of what it attempted last
    for entry in entries:
        process = entry["process"]
        said = _STATEMENT.fullmatch(entry["text"]) if entry["severity"] == "LOG" else None
        if said and entry["host"] != OWN:
            last[process] = len(found)
            found.append(
                Statement(
                    float(entry["at"]),
                    int(process),
                    entry["host"],
                    entry["role"],
                    entry["application"],
                    said[1],
                )
            )
        elif entry["severity"] == "ERROR" and process in last:
            place = last.pop(process)
            found[place] = replace(found[place], refused=" ".join(entry["text"].split()))
    return iter(found)
