"""The README says what is so: its table of checks and its contract are held against the code."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from conformance import catalogue, contract
from conformance.cli import app

README = Path(__file__).parent.parent / "README.md"


def test_the_table_of_checks_is_current():
    rows = [f"| `{check.id}` | {check.level} | {check.about} |" for check in catalogue.load().values()]
    table = "\n".join(["| id | level | proves |", "|---|---|---|", *rows])
    said = README.read_text().split("<!-- checks: begin -->\n")[1].split("\n<!-- checks: end -->")[0]
    assert said == table


def test_its_contract_is_one(tmp_path):
    example = next(
        block for block in re.findall(r"```yaml\n(.*?)```", README.read_text(), re.DOTALL) if "apiVersion" in block
    )
    file = tmp_path / "mine.yaml"
    file.write_text(example)
    assert contract.load(file, catalogue.load().keys()).release.name == "mine"


def test_its_commands_exist():
    known = {command.name or command.callback.__name__.rstrip("_") for command in app.registered_commands}
    said = re.findall(r"agents-conformance ([a-z]+)", README.read_text())
    assert set(said) <= known
    listed = re.findall(r"^\| `([a-z]+)", README.read_text().split("## Commands")[1], re.MULTILINE)
    assert set(listed) == known
    assert all(shlex.split(line) for line in re.findall(r"^sh .*$", README.read_text(), re.MULTILINE))
