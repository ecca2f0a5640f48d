"""Open a chart's archive without trusting it.

Members are written by this module, never by the archive's own wishes: regular files only, under one top
folder. Any link is refused, also one that stays inside: Helm reads it as an empty file, so a chart with one is
never what its author meant (`helm package` writes none).
"""

from __future__ import annotations

import gzip
import re
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, cast

from conformance.chart.folder import told
from conformance.chart.limits import CHUNK, MIB, PACKED, UNPACKED, Limits, blames_machine
from conformance.errors import BadInput

#: What a tar adds to its content at most: a header and padding for each file, and long names.
_OVERHEAD = 20 * MIB
_BROKEN = (tarfile.TarError, OSError, EOFError, zlib.error, ValueError, OverflowError, RecursionError, KeyError)
#: Archives inside archives: subcharts of subcharts.
_DEEPEST = 5


def unpack(archive: Path, to: Path, shown: str, limits: Limits | None = None) -> None:
    """Unpack the chart in `archive` into the new folder `to`. Raises `BadInput`; `shown` names the chart."""
    try:
        if not archive.is_file():
            raise BadInput(
                f"chart {shown}: expected a .tgz file, seen something else; name a chart's folder or .tgz"
            )
        if archive.stat().st_size > PACKED:
            raise BadInput(f"chart {shown}: expected at most {PACKED // MIB} MiB, seen more; is it a chart?")
        to.mkdir()
        limits = limits or Limits()
        with archive.open("rb") as packed:
            for name, content in _members(packed, to.parent, shown):
                _write(to, name, content, limits, shown)
    except _BROKEN as error:
        if blames_machine(error):
            raise
        raise BadInput(
            f"chart {shown}: expected a gzipped tar, seen a broken one: {_told(error)}; pack it again"
        ) from None
    if not any(to.iterdir()):
        raise BadInput(f"chart {shown}: expected a chart, seen an empty archive; pack it with `helm package`")
    if not (to / "Chart.yaml").is_file():
        raise BadInput(
            f"chart {shown}: expected <name>/Chart.yaml in the archive, seen none; pack it with `helm package`"
        )


def check_subcharts(chart: Path, shown: str, limits: Limits | None = None, depth: int = 0) -> None:
    """Refuse a chart whose packed subcharts are none, or grow beyond all measure when Helm unpacks them."""
    limits = limits or Limits()
    for packed in sorted(chart.glob("charts/*.tgz")):
        if packed.name.startswith(("_", ".")):
            continue
        inside = f"{shown}, subchart {told(packed.name)}"
        if depth >= _DEEPEST:
            raise BadInput(f"chart {inside}: expected at most {_DEEPEST} archives in each other, seen more")
        with tempfile.TemporaryDirectory(dir=chart.parent) as folder:
            unpack(packed, Path(folder) / "chart", inside, limits)
            check_subcharts(Path(folder) / "chart", inside, limits, depth + 1)


def _members(packed: IO[bytes], beside: Path, shown: str) -> Iterator[tuple[str, IO[bytes]]]:
    """Yield each file's path below the archive's one top folder, and its content."""
    with tempfile.TemporaryFile(dir=beside) as plain:
        _decompress(packed, plain, shown)
        top = None
        with tarfile.open(fileobj=cast("IO[bytes]", _SmallReads(plain)), mode="r:", errorlevel=2) as tar:
            for member in tar:
                parts = _parts(member, shown)
                top = top or parts[0]
                if parts[0] != top:
                    raise _refused(shown, member, f"expected everything in one folder, {told(top)}/")
                if member.isdir():
                    continue
                if len(parts) == 1:
                    raise _refused(shown, member, "expected files in a folder named after the chart")
                content = tar.extractfile(member)
                if content is None:
                    raise _refused(shown, member, "expected a file with content")
                yield "/".join(parts[1:]), content
            # The reader takes a damaged header for the end, and would lose every file behind it.
            plain.seek(tar.offset)
            if plain.read(tarfile.BLOCKSIZE).strip(b"\0"):
                raise tarfile.ReadError("a damaged header")


class _SmallReads:
    """A file that refuses to be read in large pieces: tarfile reads an extended header in one."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.seek, self.tell = file.seek, file.tell

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= CHUNK:
            raise tarfile.ReadError(f"a header of more than {CHUNK // 1024} KiB")
        return self._file.read(size)


def _decompress(packed: IO[bytes], plain: IO[bytes], shown: str) -> None:
    size = 0
    with gzip.GzipFile(fileobj=packed) as unzipped:
        while chunk := unzipped.read(256 * 1024):
            size += len(chunk)
            if size > UNPACKED + _OVERHEAD:
                raise BadInput(
                    f"chart {shown}: expected at most {UNPACKED // MIB} MiB unpacked, seen more; is it a bomb?"
                )
            plain.write(chunk)
    plain.seek(0)


def _parts(member: tarfile.TarInfo, shown: str) -> list[str]:
    """Return the parts of a member's path, once it is known to be harmless."""
    if member.issym() or member.islnk():
        raise _refused(shown, member, "expected no links, which Helm reads as empty files")
    if not (member.isdir() or member.isreg()) or member.issparse():
        raise _refused(shown, member, "expected files and folders only")
    name = member.name.removesuffix("/") if member.isdir() else member.name
    parts = name.split("/")
    if name.startswith("/") or re.match(r"[A-Za-z]:", name):
        raise _refused(shown, member, "expected relative names")
    if ".." in parts:
        raise _refused(shown, member, "expected names that stay inside")
    if "\\" in name or not name.isprintable() or not all(part and part != "." for part in parts):
        raise _refused(shown, member, "expected plain names, <chart>/<path>")
    return parts


def _write(to: Path, name: str, content: IO[bytes], limits: Limits, shown: str) -> None:
    limits.enter(shown, name)
    file = to / name
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("xb") as write:
            limits.copy(content, write, shown, told(name))
    except (FileExistsError, NotADirectoryError):
        raise BadInput(
            f"chart {shown}: expected each name once in the archive, seen {name} again; pack it again"
        ) from None


def _refused(shown: str, member: tarfile.TarInfo, expected: str) -> BadInput:
    return BadInput(f"chart {shown}: {expected}, seen {told(member.name)}; pack it with `helm package`")


def _told(error: BaseException) -> str:
    return told(str(error)) or type(error).__name__
