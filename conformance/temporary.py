"""Temporary folders that are gone afterwards, also when their process was killed."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from conformance import interrupts, paths

log = logging.getLogger(__name__)

_PREFIX = f"{paths.APP}-tmp-"
#: The file in a folder that its process holds locked for as long as it lives.
_LOCK = "lock"


@contextlib.contextmanager
def private_folder() -> Iterator[Path]:
    """Yield a new, empty, private folder below the caller's temporary one."""
    held: list[tuple[Path, int]] = []
    try:
        with interrupts.finished():
            held.append(_locked())
        folder = held[0][0] / "folder"
        folder.mkdir()
        yield folder
    finally:
        with interrupts.finished():
            for around, lock in held:
                shutil.rmtree(around, ignore_errors=True)
                os.close(lock)


def made(folder: Path) -> Path:
    """Return a folder, made where it is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def sweep_stale_folders() -> None:
    """Remove the folders of processes that were killed."""
    for lock in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*/{_LOCK}"):
        with contextlib.suppress(OSError):  # it is in use, gone by now, or another user's
            held = os.open(lock, os.O_RDWR | os.O_NOFOLLOW)
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(lock.parent)
                log.info("a command that was killed left %s: removed", lock.parent)
            finally:
                os.close(held)


def _locked() -> tuple[Path, int]:
    around = Path(tempfile.mkdtemp(prefix=_PREFIX))
    # Under its name only once it is locked, so that nobody takes the folder for one that was left.
    unnamed = around / f".{_LOCK}"
    lock = os.open(unnamed, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    unnamed.rename(around / _LOCK)
    return around, lock
