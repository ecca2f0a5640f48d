"""The JSON Schema of a contract, for editors and other tools; shipped beside the package's modules."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from conformance.contract.model import Contract

#: The shipped schema. It is made by `write_schema`; a test says when it is out of date.
SCHEMA_FILE = Path(__file__).parent.parent / "contract.schema.json"


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a contract, made from its models."""
    made = Contract.model_json_schema(by_alias=True)
    return {
        **made,
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "agents-conformance contract",
    }


def schema_text() -> str:
    """Return the schema as it is shipped."""
    return json.dumps(json_schema(), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def write_schema() -> None:
    """Bring the shipped schema up to date."""
    SCHEMA_FILE.write_text(schema_text(), encoding="utf-8")
