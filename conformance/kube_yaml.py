"""Read YAML the way Kubernetes reads it: go-yaml's rules for plain scalars, then JSON's for mapping keys.

A date stays text, `12:30` is no number, `0777` is octal, and keys are strings.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

import yaml

#: More nodes than any real rendering has; an alias bomb has more.
_MOST_NODES = 2_000_000


class NotYaml(ValueError):
    """The text is no YAML, or expands beyond all measure; the message is one line."""


def read(text: str) -> Any:  # noqa: ANN401 - any YAML value
    """Return the value of one document; raises `NotYaml`."""
    try:
        return _as_json(yaml.load(text, Loader=_Loader), [0])  # noqa: S506 - a safe loader
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise NotYaml(" ".join(str(error).split())) from error


class _Loader(yaml.CSafeLoader):
    """Resolves plain scalars as go-yaml does: neither dates nor base-60 numbers."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - PyYAML's way


_FLOAT = (
    r"[-+]?(?:\.[0-9_]+|[0-9][0-9_]*(?:\.[0-9_]*)?)(?:[eE][-+]?[0-9]+)?"
    r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"
)

for _tag, _pattern, _first in (
    ("bool", r"y|Y|n|N|yes|Yes|YES|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF", "yYnNtTfFoO"),
    ("int", r"[-+]?(?:0b[01_]+|0o?[0-7_]+|0x[0-9a-fA-F_]+|0|[1-9][0-9_]*)", "-+0123456789"),
    ("float", _FLOAT, "-+0123456789."),
    ("merge", r"<<", "<"),
    ("null", r"~|null|Null|NULL|", "~nN\0"),
):  # fmt: skip
    _firsts = [*_first.replace("\0", ""), *([""] if "\0" in _first else [])]
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"(?:{_pattern})$"), _firsts)


def _construct_bool(_: yaml.CSafeLoader, node: yaml.ScalarNode) -> bool:
    return node.value.lower() in {"y", "yes", "true", "on"}


def _construct_int(_: yaml.CSafeLoader, node: yaml.ScalarNode) -> int:
    digits = node.value.replace("_", "")
    if re.fullmatch(r"[-+]?0[0-7]+", digits):
        return int(digits, 8)
    return int(digits, 0)


def _construct_float(_: yaml.CSafeLoader, node: yaml.ScalarNode) -> float:
    digits = node.value.replace("_", "").lower()
    return float(re.sub(r"^([-+]?)\.(inf|nan)$", r"\1\2", digits))


_Loader.add_constructor("tag:yaml.org,2002:bool", _construct_bool)
_Loader.add_constructor("tag:yaml.org,2002:int", _construct_int)
_Loader.add_constructor("tag:yaml.org,2002:float", _construct_float)


def _as_json(value: Any, seen: list[int]) -> Any:  # noqa: ANN401 - any YAML value
    seen[0] += 1
    if seen[0] > _MOST_NODES:
        raise ValueError(f"more than {_MOST_NODES} values (an alias bomb?)")
    if isinstance(value, dict):
        return {_as_key(name): _as_json(item, seen) for name, item in value.items()}
    if isinstance(value, list):
        return [_as_json(item, seen) for item in value]
    return value


def _as_key(name: Any) -> str:  # noqa: ANN401 - any YAML scalar
    if isinstance(name, bool):
        return str(name).lower()
    return name if isinstance(name, str) else str(name)


def mapping(value: Any) -> dict[str, Any]:  # noqa: ANN401 - any YAML value
    """Return the value if it is a mapping, else an empty one: charts get types wrong."""
    return value if isinstance(value, dict) else {}


def mappings(value: Any) -> list[dict[str, Any]]:  # noqa: ANN401 - any YAML value
    """Return the mappings of a list; none where it is no list."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def texts(value: Any) -> Iterator[str]:  # noqa: ANN401 - any YAML value
    """Yield every text inside a value, keys apart."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from texts(item)


def at(value: Any, path: Iterable[str]) -> Any:  # noqa: ANN401 - any YAML value
    """Return what is at a path of mapping keys, or None."""
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value
