"""What Chart.yaml says, and whether Helm could install the chart at all."""

from __future__ import annotations

import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import semver

from conformance.errors import BadInput
from conformance.located_yaml import Located, Place, Unreadable, dotted, read, read_text
from conformance.wording import printable

#: Names that can stand in a file's name, an OCI reference and a label.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


@dataclass(frozen=True)
class Metadata:
    """A chart's name and versions. `app_version` is as written, None where there is none."""

    name: str
    version: semver.Version
    app_version: str | None


def read_metadata(folder: Path, shown: str) -> Metadata:
    """Return what Chart.yaml in a chart's folder says; `shown` names the chart.

    Raises `BadInput` with file and line where Helm could not use it, for a version that is not SemVer 2
    (strictly, as publishing needs it: no leading `v`, three numbers), for a library chart, and for
    dependencies that are not vendored under charts/.
    """
    document = _read(folder / "Chart.yaml", shown, "Chart.yaml")
    wrong = _Wrong(document, f"chart {shown}: Chart.yaml")
    name, version = wrong.text("name"), wrong.text("version")
    if not _NAME.fullmatch(name):
        raise wrong.at(("name",), "a chart's name (letters, digits, `.`, `_` and `-`)", name)
    try:
        parsed = semver.Version.parse(version)
    except ValueError:
        raise wrong.at(("version",), "a SemVer 2 version, as 1.2.3 or 1.2.3-rc.1", version) from None
    kind = document.value.get("type")
    if kind == "library":
        raise wrong.at(("type",), "a chart that can be installed (type: application)", "a library chart")
    if kind not in (None, "", "application"):
        raise wrong.at(("type",), "application or library", str(kind))
    _check_vendored(folder, document, wrong, shown)
    app_version = document.value.get("appVersion")
    return Metadata(name, parsed, app_version if isinstance(app_version, str) else None)


@dataclass(frozen=True)
class _Wrong:
    """Says where a document is wrong."""

    document: Located
    file: str

    def at(self, place: Place, expected: str, seen: str) -> BadInput:
        line = self.document.line(place)
        seen = printable(seen)[:100]
        return BadInput(f"{self.file}:{line}: {dotted(place)}: expected {expected}, seen {seen}; correct it")

    def text(self, key: str) -> str:
        """Return the text at a key at the top, which must be there."""
        found = self.document.value.get(key)
        if not isinstance(found, str) or not found.strip():
            seen = "nothing" if not found else "a mapping or list"
            raise self.at((key,), f"the chart's {key}", seen)
        return found


def _read(file: Path, shown: str, name: str) -> Located:
    try:
        document = read(read_text(file), strict=False)
    except Unreadable as error:
        line = f":{error.line}" if error.line else ""
        raise BadInput(f"chart {shown}: {name}{line}: {printable(str(error), ' ')}; correct it") from None
    if not isinstance(document.value, dict):
        seen = "a list" if isinstance(document.value, list) else "text"
        raise BadInput(
            f"chart {shown}: {name}:1: expected a mapping with `name` and `version`, seen {seen}; correct it"
        )
    return document


def _check_vendored(folder: Path, document: Located, wrong: _Wrong, shown: str) -> None:
    """Refuse dependencies that Helm would miss at the install."""
    if document.value.get("apiVersion") in (None, "", "v1") and (folder / "requirements.yaml").is_file():
        document = _read(folder / "requirements.yaml", shown, "requirements.yaml")
        wrong = _Wrong(document, f"chart {shown}: requirements.yaml")
    declared: Any = document.value.get("dependencies")
    if not declared:
        return
    if not isinstance(declared, list):
        raise wrong.at(("dependencies",), "a list of dependencies", "another value")
    here = set(_subcharts(folder))
    for number, entry in enumerate(declared):
        name = entry.get("name") if isinstance(entry, dict) else None
        if not isinstance(name, str):
            raise wrong.at(("dependencies", number), "a mapping with `name`", "another value")
        if name not in here:
            raise wrong.at(
                ("dependencies", number, "name"),
                f"the subchart {name} under charts/ (run `helm dependency build`; the suite downloads none)",
                "none of that name",
            )


def _subcharts(folder: Path) -> Iterator[str]:
    """Yield the names of the charts under charts/, folders and archives, as Helm finds them."""
    for found in sorted((folder / "charts").glob("*")):
        if found.name.startswith(("_", ".")):
            continue
        if (found / "Chart.yaml").is_file():
            yield from _name_in((found / "Chart.yaml").read_text(encoding="utf-8-sig", errors="replace"))
        elif found.suffix == ".tgz" and found.is_file():
            with tarfile.open(found, "r:gz") as packed:
                for member in packed:
                    if member.isreg() and member.name.count("/") == 1 and member.name.endswith("/Chart.yaml"):
                        content = packed.extractfile(member)
                        yield from _name_in(content.read().decode("utf-8-sig", "replace") if content else "")
                        break


def _name_in(text: str) -> Iterator[str]:
    try:
        value = read(text, strict=False).value
    except Unreadable:
        return
    if isinstance(value, dict) and isinstance(value.get("name"), str):
        yield value["name"]
