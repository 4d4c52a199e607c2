from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from monitor.commands.schema import SCHEMAS, schema_text

FOLDER = Path(__file__).parents[2] / "docs" / "contracts"
EXAMPLES = Path(__file__).parent / "examples"


@pytest.mark.parametrize("name", sorted(SCHEMAS))
def test_the_committed_schema_is_the_models(name):
    committed = (FOLDER / f"{name}.schema.json").read_text(encoding="utf-8")
    assert committed == schema_text(name), f"run: offsite schema {name} > docs/contracts/{name}.schema.json"


def test_no_schema_is_left_over():
    assert {path.name for path in FOLDER.glob("*.json")} == {f"{name}.schema.json" for name in SCHEMAS}


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.json")), ids=lambda path: path.stem)
def test_every_printed_example_is_valid(path):
    adapter = TypeAdapter(SCHEMAS[path.stem.rpartition("_")[0] or path.stem])
    adapter.validate_python(json.loads(path.read_text(encoding="utf-8")))
