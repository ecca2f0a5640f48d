"""Ctrl-C and SIGTERM: the first one ends a command after what must be finished, a second one at once."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from typing import NoReturn

#: The exit status of an interrupted command.
INTERRUPTED = 130

#: Seconds in which further signals are still the first one: `timeout` and shells send one to process and group.
SAME_SECONDS = 0.5

#: Seconds in which such a callback has returned.
_AGAIN_SECONDS = 0.02

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_AT_ONCE = b"\nagents-conformance: stopped at once; `agents-conformance clean` removes what is left\n"
_NOTHING_YET = b"agents-conformance: interrupted\n"


class _Interrupts:
    """What this process was told so far. `holding` counts what has to be finished before it may be interrupted."""

    holding = 0
    first: float | None = None
    raised = False

    def hear(self, *_: object) -> None:
        now = time.monotonic()
        if self.first is not None and now > self.first + SAME_SECONDS:
            _end(_AT_ONCE)
        self.first = self.first or now
        self.tell()

    def tell(self) -> None:
        if self.first is not None and not self.raised and not self.holding:
            self.raised = True
            raise KeyboardInterrupt


_INTERRUPTS = _Interrupts()


def _end(said: bytes) -> NoReturn:
    os.write(2, said)
    os._exit(INTERRUPTED)


def end_at_once() -> None:
    """End the process on SIGINT and SIGTERM, until `handle` is called: there is nothing to finish yet."""
    for number in _SIGNALS:
        signal.signal(number, lambda *_: _end(_NOTHING_YET))


def handle() -> None:
    """Raise `KeyboardInterrupt` on the first SIGINT or SIGTERM, end the process on the next."""
    for number in _SIGNALS:
        signal.signal(number, _INTERRUPTS.hear)
    signal.signal(signal.SIGALRM, lambda *_: _INTERRUPTS.tell())
    sys.unraisablehook = _again


def heard() -> bool:
    """Say whether this process was interrupted, whatever came of it."""
    return _INTERRUPTS.first is not None


def _again(lost: sys.UnraisableHookArgs) -> None:
    """Raise an interrupt again that came inside a callback of a library in C, which cannot hand it on."""
    if not issubclass(lost.exc_type, KeyboardInterrupt):
        sys.__unraisablehook__(lost)
        return
    _INTERRUPTS.raised = False
    signal.setitimer(signal.ITIMER_REAL, _AGAIN_SECONDS)


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
