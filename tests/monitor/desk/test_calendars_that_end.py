"""Operators hear of a calendar of working days before it ends, and until packs hold the next year."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

import pytest

from monitor.alarms.operators import open_alarms
from monitor.desk import calendars
from monitor.desk.calendars import ENDS, LEAD_MS, calendars_job, counting, end_of, judge
from monitor.store.session import StoreDownError
from rules.instants import parse_instant
from rules.pack import Bundle, default_bundle

if TYPE_CHECKING:
    from monitor.store.session import Store
    from rules.calendar import Calendar

SHIPPED = default_bundle()
FOLLOW = "cross-check.excursion-no-deviation"


def at(text: str) -> int:
    return parse_instant(f"{text}+08:00")


def table(*years: str) -> Calendar:
    (shipped,) = SHIPPED.calendars.values()
    held = shipped.years["2026"].model_copy(update={"days_off": [], "worked": []})
    return shipped.model_copy(update={"years": dict.fromkeys(years, held)})


def packs(*years: str, rules: tuple[str, ...] = (FOLLOW,)) -> Bundle:
    of = [rule for rule in SHIPPED.rules if rule.id in rules]
    return Bundle.of(of, SHIPPED.tables.values(), calendars=[table(*years)])


def told(store: Store) -> list[tuple[str, str]]:
    with store.reading() as session:
        return [(alarm.subject, alarm.detail) for alarm in open_alarms(session) if alarm.code == ENDS]


def test_the_shipped_rules_that_count_working_days_and_none_for_how_soon_to_respond() -> None:
    found = counting(SHIPPED)
    assert {FOLLOW, "report-clock.rectification", "report-clock.annual-report"} <= {*found}
    assert "cold-chain.store-out" not in found
    assert "water.stage1" not in found, "1 working day to respond is no time of the rule"


@pytest.mark.parametrize(("years", "wanted"), [
    (("2026",), "2027-01-01"), (("2025", "2026", "2027"), "2028-01-01"), (("2026", "2028"), "2027-01-01"),
    (("2020", "2021"), "2026-01-01"), (("2027",), "2026-01-01"),
])  # fmt: skip
def test_a_calendar_ends_with_the_first_year_that_it_does_not_hold(years: tuple[str, ...], wanted: str) -> None:
    assert end_of(table(*years), at("2026-06-01T00:00:00")) == at(f"{wanted}T00:00:00")


def test_it_is_told_sixty_days_before_and_not_a_millisecond_earlier(store: Store) -> None:
    border = at("2028-01-01T00:00:00") - LEAD_MS
    assert judge(store, packs("2026", "2027"), border - 1) == []
    assert told(store) == []
    assert judge(store, packs("2026", "2027"), border) == [table("2026").id]
    ((subject, detail),) = told(store)
    assert subject == table("2026").id
    assert "2028" in detail
    assert FOLLOW in detail
    assert "工作日历" in detail


def test_it_stands_when_the_calendar_has_ended_and_packs_with_the_next_year_close_it(store: Store) -> None:
    now = at("2028-03-01T00:00:00")
    assert judge(store, packs("2026", "2027"), now)
    assert judge(store, packs("2026", "2027"), now + 1)
    assert len(told(store)) == 1
    assert judge(store, packs("2026", "2027", "2028"), now + 2) == []
    assert told(store) == []


def test_nobody_is_told_where_no_rule_counts_working_days(store: Store) -> None:
    assert judge(store, packs("2026", rules=("cold-chain.store-out",)), at("2029-01-01T00:00:00")) == []
    assert told(store) == []


def test_of_many_rules_ten_are_named(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for many, wanted in ((10, "r9; publish"), (12, "r9 and 2 more; publish")):
        monkeypatch.setattr(calendars, "counting", lambda _, many=many: [f"r{i}" for i in range(many)])
        judge(store, SHIPPED, at("2030-01-01T00:00:00"))
        ((_, detail),) = told(store)
        assert wanted in detail


def test_the_job_looks_by_the_packs_in_force_and_goes_on_when_the_store_is_down(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    stop, rounds, real = threading.Event(), [], calendars.judge

    def judged(*given: object) -> list[str]:
        rounds.append(given)
        if len(rounds) == 1:
            raise StoreDownError("sqlite", RuntimeError("down"))
        stop.set()
        return real(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(calendars, "judge", judged)
    monkeypatch.setattr(calendars, "ROUND_S", 0.0)
    with caplog.at_level(logging.WARNING, logger=calendars.__name__):
        calendars_job(store, lambda: at("2030-01-01T00:00:00"))(stop)
    assert len(rounds) == 2
    assert [subject for subject, _ in told(store)] == [table("2026").id]
    assert [record.levelname for record in caplog.records] == ["WARNING", "ERROR"]
