"""Debian's packages: install them on this machine, or make a root file system of them."""

from __future__ import annotations

import os
import platform
import shlex
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from conformance.errors import MachineLacks
from conformance.provision.pins import pins
from conformance.provision.progress import step
from conformance.provision.store import Artefact, Store, file_hash
from conformance.provision.upstream import MIRROR
from conformance.run import Runner

#: Seconds: 12 s and 41 s were measured on a fast mirror.
INSTALL_SECONDS = ROOT_SECONDS = 1800.0
SOURCES = Path("/etc/apt")
#: What nobody reads in a node.
LEFT_OUT = ("/usr/share/man/*", "/usr/share/info/*", "/usr/share/locale/*", "/usr/share/doc/*/*.gz")
#: The parts of apt's configuration that say how to reach the mirrors; mmdebstrap reads none of it by itself.
REACH = ("Acquire::http", "Acquire::https", "Acquire::Retries", "Acquire::ForceIPv4")


def install(runner: Runner, packages: Sequence[str]) -> None:
    """Install packages on this machine. Raises `MachineLacks` where the caller may not, `CommandFailed`."""
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise MachineLacks(f"{' '.join(packages)}: needed, and only root on Debian can have it installed here")
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    patient = ("-o", "DPkg::Lock::Timeout=300", "-y")
    with step(f"installing {' '.join(packages)} from Debian"):
        # Should one source of several fail, what the others have may do.
        runner.run("apt-get", *patient, "update", timeout=INSTALL_SECONDS, env=quiet, check=False)
        runner.run("apt-get", *patient, "install", "--no-install-recommends", *packages,
                   timeout=INSTALL_SECONDS, env=quiet)  # fmt: skip


@dataclass(frozen=True)
class Root:
    """A root file system with the packages pinned under `name`, in mmdebstrap's `variant`.

    `minbase` is a small Debian; `extract` has nothing but the files of these packages and those they depend on.
    `left_out` are further files that nobody needs; `finish` is a program that is given the tree's folder, with the
    right to chroot into it, once the packages are unpacked.
    """

    name: str
    variant: str
    left_out: tuple[str, ...] = ()
    finish: Path | None = None

    @property
    def artefact(self) -> Artefact:
        """Return the artefact whose folder holds it."""
        made_from: dict[str, Any] = {"suite": _suite(), "packages": pins().packages[self.name]}
        made_from["left_out"] = (*LEFT_OUT, *self.left_out)
        if self.finish:
            made_from["finish"] = file_hash(self.finish)
        return Artefact.of(f"root-{self.name}", {"variant": self.variant, **made_from})


def make_root(runner: Runner, store: Store, root: Root) -> Path:
    """Return the tar of a root file system, made from this machine's own apt sources where it is missing."""
    suite, packages = _suite(), pins().packages[root.name]

    def make(folder: Path) -> None:
        mirrors = [
            path
            for path in (SOURCES / "sources.list", *sorted((SOURCES / "sources.list.d").glob("*")))
            if path.suffix in (".list", ".sources") and path.is_file() and suite in path.read_text()
        ]
        if not mirrors:
            raise MachineLacks(
                f"{SOURCES} names no Debian package sources, so the image of the {root.name} cannot be built; "
                f"use a machine that can pull it, or name a registry that has it in {MIRROR}"
            )
        if shutil.which("mmdebstrap") is None:
            install(runner, pins().packages["bootstrap"])
        options = [f"--aptopt={line}" for line in _reach(runner)]
        options += [f"--dpkgopt=path-exclude={files}" for files in (*LEFT_OUT, *root.left_out)]
        options += [f"--extract-hook={shlex.quote(str(root.finish))}"] if root.finish else []
        runner.run(*_dying_together(runner), "mmdebstrap", f"--variant={root.variant}",
                   f"--include={','.join(packages)}", *options, suite, folder / "root.tar", *mirrors,
                   timeout=ROOT_SECONDS, env={"TMPDIR": str(folder)})  # fmt: skip

    what = f"the root file system for {root.name} from Debian {suite}"
    return store.make(root.artefact, make, what=what) / "root.tar"


def _suite() -> str:
    """Return this Debian's code name; empty elsewhere, where no root file system can be made."""
    try:
        return platform.freedesktop_os_release().get("VERSION_CODENAME", "")
    except OSError:
        return ""


def _dying_together(runner: Runner) -> tuple[str, ...]:
    """Return what runs a command so that its descendants and mounts end with it, where that can be done.

    mmdebstrap's go on for minutes after it was killed, and write into what the next run removes.
    """
    namespace = ("unshare", "--mount", "--pid", "--fork", "--kill-child")
    possible = shutil.which("unshare") and runner.run(*namespace, "true", timeout=60, check=False).status == 0
    return namespace if possible else ()


def _reach(runner: Runner) -> list[str]:
    said = runner.run("apt-config", "dump", *REACH, timeout=60).stdout
    return [line for line in said.splitlines() if line.count('"') == 2 and '""' not in line]
