"""Prove that nothing leaked: search a folder for values that were planted as secrets.

This works the other way round from `conformance.redact`, so that one catches what the other forgets: it decodes
whatever it meets, again and again, and looks for the values in what comes out.
"""

from __future__ import annotations

import base64
import bz2
import hashlib
import html
import io
import lzma
import re
import struct
import tarfile
import urllib.parse
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

#: How many encodings may lie around a value. A Secret in a chart's values in a Helm release is under five.
_DEEPEST = 7

#: Bytes that one compressed stream may give, so that a bomb in a report is no trap for its reader.
_LARGEST = 256 * 2**20

_BASE64 = re.compile(rb"[A-Za-z0-9+/]{8,}")
_ESCAPE = re.compile(rb"\\(?:u([0-9A-Fa-f]{4})|x([0-9A-Fa-f]{2})|(.))", re.DOTALL)
_ESCAPED = {b"n": b"\n", b"t": b"\t", b"r": b"\r"}


@dataclass(frozen=True)
class Hit:
    """One value found in one file. `through` names the encodings around it, the outermost first."""

    path: Path
    canary: str
    through: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return the file and the encodings, without the value."""
        return f"{self.path}" + (f" through {', '.join(self.through)}" if self.through else "")


def find_canaries(folder: Path, canaries: Iterable[str]) -> list[Hit]:
    """Return where the values are in the files below a folder (or in one file), also in the files' names.

    Found are values as they are, wrapped over lines, escaped (JSON, HTML, shell), percent-encoded, in base64 at
    any offset, inside gzip, zlib, bzip2, xz, zip and tar, and in any nesting of these, as in Helm's releases.
    """
    wanted = {form: canary for canary in canaries for form in (canary.encode(), _on_one_line(canary.encode()))}
    paths = [folder, *sorted(folder.rglob("*"))] if folder.is_dir() else [folder]
    hits = [Hit(path, text, ("its name",)) for path in paths for text in {*wanted.values()} if text in path.name]
    for path in paths:
        if path.is_file():
            search = _Search(wanted)
            search.through(path.read_bytes(), ())
            hits += [Hit(path, canary, through) for canary, through in sorted(search.found.items())]
    return hits


#: What reading a damaged archive comes to, wherever in it the damage is.
_DAMAGED = (
    zipfile.BadZipFile, tarfile.TarError, zlib.error, struct.error, EOFError, OSError, NotImplementedError,
    RuntimeError, ValueError,
)  # fmt: skip


@dataclass
class _Search:
    """One file's search: the values wanted, where each was found first, and what was looked at already."""

    wanted: dict[bytes, str]
    found: dict[str, tuple[str, ...]] = field(default_factory=dict)
    seen: set[bytes] = field(default_factory=set)

    def through(self, data: bytes, through: tuple[str, ...]) -> None:
        mark = hashlib.sha256(data).digest()
        if mark in self.seen or not data:
            return
        self.seen.add(mark)
        for form, canary in self.wanted.items():
            if form in data:
                self.found.setdefault(canary, through)
        if len(through) < _DEEPEST:
            for encoding, decoded in _decodings(data, self.wanted):
                self.through(decoded, (*through, encoding))


def _decodings(data: bytes, wanted: Iterable[bytes]) -> Iterator[tuple[str, bytes]]:
    yield from _unpacked(data)
    if b"%" in data:
        yield "percent", urllib.parse.unquote_to_bytes(data)
        yield "percent", urllib.parse.unquote_to_bytes(data.replace(b"+", b" "))
    if b"\\" in data:
        yield "escapes", _ESCAPE.sub(_unescaped, data)
    if b"&" in data:
        yield "HTML", html.unescape(data.decode(errors="surrogateescape")).encode(errors="surrogateescape")
    for quoting in (b"''", b"'\"'\"'"):
        if quoting in data:
            yield "quotes", data.replace(quoting, b"'")
    if b"\n" in data:
        yield "line breaks", _on_one_line(data)
        if any(b" " in canary for canary in wanted):
            yield "line breaks", b" ".join(map(bytes.strip, data.splitlines()))
    standard = data.translate(bytes.maketrans(b"-_", b"+/"))
    runs = _BASE64.findall(standard)
    for offset in range(4 if runs else 0):
        yield "base64", b"\n".join(_decoded(run[offset:]) for run in runs)


def _on_one_line(data: bytes) -> bytes:
    # YAML's double quotes end a line with a backslash and begin the next with one where a space follows.
    data = re.sub(rb"\\\n[ \t]*(?:\\(?=[ \t]))?", b"", data)
    return b"".join(map(bytes.strip, data.splitlines()))


def _decoded(run: bytes) -> bytes:
    # A lone last character carries less than one byte.
    whole = run[: len(run) - 1] if len(run) % 4 == 1 else run
    return base64.b64decode(whole + b"=" * (-len(whole) % 4))


def _unescaped(found: re.Match[bytes]) -> bytes:
    wide, narrow, other = found.groups()
    if wide or narrow:
        return chr(int(wide or narrow, 16)).encode(errors="surrogatepass")
    return _ESCAPED.get(other, other)


def _unpacked(data: bytes) -> Iterator[tuple[str, bytes]]:
    for at in _everywhere(data, b"\x1f\x8b\x08"):
        yield "gzip", _inflated(data[at:], 31)
    for start in (b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda"):
        for at in _everywhere(data, start):
            yield "zlib", _inflated(data[at:], 15)
    for at in _everywhere(data, b"BZh"):
        yield "bzip2", _decompressed(bz2.BZ2Decompressor(), data[at:])
    for at in _everywhere(data, b"\xfd7zXZ\0"):
        yield "xz", _decompressed(lzma.LZMADecompressor(), data[at:])
    if b"PK\x03\x04" in data:
        yield from _members_of_zip(data)
    if data[257:262] == b"ustar":
        yield from _members_of_tar(data)


def _everywhere(data: bytes, start: bytes) -> Iterator[int]:
    at = data.find(start)
    while at >= 0:
        yield at
        at = data.find(start, at + 1)


def _inflated(data: bytes, format_: int) -> bytes:
    # In pieces, so that what comes before a damaged or cut end is still seen.
    machine, out = zlib.decompressobj(format_), bytearray()
    try:
        for at in range(0, len(data), 256):
            out += machine.decompress(data[at : at + 256], _LARGEST - len(out))
            if machine.eof or len(out) >= _LARGEST:
                break
    except zlib.error:
        pass
    return bytes(out)


def _decompressed(machine: bz2.BZ2Decompressor | lzma.LZMADecompressor, data: bytes) -> bytes:
    try:
        return machine.decompress(data, _LARGEST)
    except (OSError, lzma.LZMAError, EOFError):
        return b""


def _members_of_zip(data: bytes) -> Iterator[tuple[str, bytes]]:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for member in archive.infolist():
                yield "zip", member.filename.encode()
                if member.file_size <= _LARGEST and not member.flag_bits & 1:
                    yield "zip", archive.read(member)
    except _DAMAGED:
        return


def _members_of_tar(data: bytes) -> Iterator[tuple[str, bytes]]:
    try:
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            for member in archive:
                content = archive.extractfile(member) if member.isfile() else None
                if content is not None:
                    yield "tar", content.read(_LARGEST)
    except _DAMAGED:
        return
