"""What a rule file may ask of the doors of a room."""

from __future__ import annotations

from typing import Any

import pytest

from rules.rule import DifferenceRule, DoorWhen, OpenWhen
from rules.soundness import bundle_faults
from tests.rules.byhand import BUNDLE
from tests.rules.test_pairdoors_by_hand import LOW


@pytest.mark.parametrize(
    ("members", "pointer"),
    [
        ({"pairs": "redundant"}, "/doors"),
        ({"when": OpenWhen(consecutive=1, on_delay="3m")}, "/when/consecutive"),  # type: ignore[arg-type]
        ({"doors": DoorWhen(closed="3m")}, "/doors/closed"),  # type: ignore[arg-type]
    ],
)
def test_what_a_rule_cannot_ask_of_doors(members: dict[str, Any], pointer: str) -> None:
    rule = BUNDLE.rule(LOW)
    assert isinstance(rule, DifferenceRule)
    tables = list(BUNDLE.tables.values())
    faults = bundle_faults([rule.model_copy(update=members)], tables)
    assert pointer in {fault.pointer.removeprefix("/rules/0") for fault in faults if fault.code == "doors"}
    assert not [fault for fault in bundle_faults([rule], tables) if fault.code == "doors"]


def test_a_row_of_the_table_that_asks_for_one_record_is_refused() -> None:
    rule, table = BUNDLE.rule(LOW), BUNDLE.tables["cleanroom-pressure"]
    assert isinstance(rule, DifferenceRule)
    rows_of = [table.rows[0].model_copy(update={"consecutive": 1}), *table.rows[1:]]
    faults = bundle_faults([rule], [table.model_copy(update={"rows": rows_of})])
    assert [fault.pointer for fault in faults if fault.code == "doors"] == ["/rules/0/when/consecutive"]
