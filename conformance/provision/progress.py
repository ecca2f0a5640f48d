"""Say what is going on and for how long, and do independent work side by side."""

from __future__ import annotations

import concurrent.futures
import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import TypeVar

import tenacity

log = logging.getLogger(__name__)

T = TypeVar("T")

#: Seconds after which a step that goes on says so again.
HEARTBEAT_SECONDS = 20.0


@contextlib.contextmanager
def step(what: str, *, heartbeat: float = HEARTBEAT_SECONDS, quiet: bool = False) -> Iterator[None]:
    """Log at INFO that a step began, every `heartbeat` seconds that it goes on, and how long it took.

    A `quiet` step does not say that it goes on, because the steps it consists of do.
    """
    started = time.monotonic()
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(heartbeat):
            log.info("%s: going on (%s)", what, elapsed(started))

    log.info("%s …", what)
    if not quiet:
        threading.Thread(target=beat, daemon=True).start()
    try:
        yield
    except BaseException:
        log.info("%s: failed after %s", what, elapsed(started))
        raise
    finally:
        ended.set()
    log.info("%s: done in %s", what, elapsed(started))


def elapsed(started: float) -> str:
    """Return the time since `started` (of `time.monotonic`) as a person says it."""
    seconds = time.monotonic() - started
    return f"{seconds:.1f} s" if seconds < 60 else f"{int(seconds) // 60} min {int(seconds) % 60} s"


def until_there(ask: Callable[[], T | None], *, seconds: float, every: float) -> T | None:
    """Ask again and again until there is something, and return it; None where there is nothing for `seconds`."""
    retrying = tenacity.Retrying(
        stop=tenacity.stop_after_delay(seconds),
        wait=tenacity.wait_fixed(every),
        retry=tenacity.retry_if_result(lambda found: found is None),
        retry_error_callback=lambda _: None,
    )
    return retrying(ask)


def start(work: Callable[[], T]) -> Future[T]:
    """Begin work in a thread of its own and return the future of its result.

    The thread does not keep the process alive: an interrupted run ends at once, and its commands with it.
    """
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future


def wait(*futures: Future[T]) -> list[T]:
    """Return the results of all, or raise the first failure as soon as it happens."""
    done, _ = concurrent.futures.wait(futures, return_when=concurrent.futures.FIRST_EXCEPTION)
    for future in done:
        future.result()
    return [future.result() for future in futures]


def in_turn(*work: Callable[[], T]) -> list[Future[T]]:
    """Begin pieces of work one after the other and return the future of each; a failure fails all that follow."""
    futures: list[Future[T]] = [Future() for _ in work]

    def run() -> None:
        failure: BaseException | None = None
        for piece, future in zip(work, futures, strict=True):
            try:
                if failure is None:
                    future.set_result(piece())
            except BaseException as error:
                failure = error
            if failure is not None:
                future.set_exception(failure)

    threading.Thread(target=run, daemon=True).start()
    return list(futures)
