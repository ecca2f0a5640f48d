"""Why a chart did not render: Helm's own error, with the file and line it names."""

from __future__ import annotations

import re
from dataclasses import dataclass

#: A place in a template: Helm 3 writes it inside a sentence, Helm 4 on a line of its own. The last is the cause.
_PLACE = re.compile(r"(?<![^\s(])(?P<file>[^\s():]+/[^\s():]+\.\w+):(?P<line>\d+)(?::\d+)?")
_YAML_FILE = re.compile(r"(?:YAML parse error on|failed to parse|cannot load|error reading) (?P<file>[^\s:]+)")
_YAML_LINE = re.compile(r"\bline (?P<line>\d+)")
_HINT = re.compile(r"\s*Use --debug flag to render out invalid YAML\s*$")


@dataclass(frozen=True)
class Refusal:
    """A chart that did not render, with the template and line that Helm names.

    For output that is no YAML the line is one of the output.
    """

    message: str
    file: str | None = None
    line: int | None = None

    def __str__(self) -> str:
        """Return one line, the place first."""
        place = ":".join(str(part) for part in (self.file, self.line) if part is not None)
        return f"{place}: {self.message}" if place else self.message

    @classmethod
    def from_helm(cls, stderr: str) -> Refusal:
        """Read what `helm template` of Helm 3 or 4 said before it failed."""
        said = _HINT.sub("", stderr.strip())
        start = re.search(r"^Error: ", said, re.MULTILINE)  # warnings come before it
        said = said[start.end() :] if start else said
        file = line = None
        if places := list(_PLACE.finditer(said)):
            file, line = places[-1]["file"], int(places[-1]["line"])
        elif found := _YAML_FILE.search(said):
            file = found["file"]
            line = int(at["line"]) if (at := _YAML_LINE.search(said)) else None
        return cls(" ".join(said.split()), file, line)
