"""No form of a known value passes the redactor; ordinary words do."""

import base64
import gzip
import html
import json
import logging
import shlex
import textwrap
import urllib.parse

import pytest
import yaml

from conformance.evidence.canaries import find_canaries
from conformance.redact import REDACTOR, Redactor, ScrubbingFilter, userinfo

VALUES = [
    "correct-horse-battery",
    "s3cr3t",
    "quote\" and 'apostrophe' & <angle> / slash \\ back",
    "unicode ümläut € 漢字",
    "with spaces that a YAML writer folds, since this text is longer than the eighty columns it keeps to",
    "first line of a key\nsecond line of it",
    "p@ss:w/rd?x=1&y=%20",
]


def _base64(text: str, before: int = 0, after: int = 0, urlsafe: bool = False) -> str:
    data = b"<" * before + text.encode() + b">" * after
    return (base64.urlsafe_b64encode if urlsafe else base64.b64encode)(data).decode()


WRITTEN = {
    "plain": str,
    "json": json.dumps,
    "json readable": lambda value: json.dumps(value, ensure_ascii=False),
    "json as Go writes it": lambda value: (
        json.dumps(value).replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    ),
    "json in json": lambda value: json.dumps(json.dumps({"value": value})),
    "yaml": lambda value: yaml.safe_dump({"value": value}),
    "yaml deep": lambda value: yaml.safe_dump({"a": {"b": {"c": [{"value": value}]}}}, width=30),
    "yaml single": lambda value: yaml.safe_dump({"value": value}, default_style="'"),
    "yaml double": lambda value: yaml.safe_dump({"value": value}, default_style='"', width=20),
    "yaml block": lambda value: yaml.safe_dump({"value": value}, default_style="|"),
    "html": html.escape,
    "xml": lambda value: html.escape(value, quote=False).replace('"', "&quot;"),
    "shell": shlex.quote,
    "repr": repr,
    "percent": urllib.parse.quote,
    "percent all": lambda value: urllib.parse.quote(value, safe=""),
    "percent lower": lambda value: "".join(f"%{byte:02x}" for byte in value.encode()),
    "query": urllib.parse.quote_plus,
    "base64": _base64,
    "base64 at 1": lambda value: _base64(value, 1, 4),
    "base64 at 2": lambda value: _base64(value, 2, 5),
    "base64 at 9": lambda value: _base64(value, 9, 1, urlsafe=True),
    "base64 twice": lambda value: _base64(_base64(value, 1, 1), 2, 2),
    "base64 wrapped": lambda value: "\n    ".join(textwrap.wrap(_base64(value, 70, 9), 20)),
    "gzip": lambda value: base64.b64encode(gzip.compress(value.encode() * 9)).decode(),
    "Helm": lambda value: _base64(base64.b64encode(gzip.compress(json.dumps({"m": value}).encode())).decode()),
}


@pytest.mark.parametrize("form", WRITTEN)
@pytest.mark.parametrize("value", VALUES, ids=range(len(VALUES)))
def test_a_known_value_is_hidden_in_every_form(value, form, tmp_path):
    text = f"before {WRITTEN[form](value)} after\n"
    (tmp_path / "raw").write_text(text)
    assert find_canaries(tmp_path, [value]), "the search itself has to see what it is to miss afterwards"
    redactor = Redactor()
    redactor.add(value)
    (tmp_path / "raw").write_text(redactor.scrub(text))
    assert find_canaries(tmp_path, [value]) == []


def test_what_surrounds_a_value_stays():
    redactor = Redactor()
    redactor.add("correct-horse")
    shown = redactor.hash("correct-horse")
    assert redactor.scrub("a correct-horse\nb correct-\n  horse c") == f"a {shown}\nb {shown} c"


def test_values_that_overlap_leave_no_end():
    redactor = Redactor()
    redactor.add("abcdefgh", "efghijkl")
    assert redactor.scrub("<abcdefghijkl>") == f"<{redactor.hash('abcdefgh')}>"


def test_short_values_and_other_text_are_left_alone():
    redactor = Redactor()
    redactor.add("abc", "correct-horse")
    text = "abc and horses, correct or not\n" * 3
    assert redactor.scrub(text) == text


def test_equal_values_look_equal_only_within_one_redactor():
    one, other = Redactor(), Redactor()
    assert one.hash("correct-horse") == one.hash(b"correct-horse") != other.hash("correct-horse")


@pytest.mark.parametrize(
    ("value", "part"),
    [
        ('{"auths": {"registry.test": {"username": "robot", "password": "hunter2-hunter2"}}}', "hunter2-hunter2"),
        ('{"auths": {"registry.test": {"auth": "cm9ib3Q6aHVudGVyMi1odW50ZXIy"}}}', "hunter2-hunter2"),
        ("postgresql://app:hunter2-hunter2@db.test/agents", "hunter2-hunter2"),
        ("postgresql://app:hunter2%2Fhunter2@db.test/agents", "hunter2/hunter2"),
        ("[default]\nuser = app\npassword = hunter2-hunter2\n", "hunter2-hunter2"),
        ("export TOKEN='hunter2-hunter2'\nexport MODE=plain\n", "hunter2-hunter2"),
        ("apiVersion: v1\nkind: Config\nusers:\n- token: hunter2-hunter2\n", "hunter2-hunter2"),
        ("-----BEGIN KEY-----\nMHcCAQEEIIrYSSNQFaA2Hwf1\n-----END KEY-----\n", "MHcCAQEEIIrYSSNQFaA2Hwf1"),
    ],
)
def test_what_is_secret_inside_a_value_is_hidden_too(value, part):
    redactor = Redactor()
    redactor.add(value)
    assert part not in redactor.scrub(f"connecting with {part}")


def test_configuration_inside_a_value_does_not_blank_ordinary_words():
    redactor = Redactor()
    redactor.add("apiVersion: v1\nkind: Config\nmode: standard\nport: 5432000\nmetadata:\n  name: x\n")
    text = "apiVersion: v1\nkind: Config\nspec: standard 5432000\nmetadata:\n  name: other\n"
    assert redactor.scrub(text) == text


def test_compressed_text_is_hidden_though_nothing_is_known():
    packed = base64.b64encode(gzip.compress(bytes(range(256)))).decode()
    assert packed not in Redactor().scrub(packed)


def test_log_records_and_their_tracebacks_are_scrubbed(caplog):
    REDACTOR.add("canary-in-a-traceback", "canary-in-a-message")
    caplog.handler.addFilter(ScrubbingFilter())
    try:
        raise ValueError("canary-in-a-traceback")
    except ValueError:
        logging.getLogger("test").exception("failed with %s", "canary-in-a-message")
    assert "failed with <secret" in caplog.text
    assert "ValueError: <secret" in caplog.text
    assert "canary" not in caplog.text.replace('raise ValueError("canary', "")


def test_credentials_of_a_url():
    assert set(userinfo("https://robot:p%40ss@git.test/repo")) == {"robot", "p%40ss", "p@ss"}
