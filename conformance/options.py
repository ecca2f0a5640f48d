"""What the caller asks of a run, and the folder the report goes to."""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from conformance.errors import BadInput
from conformance.redact import REDACTOR

#: The names of the options, alike on the command line of `agents-conformance run` and of pytest.
KUBE_VERSION = "1.35"
HELM = 3
REPORT = "report"


@dataclass(frozen=True)
class Options:
    """The options of one run. Sources are as `conformance.chart` reads them; None means the contract's own."""

    contract: Path | None = None
    chart: str | None = None
    baseline: str | None = None
    values: tuple[Path, ...] = ()
    kube_version: str = KUBE_VERSION
    helm: int = HELM
    report_dir: Path | None = None
    keep_cluster: bool = False
    install_engine: bool = True

    def reproducing(self, command: str, id_: str | None = None) -> str:
        """Return the command line that judges the same again: `run` one check, its cluster kept, or `rules`."""
        given: list[str] = [] if command == "run" else [self.chart or ""]
        named = {
            "--contract": self.contract, "--chart": self.chart if command == "run" else None,
            "--baseline": self.baseline,
            "--kube-version": self.kube_version if self.kube_version != KUBE_VERSION else None,
            "--helm": self.helm if self.helm != HELM else None,
        }  # fmt: skip
        given += [word for name, value in named.items() if value is not None for word in (name, str(value))]
        given += [word for file in self.values for word in ("--values", str(file))]
        given += ["-k", id_, "--keep-cluster"] if id_ else []
        return REDACTOR.scrub(shlex.join(["agents-conformance", command, *given]))

    def as_pytest(self) -> list[str]:
        """Return the options as pytest takes them."""
        named: dict[str, Any] = {
            "--contract": self.contract, "--chart": self.chart, "--baseline": self.baseline,
            "--kube-version": self.kube_version, "--helm": self.helm, "--report-dir": self.report_dir,
        }  # fmt: skip
        words = [f"{name}={value}" for name, value in named.items() if value is not None]
        words += [f"--values={file}" for file in self.values]
        words += ["--keep-cluster"] if self.keep_cluster else []
        return words + ([] if self.install_engine else ["--no-install-engine"])


def report_folder(asked: Path | None) -> Path:
    """Return the empty, writable folder for the report, made if need be.

    With none asked for it is `report`, or the next free `report-2`, `report-3`, so that a second run loses
    nothing. Raises `BadInput` when the folder asked for is `/`, a file, not empty or not writable.
    """
    if asked is None:
        number = 1
        folder = Path.cwd() / REPORT
        while folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            number += 1
            folder = Path.cwd() / f"{REPORT}-{number}"
    else:
        folder = asked.absolute()
    wrong = None
    if folder.resolve() == Path(folder.anchor):
        wrong = "is the root of the file system"
    elif folder.exists() and not folder.is_dir():
        wrong = "is no folder"
    elif folder.is_dir() and any(folder.iterdir()):
        wrong = "is not empty"
    if wrong is None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            wrong = f"cannot be made: {error.strerror}"
        else:
            wrong = None if os.access(folder, os.W_OK | os.X_OK) else "is not writable"
    if wrong:
        raise BadInput(f"--report-dir {folder} {wrong}; name a new or empty folder, nothing was written")
    return folder
