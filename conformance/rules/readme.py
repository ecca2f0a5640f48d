"""The README tells what of a version is safe to revert, and what is not, before somebody has to know."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from conformance.checks import EXTENDED, Finding, rule
from conformance.rules.inputs import Documented

_HEADING = re.compile(r"^(#{1,6})\s+(.*?)\s*#*\s*$")
_FENCE = re.compile(r"^\s*(```|~~~)")
_CELL_END = re.compile(r"(?<!\\)\|")
_RULER = re.compile(r"^:?-+:?$")
_WHY = "whoever has to go back under pressure does not know what the revert gives back and what it cannot"


@rule(
    "rollback/readme-says-what-is-safe", level=EXTENDED, needs=("readme",),
    seed='000 Rollout Plan: a chart README section "Rollback: what is safe to revert"',
)  # fmt: skip
def readme_says_what_is_safe(documented: Documented) -> Iterator[Finding]:
    """In the section that the contract names, the README tells what of the version is safe to revert."""
    if documented.readme is None:
        yield _finding(documented, "the chart has no README.md")
        return
    section = _section(documented.readme, documented.section)
    if section is None:
        yield _finding(documented, "its README.md has no such heading")
        return
    tables = list(_tables(section))
    rows = [(table[0], row) for table in tables for row in table[1:] if _is_about(row, documented.version)]
    if not rows:
        told = ", ".join(row[0] for table in tables for row in table[1:]) or "no version"
        yield _finding(documented, f"no row of a table there is about this version; there are rows for {told}")
    for heads, row in rows:
        empty = [head for head, cell in zip(heads, [*row, *[""] * len(heads)], strict=False) if not cell]
        if empty or len(heads) < 2:
            yield _finding(documented, f"its row says nothing under {', '.join(empty) or 'any other heading'}")


def _finding(documented: Documented, observed: str) -> Finding:
    return Finding(
        object="File/README.md",
        expected=f'a section "{documented.section}" with a table that has a row for {documented.version}',
        observed=f"{observed} (in {documented.said})",
        why=_WHY,
        remedy="add a row whose first cell is the version: what is safe to revert, what is not, and which "
        "defaults changed; write `none` where there is nothing",
    )


def _section(text: str, heading: str) -> list[str] | None:
    """Return the lines below a heading, up to the next of its level or a higher one; None without the heading."""
    level, fenced = 0, False
    found: list[str] | None = None
    for line in text.splitlines():
        fenced ^= bool(_FENCE.match(line))
        if (head := _HEADING.match(line)) and not fenced:
            depth = len(head[1])
            if level and depth <= level:
                break
            if not level and _plain(head[2]) == _plain(heading):
                level, found = depth, []
                continue
        if found is not None and not fenced:
            found.append(line)
    return found


def _plain(heading: str) -> str:
    """Return a heading's words alone: neither case, emphasis nor punctuation counts."""
    return " ".join(re.findall(r"\w+", heading.lower()))


def _tables(lines: Sequence[str]) -> Iterator[list[list[str]]]:
    """Yield each table as its rows of cells, the headings first, without the ruler below them."""
    table: list[list[str]] = []
    for line in (*lines, ""):
        if "|" in line:
            table.append(_cells(line))
            continue
        if len(table) > 1 and all(map(_RULER.match, table[1])):
            yield [table[0], *table[2:]]
        table = []


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in _CELL_END.split(line.strip().removeprefix("|").removesuffix("|"))]


def _is_about(row: Sequence[str], version: str) -> bool:
    """Say whether a row's first cell names a version, by itself or as the end of a range."""
    return re.search(rf"(?<![\w.])v?{re.escape(version)}(?![\w.-]*\w)", row[0]) is not None
