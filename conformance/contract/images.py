"""Turn an image into the values that make a chart run it, through a contract's value paths."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from conformance.contract.parts import ImagePaths, Workload
from conformance.errors import BadInput


class ImageLike(Protocol):
    """An image: repository with its registry's host, tag, and `sha256:…` digest."""

    @property
    def repository(self) -> str:
        """Return `host[:port]/path`."""
        ...

    @property
    def tag(self) -> str:
        """Return the tag."""
        ...

    @property
    def digest(self) -> str:
        """Return `sha256:…`."""
        ...


def image_values(workload: Workload | ImagePaths, image: ImageLike) -> dict[str, Any]:
    """Return the nested values that make a workload run an image; none where it declares no paths."""
    paths = workload.image if isinstance(workload, Workload) else workload
    values: dict[str, Any] = {}
    for path, text in _settings(paths, image) if paths else ():
        merge(values, nested(path, text))
    return values


def _settings(paths: ImagePaths, image: ImageLike) -> Iterator[tuple[str, str]]:
    host, _, path = image.repository.partition("/")
    pinned = f"{image.tag}@{image.digest}"
    if paths.reference:
        yield paths.reference, f"{image.repository}:{pinned}"
    if paths.registry:
        yield paths.registry, host
    if paths.repository:
        yield paths.repository, path if paths.registry else image.repository
    if paths.tag:
        yield paths.tag, pinned if paths.digest is None and paths.digest_in_tag else image.tag
    if paths.digest:
        yield paths.digest, image.digest


@functools.cache
def steps(path: str) -> tuple[str, ...]:
    r"""Return the keys of a value path; as in Helm's --set, `\.` is a dot inside a key."""
    return tuple(re.sub(r"\\(.)", r"\1", key) for key in re.findall(r"(?:[^.\\]|\\.)+", path))


def below(path: str, key: str) -> str:
    """Return the value path of a key of the mapping at a value path."""
    return f"{path}.{key.replace('.', chr(92) + '.')}"


def nested(path: str, value: object) -> dict[str, Any]:
    """Return the values in which the path leads to the value."""
    *around, last = steps(path)
    values: dict[str, Any] = {last: value}
    for key in reversed(around):
        values = {key: values}
    return values


def merge(into: dict[str, Any], more: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    """Merge values into others and return those. Raises `BadInput` when both set one path to different values."""
    for key, value in more.items():
        here, there = f"{path}{key}", into.get(key)
        if isinstance(value, Mapping) and isinstance(there, dict):
            merge(there, value, f"{here}.")
        elif key in into and there != value:
            raise BadInput(
                f"the contract's image paths: expected one value for {here}, seen {there} and {value}; "
                "workloads that share a value path run the same image"
            )
        else:
            into[key] = dict(value) if isinstance(value, Mapping) else value
    return into
