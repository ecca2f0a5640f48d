"""The record of what a run makes, written before it is made, so that what a killed run left can be found.

Each run has a folder of its own below the state folder. The controlling process holds a lock on it for as long as
it lives: a run whose lock can be had is over, however it ended. Its worker processes append to the same record.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import json
import os
import re
import secrets
import shutil
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import tenacity

from conformance import paths
from conformance.errors import ConformanceError, MachineLacks

#: Kinds of what is recorded. What belongs to the machine is named after the run, so that its owner can be told.
CLUSTER, CONTAINER, NETWORK, FOLDER, PROCESS = "cluster", "container", "network", "folder", "process"

MAKING, MADE, KEPT, GONE = "making", "made", "kept", "gone"

_PR_SET_PDEATHSIG = 1
#: Seconds in which what a killed run was starting has begun or ended, on a busy machine.
_STARTING_SECONDS = 5.0


@dataclass(frozen=True)
class Entry:
    """One thing the run made or was about to make, and how far that went. `details` is plain JSON."""

    kind: str
    name: str
    state: str
    details: dict[str, Any]

    def __str__(self) -> str:
        """Return the kind and the name."""
        return f"{self.kind} {self.name}"


class Journal:
    """One run's record. It can be pickled: a worker process gets the same record, without the lock."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock: int | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {"folder": self.folder, "_lock": None}

    @property
    def run_id(self) -> str:
        """Return what every name that belongs to this run contains."""
        return self.folder.name

    @classmethod
    def open_new(cls, root: Path | None = None) -> Journal:
        """Begin a run: make its folder and hold its lock until `close` or the end of this process.

        Raises `MachineLacks` where the state folder cannot be written.
        """
        root = root or runs_folder()
        with _explained(root), _registered(root):
            journal = cls(root / secrets.token_hex(4))
            journal.folder.mkdir(mode=0o700)
            journal._take()
            journal.record(PROCESS, str(os.getpid()), started=psutil.Process().create_time())
        return journal

    def join(self) -> Journal:
        """Take part as a worker of the controlling process: end when that one ends, whatever way it does.

        Raises `ConformanceError` when it has ended already.
        """
        controlling = next(iter(self.entries(PROCESS)), None)
        if controlling and os.getpid() == int(controlling.name):
            return self
        libc = ctypes.CDLL(None, use_errno=True)
        if hasattr(libc, "prctl"):
            libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if controlling is None or not is_running(controlling):  # before the line above took effect
            raise ConformanceError(f"the controlling process of run {self.run_id} has ended; nothing was made")
        self.record(PROCESS, str(os.getpid()), started=psutil.Process().create_time())
        return self

    def name(self, *words: str) -> str:
        """Return a name that belongs to this run, for a cluster, a container or a network."""
        return "-".join([paths.APP, self.run_id, *words])

    def record(self, kind: str, name: str, **details: Any) -> None:  # noqa: ANN401
        """Note that something is about to be made, on the disk when this returns."""
        if kind in (CLUSTER, CONTAINER, NETWORK) and self.run_id not in name:
            raise ValueError(f"{kind} {name}: its name has to contain the run's, {self.run_id}; see Journal.name")
        self._append(MAKING, kind, name, details)

    def made(self, kind: str, name: str, **details: Any) -> None:  # noqa: ANN401
        """Note that something recorded now exists, with what became known about it."""
        self._append(MADE, kind, name, details)

    def keep(self, kind: str, name: str) -> None:
        """Note that something stays when the run ends, until `clean`."""
        self._append(KEPT, kind, name, {})

    def done(self, kind: str, name: str) -> None:
        """Note that something recorded is gone."""
        self._append(GONE, kind, name, {})

    def make_folder(self, *words: str) -> Path:
        """Make a folder inside the run's own, that goes with it."""
        folder = self.folder.joinpath(*words)
        with _explained(folder):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder

    def entries(self, *kinds: str) -> list[Entry]:
        """Return what the record says is there, or may be there, in the order in which it was recorded."""
        found: dict[tuple[str, str], Entry] = {}
        for line in self._lines():
            key = line["kind"], line["name"]
            before = found.pop(key).details if key in found else {}
            if line["state"] != GONE:
                found[key] = Entry(*key, line["state"], {**before, **line["details"]})
        return [entry for entry in found.values() if not kinds or entry.kind in kinds]

    def close(self) -> None:
        """Let go of the lock: the run is over."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def discard(self) -> None:
        """Remove the run's folder, once everything it records is gone, and end the run."""
        root = self.folder.parent
        with _explained(self.folder), _registered(root):
            if self.folder.exists():
                shutil.rmtree(self.folder)
            self.close()
            with contextlib.suppress(OSError):  # others are there
                root.rmdir()
                root.parent.rmdir()

    def is_over(self) -> bool:
        """Say whether no process holds the run's lock."""
        try:
            over = self.take_over()
        except FileNotFoundError:
            return True
        self.close()
        return over

    def take_over(self) -> bool:
        """Take the lock, and say whether it could be had: whether the run is over.

        What a killed run was just starting has the lock as well, until its program begins.
        """
        patient = tenacity.Retrying(
            retry=tenacity.retry_if_result(lambda taken: not taken and self._is_left()),
            wait=tenacity.wait_fixed(0.02), stop=tenacity.stop_after_delay(_STARTING_SECONDS),
            retry_error_callback=lambda _: False,
        )  # fmt: skip
        return bool(patient(self._take))

    def _is_left(self) -> bool:
        """Say whether the controlling process has ended, whoever holds the lock."""
        controlling = next(iter(self.entries(PROCESS)), None)
        return controlling is not None and not is_running(controlling)

    def _take(self) -> bool:
        lock = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            return False
        self._lock = lock
        return True

    def _append(self, state: str, kind: str, name: str, details: dict[str, Any]) -> None:
        said = {"at": round(time.time(), 3), "pid": os.getpid(), "state": state, "kind": kind, "name": name}
        # Begun on a line of its own: what another process may have left half written there spoils nothing.
        line = b"\n" + json.dumps({**said, "details": details}, default=str).encode() + b"\n"
        with _explained(self.folder):
            # The folder is not made again here: a run that was swept is over.
            sink = os.open(self.folder / "journal", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                if os.write(sink, line) != len(line):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                os.fsync(sink)
            finally:
                os.close(sink)

    def _lines(self) -> Iterator[dict[str, Any]]:
        try:
            text = (self.folder / "journal").read_text(errors="replace")
        except FileNotFoundError:
            return
        for line in text.splitlines():
            # A last line may have been cut by a full disk; nothing was made after it.
            with contextlib.suppress(ValueError):
                if line:
                    yield json.loads(line)


def runs_folder() -> Path:
    """Return the folder that holds one folder a run."""
    return paths.state() / "runs"


def stale_runs(root: Path | None = None) -> list[Journal]:
    """Return the runs that are over, each with its lock held until it is closed or swept."""
    return [journal for journal, is_over in _all(root or runs_folder()) if is_over]


def live_runs(root: Path | None = None) -> list[Journal]:
    """Return the runs that are going on, this process's own included."""
    found = _all(root or runs_folder())
    for journal, _ in found:
        journal.close()
    return [journal for journal, is_over in found if not is_over]


def is_running(entry: Entry) -> bool:
    """Say whether a recorded process is still there, and not another one under the same number."""
    try:
        return bool(abs(psutil.Process(int(entry.name)).create_time() - entry.details["started"]) < 1)
    except psutil.NoSuchProcess:
        return False


def _all(root: Path) -> list[tuple[Journal, bool]]:
    if not root.is_dir():
        return []
    with _explained(root), _registered(root):
        found = [Journal(folder) for folder in sorted(root.iterdir()) if re.fullmatch("[0-9a-f]{8}", folder.name)]
        return [(journal, journal.take_over()) for journal in found]


@contextlib.contextmanager
def _registered(root: Path) -> Iterator[None]:
    """Hold the lock under which runs begin and are looked for, so that none is taken for over while it begins."""
    lock = None
    while lock is None:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            lock = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not (root.is_dir() and os.path.samestat(os.fstat(lock), root.stat())):
                os.close(lock)  # `clean` has removed it in the meantime
                lock = None
    try:
        yield
    finally:
        os.close(lock)


@contextlib.contextmanager
def _explained(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise MachineLacks(
            f"{folder}: expected a folder to keep the run's journal in, seen {error.strerror}; make room or "
            "permission there, or set XDG_STATE_HOME to another folder"
        ) from error
