"""Keep secret values out of everything the suite writes.

One `Redactor` knows every value that must not be shown; reports, evidence, logs and recorded commands pass
their text through it. It also recognises a value that was escaped (JSON, Go, YAML, HTML, shell), percent-encoded,
base64-encoded at any offset (twice, too) or wrapped over several lines on the way. What was compressed cannot
be searched, so base64 of gzip, as in Helm's releases, is hidden altogether.
"""

from __future__ import annotations

import bisect
import hashlib
import logging
import re
import secrets
import threading
from collections.abc import Iterator

from conformance.secret_forms import SHORTEST, forms, parts, userinfo

__all__ = ["REDACTOR", "SHORTEST", "Redactor", "ScrubbingFilter", "userinfo"]

#: A line break inside a value: of folded YAML, with its escaped spaces, and of wrapped base64.
_BREAK = re.compile(r"(?<![ \t])[ \t]*\\?\r?\n[ \t]*(?:\\(?=[ \t]))?")

#: base64, once, twice and three times, of what begins as gzip does; on further lines only where they are full.
_COMPRESSED = re.compile(
    r"(?:H4sI|SDRzSU|U0RSelNV)[\w+/-]{20,}(?:[ \t]*\r?\n[ \t]*[\w+/-]{40,})*={0,2}", re.ASCII
)  # fmt: skip

_Span = tuple[int, int, str]


class Redactor:
    """The values that must never be shown, and what is shown in their place (a salted hash)."""

    def __init__(self) -> None:
        self._salt = secrets.token_bytes(16)
        self._known: set[bytes] = set()
        # By their first characters, so that the time to scrub a text does not grow with the number of values.
        self._forms: dict[str, tuple[tuple[str, str], ...]] = {}
        self._lock = threading.Lock()

    def add(self, *values: str | bytes) -> None:
        """Remember values as secret, and what is secret inside them. Those under six characters are ignored."""
        with self._lock:
            for value in values:
                data = _bytes(value)
                for part in (data, data.strip(), *parts(data)):
                    if len(part) >= SHORTEST and part not in self._known:
                        self._known.add(part)
                        self._remember(part)

    @property
    def known(self) -> frozenset[bytes]:
        """Return every value to be hidden, for another process of the same run."""
        with self._lock:
            return frozenset(self._known)

    def _remember(self, part: bytes) -> None:
        shown = self.hash(part)
        for form in {form for form in forms(part) if len(form) >= SHORTEST}:
            same_start = {*self._forms.get(form[:SHORTEST], ()), (form, shown)}
            self._forms[form[:SHORTEST]] = tuple(sorted(same_start, key=lambda known: -len(known[0])))

    def hash(self, value: str | bytes) -> str:
        """Return what stands for a value: equal values look equal within one run, and nothing more."""
        return f"<secret {hashlib.sha256(self._salt + _bytes(value)).hexdigest()[:10]}>"

    def scrub(self, text: str) -> str:
        """Return the text with every known value, in any form it may have, replaced by its hash."""
        spans = [(*found.span(), self.hash(found.group())) for found in _COMPRESSED.finditer(text)]
        if self._forms:
            spans += self._spans(text)
            if "\n" in text:
                spans += self._wrapped(text, "")
                spans += self._wrapped(text, " ")
        return _replaced(text, spans)

    def _spans(self, text: str) -> Iterator[_Span]:
        known = self._forms
        for at in range(len(text) - SHORTEST + 1):
            start = text[at : at + SHORTEST]
            if start in known:
                for form, shown in known[start]:
                    if text.startswith(form, at):
                        yield at, at + len(form), shown
                        break

    def _wrapped(self, text: str, joint: str) -> Iterator[_Span]:
        """Yield where a value is once line breaks are taken for `joint`, at its place in the text as it is."""
        pieces, kept, places, length, last = [], [0], [0], 0, 0
        for found in _BREAK.finditer(text):
            pieces += [text[last : found.start()], joint]
            length += found.start() - last + len(joint)
            last = found.end()
            kept.append(length)
            places.append(last)
        unwrapped = "".join([*pieces, text[last:]])

        def place(at: int) -> int:
            line = bisect.bisect_right(kept, at) - 1
            return places[line] + at - kept[line]

        for start, end, shown in self._spans(unwrapped):
            # The last character's place, not the end's: that may be behind a break.
            yield place(start), place(end - 1) + 1, shown


#: The process's one redactor: a secret learnt anywhere is hidden everywhere.
REDACTOR = Redactor()


class ScrubbingFilter(logging.Filter):
    """Redacts log records, with their tracebacks, before any handler sees them."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Replace the record's message by its scrubbed form."""
        record.msg, record.args = REDACTOR.scrub(record.getMessage()), ()
        if record.exc_info and not record.exc_text:
            record.exc_text = logging.Formatter().formatException(record.exc_info)
        if record.exc_text:  # a formatter takes it as it is
            record.exc_text = REDACTOR.scrub(record.exc_text)
        return True


def _bytes(value: str | bytes) -> bytes:
    return value.encode(errors="surrogateescape") if isinstance(value, str) else value


def _replaced(text: str, spans: list[_Span]) -> str:
    """Replace each span; those that overlap become one, so that no end of a value is left over."""
    if not spans:
        return text
    spans.sort(key=lambda span: (span[0], -span[1]))
    pieces, done = [], 0
    for start, end, shown in spans:
        if start >= done:
            pieces += [text[done:start], shown]
        done = max(done, end)
    return "".join([*pieces, text[done:]])
