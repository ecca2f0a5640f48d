"""Ctrl-C and SIGTERM: the first one ends a command after what must be finished, a second one at once."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator

#: The exit status of an interrupted command.
INTERRUPTED = 130

#: Seconds in which further signals are still the first one: `timeout` and shells send one to process and group.
SAME_SECONDS = 0.5

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_AT_ONCE = b"\nagents-conformance: stopped at once; `agents-conformance clean` removes what is left\n"


class _Interrupts:
    """What this process was told so far. `holding` counts what has to be finished before it may be interrupted."""

    holding = 0
    first: float | None = None
    raised = False

    def hear(self, *_: object) -> None:
        now = time.monotonic()
        if self.first is not None and now > self.first + SAME_SECONDS:
            os.write(2, _AT_ONCE)
            os._exit(INTERRUPTED)
        self.first = self.first or now
        self.tell()

    def tell(self) -> None:
        if self.first is not None and not self.raised and not self.holding:
            self.raised = True
            raise KeyboardInterrupt


_INTERRUPTS = _Interrupts()


def handle() -> None:
    """Raise `KeyboardInterrupt` on the first SIGINT or SIGTERM, end the process on the next."""
    for number in _SIGNALS:
        signal.signal(number, _INTERRUPTS.hear)


@contextlib.contextmanager
def kept_from_children() -> Iterator[None]:
    """Let no interrupt reach the processes that are started inside; each calls `ignore` when it is up."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)


def ignore() -> None:
    """Leave interrupts to the controlling process, which ends its workers itself."""
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)


@contextlib.contextmanager
def finished() -> Iterator[None]:
    """Let what is inside be finished in spite of a first interrupt, which comes right after it.

    Only the main thread is ever interrupted; in others this changes nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _INTERRUPTS.holding += 1
    try:
        yield
    finally:
        _INTERRUPTS.holding -= 1
        _INTERRUPTS.tell()
