"""How large a chart may be. Helm's own limits, and one on the number of files."""

from __future__ import annotations

import errno
from dataclasses import dataclass
from typing import IO

from conformance.errors import BadInput

MIB = 1024 * 1024
#: Bytes of a packed archive; bytes of all files; bytes of one file (both Helm 3's); files and folders; levels.
PACKED, UNPACKED, ONE_FILE, ENTRIES, LEVELS = 20 * MIB, 100 * MIB, 5 * MIB, 10_000, 50
CHUNK = 16 * 1024
#: What the system says when it is not the chart that is wrong.
_MACHINE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EMFILE, errno.ENFILE, errno.ENOMEM}


def blames_machine(error: BaseException) -> bool:
    """Say whether an error is the machine's doing: a full disk, too many open files."""
    return isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno in _MACHINE)


@dataclass
class Limits:
    """What one chart has used up so far. Every method raises `BadInput` where a limit is passed."""

    used: int = 0
    entries: int = 0

    def enter(self, chart: str, inside: str) -> None:
        """Count a file or folder, and look at how deep it lies."""
        self.entries += 1
        if self.entries > ENTRIES:
            raise BadInput(f"chart {chart}: expected at most {ENTRIES} files, seen more; is it a chart?")
        if inside.count("/") >= LEVELS:
            raise BadInput(
                f"chart {chart}: expected at most {LEVELS} levels of folders, seen more; is it a chart?"
            )

    def copy(self, read: IO[bytes], write: IO[bytes], chart: str, inside: str) -> None:
        """Copy one file, and count its bytes."""
        size = 0
        while chunk := read.read(CHUNK):
            size += len(chunk)
            self.used += len(chunk)
            if size > ONE_FILE:
                raise BadInput(
                    f"chart {chart}: expected files of at most {ONE_FILE // MIB} MiB, as Helm does, seen more in "
                    f"{inside}; drop it or name it in .helmignore"
                )
            if self.used > UNPACKED:
                raise BadInput(
                    f"chart {chart}: expected at most {UNPACKED // MIB} MiB of files, seen more; is it a chart?"
                )
            write.write(chunk)
