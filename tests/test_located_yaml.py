"""YAML with line numbers: bounded, and with the plain scalars of YAML 1.2."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from conformance.located_yaml import DEEPEST, LARGEST, Unreadable, dotted, read, read_text


def test_values_and_lines() -> None:
    found = read("a: 1\nb:\n  - c: x\n  - {d: [true, 1.5, null]}\n")
    assert found.value == {"a": 1, "b": [{"c": "x"}, {"d": [True, 1.5, None]}]}
    assert [found.line(place) for place in [("a",), ("b",), ("b", 0, "c"), ("b", 1, "d", 2)]] == [1, 2, 3, 4]
    assert found.line(("b", 0, "missing")) == 3
    assert found.known(("b", 0, "missing", "deeper")) == ("b", 0)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"), ("on", "on"), ("2027-06-30", "2027-06-30"), ("12:30", "12:30"), ("0777", 777), ("0x1F", 31),
        ("'1'", "1"), ("1_000", "1_000"), ("1.10", 1.1), (".inf", ".inf"), ("True", True), ("~", None),
        ("9" * 40, "9" * 40), ("1.2.3", "1.2.3"),
    ],
)  # fmt: skip
def test_plain_scalars_are_those_of_the_core_schema(text: str, value: object) -> None:
    assert read(f"x: {text}").value == {"x": value}


def test_lenient_reading_keeps_text_and_takes_the_last_key() -> None:
    assert read("v: 1.10\nv: !!str 0777\nw: ~\n<<: x", strict=False).value == {"v": "0777", "w": None, "<<": "x"}


def test_aliases_are_expanded() -> None:
    assert read("a: &x {k: 1}\nb: *x").value == {"a": {"k": 1}, "b": {"k": 1}}


LAUGHS = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [{','.join([f'*{chr(97 + i)}'] * 9)}]\n" for i in range(20)
)


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("", 1, "empty"),
        ("# only a comment\n", 1, "empty"),
        ("a: 1\na: 2", 2, "a: expected each key once"),
        ("a:\n  b: 1\n  b: 2", 3, "a.b: expected each key once"),
        ("a: !!python/object/apply:os.system [x]", 1, "expected no YAML tag"),
        ("a: !secret x", 1, "expected no YAML tag"),
        ("a: &x {k: 1}\nb:\n  <<: *x", 3, "a merge key"),
        ("8080: x", 1, "8080: expected text as a key"),
        ("a: 1\n? [b]\n: 2", 2, "expected text as a key"),
        ("a: [1\nb: 2", 2, "expected YAML"),
        ("a: *nowhere", 1, "undefined alias"),
        ("a: &x [*x]", 1, "alias of what it stands in"),
        ("a: 1\n---\nb: 2", 2, "a second one"),
        ("a: \x07", 1, "a character that it does not allow"),
        ("[" * 100_000, 1, f"at most {DEEPEST} levels"),
        ("- " * 50_000, 1, f"at most {DEEPEST} levels"),
        (LAUGHS, 5, "once its aliases are expanded"),
    ],
)
def test_refusals_name_the_line(text: str, line: int, says: str) -> None:
    with pytest.raises(Unreadable, match="expected") as caught:
        read(text)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.line == line


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    large, latin, pipe = tmp_path / "large", tmp_path / "latin", tmp_path / "pipe"
    large.write_bytes(b"a" * (LARGEST + 1))
    latin.write_bytes(b"a: 1\nb: \xe9\n")
    os.mkfifo(pipe)
    for file, says, line in [
        (large, "at most 512 KiB", 0),
        (latin, "0xe9", 2),
        (pipe, "device or pipe", 0),
        (tmp_path, "seen a folder", 0),
        (tmp_path / "none", "nothing there", 0),
        (Path("x" * 5000), "cannot be read", 0),
        (Path("a\0b"), "", 0),
    ]:
        with pytest.raises(Unreadable) as caught:
            read_text(file)
        assert says in str(caught.value)
        assert caught.value.line == line


def test_a_byte_order_mark_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"\xef\xbb\xbfa: 1")
    assert read(read_text(tmp_path / "f")).value == {"a": 1}


def test_places_read_as_people_write_them() -> None:
    assert dotted(("workloads", 1, "image", "tag")) == "workloads[1].image.tag"
    assert dotted(()) == "the document"
