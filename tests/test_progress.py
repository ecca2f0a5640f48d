"""What the library logs, as the terminal shows it."""

from __future__ import annotations

import io
import logging
import re
from collections.abc import Iterator

import pytest

from conformance import progress
from conformance.redact import REDACTOR


@pytest.fixture
def shown() -> Iterator[io.StringIO]:
    logger = logging.getLogger("conformance")
    before = logger.handlers[:], logger.level, logger.propagate
    stream = io.StringIO()
    progress.show(logging.DEBUG, who="gw1", stream=stream)
    yield stream
    logger.handlers[:], logger.level, logger.propagate = before


def test_a_line_says_when_and_who(shown: io.StringIO) -> None:
    logging.getLogger("conformance.x").info("upgrade: %s", "ready")
    assert re.fullmatch(r" *\d+\.\d s  gw1: upgrade: ready\n", shown.getvalue())


def test_what_led_to_an_error_is_shown_without_its_secrets(shown: io.StringIO) -> None:
    REDACTOR.add("a-value-nobody-may-see")
    try:
        raise ValueError("a-value-nobody-may-see")
    except ValueError:
        logging.getLogger("conformance.x").debug("what led to it", exc_info=True)
    assert "Traceback" in shown.getvalue()
    assert "ValueError" in shown.getvalue()
    assert "a-value-nobody-may-see" not in shown.getvalue()


def test_a_worker_shows_as_much_as_the_controlling_process(
    shown: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    for level, lines in ((logging.DEBUG, 1), (logging.INFO, 0)):
        monkeypatch.setenv("AGENTS_CONFORMANCE_LOG_LEVEL", "")
        progress.show(level, stream=io.StringIO())
        said = io.StringIO()
        progress.show(who="gw0", stream=said)
        logging.getLogger("conformance.x").debug("run helm")
        assert len(said.getvalue().splitlines()) == lines
