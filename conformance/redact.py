"""Keep secret values out of everything the suite writes.

One `Redactor` knows every value that must not be shown; reports, evidence, logs and recorded commands pass
their text through it. It also recognises a value that was percent-encoded or base64-encoded on the way,
at any offset inside a longer base64 text.
"""

from __future__ import annotations

import base64
import hashlib
import logging
import re
import secrets
import threading
import urllib.parse
from collections.abc import Iterable, Iterator

#: Shorter values would blank ordinary words; they cannot be told from coincidence in any output.
SHORTEST = 6


class Redactor:
    """The values that must never be shown, and what is shown in their place (a salted hash)."""

    def __init__(self) -> None:
        self._salt = secrets.token_bytes(16)
        self._shown: dict[str, str] = {}
        self._pattern: re.Pattern[str] | None = None
        self._lock = threading.Lock()

    def add(self, *values: str | bytes) -> None:
        """Remember values as secret. Values under six characters are ignored."""
        with self._lock:
            for value in values:
                data = value.encode() if isinstance(value, str) else value
                for part in {data, data.strip(), *data.splitlines()}:
                    if len(part) >= SHORTEST:
                        shown = self.hash(part)
                        self._shown.update((form, shown) for form in _forms(part))
            self._pattern = None

    def hash(self, value: str | bytes) -> str:
        """Return what stands for a value: equal values look equal within one run, and nothing more."""
        data = value.encode() if isinstance(value, str) else value
        return f"<secret {hashlib.sha256(self._salt + data).hexdigest()[:10]}>"

    def scrub(self, text: str) -> str:
        """Return the text with every known value replaced by its hash."""
        with self._lock:
            if not self._shown:
                return text
            if self._pattern is None:
                longest_first = sorted(self._shown, key=len, reverse=True)
                self._pattern = re.compile("|".join(map(re.escape, longest_first)))
            pattern = self._pattern
        return pattern.sub(lambda match: self._shown[match.group()], text)


#: The process's one redactor: a secret learnt anywhere is hidden everywhere.
REDACTOR = Redactor()


class ScrubbingFilter(logging.Filter):
    """Redacts log records before any handler sees them."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Replace the record's message by its scrubbed form."""
        record.msg, record.args = REDACTOR.scrub(record.getMessage()), ()
        return True


def userinfo(url: str) -> Iterator[str]:
    """Yield the credentials inside a URL, as written and percent-decoded."""
    for found in re.findall(r"//([^/@\s]+)@", url):
        for part in found.split(":"):
            yield part
            yield urllib.parse.unquote(part)


def _forms(data: bytes) -> Iterable[str]:
    try:
        text = data.decode()
    except UnicodeDecodeError:
        pass
    else:
        yield text
        yield urllib.parse.quote(text, safe="")
        yield urllib.parse.quote_plus(text)
        yield text.encode("unicode_escape").decode()
    for encode in (base64.standard_b64encode, base64.urlsafe_b64encode):
        for offset in range(3):
            # What precedes and follows the value in a longer text changes the characters at its two ends.
            encoded = encode(b"\0" * offset + data).decode()
            start = (offset * 8 + 5) // 6
            end = (offset + len(data)) * 8 // 6
            if end - start >= SHORTEST:
                yield encoded[start:end]
