"""The caller's values files: read, and what in them may be a secret."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from conformance.errors import BadInput
from conformance.kube_yaml import NotYaml, read
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


def possible_secrets(values: dict[str, Any], public: str) -> Iterator[str]:
    """Yield every text in the caller's values that may be a secret: all but what stands in a public text too.

    `public` is the text of the chart and its contract; nobody can tell a password from another word otherwise.
    """
    for text in _texts(values):
        if len(text) >= SHORTEST_SECRET and text not in public:
            yield text


def _texts(value: Any) -> Iterator[str]:  # noqa: ANN401 - any part of the values
    if isinstance(value, dict):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)
    elif isinstance(value, str):
        yield value
