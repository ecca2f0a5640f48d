"""What the caller asks of a run, and the folder the report goes to."""

from __future__ import annotations

import contextlib
import itertools
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from conformance.errors import BadInput
from conformance.redact import REDACTOR

#: What is used where the caller does not say.
KUBE_VERSION = "1.35"
HELM = 3
REPORT = "report"
#: The file of the report folder that holds every command of the run.
COMMANDS = "commands.jsonl"


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


@contextmanager
def report_folder(asked: Path | None) -> Iterator[Path]:
    """Yield the empty, writable folder for the report, made if need be; no other run can have it from now on.

    With none asked for it is `report`, or the next free `report-2`, `report-3`, so that a second run loses
    nothing. Where nothing is written to it, what was made is removed again. Raises `BadInput` when the folder
    asked for is `/`, a file, not empty or not writable.
    """
    folder, made = _first_free() if asked is None else _asked(asked.absolute())
    claim, claimed = folder / COMMANDS, False
    try:
        try:
            claim.touch(exist_ok=False)
            claimed = True
        except FileExistsError:
            raise _unusable(folder, "is not empty") from None
        except OSError as error:
            raise _unusable(folder, f"is not writable: {error.strerror}") from None
        yield folder
    finally:
        with contextlib.suppress(OSError):  # what holds something stays
            if claimed and claim.stat().st_size == 0:
                claim.unlink()
            for place in made:
                place.rmdir()


def _first_free() -> tuple[Path, list[Path]]:
    for number in itertools.count(1):
        folder = Path.cwd() / (REPORT if number == 1 else f"{REPORT}-{number}")
        try:
            folder.mkdir()
        except FileExistsError:
            continue
        except OSError as error:
            raise _unusable(folder, f"cannot be made: {error.strerror}") from None
        return folder, [folder]
    raise AssertionError("unreachable")


def _asked(folder: Path) -> tuple[Path, list[Path]]:
    """Return the folder and what had to be made for it, the innermost first."""
    try:
        if folder.resolve() == Path(folder.anchor):
            raise _unusable(folder, "is the root of the file system")
        if folder.exists() and not folder.is_dir():
            raise _unusable(folder, "is no folder")
        if folder.is_dir() and any(folder.iterdir()):
            raise _unusable(folder, "is not empty")
        made = [place for place in (folder, *folder.parents) if not place.exists()]
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unusable(folder, f"cannot be made: {error.strerror}") from None
    return folder, made


def _unusable(folder: Path, why: str) -> BadInput:
    return BadInput(f"--report-dir {folder} {why}; name a new or empty folder, nothing was written")
