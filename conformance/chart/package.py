"""Pack a chart so that equal content gives equal bytes, wherever and whenever it is packed."""

from __future__ import annotations

import hashlib
import io
import struct
import tarfile
import zlib
from pathlib import Path
from typing import IO

#: A gzip header without time, name and operating system.
_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
_STORED = 0xFFFF


def pack(folder: Path, name: str, archive: Path) -> str:
    """Write the chart in `folder` as an archive with the top folder `name`; return `sha256:` and its digest.

    Files are sorted, without times, owners and modes of their own. They are stored, not compressed, because
    what a compressor makes of them depends on the compressor's version.
    """
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w", format=tarfile.PAX_FORMAT, encoding="utf-8") as packed:
        for file in sorted(folder.rglob("*"), key=lambda file: file.relative_to(folder).as_posix()):
            if file.is_file():
                member = tarfile.TarInfo(f"{name}/{file.relative_to(folder).as_posix()}")
                member.size, member.mode = file.stat().st_size, 0o644
                with file.open("rb") as content:
                    packed.addfile(member, content)
    with archive.open("xb") as write:
        _store(tar.getbuffer(), write)
    with archive.open("rb") as read:
        return f"sha256:{hashlib.file_digest(read, 'sha256').hexdigest()}"


def _store(data: memoryview, write: IO[bytes]) -> None:
    """Write data as gzip, in stored blocks (RFC 1951, 3.2.4)."""
    write.write(_HEADER)
    for start in range(0, len(data), _STORED):
        block = data[start : start + _STORED]
        last = start + _STORED >= len(data)
        write.write(struct.pack("<BHH", last, len(block), len(block) ^ _STORED))
        write.write(block)
    write.write(struct.pack("<II", zlib.crc32(data), len(data) & 0xFFFFFFFF))
