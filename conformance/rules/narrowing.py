"""Compare two schemas: what the first accepts and the second refuses, or drops.

Understands what JSON Schema (as Helm reads values.schema.json) and the schemas of CustomResourceDefinitions have
in common. Where two constraints cannot be compared, a change counts as narrower for patterns, not for
combinations (anyOf, oneOf).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from conformance.kube_yaml import at, mapping, mappings
from conformance.wording import short

_DEEPEST = 40
#: Constraints of which a higher value accepts less, and those of which a lower one does.
_LOWER_BOUNDS = ("minimum", "minLength", "minItems", "minProperties")
_UPPER_BOUNDS = ("maximum", "maxLength", "maxItems", "maxProperties")
_PRESERVE = "x-kubernetes-preserve-unknown-fields"
_RULES = "x-kubernetes-validations"
_ALL_TYPES = frozenset({"array", "boolean", "integer", "null", "number", "object", "string"})


@dataclass(frozen=True)
class Narrower:
    """One place where the second schema accepts less: the path, and both sides in words."""

    path: str
    before: str
    after: str

    def __str__(self) -> str:
        """Return one line."""
        return f"{self.path}: {self.before}, now {self.after}"


@dataclass(frozen=True)
class Schemas:
    """How two schemas are read: their roots, for references, and what is filled in where nobody gives it.

    With `pruned` a field that the schema does not know is dropped, as in a custom resource. `supplied` are the
    values that stand behind everybody's own.
    """

    before: Mapping[str, Any]
    after: Mapping[str, Any]
    pruned: bool = False
    supplied: Mapping[str, Any] | None = None
    seen: set[tuple[Any, Any]] = field(default_factory=set, compare=False, repr=False)

    def narrower(self) -> Iterator[Narrower]:
        """Yield every place where the second schema accepts less than the first."""
        self.seen.clear()
        if self.before != self.after:
            yield from _compare(self, dict(self.before), dict(self.after), ())


def _compare(
    schemas: Schemas, before: dict[str, Any], after: dict[str, Any], path: tuple[str, ...]
) -> Iterator[Narrower]:
    # What refers to one definition in one place is compared once: definitions may refer to themselves.
    if references := (before.get("$ref"), after.get("$ref")) if "$ref" in before or "$ref" in after else None:
        if references in schemas.seen:
            return
        schemas.seen.add(references)
    before, after = _resolved(before, schemas.before), _resolved(after, schemas.after)
    if len(path) > _DEEPEST:
        return
    where = ".".join(path) or "the root"
    for was, now in (*_types(before, after), *_bounds(before, after), *_words(before, after)):
        yield Narrower(where, was, now)
    yield from _objects(schemas, before, after, path)
    mine, theirs = before.get("items"), after.get("items")
    if isinstance(theirs, dict):
        yield from _compare(schemas, mapping(mine), theirs, (*path, "[]"))


def _types(before: dict[str, Any], after: dict[str, Any]) -> Iterator[tuple[str, str]]:
    was, now = _accepted_types(before), _accepted_types(after)
    if not was <= now:
        yield _listed(was), _listed(now)
    if "enum" in after:
        allowed = _values(after["enum"])
        gone = [value for value in _values(before.get("enum")) if value not in allowed]
        if gone or "enum" not in before:
            yield (f"one of {', '.join(gone)} too" if gone else "any value"), f"one of {', '.join(allowed)} only"


def _accepted_types(schema: dict[str, Any]) -> frozenset[str]:
    if schema.get("x-kubernetes-int-or-string"):
        found = {"integer", "string"}
    else:
        said = schema.get("type")
        found = set(said) if isinstance(said, list) else {said} if isinstance(said, str) else set(_ALL_TYPES)
    if schema.get("nullable"):
        found.add("null")
    return frozenset(found | ({"integer"} if "number" in found else set()))


def _bounds(before: dict[str, Any], after: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for name in (*_LOWER_BOUNDS, *_UPPER_BOUNDS):
        was, now = before.get(name), after.get(name)
        if isinstance(now, int | float) and not isinstance(now, bool):
            if name.startswith("min") and now == 0 and name != "minimum":
                continue
            if not isinstance(was, int | float):
                yield f"no {name}", f"{name} {now}"
            elif now > was if name in _LOWER_BOUNDS else now < was:
                yield f"{name} {was}", f"{name} {now}"
    for name in ("exclusiveMinimum", "exclusiveMaximum", "uniqueItems", "multipleOf"):
        if after.get(name) and after.get(name) != before.get(name):
            yield f"{name} {before.get(name, 'not set')}", f"{name} {after[name]}"


def _words(before: dict[str, Any], after: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield patterns, formats, list types, rules and combinations that were added or changed."""
    for name in ("pattern", "format", "x-kubernetes-list-type", "const"):
        was, now = before.get(name), after.get(name)
        harmless = {"format": ("int64", "double", "password"), "x-kubernetes-list-type": ("atomic",)}.get(name, ())
        if now is not None and now != was and now not in harmless:
            yield f"{name} {was}" if was is not None else f"no {name}", f"{name} {now}"
    new = set(mapping(after.get("properties"))) - set(mapping(before.get("properties")))
    known = {found.get("rule") for found in mappings(before.get(_RULES))}
    for found in mappings(after.get(_RULES)):
        rule = str(found.get("rule"))
        # A rule about a field that came with it says nothing of what is stored already.
        if rule not in known and not any(re.search(rf"\bself\.{re.escape(name)}\b", rule) for name in new):
            yield "no such rule", f"the rule {rule}"
    for name in ("allOf", "anyOf", "not", "oneOf"):
        was, now = before.get(name), after.get(name)
        fewer = isinstance(was, list) and isinstance(now, list) and name != "allOf" and _fewer(was, now)
        if now is not None and (was is None or fewer):
            yield (f"more of {name}" if fewer else f"no {name}"), f"{name} of {_short(now)}"


def _objects(
    schemas: Schemas, before: dict[str, Any], after: dict[str, Any], path: tuple[str, ...]
) -> Iterator[Narrower]:
    mine, theirs = mapping(before.get("properties")), mapping(after.get("properties"))
    where = ".".join(path) or "the root"
    required = [name for name in after.get("required") or () if name not in (before.get("required") or ())]
    for name in required:
        if not _filled_in(schemas, theirs.get(name), (*path, str(name))):
            yield Narrower(".".join((*path, str(name))), "optional", "required")
    open_before, open_after = _open(schemas, before), _open(schemas, after)
    for name, schema in mine.items():
        if name in theirs:
            yield from _compare(schemas, mapping(schema), mapping(theirs[name]), (*path, name))
        elif not open_after:
            yield Narrower(".".join((*path, name)), "a field", "dropped" if schemas.pruned else "refused")
    if open_before and not open_after and "object" in _accepted_types(before):
        yield Narrower(where, "any further field", "dropped" if schemas.pruned else "refused")
    was, now = before.get("additionalProperties"), after.get("additionalProperties")
    if isinstance(now, dict) and isinstance(was, dict | None) and (isinstance(was, dict) or not schemas.pruned):
        yield from _compare(schemas, was or {}, now, (*path, "*"))


def _open(schemas: Schemas, schema: dict[str, Any]) -> bool:
    """Say whether a schema lets fields pass that it does not name."""
    further = schema.get("additionalProperties")
    if schemas.pruned:
        return bool(schema.get(_PRESERVE) or further)
    return further is not False


def _filled_in(schemas: Schemas, schema: Any, path: tuple[str, ...]) -> bool:  # noqa: ANN401
    if schemas.supplied is not None:
        return at(dict(schemas.supplied), path) is not None
    return "default" in mapping(schema)


def _resolved(schema: dict[str, Any], root: Mapping[str, Any]) -> dict[str, Any]:
    for _ in range(_DEEPEST):
        reference = schema.get("$ref")
        if not isinstance(reference, str) or not reference.startswith("#/"):
            return schema
        found = at(dict(root), [part.replace("~1", "/").replace("~0", "~") for part in reference[2:].split("/")])
        schema = {**mapping(found), **{name: value for name, value in schema.items() if name != "$ref"}}
    return schema


def _fewer(was: list[Any], now: list[Any]) -> bool:
    return len(now) < len(was) and all(choice in was for choice in now)


def _values(found: Any) -> list[str]:  # noqa: ANN401
    return [json.dumps(value, sort_keys=True) for value in found] if isinstance(found, list) else []


def _listed(types: frozenset[str]) -> str:
    return "any type" if types >= _ALL_TYPES else " or ".join(sorted(types))


def _short(value: Any) -> str:  # noqa: ANN401
    return short(json.dumps(value, sort_keys=True), 80)
