"""Deadbands as wide as no value lies inside the limits: told by lint where the limits are constants or stand in a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.clearfaults import clear_faults, row_faults
from rules.lint import lint
from rules.pack import SHIPPED, default_bundle
from rules.params import deadband_width
from rules.register import Span
from rules.tables import Table

if TYPE_CHECKING:
    from pathlib import Path

    from rules.rule import Rule

BUNDLE = default_bundle()
STORE_OUT = (SHIPPED / "cold-chain" / "store-out.yaml").read_text(encoding="utf-8")
NUMBERS = st.integers(-20, 20).map(lambda number: number / 2)


def of(name: str, deadband: float | str, **limits: object) -> Rule:
    """Return a shipped rule with another deadband, and other limits if some are given."""
    rule = BUNDLE.rule(name)
    assert rule is not None
    clear = rule.clear.model_copy(update={"deadband": deadband})
    source = rule.limits.model_copy(update={"from_": Span.model_validate(limits)}) if limits else rule.limits
    return rule.model_copy(update={"clear": clear, "limits": source})


def humid(deadband: float | str, **limits: object) -> Rule:
    return of("cold-chain.store-out", deadband, **limits).model_copy(
        update={"applies_to": {"sensor.quantity": "humidity"}}
    )


@pytest.mark.parametrize(
    ("rule", "detail"),
    [
        (of("cold-chain.store-out", 3.0), ""),
        (of("cold-chain.store-out", 3.01), "no value lies 3.01 inside both 2 and 8"),
        (of("cold-chain.store-out", "37.5%"), ""),
        (of("cold-chain.store-out", "38%"), "no value lies 3.04 inside both 2 and 8"),
        (of("cold-chain.store-out", 500.0, high=8), ""),
        (of("cold-chain.store-out", "much"), ""),
        (humid(75.0, high=75), ""),
        (humid(75.5, high=75), "humidity is never as low as -0.5"),
        (humid(65.0, low=35), ""),
        (humid(66.0, low=35), "humidity is never as high as 101"),
        (humid("99%", high=75), ""),
    ],
)
def test_of_constants(rule: Rule, detail: str) -> None:
    assert [(f.code, f.pointer, f.detail) for f in clear_faults(rule, {})] == (
        [("never_clears", "/clear/deadband", detail)] if detail else []
    )


def test_a_pair_s_difference_and_a_change_may_be_less_than_nothing() -> None:
    rule = BUNDLE.rule("cleanroom.pressure-reversed")
    assert rule is not None
    clear = rule.clear.model_copy(update={"deadband": 400.0})
    assert clear_faults(rule.model_copy(update={"clear": clear}), BUNDLE.tables) == []


def rows(**row: object) -> Table:
    base = {"where": {"sensor.quantity": "temperature"}, "unit": "Cel", "edition": "e", "status": "own"}
    table = BUNDLE.tables["cleanroom-particles"].model_dump(by_alias=True, mode="json", exclude_none=True)
    return Table.model_validate(table | {"id": "own", "rows": [base | {"limit": {"low": 2, "high": 30}}, base | row]})


def test_of_a_table_the_rule_s_deadband_is_held_against_each_row_without_its_own() -> None:
    rule = of("cold-chain.store-out", 3.5)
    rule = rule.model_copy(update={"limits": rule.limits.model_copy(update={"from_": "own"})})
    (fault,) = clear_faults(rule, {"own": rows(limit={"low": 2, "high": 8})})
    assert fault.detail == "row 1 of own: no value lies 3.5 inside both 2 and 8"
    own = rows(limit={"low": 2, "high": 8}, deadband=1)
    assert clear_faults(rule, {"own": own}) == row_faults(own) == []
    assert clear_faults(rule, {}) == []  # that it is not there is told elsewhere


def test_a_row_s_own_deadband_is_told_of_where_it_stands() -> None:
    (fault,) = row_faults(rows(limit={"low": 2, "high": 8}, deadband=3.5))
    assert (fault.code, fault.pointer) == ("never_clears", "/rows/1/deadband")
    particles = {"where": {"sensor.quantity": "particles-0.5"}, "unit": "/m3", "limit": {"high": 3520}}
    assert [f.detail for f in row_faults(rows(**particles, deadband=4000))] == ["particles-0.5 is never as low as -480"]
    unnamed = {"where": {}, "unit": "%", "limit": {"low": 60}, "deadband": 41}
    assert [f.detail for f in row_faults(rows(**unnamed))] == [
        "oxygen, ln2-level, co2 is never as high as 101"
    ]  # whatever is measured in it


def test_lint_names_file_line_and_column_and_the_shipped_packs_have_none(tmp_path: Path) -> None:
    assert [f for f in lint([SHIPPED]) if f.code == "never_clears"] == []
    folder = tmp_path / "cold-chain"
    folder.mkdir()
    text = STORE_OUT.replace("deadband: 0.5", "deadband: 6.5", 1)
    (folder / "store-out.yaml").write_text(text, encoding="utf-8")
    (fault,) = [f for f in lint([tmp_path]) if f.code == "never_clears"]
    line = next(i for i, one in enumerate(text.splitlines()) if "deadband" in one)
    column = text.splitlines()[line].index("deadband")
    assert fault.pointer.endswith(f"cold-chain/store-out.yaml:{line + 1}:{column + 1}")


@given(NUMBERS, NUMBERS, st.integers(0, 60).map(lambda number: number / 4))
def test_of_two_sides_it_is_told_exactly_where_no_value_lies_inside_by_the_deadband(
    low: float, high: float, deadband: float
) -> None:
    """By trying values in steps of an eighth; what the register narrows is never so: a quarter of the width is taken then."""
    if low >= high:
        return
    tried = [low + step / 8 for step in range(int((high - low) * 8) + 1)]
    clears = any(low + deadband <= value <= high - deadband for value in tried)
    assert clears is not bool(clear_faults(of("cold-chain.store-out", deadband, low=low, high=high), {}))
    width = deadband_width(deadband, low, high)
    assert low + width <= high - width
