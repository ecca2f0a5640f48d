"""The rules on values: defaults and their notes, the values schema, and the baseline's values."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from made_up import deployment, pair

from conformance.refusal import Refusal
from conformance.render import ValuesSet
from conformance.rules.baseline_values import as_before, merged, reusing
from conformance.rules.change_notes import notes
from conformance.rules.defaults import default_changes_told
from conformance.rules.inputs import Defaults, Linted, Version
from conformance.rules.lint import lint_clean
from conformance.rules.values_schema import values_stay_valid


def chart(
    folder: Path,
    version: str,
    values: Any,
    *,
    template: str = "a: {{ .Values.a }}",
    schema: Any = None,
    readme: str = "",
) -> Path:
    (folder / "templates").mkdir(parents=True)
    (folder / "Chart.yaml").write_text(f"name: agents\nversion: {version}\n")
    (folder / "values.yaml").write_text(yaml.safe_dump(values))
    (folder / "templates" / "a.yaml").write_text(template)
    (folder / "README.md").write_text(readme)
    if schema is not None:
        (folder / "values.schema.json").write_text(json.dumps(schema))
    return folder


def defaults(
    before: Path,
    after: Path,
    own: str = "image: a",
    reused: str = "image: a",
    refusals: Mapping[str, Refusal] = {},
) -> Defaults:
    """Return two charts whose own and reused renderings have these fields in their only container."""
    texts = [deployment("a", "x: y", body=f"containers: [{{name: a, {text}}}]") for text in (own, own, reused)]
    versions = {}
    for name, folder, text in zip(("before", "after", "reused"), (before, after, after), texts, strict=True):
        version = pair([text], []).before
        seen = dataclasses.replace(version.rendering, chart=folder, refusal=refusals.get(name))
        versions[name] = Version("the baseline 1.0.0" if name == "before" else "the candidate 1.1.0", seen)
    return Defaults(**versions)


# --- render/default-changes-told ---


def told(tmp_path: Path, old: Any, new: Any, reused: str = "image: a, tty: true", **more: Any) -> list[str]:
    charts = chart(tmp_path / "old", "1.0.0", old), chart(tmp_path / "new", "1.1.0", new, **more)
    return [finding.object for finding in default_changes_told(defaults(*charts, reused=reused))]


def test_a_changed_default_that_shows_is_told(tmp_path: Path) -> None:
    assert told(tmp_path, {"a": 1}, {"a": 2}) == ["Value/a"]


def test_a_changed_default_that_shows_nowhere_needs_no_note(tmp_path: Path) -> None:
    assert told(tmp_path, {"a": 1}, {"a": 2}, reused="image: b") == []


@pytest.mark.parametrize(("old", "new"), [
    ({"a": 1}, {"a": 1, "b": 2}), ({"a": {"tag": "1"}}, {"a": {"tag": "2"}}), ({"unused": 1}, {"unused": 2}),
    ({"a": {}}, {"a": {"more": 1}}),
])  # fmt: skip
def test_new_defaults_images_and_unused_ones_need_no_note(tmp_path: Path, old: Any, new: Any) -> None:
    assert told(tmp_path, old, new) == []


@pytest.mark.parametrize(("readme", "found"), [
    ("| 1.1.0 | `a` is 2 |", False),
    ("## 1.1.0\n\n- the value a is 2 now: see `a`\n", False), ("`a` is nice", True),
    ("## 1.1.0\n\nnothing\n\n## 1.0.0\n\n`a` came\n", True), ("| 0.9.0 | `a` |", True), ("## v1.1\n\n`a`", False),
])  # fmt: skip
def test_a_note_about_this_version_counts(tmp_path: Path, readme: str, found: bool) -> None:
    assert bool(told(tmp_path, {"a": 1}, {"a": 2}, readme=readme)) is found


def test_a_value_that_is_gone_is_told(tmp_path: Path) -> None:
    assert told(tmp_path, {"a": 1}, {}, reused="image: a", template="b: 1") == ["Value/a"]


def test_notes_are_found_by_version(tmp_path: Path) -> None:
    folder = chart(tmp_path / "a", "1.2.0", {})
    words = ("one", "two", "three", "four", "five")
    (folder / "CHANGELOG.md").write_text("# Log\n## 1.2.0\none\n### more\ntwo\n## 1.1.0\nthree\n## 1.0.0\nfour\n")
    (folder / "Chart.yaml").write_text("version: 1.2.0\nannotations: {artifacthub.io/changes: '- five'}")
    told = notes(folder, since="1.0.0", until="1.2.0")
    assert [word for word in words if word in told] == ["one", "two", "three", "five"]


# --- render/values-stay-valid ---


def valid(tmp_path: Path, old: Any, new: Any, **refusals: Refusal) -> list[str]:
    before = chart(tmp_path / "old", "1.0.0", {"a": 1}, schema=old)
    after = chart(tmp_path / "new", "1.1.0", {"a": 1}, schema=new)
    return [finding.observed for finding in values_stay_valid(defaults(before, after, refusals=refusals))]


CLOSED = {"type": "object", "additionalProperties": False, "properties": {"a": {"type": "integer"}}}


def test_a_schema_that_accepts_as_much_passes(tmp_path: Path) -> None:
    wider = {**CLOSED, "properties": {"a": {"type": ["integer", "string"]}, "b": {}}, "required": ["a"]}
    assert valid(tmp_path, CLOSED, wider) == []


def test_a_stricter_schema_is_found(tmp_path: Path) -> None:
    stricter = {**CLOSED, "properties": {"a": {"type": "integer", "maximum": 3}}}
    assert valid(tmp_path, CLOSED, stricter) == ["a: no maximum, now maximum 3"]


def test_a_first_schema_is_asked_by_rendering(tmp_path: Path) -> None:
    assert valid(tmp_path, None, CLOSED) == []


@pytest.mark.parametrize("refusing", ["after", "reused"])
def test_a_refusal_of_the_baselines_values_is_found(tmp_path: Path, refusing: str) -> None:
    assert valid(tmp_path, None, None, **{refusing: Refusal("a is unknown")}) == ["a is unknown"]


# --- values of the baseline ---


def test_values_that_only_the_candidate_knows_are_left_out(tmp_path: Path) -> None:
    before = chart(tmp_path / "old", "1.0.0", {"a": {"b": 1}, "open": {}})
    after = chart(tmp_path / "new", "1.1.0", {"a": {"b": 1, "c": False}, "open": {}, "new": {"enabled": False}})
    given = ValuesSet(
        "own", sets={"a": {"b": 2, "c": True}, "open": {"x": 1}, "new": {"enabled": True}, "sub": {"y": 1}}
    )
    assert as_before(given, before, after).sets == {"a": {"b": 2}, "open": {"x": 1}, "sub": {"y": 1}}
    known = ValuesSet("own", sets={"a": {"b": 2}})
    assert as_before(known, before, after) is known
    assert reusing(known, before, after) is known
    changed = chart(tmp_path / "other", "1.2.0", {"a": {"b": 3}, "open": {}})
    assert reusing(known, before, changed).sets == {"a": {"b": 2}, "open": {}}


def test_files_are_merged_as_helm_does(tmp_path: Path) -> None:
    files = []
    for number, text in enumerate(("a: {b: 1, c: [1]}", "a: {c: [2]}\nd: null")):
        files.append(tmp_path / f"{number}.yaml")
        files[-1].write_text(text)
    assert merged(ValuesSet("own", tuple(files), {"e": 1})) == {"a": {"b": 1, "c": [2]}, "d": None, "e": 1}


# --- render/lint-clean ---


def test_what_the_linter_says_is_told() -> None:
    version = pair([], []).after
    assert list(lint_clean(Linted(version, ()))) == []
    (finding,) = lint_clean(Linted(version, ("[WARNING] a: b", "[WARNING] a: b", "[ERROR] c")))
    assert finding.observed == "[WARNING] a: b; [ERROR] c"


def test_a_list_has_no_name() -> None:
    nameless = '[WARNING] templates/a.yaml: object name does not conform to naming requirements: "": metadata.name'
    version = pair([], []).after
    listed = "---\n# Source: agents/templates/a.yaml\napiVersion: v1\nkind: List\nitems: []\n"
    for text, times in ((listed, 0), (listed.replace("a.yaml", "b.yaml"), 1), (listed.replace("List", "Pod"), 1)):
        seen = Version(version.said, dataclasses.replace(version.rendering, text=text))
        assert len(list(lint_clean(Linted(seen, (nameless,))))) == times
