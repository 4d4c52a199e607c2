"""Dates of citations are days of the calendar, in their order, and each fault of a file is told with its line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from pydantic import ValidationError

from rules.lint import lint
from rules.pack import SHIPPED
from rules.rule import EffectiveSpan

if TYPE_CHECKING:
    from pathlib import Path

RULE = (SHIPPED / "report-clock" / "adr-death.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize("day", ["2016-13-13", "2016-02-31", "2015-02-29", "16-01-01", "2016-1-1", "soon"])
@pytest.mark.parametrize("side", ["from", "to"])
def test_a_day_that_is_none_is_refused(day: str, side: str) -> None:
    with pytest.raises(ValidationError) as refused:
        EffectiveSpan.model_validate({"from": "2011-07-01", "to": "2012-07-01"} | {side: day})
    assert [fault["loc"] for fault in refused.value.errors()] == [(side,)]


@pytest.mark.parametrize(
    ("begin", "end"), [("2016-02-29", "2016-02-29"), ("2016-02-29", "2016-03-01"), ("2016-02-29", None)]
)
def test_days_in_their_order_are_taken(begin: str, end: str | None) -> None:
    span = EffectiveSpan.model_validate({"from": begin, "to": end})
    assert (span.from_, span.to) == (begin, end)


def test_an_edition_that_ends_before_it_begins_is_refused() -> None:
    with pytest.raises(ValidationError, match="ends before it begins"):
        EffectiveSpan.model_validate({"from": "2016-03-01", "to": "2016-02-29"})


def test_lint_names_the_line(tmp_path: Path) -> None:
    folder = tmp_path / "report-clock"
    folder.mkdir()
    line = next(i for i, text in enumerate(RULE.splitlines(), 1) if "effective" in text)
    lines = RULE.splitlines()
    begin, _, rest = lines[line - 1].partition("from: ")
    lines[line - 1] = f"{begin}from: 2016-02-31{rest[10:]}"
    (folder / "adr-death.yaml").write_text("\n".join(lines) + "\n", encoding="utf-8")
    faults = lint([tmp_path])
    assert any(f"adr-death.yaml:{line}:" in fault.pointer for fault in faults), [str(fault) for fault in faults]
