"""Progress on standard error: what the library logs, behind the seconds since the start, secrets redacted."""

from __future__ import annotations

import logging
import os
import time
from typing import TextIO

from conformance import interrupts
from conformance.redact import ScrubbingFilter

_STARTED = time.time()
#: Tells a worker process when the run began, so that all count from the same moment.
_VARIABLE = "AGENTS_CONFORMANCE_STARTED"
#: Tells a worker process how much is shown.
_LEVEL = "AGENTS_CONFORMANCE_LOG_LEVEL"


class _Elapsed(logging.Formatter):
    def __init__(self, who: str) -> None:
        super().__init__()
        self._who = f"{who}: " if who else ""
        self._started = float(os.environ.setdefault(_VARIABLE, str(_STARTED)))

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's own name
        return f"{record.created - self._started:7.1f} s  {self._who}{record.message}"


class _Whole(logging.StreamHandler[TextIO]):
    """Writes a line whole: an interrupt in the middle would leave the lock locked that all threads log under."""

    def handle(self, record: logging.LogRecord) -> bool:
        with interrupts.finished():
            return bool(super().handle(record))


def show(level: int | None = None, *, who: str = "", stream: TextIO | None = None) -> None:
    """Write the library's log from `level` up to standard error; `who` names a worker.

    Without a level a worker shows as much as the controlling process.
    """
    if level is None:
        level = int(os.environ.get(_LEVEL, logging.INFO))
    if not who:
        os.environ[_LEVEL] = str(level)
    handler = _Whole(stream)
    handler.setFormatter(_Elapsed(who))
    handler.addFilter(ScrubbingFilter())
    logger = logging.getLogger("conformance")
    logger.handlers[:] = [handler]
    logger.setLevel(level)
    logger.propagate = False
