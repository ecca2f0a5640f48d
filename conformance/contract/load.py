"""Read a contract from its file, or say in one line where it is wrong and what to do."""

from __future__ import annotations

import json
import re
import typing
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from conformance import paths
from conformance.contract import parts
from conformance.contract.consistency import contradictions, nearest
from conformance.contract.contradiction import Contradiction
from conformance.contract.model import Contract
from conformance.errors import BadInput
from conformance.located_yaml import Located, Place, Unreadable, dotted, read, read_text
from conformance.redact import REDACTOR
from conformance.wording import printable, short

#: Characters of what was seen that a message shows.
_SHOWN = 60


def load(file: Path, known_ids: Collection[str] | None = None) -> Contract:
    """Return the contract in a file.

    `known_ids` are the ids of all checks, for the accepted findings; without them ids are not looked up.
    Raises `BadInput` with one line: file, line, path, what was expected, what was seen, what to do.
    """
    try:
        located = read(read_text(file))
    except Unreadable as error:
        raise BadInput(one_line(f"{file}:{error.line}: {error}" if error.line else f"{file}: {error}")) from None
    _first(file, located, _secrets(located))
    if not isinstance(located.value, dict):
        raise BadInput(f"{file}:1: expected a mapping that begins with `apiVersion: conformance/v1`, seen "
                       f"{_seen(located.value)}")  # fmt: skip
    try:
        contract = Contract.model_validate_json(json.dumps(located.value))
    except ValidationError as error:
        _first(file, located, _shapes(error.errors(include_url=False), located))
        raise
    _first(file, located, contradictions(contract, file.absolute().parent, known_ids))
    return contract.placed(file, located)


def builtin() -> Contract:
    """Return the contract of the reference chart."""
    return load(paths.bundle("fixtures") / "contracts" / "agents.yaml")


def _first(file: Path, located: Located, wrong: Iterator[Contradiction]) -> None:
    found = sorted(wrong, key=lambda contradiction: located.line(contradiction[0]))
    if found:
        place, sentence = found[0]
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        todo = "" if ";" in sentence else "; correct it"
        raise BadInput(one_line(f"{file}:{located.line(place)}: {dotted(place)}: {sentence}{todo}{more}"))


def one_line(message: str) -> str:
    """Return a message on one line, whatever the input put into it, known secrets hidden."""
    return printable(REDACTOR.scrub(message), " ")[:1000]


# What must not stand in a contract. Its message never shows the value.

_VALUE_KEYS = {"data", "stringdata", "binarydata", "value", "values"}
_PRIVATE_KEY = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----")
_PASSWORD = re.compile(r"://[^/\s@:]*:[^/\s]*@|^(?:git:)?(?:oci|https?)://[^/\s@]+@")


def _secrets(located: Located) -> Iterator[Contradiction]:
    for place, value in located.everything():
        if _about_secrets(place[:-1]) and isinstance(place[-1], str) and place[-1].lower() in _VALUE_KEYS:
            yield (
                place,
                (
                    "a Secret's value does not belong in a contract, which is shared and reported; list the "
                    "Secret's `keys` only, the suite makes random values"
                ),
            )
        if _about_secrets(place) and place[-1] == "keys" and isinstance(value, dict):
            yield place, "expected a list of keys, seen a mapping; a Secret's value does not belong in a contract"
        if isinstance(value, str) and _PASSWORD.search(value):
            yield (
                place,
                (
                    "expected a URL without credentials, seen one with them; a contract is shared and reported: "
                    "give them on the command line only"
                ),
            )
        if isinstance(value, str) and _PRIVATE_KEY.search(value):
            yield place, "a private key does not belong in a contract, which is shared and reported; drop it"


def _about_secrets(place: Place) -> bool:
    return any(isinstance(step, str) and "secret" in step.lower() for step in place)


# What pydantic found, in the words of the one line.

_EXPECTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "date_type": "a date, YYYY-MM-DD",
    "date_parsing": "a date, YYYY-MM-DD",
    "date_from_datetime_parsing": "a date, YYYY-MM-DD",
    "date_from_datetime_inexact": "a date, YYYY-MM-DD",
    "string_too_short": "text that is not empty",
}


def _patterns(annotated: Any) -> list[str]:  # noqa: ANN401 - a type
    """Return the pattern of an annotated type, in a list as it may have none."""
    fields = [found for found in annotated.__metadata__ if isinstance(found, FieldInfo)]
    found = [getattr(constraint, "pattern", None) for field in fields for constraint in field.metadata]
    return [pattern for pattern in found if pattern]


#: What the patterns of `parts` mean.
_FORMS = {
    pattern: meaning
    for annotated, meaning in {
        parts.Text: "text that is not empty",
        parts.Name: "a Kubernetes name (lower-case letters, digits, `-` and `.`)",
        parts.Label: "a Kubernetes label name (lower-case letters, digits and `-`)",
        parts.DataKey: "a key of letters, digits, `-`, `_` and `.`",
        parts.EnvironmentName: "the name of an environment variable",
        parts.ValuePath: r"a value path, keys joined by dots as in Helm's --set (a dot in a key is written `\.`)",
        parts.FieldPath: "keys of an object, joined by dots",
        parts.RelativePath: "a path with forward slashes",
        parts.PortName: "the name of a port",
        parts.HttpPath: "a path that begins with `/`",
        parts.CrdName: "a CustomResourceDefinition's name, plural.group",
        parts.CheckId: "a check's id, area/what-it-proves",
    }.items()
    for pattern in _patterns(annotated)
}


def _shapes(errors: list[ErrorDetails], located: Located) -> Iterator[Contradiction]:
    """Yield one contradiction a place: the members of a union each report their own."""
    grouped: dict[Place, list[ErrorDetails]] = {}
    # Of another kind of file every key is unknown; a misspelt key is unknown, and the right one missing.
    foreign = [error for error in errors if error["loc"] == ("apiVersion",)]
    for error in foreign or [error for error in errors if error["type"] == "extra_forbidden"] or errors:
        place: Place = tuple(error["loc"])
        if error["type"] == "too_short" and located.at(place):
            continue  # said of a list as well as of the entry that is wrong
        grouped.setdefault(place if error["type"] == "missing" else located.known(place), []).append(error)
    for place, about in grouped.items():
        yield place, _sentence(place, about, located)


def _sentence(place: Place, errors: list[ErrorDetails], located: Located) -> str:
    kind = errors[0]["type"]
    if kind == "missing":
        around = located.at(place[:-1])
        return f"expected this key, seen {_keys(around)}; add it"
    if kind == "extra_forbidden":
        known = _fields(place[:-1])
        hint = nearest(str(place[-1]), known)
        wanted = "a key that there is" if hint else f"one of the keys {', '.join(known)}"
        return f"expected {wanted}, seen an unknown one{hint}; rename or drop it"
    seen = _seen(located.at(place), hidden=_about_secrets(place))
    # Of a union's members the one of the right type says best what is wrong.
    fitting = [error for error in errors if not error["type"].endswith("_type")] or errors
    expected = " or ".join(dict.fromkeys(map(_expected, fitting)))
    return f"expected {expected}, seen {seen}; {'quote' if expected == 'text' else 'correct'} it"


def _expected(error: ErrorDetails) -> str:
    kind, context = error["type"], error.get("ctx", {})
    if kind == "literal_error":
        return str(context["expected"]).replace("True", "true")
    if kind == "string_pattern_mismatch":
        return _FORMS.get(context["pattern"], f"text of the form {context['pattern']}")
    if kind == "string_too_long":
        return f"at most {context['max_length']} characters"
    if kind == "too_short":
        return "at least one entry"
    if kind in ("greater_than_equal", "less_than_equal"):
        return f"{'at least' if kind[0] == 'g' else 'at most'} {context[f'{kind[0]}e']:g}"
    return _EXPECTED.get(kind, error["msg"])


def _seen(value: object, *, hidden: bool = False) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return "a mapping" if value else "an empty mapping"
    if isinstance(value, list):
        return "a list" if value else "an empty list"
    kind = "text" if isinstance(value, str) else "true or false" if isinstance(value, bool) else "a number"
    if hidden:
        return kind
    return short(json.dumps(value, ensure_ascii=False), _SHOWN)


def _keys(value: object) -> str:
    if not isinstance(value, Mapping):
        return _seen(value)
    return f"only {', '.join(map(str, value))}" if value else "nothing"


def _fields(place: Place) -> list[str]:
    """Return the keys that the contract's model knows at a place."""
    model: Any = Contract
    for step in place:
        if isinstance(step, str) and isinstance(model, type) and issubclass(model, BaseModel):
            by_alias = {field.alias: field.annotation for field in model.model_fields.values()}
            model = by_alias.get(step)
        model = _part_in(model)
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        return []
    return [str(field.alias) for field in model.model_fields.values()]


def _part_in(annotation: Any) -> Any:  # noqa: ANN401 - a type
    """Return the section inside `X | None` or `tuple[X, ...]`."""
    for inside in typing.get_args(annotation):
        found = _part_in(inside)
        if isinstance(found, type) and issubclass(found, BaseModel):
            return found
    return annotation
