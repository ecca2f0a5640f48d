"""Run the suite as its users do, in a process of its own, and see how long it takes and how large it grows."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from conformance import paths
from conformance.errors import CommandFailed
from conformance.run import Runner, end_group

#: Seconds that one run may take, and between two looks at its memory.
RUN_SECONDS = 900.0
LOOK_SECONDS = 0.25


@dataclass(frozen=True)
class Ran:
    """One run of the suite: wall time in seconds and, summed over its Python processes, peak memory in MB."""

    seconds: float
    peak_mb: float
    processes: int
    log: str


def agents_conformance(folder: Path, *words: str) -> Ran:
    """Run a command of the suite in an empty folder. Raises `CommandFailed` where it does not pass."""
    output = folder / "output"
    runner = Runner(
        folder, {"XDG_CACHE_HOME": str(paths.cache().parent), "XDG_STATE_HOME": str(paths.state().parent)}
    )
    started = time.monotonic()
    process = runner.start(sys.executable, "-m", "conformance", *words, output=output, cwd=folder)
    peaks: dict[int, float] = {}
    try:
        while time.monotonic() < started + RUN_SECONDS:
            peaks.update(_peaks(process.pid))
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(LOOK_SECONDS)
                break
    finally:
        seconds = time.monotonic() - started
        end_group(process.pid)
        status = process.wait()
    log = output.read_text(errors="replace")
    if status:
        raise CommandFailed(f"{' '.join(words)} ended with status {status} after {seconds:.0f} s: {log[-2000:]}")
    return Ran(seconds, sum(peaks.values()), len(peaks), log)


def _peaks(pid: int) -> dict[int, float]:
    """Return the largest resident memory so far, in MB, of a process and its Python children, pytest-xdist's."""
    found = {}
    with contextlib.suppress(psutil.Error):
        main = psutil.Process(pid)
        for process in [main, *main.children()]:
            with contextlib.suppress(psutil.Error, OSError, StopIteration):
                # A child that has not yet become the command it is to run still looks like its parent.
                itself = process == main or process.cmdline() != main.cmdline()
                if itself and "python" in Path(process.exe()).name:
                    found[process.pid] = _high_water_mark(process.pid)
    return found


def _high_water_mark(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return float(next(line for line in lines if line.startswith("VmHWM:")).split()[1]) / 1024
