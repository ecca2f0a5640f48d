"""Read YAML that people write, and know the line of everything in it.

Bounded before anything is built: in size, in depth and in what aliases expand to. Plain scalars follow the core
schema of YAML 1.2, so that `no` and `2026-01-31` stay text.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

#: Keys and list indexes that lead from the top to a value.
Place = tuple[str | int, ...]

#: Bytes of the largest file that is read, values after expansion of aliases, and levels of nesting.
LARGEST, MOST_VALUES, DEEPEST = 512 * 1024, 20_000, 40


class Unreadable(ValueError):
    """The text cannot be used; the message is one line, `line` counts from 1 (0 where there is none)."""

    def __init__(self, line: int, message: str) -> None:
        self.line = line
        super().__init__(message)


@dataclass(frozen=True)
class Located:
    """A YAML document as JSON-like values, and the line of each by its place."""

    value: Any
    lines: Mapping[Place, int]

    def line(self, place: Place) -> int:
        """Return the line of a place, or of the nearest one around it that exists."""
        while place not in self.lines and place:
            place = place[:-1]
        return self.lines.get(place, 1)

    def known(self, place: Place) -> Place:
        """Return the longest part of a place that exists in the document."""
        while place not in self.lines and place:
            place = place[:-1]
        return place

    def at(self, place: Place) -> Any:  # noqa: ANN401 - any YAML value
        """Return the value at a place that exists."""
        found = self.value
        for step in place:
            found = found[step]
        return found

    def everything(self) -> Iterator[tuple[Place, Any]]:
        """Yield every place with its value, in the order of the lines."""
        for place in sorted(self.lines, key=lambda place: (self.lines[place], len(place))):
            yield place, self.at(place)


def read_text(file: Path) -> str:
    """Return a small UTF-8 text file. Raises `Unreadable`; never waits, as a pipe would make it."""
    try:
        if not file.exists():
            raise Unreadable(0, "expected a file, seen nothing there; check the path")
        if not file.is_file():
            raise Unreadable(0, f"expected a file, seen a {'folder' if file.is_dir() else 'device or pipe'}")
        with file.open("rb") as source:
            data = source.read(LARGEST + 1)
    except Unreadable:
        raise
    except (OSError, ValueError) as error:
        raise Unreadable(0, f"cannot be read: {getattr(error, 'strerror', None) or error}") from error
    if len(data) > LARGEST:
        raise Unreadable(0, f"expected at most {LARGEST // 1024} KiB, seen more; is it the right file?")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise Unreadable(
            line, f"expected UTF-8 text, seen the byte 0x{data[error.start]:02x}; save it as UTF-8"
        ) from None


def read(text: str, *, strict: bool = True) -> Located:
    """Return the one document of a text. Raises `Unreadable`.

    Strictly, a key given twice, a tag or a merge key is refused. Otherwise the last key wins, as Helm reads
    Chart.yaml, tags are ignored and every scalar is its text, so that `1.10` stays `1.10`.
    """
    try:
        _check_events(text, strict=strict)
        node = yaml.compose(text, Loader=yaml.CSafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = " ".join(filter(None, (error.context, error.problem)))
        raise Unreadable(mark.line + 1 if mark else 1, f"expected YAML, seen: {problem}") from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise Unreadable(line, f"expected YAML, seen a character that it does not allow: {error.reason}") from None
    except yaml.YAMLError as error:
        raise Unreadable(1, f"expected YAML, seen: {' '.join(str(error).split())}") from None
    if node is None:
        raise Unreadable(1, "expected a YAML mapping, seen an empty file")
    _check_size(node)
    lines: dict[Place, int] = {}
    return Located(_build(node, (), lines, strict=strict), lines)


def _check_events(text: str, *, strict: bool) -> None:
    """Refuse what must not reach the composer: it descends once a level, and follows every tag."""
    depth = documents = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        line = event.start_mark.line + 1 if event.start_mark else 1
        documents += isinstance(event, yaml.DocumentStartEvent)
        if documents > 1:
            raise Unreadable(line, "expected one YAML document, seen a second one")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            raise Unreadable(line, f"expected at most {DEEPEST} levels of nesting, seen more")
        tag = getattr(event, "tag", None)
        if strict and tag:
            raise Unreadable(line, f"expected no YAML tag, seen {tag}; write the plain value")


def _check_size(root: yaml.Node) -> None:
    """Count what aliases would expand to, each node once: a bomb is found without being built."""
    sizes: dict[int, int] = {}
    inside: set[int] = set()

    def size(node: yaml.Node) -> int:
        if id(node) in inside:
            raise Unreadable(node.start_mark.line + 1, "expected a value, seen an alias of what it stands in")
        if id(node) not in sizes:
            inside.add(id(node))
            children = node.value if isinstance(node, yaml.CollectionNode) else ()
            parts = [part for child in children for part in (child if isinstance(child, tuple) else (child,))]
            sizes[id(node)] = 1 + sum(size(part) for part in parts)
            inside.discard(id(node))
        if sizes[id(node)] > MOST_VALUES:
            wanted = f"expected at most {MOST_VALUES} values"
            raise Unreadable(
                node.start_mark.line + 1, f"{wanted}, seen more once its aliases are expanded; write less"
            )
        return sizes[id(node)]

    size(root)


def _build(node: yaml.Node, place: Place, lines: dict[Place, int], *, strict: bool) -> Any:  # noqa: ANN401
    lines.setdefault(place, node.start_mark.line + 1)
    if isinstance(node, yaml.SequenceNode):
        return [_build(item, (*place, number), lines, strict=strict) for number, item in enumerate(node.value)]
    if isinstance(node, yaml.MappingNode):
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = _key(key_node, found, place, strict=strict)
            lines[(*place, key)] = key_node.start_mark.line + 1
            found[key] = _build(value_node, (*place, key), lines, strict=strict)
        return found
    return _scalar(node, strict=strict)


def _key(node: yaml.Node, found: Mapping[str, Any], place: Place, *, strict: bool) -> str:
    line = node.start_mark.line + 1
    if not isinstance(node, yaml.ScalarNode):
        raise Unreadable(line, f"{dotted(place)}: expected text as a key, seen a mapping or list")
    key = str(node.value)
    if strict:
        if not isinstance(_scalar(node, strict=True), str):
            raise Unreadable(line, f"{dotted((*place, key))}: expected text as a key, seen {key}; quote it")
        if key == "<<":
            raise Unreadable(line, f"{dotted((*place, key))}: expected keys, seen a merge key; write them out")
        if key in found:
            raise Unreadable(line, f"{dotted((*place, key))}: expected each key once, seen it twice; drop one")
    return key


_CORE = (
    (re.compile(r"(?:~|null|Null|NULL|)$"), lambda _: None),
    (re.compile(r"(?:true|True|TRUE)$"), lambda _: True),
    (re.compile(r"(?:false|False|FALSE)$"), lambda _: False),
    (re.compile(r"[-+]?[0-9]{1,18}$"), int),
    (re.compile(r"0x[0-9a-fA-F]{1,15}$"), lambda text: int(text, 16)),
    (re.compile(r"[-+]?(?:\.[0-9]{1,18}|[0-9]{1,18}(?:\.[0-9]{0,18})?)(?:[eE][-+]?[0-9]{1,2})?$"), float),
)


def _scalar(node: yaml.Node, *, strict: bool) -> Any:  # noqa: ANN401
    text = str(node.value)
    if getattr(node, "style", None):
        return text
    for pattern, convert in _CORE if strict else _CORE[:1]:
        if pattern.match(text):
            with contextlib.suppress(ValueError):
                return convert(text)
    return text


def dotted(place: Place) -> str:
    """Return a place as people write it: `workloads[0].image.tag`."""
    words = ""
    for step in place:
        words += f"[{step}]" if isinstance(step, int) else f"{'.' if words else ''}{step}"
    return words or "the document"
