"""Surroundings that must not matter to a rendering, and what in a chart could make them matter."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from pathlib import Path

from conformance.render import PLAIN, Surroundings

#: Hours from UTC. The outermost lie 26 apart, so that any local hour or date differs between them.
_ZONES = {"UTC-12": -12.0, "UTC+14": 14.0, "UTC+5:45": 5.75, "UTC-9:30": -9.5}

#: Template functions whose result is not decided by their arguments; Sprig and Helm document them.
RANDOM = frozenset(
    {
        "bcrypt", "encryptAES", "genCA", "genCAWithKey", "genPrivateKey", "genSelfSignedCert",
        "genSelfSignedCertWithKey", "genSignedCert", "genSignedCertWithKey", "htpasswd", "randAlpha",
        "randAlphaNum", "randAscii", "randBytes", "randInt", "randNumeric", "shuffle", "uuidv4",
    }
)  # fmt: skip
CLOCK = frozenset(
    {
        "ago", "date", "dateInZone", "date_in_zone", "durationRound", "htmlDate", "htmlDateInZone", "mustToDate",
        "now", "toDate",
    }
)  # fmt: skip
UNORDERED = frozenset({"keys", "values"})
NETWORK = frozenset({"getHostByName"})

_ACTION = re.compile(r"\{\{.*?\}\}", re.DOTALL)
_FUNCTION = re.compile(r"(?<![\w.$\"'-])[a-zA-Z_]\w*(?![\w\"'])")
_LARGEST = 4 * 2**20


def all_surroundings(folder: Path) -> tuple[Surroundings, ...]:
    """Return five surroundings that differ in time zone, home and working folder; the first is plain.

    Their folders are made below `folder`. The zones are files of our own: a machine need not know any.
    """
    found = [PLAIN]
    for number, (name, hours) in enumerate(_ZONES.items(), start=1):
        home = folder / f"somewhere else {number}"
        home.mkdir(parents=True, exist_ok=True)
        zone = home / "zone"
        zone.write_bytes(_zone(hours))
        found.append(Surroundings(f"in {name} and another folder", {"TZ": str(zone), "HOME": str(home)}, home))
    return tuple(found)


def may_ask_the_clock(chart: Path) -> bool:
    """Say whether any file of a chart names a function of the clock in a template action, or hides its files.

    Values count too, because `tpl` runs them. Only then must renderings lie in different seconds.
    """
    for file in sorted(chart.rglob("*")):
        if file.suffix in {".tgz", ".gz"} or (file.is_file() and file.stat().st_size > _LARGEST):
            return True
        if file.is_file() and functions(file) & CLOCK:
            return True
    return False


def functions(file: Path) -> set[str]:
    """Return every word in a file's template actions that may be a function; none where it cannot be read."""
    try:
        text = file.read_text(errors="replace")
    except OSError:
        return set()
    return {word for action in _ACTION.findall(text) for word in _FUNCTION.findall(action)}


def suspects(chart: Path, source: str) -> Iterator[tuple[str, str]]:
    """Yield template and function for what may have made an object differ: in its template, else in any helper.

    `source` is the path in Helm's `# Source:` comment, which begins with the chart's name.
    """
    template = chart / Path(*Path(source).parts[1:]) if source else chart
    doubtful = RANDOM | CLOCK | UNORDERED | NETWORK
    found = [(source, name) for name in sorted(functions(template) & doubtful)] if template.is_file() else []
    if not found:
        for helper in sorted(chart.rglob("*.tpl")):
            where = str(Path(chart.name) / helper.relative_to(chart))
            found += [(where, name) for name in sorted(functions(helper) & doubtful)]
    yield from found


def _zone(hours: float) -> bytes:
    """Return a time zone file (RFC 8536, version 1) with one fixed offset."""
    counts = (0, 0, 0, 0, 1, 4)
    return (
        b"TZif" + bytes(16) + struct.pack(">6L", *counts) + struct.pack(">lbB", int(hours * 3600), 0, 0) + b"LOC\0"
    )
