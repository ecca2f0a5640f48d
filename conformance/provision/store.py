"""The cache of what is expensive to make: one folder an artefact, keyed by a hash of what it is made from.

An artefact is made in a folder beside its place and then renamed, so that a kill at any point leaves either all
of it or nothing; what is there is never made again.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import hashlib
import json
import os
import platform
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from conformance import paths
from conformance.provision.progress import step

_libc = ctypes.CDLL(None, use_errno=True)
_MNT_DETACH = 2

#: Begins the name of a folder in which an artefact is being made.
PARTIAL = ".partial-"


def key(made_from: Any) -> str:  # noqa: ANN401 - any JSON
    """Return the hash that stands for everything something is made from."""
    return hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()[:12]


def file_hash(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()


@dataclass(frozen=True)
class Artefact:
    """Something that provisioning makes once: a name to show, and a key over all it is made from."""

    name: str
    key: str

    @classmethod
    def of(cls, name: str, made_from: Mapping[str, Any]) -> Artefact:
        """Return the artefact made from these pins, sources and recipes on this architecture."""
        return cls(name, key({"machine": platform.machine(), **made_from}))

    def __str__(self) -> str:
        """Return the name of its folder."""
        return f"{self.name}-{self.key}"


@dataclass(frozen=True)
class Store:
    """The folder of artefacts. Several processes may use one; making is done under `lock`."""

    root: Path

    @property
    def artefacts(self) -> Path:
        """Return the folder that holds one folder an artefact."""
        return self.root / "artefacts"

    def path(self, artefact: Artefact) -> Path:
        """Return where an artefact is, or will be."""
        return self.artefacts / str(artefact)

    def has(self, artefact: Artefact) -> bool:
        """Return whether an artefact is there, whole."""
        return self.path(artefact).is_dir()

    def make(self, artefact: Artefact, make: Callable[[Path], object], *, what: str | None = None) -> Path:
        """Return an artefact's folder, made first where it is missing; `make` fills the folder it is given."""
        place = self.path(artefact)
        if not place.is_dir():
            self.artefacts.mkdir(parents=True, exist_ok=True)
            partial = Path(tempfile.mkdtemp(prefix=f"{PARTIAL}{os.getpid()}-", dir=self.artefacts))
            try:
                with step(what or artefact.name):
                    make(partial)
                partial.chmod(0o755)
                with contextlib.suppress(OSError):  # another process was faster: what it made is as good
                    partial.rename(place)
            finally:
                remove_tree(partial)
        return place

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the one lock of this machine's provisioning; wait for another process that holds it, and say so.

        What a killed process left half-made is removed first.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        with (self.root / "lock").open("a+") as file:
            _take(file.fileno(), self.root / "lock")
            file.truncate(0)
            file.write(str(os.getpid()))
            file.flush()
            for left in self.artefacts.glob(f"{PARTIAL}*"):
                with contextlib.suppress(OSError):  # the next to take the lock removes what cannot be removed yet
                    remove_tree(left)
            yield


def _take(descriptor: int, path: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = path.read_text().strip() or "unknown"
        with step(f"waiting for another run (process {holder}), which is making this machine ready"):
            fcntl.flock(descriptor, fcntl.LOCK_EX)


def remove_tree(folder: Path) -> None:
    """Remove a folder with all it holds, also where its folders are read-only, as Go's module cache is.

    What is still mounted on or below it is detached first, so that nothing behind a mount is removed: a killed
    build leaves mounts, and so does an engine, which binds its data onto itself.
    Raises `OSError`.
    """
    if not folder.is_dir():
        return
    for mount in _mounts_in(folder):
        if _libc.umount2(os.fsencode(mount), _MNT_DETACH):
            number = ctypes.get_errno()
            raise OSError(number, f"cannot be unmounted: {os.strerror(number)}", str(mount))
    for parent, folders, _ in os.walk(folder):
        for name in (*folders, "."):
            path = Path(parent, name)
            if not path.is_symlink():
                path.chmod(path.stat().st_mode | stat.S_IRWXU)
    shutil.rmtree(folder)


def _mounts_in(folder: Path) -> list[Path]:
    """Return the mount points on and below a folder, the innermost first."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    points = [Path(line.split()[4].encode().decode("unicode_escape")) for line in lines]
    return [point for point in reversed(points) if point.is_relative_to(folder.resolve())]


def store() -> Store:
    """Return the store in this user's cache."""
    return Store(paths.cache())
