"""What lint says of rules over posted laboratory results and their tables, with file, line and column; nothing else may ask for a method."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from rules.lint import lint
from rules.pack import SHIPPED
from rules.soundness import bundle_faults
from tests.rules.byhand import BUNDLE

if TYPE_CHECKING:
    from pathlib import Path

RULE = (SHIPPED / "cleanroom" / "b-viable.yaml").read_text(encoding="utf-8")
TABLE = (SHIPPED / "tables" / "cleanroom-viable.yaml").read_text(encoding="utf-8")
FIRST = "{area.grade: A, area.standard: cn-gmp-2010, result.method: [air, 浮游菌]}, unit: CFU/m3, limit: {high: 1}"


def linted(folder: Path, rule: tuple[str, str] = ("", ""), table: tuple[str, str] = ("", "")) -> list[str]:
    """Return the faults of the rule and its table with a text of each changed, without the folder."""
    for name, whole, (old, new) in (
        ("cleanroom/b-viable.yaml", RULE, rule),
        ("tables/cleanroom-viable.yaml", TABLE, table),
    ):
        assert old in whole
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(whole.replace(old, new, 1) if old else whole, encoding="utf-8")
    return [str(fault).replace(f"{folder}/", "") for fault in lint([folder])]


def test_as_they_ship_there_is_nothing_to_say(tmp_path: Path) -> None:
    assert linted(tmp_path) == []


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("limits: {from: cleanroom-viable}", "limits: {from: cleanroom-viables}", "/b-viable.yaml:9:10: unknown_table: limits/from: "),
        ("limits: {from: cleanroom-viable}", "limits: {from: [1]}", "/b-viable.yaml:9:10: wrong_type: limits/from: a text is needed"),
        ("limits: {from: cleanroom-viable}", "limits: {from: cleanroom-viable, inclusive: 1}", "/b-viable.yaml:9:34: wrong_type: limits/inclusive: true or false is needed"),
        ("limits: {from: cleanroom-viable}", "limits: {from: cleanroom-viable, high: 5}", "/b-viable.yaml:9:34: unknown_member: limits/high: no such member"),
        ("limits: {from: cleanroom-viable}\n", "", "/b-viable.yaml:1:1: missing: limits: "),
        ("stream: lab, type: result", "stream: lab, type: run", "/b-viable.yaml:8:1: result: events: what is posted and compared is lab result"),
        ("stream: lab", "stream: labs", "/b-viable.yaml:8:10: unknown_value: events/stream: "),
        ("{test: viable-count}", "{test: 5}", "/b-viable.yaml:8:45: wrong_type: events/where/test: a text is needed"),
        ("area.grade: B}", "area.grade: E}", "/b-viable.yaml:7:36: vocabulary: applies_to/area.grade: no register holds E"),
        ("area.grade: B}", "result.method: air}", "/b-viable.yaml:7:36: predicate: applies_to/result.method: only a row of a table asks how a result was made"),
        ("area.grade: B}", "sensor.quantity: toc}", "/b-viable.yaml:7:36: predicate: applies_to/sensor.quantity: it looks at areas"),
        ("severity: {base: orange}", "severity: {base: orange, steps: [{after: 1h, to: red}]}", "/b-viable.yaml:10:26: step: severity/steps: a result_limit rule has one colour"),
        ("kind: result_limit", "kind: result", "/b-viable.yaml:6:1: unknown_value: kind: no kind of rule"),
    ],
)  # fmt: skip
def test_faults_of_a_rule(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert any(said in one for one in linted(tmp_path, rule=(old, new))), linted(tmp_path, rule=(old, new))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("limit: {high: 1}", "limit: {low: 0, high: 1}", "/b-viable.yaml:9:10: result: limits/from: row 0 of cleanroom-viable: a result is above its limit: low is of no use"),
        ("unit: CFU/m3, limit: {high: 1}", "unit: ' ', limit: {high: 1}", "row 0 of cleanroom-viable: a unit has a name"),
        ("limit: {high: 1}, ", "limit: {high: 1}, deadband: 2, ", "row 0 of cleanroom-viable: deadband is of measured series"),
        ("limit: {high: 1}, ", "limit: {high: 1}, registered: true, ", "row 0 of cleanroom-viable: registered is of measured series"),
        ("limit: {high: 1}, ", "limit: {high: 1}, at: {from: 1, below: 2}, ", "row 0 of cleanroom-viable: at is of measured series"),
        ("{CFU: 1, CFU/碟: 1", "{CFU: 1, cfu: 1, CFU/碟: 1", "row 2 of cleanroom-viable: the unit cfu stands here twice"),
        ("{CFU: 1, CFU/碟: 1", "{CFU: 1, cfu / Plate: 1, CFU/碟: 1", "row 2 of cleanroom-viable: the unit cfu/plate stands here twice"),
        ("area.standard: cn-gmp-2010, result.method: [air", "sensor.unit: Pa, result.method: [air", "row 0 of cleanroom-viable: a result has no sensor.unit"),
        ("{CFU: 1, CFU/碟: 1", "{CFU: 0, CFU/碟: 1", "/cleanroom-viable.yaml:14:"),
        ("{CFU: 1, CFU/碟: 1", "{CFU: x, CFU/碟: 1", "/cleanroom-viable.yaml:14:"),
        ("{CFU: 1, CFU/碟: 1", "{CFU: .inf, CFU/碟: 1", "/cleanroom-viable.yaml:14:"),
        ("result.method: [air, 浮游菌]", "result.method: 5", "/cleanroom-viable.yaml:12:57: predicate: rows/0/where/result.method: takes a text or a list of texts"),
        ("result.method: [air, 浮游菌]", "result.methods: air", "no such fact"),
    ],
)  # fmt: skip
def test_faults_of_its_table(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert any(said in one for one in linted(tmp_path, table=(old, new))), linted(tmp_path, table=(old, new))


def test_a_table_that_sets_no_limit_at_all_is_none(tmp_path: Path) -> None:
    head, _, _ = TABLE.partition("rows:\n")
    rows = "rows:\n  - {where: {}, unit: CFU, limit: {}, edition: none, status: own}\n"
    found = linted(tmp_path, table=(TABLE, head + rows))
    assert any("no row has a high limit: nothing is ever above it" in one for one in found)


def test_a_rule_over_series_takes_no_such_table() -> None:
    limit = BUNDLE.rule("cleanroom.a-fine")
    assert limit is not None
    other = limit.model_copy(update={"limits": limit.limits.model_copy(update={"from_": "cleanroom-viable"})})
    rules = [other if rule.id == limit.id else rule for rule in BUNDLE.rules]
    at = rules.index(other)
    found = [
        fault for fault in bundle_faults(rules, BUNDLE.tables.values()) if fault.pointer.startswith(f"/rules/{at}/")
    ]
    told = "row 0 of cleanroom-viable is for posted results: a limit rule has no result.method and no units"
    assert [(fault.pointer, fault.code, fault.detail) for fault in found] == [
        (f"/rules/{at}/limits/from", "result", told)
    ]


def test_a_bundle_without_the_table_is_refused() -> None:
    tables = [table for table in BUNDLE.tables.values() if table.id != "water-endotoxin"]
    (fault,) = bundle_faults(BUNDLE.rules, tables)
    assert (fault.code, fault.detail) == ("unknown_table", "water-endotoxin is not a table of these packs")
