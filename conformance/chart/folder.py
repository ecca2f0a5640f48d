"""Copy a chart's folder, without what Helm leaves out and without following anything out of it."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from pathlib import Path

from conformance.chart.helmignore import Ignore
from conformance.chart.limits import Limits, blames_machine
from conformance.errors import BadInput
from conformance.wording import printable


def copy(source: Path, to: Path, shown: str) -> None:
    """Copy what Helm would load of the chart in `source` into the new folder `to`.

    Links inside the chart become what they point at, as Helm reads them. Raises `BadInput` for a link out of the
    chart, a pipe, socket or device, and for more or larger files than a chart has; `shown` names the chart.
    """
    try:
        if not source.is_dir():
            seen = "a file" if source.exists() else "nothing there"
            raise BadInput(f"chart {shown}: expected a chart's folder, seen {seen}; name a chart's folder or .tgz")
        if not (source / "Chart.yaml").is_file():
            seen = "an empty folder" if not any(source.iterdir()) else "a folder without one"
            raise BadInput(f"chart {shown}: expected a folder with Chart.yaml, seen {seen}; is it a chart?")
        _Copy(source.resolve(), shown, _ignore(source, shown)).folder(source.resolve(), to, "", ())
        if not (to / "Chart.yaml").is_file():
            raise BadInput(
                f"chart {shown}: .helmignore: expected Chart.yaml in the chart, seen a rule that drops it"
            )
    except (OSError, RuntimeError, ValueError) as error:
        if blames_machine(error):
            raise
        raise BadInput(f"chart {shown}: cannot be read: {printable(str(error))}; check its files") from None


def _ignore(source: Path, shown: str) -> Ignore:
    file = source / ".helmignore"
    if not file.is_file() or not file.resolve().is_relative_to(source.resolve()):
        return Ignore()
    try:
        return Ignore(file.read_text(errors="replace"))
    except ValueError as error:
        raise BadInput(f"chart {shown}: .helmignore, {error}; correct it") from None


@dataclass
class _Copy:
    """One copying: what was taken so far counts against the limits."""

    top: Path
    shown: str
    ignore: Ignore
    limits: Limits = field(default_factory=Limits)

    def folder(self, source: Path, to: Path, path: str, around: tuple[Path, ...]) -> None:
        to.mkdir()
        for entry in sorted(os.scandir(source), key=lambda entry: entry.name):
            inside = f"{path}{entry.name}"
            real = self._real(Path(entry.path), inside) if entry.is_symlink() else Path(entry.path)
            if real is None:
                continue
            mode = real.stat(follow_symlinks=False).st_mode
            if self.ignore.ignores(inside, folder=stat.S_ISDIR(mode)):
                continue
            self.limits.enter(self.shown, told(inside))
            if stat.S_ISDIR(mode):
                if real in (*around, source):
                    raise self._wrong(inside, "links to a folder that it lies in; drop the link")
                self.folder(real, to / entry.name, f"{inside}/", (*around, source))
            elif stat.S_ISREG(mode):
                self._file(real, to / entry.name, inside)
            else:
                raise self._wrong(inside, "is a pipe, socket or device; drop it or name it in .helmignore")

    def _real(self, link: Path, inside: str) -> Path | None:
        """Return what a link points at, None where Helm leaves the link out anyway."""
        real = link.resolve()
        below = real.is_relative_to(self.top)
        if self.ignore.ignores(inside, folder=below and real.is_dir()):
            return None
        if not below:
            raise self._wrong(inside, "links to a place outside the chart; copy the file into the chart")
        if not real.exists():
            raise self._wrong(inside, "links to nothing; drop the link")
        return real

    def _file(self, source: Path, to: Path, inside: str) -> None:
        # What was looked at may be another file by now: opened without following or waiting, and looked at again.
        descriptor = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as read, to.open("xb") as write:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise self._wrong(inside, "changed while it was read; try again")
            self.limits.copy(read, write, self.shown, told(inside))

    def _wrong(self, inside: str, seen: str) -> BadInput:
        return BadInput(f"chart {self.shown}: {told(inside)} {seen}")


def told(path: str) -> str:
    """Return a path for a message: one line, not too long, whatever its name holds."""
    return printable(path)[:200]
