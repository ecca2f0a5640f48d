"""The one way into the report folder: every file there is written here, whole and without secrets."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from conformance.redact import REDACTOR


def write_text(path: Path, text: str) -> None:
    """Write a text file: what `REDACTOR` knows is hidden, missing folders are made, nothing is ever half written.

    Raises `OSError` where the file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    number, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".part")
    part = Path(name)
    try:
        with os.fdopen(number, "w", encoding="utf-8", errors="backslashreplace", newline="\n") as sink:
            sink.write(REDACTOR.scrub(text))
        part.chmod(0o644)
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
