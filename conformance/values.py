"""Values: the caller's files, what in them may be a secret, and how Helm lays values over each other."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from conformance.errors import BadInput
from conformance.kube_yaml import NotYaml, mapping, read, texts
from conformance.located_yaml import Unreadable, read_text

#: A shorter value is an ordinary word more often than a secret.
SHORTEST_SECRET = 8


def read_values(file: Path) -> dict[str, Any]:
    """Return the content of a values file. Raises `BadInput` where it is none."""
    try:
        values = read(read_text(file))
    except Unreadable as error:
        raise BadInput(f"--values {file}: {error}") from None
    except NotYaml as error:
        raise BadInput(f"--values {file}: expected YAML, seen: {error}; correct it") from None
    if not isinstance(values, dict | None):
        raise BadInput(f"--values {file}: expected a mapping of values, seen {type(values).__name__}; correct it")
    return values or {}


def readable_values(file: Path) -> dict[str, Any]:
    """Return the content of a values file; nothing where there is none, or none that Helm can read either."""
    try:
        return _read_once(file, file.stat().st_mtime_ns)
    except OSError:
        return {}


@functools.lru_cache(maxsize=256)
def _read_once(file: Path, _changed: int) -> dict[str, Any]:
    """Read a values file, which nobody changes once it is read; every pair of versions asks for it again."""
    try:
        return mapping(read(file.read_text(encoding="utf-8-sig")))
    except (OSError, UnicodeDecodeError, NotYaml):
        return {}


def possible_secrets(values: dict[str, Any], public: str) -> Iterator[str]:
    """Yield every text in the caller's values that may be a secret: all but what stands in a public text too.

    `public` is the text of the chart and its contract; nobody can tell a password from another word otherwise.
    """
    for text in texts(values):
        if len(text) >= SHORTEST_SECRET and text not in public:
            yield text


def overlaid(*layers: Mapping[str, Any]) -> dict[str, Any]:
    """Return values laid over each other as Helm does it, the last wins: mappings merge, null removes."""
    result: dict[str, Any] = {}
    for layer in layers:
        for key, value in layer.items():
            if isinstance(value, Mapping):
                below = result.get(key)
                result[key] = overlaid(below if isinstance(below, Mapping) else {}, value)
            elif value is None:
                result.pop(key, None)
            else:
                result[key] = value
    return result


def over(under: Mapping[str, Any], upper: Mapping[str, Any]) -> dict[str, Any]:
    """Return values with others laid over them, for Helm to read: null stays, as it takes a default away."""
    found = dict(under)
    for key, value in upper.items():
        there = found.get(key)
        found[key] = over(there, value) if isinstance(there, Mapping) and isinstance(value, Mapping) else value
    return found


def as_text(value: object) -> str | None:
    """Return the text that a scalar value becomes in an environment; None for nothing, lists and mappings."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value) if isinstance(value, str | int | float) else None
