"""Numbers of register and rules are numbers: nothing else is taken for one, and what the log holds is still read."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import TypeAdapter, ValidationError

from rules.canonical import canonical_bytes
from rules.lint import lint
from rules.pack import SHIPPED
from rules.records import MODELS, Kind, RegisterRecord
from rules.register import Facility, RegisterFile
from rules.rule import Rule
from rules.tables import Table

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

STORE_OUT = (SHIPPED / "cold-chain" / "store-out.yaml").read_text(encoding="utf-8")
FROZEN = (SHIPPED / "data-integrity" / "frozen.yaml").read_text(encoding="utf-8")
WHOLE: dict[str, Any] = {
    "id": "AA-1", "name": {"zh": "甲", "en": "A"}, "jurisdiction": "110000",
    "areas": [
        {"id": "R", "kind": "cold-room", "floor_m2": 60, "height_m": 3.2, "rack_height_m": 2, "volume_m3": 192},
        {"id": "Q", "kind": "box"},
    ],
    "cascades": [{"cleaner": "R", "dirtier": "Q", "low": 10}],
    "sensors": [{
        "tag": "T", "area": "R", "quantity": "temperature", "unit": "Cel", "interval": "60s", "pinned": True,
        "limits": {"low": 2, "high": 8.5}, "range": {"low": -40, "high": 60}, "resolution": 0.1, "error": 0,
        "detection_limit": 1e-7, "sample_m3": 1, "compensated": False,
        "calibration": {"done": "2026-01-05", "due": "2027-01-05", "points": [{"at": 5, "error": 0.25}]},
    }],
}  # fmt: skip
PLACES: list[tuple[str | int, ...]] = [
    *[("areas", 0, name) for name in ("floor_m2", "height_m", "rack_height_m", "volume_m3")],
    ("cascades", 0, "low"),
    *[("sensors", 0, name) for name in ("pinned", "resolution", "error", "detection_limit", "sample_m3", "compensated")],
    *[("sensors", 0, span, side) for span in ("limits", "range") for side in ("low", "high")],
    *[("sensors", 0, "calibration", "points", 0, name) for name in ("at", "error")],
]  # fmt: skip


def with_value(place: tuple[str | int, ...], value: object) -> dict[str, Any]:
    """Return the facility with another value at one place."""
    facility: dict[str, Any] = json.loads(json.dumps(WHOLE))
    node: Any = facility
    for step in place[:-1]:
        node = node[step]
    assert place[-1] in node
    node[place[-1]] = value
    return facility


@pytest.mark.parametrize("as_text", [False, True], ids=["value", "json"])
@pytest.mark.parametrize("place", PLACES, ids=lambda place: "/".join(map(str, place)))
def test_a_text_of_digits_and_the_wrong_kind_are_refused_at_their_place(
    place: tuple[str | int, ...], *, as_text: bool
) -> None:
    flag = place[-1] in {"pinned", "compensated"}
    for wrong in ("1", "true", 1 if flag else True):
        record = {"version": 1, "facility": with_value(place, wrong)}
        model = MODELS[Kind.REGISTER]
        with pytest.raises(ValidationError) as refused:
            model.model_validate_json(json.dumps(record)) if as_text else model.model_validate(record)
        (fault,) = refused.value.errors()
        assert (fault["loc"], fault["type"]) == (("facility", *place), "bool_type" if flag else "float_type"), wrong


@pytest.mark.parametrize("version", [True, "1", 1.0])
def test_the_version_of_a_record_is_a_whole_number(version: object) -> None:
    with pytest.raises(ValidationError, match=r"(?s)1 validation error.*version"):
        MODELS[Kind.REGISTER].model_validate({"version": version, "facility": WHOLE})


def test_every_number_that_a_record_in_the_log_holds_is_read_again() -> None:
    record = RegisterRecord(version=1, facility=Facility.model_validate(WHOLE))
    logged = canonical_bytes(record.model_dump(mode="json", by_alias=True, exclude_none=True))
    assert b'"low":2,' in logged or b'"low":2}' in logged, "canonical JSON writes 2.0 as a whole number"
    assert MODELS[Kind.REGISTER].model_validate_json(logged) == record
    assert MODELS[Kind.REGISTER].model_validate(json.loads(logged)) == record


@pytest.mark.parametrize(
    ("text", "old", "new", "code"),
    [
        (STORE_OUT, "when: {consecutive: 2}", "when: {consecutive: true}", "wrong_type"),
        (STORE_OUT, "when: {consecutive: 2}", 'when: {consecutive: "2"}', "wrong_type"),
        (STORE_OUT, "when: {consecutive: 2}", "when: {consecutive: 2.0}", "wrong_type"),
        (STORE_OUT, "{low: 2, high: 8}", "{low: true, high: 8}", "wrong_type"),
        (STORE_OUT, "{low: 2, high: 8}", '{low: "2", high: 8}', "wrong_type"),
        (STORE_OUT, "deadband: 0.5", "deadband: true", "wrong_type"),
        (STORE_OUT, "narrower: sensor}", 'narrower: sensor, inclusive: "no"}', "wrong_type"),
        (FROZEN, "identical: 12", "identical: true", "wrong_type"),
    ],
)
def test_lint_refuses_what_is_no_number_in_a_rule(tmp_path: Path, text: str, old: str, new: str, code: str) -> None:
    assert old in text
    path = tmp_path / "rule.yaml"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    line = text[: text.index(old)].count("\n") + 1
    assert (line, code) in {(int(fault.pointer.split(":")[1]), fault.code) for fault in lint([path])}


def test_no_number_of_register_rule_or_table_is_taken_from_anything_else() -> None:
    """Holds members that come later to the same; durations, instants and days read themselves."""
    found = [found for read in (RegisterFile, Table, Rule) for found in numbers_of(TypeAdapter(read).core_schema)]
    assert len(found) > 40
    assert [path for path, strict in found if not strict] == []


def numbers_of(schema: Any, path: str = "") -> Iterator[tuple[str, bool]]:
    """Yield the path of every number and flag below a core schema, and whether it is strict."""
    if isinstance(schema, dict):
        kind = schema.get("type")
        if isinstance(kind, dict):  # the members of a model, one of which is called `type`
            kind = None
        if kind == "function-before":  # reads its own form: a duration, an instant, a day
            return
        if kind in {"int", "float", "bool"}:
            yield path, schema.get("strict") is True
            return
        for key, member in schema.items():
            if key not in {"metadata", "serialization"}:
                yield from numbers_of(member, f"{path}/{key}")
    elif isinstance(schema, list | tuple):
        for member in schema:
            yield from numbers_of(member, path)
