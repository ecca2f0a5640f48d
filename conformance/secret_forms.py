"""The forms in which a secret value may turn up in a text, and the parts of it that are secret by themselves."""

from __future__ import annotations

import base64
import binascii
import contextlib
import html
import json
import re
import shlex
import urllib.parse
from collections.abc import Iterator

import yaml

from conformance.kube_yaml import texts

#: Shorter values would blank ordinary words; they cannot be told from coincidence in any output.
SHORTEST = 6

#: A longer value is known in its usual forms only: the others would fill the memory.
_LONGEST_THOROUGH = 512

#: What URL encoders leave as it is beside letters, digits and `_.-~`: Python's and Go's, for paths and names.
_URL_SAFE = ("", "/", "$&+=:@", "$&+=:@/", "$&+,;=")

#: `key: value`, `KEY=value`, `- item`, a comment or a section, as in the configuration files that Secrets hold.
_SETTING = re.compile(r"""^[\s"'{,-]*(?:export\s+)?[\w./\[\]-]+["']?\s*[:=]\s*|^\s*(?:-\s+|#|//|;|\[)""")


def forms(data: bytes) -> Iterator[str]:
    """Yield the ways a value may be written: as it is, escaped, percent-encoded, or in base64 once or twice.

    For base64 these are the characters that are the same whatever precedes and follows the value.
    """
    text = data.decode(errors="replace")
    yield text
    yield "".join(text.splitlines())  # of many lines, once line breaks are taken out
    yield json.dumps(text)[1:-1]
    yield json.dumps(text, ensure_ascii=False)[1:-1]
    yield urllib.parse.quote(data, safe="")
    yield from _base64(data)
    if len(data) <= _LONGEST_THOROUGH:
        for inner in _base64(data):
            yield from _base64(inner.encode())
        yield from _percent(data)
        yield from _escaped(text)
        yield data.decode(errors="backslashreplace")


def parts(data: bytes) -> Iterator[bytes]:
    """Yield what is secret inside a value: its lines, JSON's texts, settings, credentials in URLs and logins.

    A part that looks like an ordinary word is left out: it would blank that word everywhere.
    """
    text = data.decode(errors="replace")
    found = [*_settings(text), *(text for url in re.findall(r"\S+//\S+@\S+", text) for text in userinfo(url))]
    with contextlib.suppress(ValueError, RecursionError):
        found += texts(json.loads(text))
    for part in found:
        if _looks_secret(part):
            yield part.encode()
        login = _login(part)
        if login and _looks_secret(login):
            yield from (login.encode(), login.partition(":")[2].encode())


def userinfo(url: str) -> Iterator[str]:
    """Yield the credentials inside a URL, as written and percent-decoded."""
    for found in re.findall(r"//([^/\s]+)@", url):
        for part in found.split(":", 1):
            yield part
            yield urllib.parse.unquote(part)


def _settings(text: str) -> Iterator[str]:
    lines = text.splitlines()
    for line in lines:
        setting = _SETTING.match(line)
        if setting:
            yield line[setting.end() :].strip().strip("\"',;")
        elif len(lines) > 1:
            yield line.strip()


def _looks_secret(part: str) -> bool:
    """Say whether a part of a value is none of the words and short numbers that configuration is made of."""
    return len(part) >= 12 or (len(part) >= SHORTEST and not part.isalpha() and not part.isdecimal())


def _login(text: str) -> str | None:
    """Return the `user:password` of a registry login, which Docker keeps in base64."""
    try:
        decoded = base64.b64decode(text, validate=True).decode()
    except (binascii.Error, ValueError):
        return None
    return decoded if ":" in decoded and decoded.isprintable() else None


def _percent(data: bytes) -> Iterator[str]:
    for safe in _URL_SAFE:
        quoted = urllib.parse.quote(data, safe=safe)
        yield quoted
        yield re.sub("%..", lambda found: found.group().lower(), quoted)
        yield quoted.replace("%20", "+")
    for form in ("%{:02X}", "%{:02x}"):
        yield "".join(map(form.format, data))


def _base64(data: bytes) -> Iterator[str]:
    for encode in (base64.standard_b64encode, base64.urlsafe_b64encode):
        for offset in range(3):
            encoded = encode(b"\0" * offset + data).decode()
            yield encoded[(offset * 8 + 5) // 6 : (offset + len(data)) * 8 // 6]


def _escaped(text: str) -> Iterator[str]:
    for quoted in (json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]):
        # Go's encoding/json, so Helm's and kubectl's
        yield quoted.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
        yield quoted.replace("/", "\\/")
        yield json.dumps(quoted)[1:-1]  # a document inside a document
    yield text.encode("unicode_escape").decode()
    yield repr(text)[1:-1]
    yield text.replace("'", "''")  # YAML, single quotes
    yield yaml.safe_dump(text, default_style='"', width=len(text) * 10).rstrip()[1:-1]
    yield shlex.quote(text).removeprefix("'").removesuffix("'")
    for apostrophe in ("'", "&#39;", "&apos;", "&#x27;"):
        for quote in ('"', "&quot;", "&#34;"):
            yield html.escape(text, quote=False).replace("'", apostrophe).replace('"', quote)
