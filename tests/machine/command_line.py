"""The real command line as its users meet it: a process of its own, in folders where all that is left is seen."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from conformance import paths
from conformance.contract import builtin

#: What progress looks like on standard error.
_PROGRESS = re.compile(r" *\d+\.\d s  ")

#: A chart of one file, and the contract that goes with it.
CHART = "apiVersion: v2\nname: mine\nversion: 1.0.0\n"
DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: mine, namespace: {{ .Release.Namespace }}}
spec:
  selector: {matchLabels: {app: mine}}
  template:
    metadata: {labels: {app: mine}}
    spec: {containers: [{name: server, image: "registry.invalid/server:1"}]}
"""
#: The reference chart with a stub in place of its application, for what asks nothing of an application.
STUBBED = ("--contract", builtin().folder / "agents-stub.yaml")
CONTRACT = """\
apiVersion: conformance/v1
release: {name: mine, namespace: mine}
workloads:
  - {name: mine, kind: Deployment, role: web, container: server}
absent:
  - {need: crds, reason: the chart has none}
  - {need: migrations, reason: the chart has no database}
"""


@dataclass(frozen=True)
class Said:
    """How the command line ended, and what it said."""

    status: int
    stdout: str
    stderr: str

    @property
    def errors(self) -> list[str]:
        """Return the lines on standard error that are no progress."""
        return [line for line in self.stderr.splitlines() if not _PROGRESS.match(line)]


@dataclass(frozen=True)
class Started:
    """A command line that runs; what it says goes to two files."""

    process: subprocess.Popen[bytes]
    files: tuple[Path, Path]

    def saw(self, words: str, times: int = 1) -> bool:
        """Say whether something was said on standard error so often."""
        return self.files[1].read_text().count(words) >= times

    def signal(self, number: int, *, group: bool) -> None:
        """Send a signal to the process alone, as `kill` does, or to its group, as a terminal does on Ctrl-C."""
        (os.killpg if group else os.kill)(self.process.pid, number)

    def ended(self, seconds: float = 120.0) -> Said:
        """Wait for its end; one that does not end is killed with all it started, and a failure."""
        try:
            status = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            said = "\n".join(file.read_text() for file in self.files)
            raise AssertionError(f"it did not end within {seconds:.0f} s:\n{said}") from None
        return Said(status, *(file.read_text() for file in self.files))


@dataclass(frozen=True)
class CommandLine:
    """A caller whose current, temporary and state folders are below `root` and otherwise empty.

    Two callers with the same root and another `name` share all but the current folder.
    """

    root: Path
    name: str = "here"
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def here(self) -> Path:
        return self.root / self.name

    @property
    def state(self) -> Path:
        return self.root / "state"

    @property
    def _temporary(self) -> Path:
        return self.root / "tmp"

    def start(self, *words: str | Path, python: str = "from conformance.__main__ import main; main()") -> Started:
        """Start the command line in a process group of its own, as a shell does; `words` are its arguments."""
        for folder in (self.here, self._temporary, self.state):
            folder.mkdir(parents=True, exist_ok=True)
        environment = {
            **os.environ, "XDG_CACHE_HOME": str(paths.cache().parent), "XDG_STATE_HOME": str(self.state),
            "TMPDIR": str(self._temporary), **self.environment,
        }  # fmt: skip
        files = tuple(self.root / f"{self.name}-{stream}-{time.monotonic_ns()}" for stream in ("out", "err"))
        with files[0].open("wb") as out, files[1].open("wb") as err:
            process = subprocess.Popen(
                # As the installed command does, it looks for no module in the current folder.
                [sys.executable, "-P", "-c", python, *map(str, words)], cwd=self.here, env=environment,
                stdin=subprocess.DEVNULL, stdout=out, stderr=err, process_group=0,
            )  # fmt: skip
        return Started(process, files)

    def run(self, *words: str | Path, seconds: float = 120.0) -> Said:
        """Run the command line to its end."""
        return self.start(*words).ended(seconds)

    def left(self) -> list[Path]:
        """Return every file and folder that is left in the three folders."""
        return sorted(path for folder in (self.here, self._temporary, self.state) for path in folder.rglob("*"))

    def processes(self) -> list[str]:
        """Return the command lines of what still runs of all that was started here."""
        return [" ".join(process.cmdline()) for process in self._running()]

    def _running(self) -> Iterator[psutil.Process]:
        for process in psutil.process_iter():
            try:
                if process.environ().get("TMPDIR") == str(self._temporary):
                    yield process
            except psutil.Error:
                continue


def until(happened, what: str, seconds: float = 180.0) -> None:
    """Wait until something happened; a failure names it."""
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, f"waited {seconds:.0f} s for {what}"
        time.sleep(0.05)


def write_chart(folder: Path, files: Mapping[str, str] | None = None) -> Path:
    """Write the small chart into a new folder, with further or other files, and return the folder."""
    for name, text in {"Chart.yaml": CHART, "templates/deployment.yaml": DEPLOYMENT, **(files or {})}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder
