from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from monitor.commands.schema import SCHEMAS, schema_text
from rules.eventtypes.reading import read_events
from rules.eventtypes.types import STREAMS
from rules.markpost import read_mark
from rules.posts import read_readings
from rules.records import Events, Mark, Report
from rules.reports.reading import read_report
from rules.reports.types import TYPES

FOLDER = Path(__file__).parents[2] / "docs" / "contracts"
EXAMPLES = Path(__file__).parent / "examples"
READERS = {"readings": read_readings, "report": read_report, "mark": read_mark, "events": read_events}


@pytest.mark.parametrize("name", sorted(SCHEMAS))
def test_the_committed_schema_is_the_models(name):
    committed = (FOLDER / f"{name}.schema.json").read_text(encoding="utf-8")
    assert committed == schema_text(name), f"run: offsite schema {name} > docs/contracts/{name}.schema.json"


def test_no_schema_is_left_over():
    assert {path.name for path in FOLDER.glob("*.json")} == {f"{name}.schema.json" for name in SCHEMAS}


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.json")), ids=lambda path: path.stem)
def test_every_printed_example_is_valid(path):
    raw = path.read_bytes()
    adapter = TypeAdapter(SCHEMAS[path.stem.rpartition("_")[0] or path.stem])
    adapter.validate_python(json.loads(raw))
    if path.stem in READERS:
        assert READERS[path.stem](raw)


@pytest.mark.parametrize("name", ["report", "events"])
def test_what_may_be_posted_names_every_type(name):
    schema = json.loads(schema_text(name))
    posted = schema["$defs"].values()
    kinds = [
        tuple(
            part["properties"][member]["const"]
            for member in ("stream", "type")
            if "const" in part.get("properties", {}).get(member, {})
        )
        for part in posted
    ]
    wanted = (
        [(kind,) for kind in TYPES]
        if name == "report"
        else [(s, kind) for s, kinds in STREAMS.items() for kind in kinds]
    )
    assert sorted(kind for kind in kinds if kind) == sorted(wanted)


@pytest.mark.parametrize(("name", "model"), [("log-report", Report), ("log-events", Events), ("log-mark", Mark)])
def test_the_log_holds_what_came_through_any_door(name, model):
    """Records of the log are read as they always were: a stricter front door makes none of them unreadable."""
    assert SCHEMAS[name] is model
