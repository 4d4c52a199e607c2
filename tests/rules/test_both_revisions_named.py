"""What a revision of a report changes names the revision before and the new one, in every rule that reads reports (deviations,
figures, documents, ledgers, amendments); what it does not change names one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from rules.engine import Engine
from rules.instants import parse_instant
from rules.ledger.entry import entries_of, replaced, text_of
from rules.rare.speak import of_revisions
from rules.rare.store import Fact
from rules.records import Events, Kind, LogRecord, Tick
from tests.rules.byhand import HandLog, ms
from tests.rules.claimlogs import SPAN
from tests.rules.documentlogs import FALL, OVER
from tests.rules.test_amendments_by_hand import ONLY, TENTH, amend, log
from tests.rules.test_annual_volume import BUNDLE as ANNUAL
from tests.rules.test_annual_volume import FACILITY, made, register
from tests.rules.test_annual_volume import report as annual
from tests.rules.test_claims_by_hand import BUNDLE as CLAIMS
from tests.rules.test_claims_by_hand import span_report
from tests.rules.test_documents_by_hand import fold, recall
from tests.rules.test_excursions_by_hand import DAY, NONE, WRONG, outside, report
from tests.rules.test_ledger_by_hand import RELEASE, RETEST, deviated, investigated, maker, released, result
from tests.rules.test_reports_revised_and_wrong import claimed, stated

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rules.changes import Change


def named(changes: Iterable[Change], rule: str | None = None) -> list[tuple[str, list[str]]]:
    """Return of each change (of a rule) what was told and the reports that it names, sorted."""
    return [
        (one.change.value, sorted(read.id for read in one.evidence.records if read.kind == "report"))
        for one in changes
        if rule in (None, one.rule)
    ]


def test_a_revision_as_evidence_names_it() -> None:
    assert [(one.kind, one.id) for one in of_revisions("R-1", 3, 1)] == [("report", "R-1/3"), ("report", "R-1/1")]
    assert [one.id for one in of_revisions("R-1", 1, 0)] == ["R-1/1"]


# -- deviations and figures -----------------------------------------------------------------------------------------
def test_a_deviation_that_is_corrected() -> None:
    assert named(stated([3, 4, 10])) == [
        ("raised", ["R-1/1"]), ("amended", ["R-1/1", "R-1/2"]), ("cleared", ["R-1/2", "R-1/3"]),
    ]  # fmt: skip


def test_a_deviation_that_a_correction_spoils() -> None:
    assert named(stated([10, 3])) == [("raised", ["R-1/1", "R-1/2"])]


def test_a_deviation_that_is_moved_to_another_time() -> None:
    hand = report(outside([9.0] * 10), 60, 5, 15, duration_min=60)
    report(hand, 3 * DAY, 0, 1, revision=3)
    assert named(hand.changes(until=5 * DAY), WRONG) == [("raised", ["R-1/1"]), ("unknown", ["R-1/1", "R-1/3"])]


def test_an_excursion_that_a_revision_names_first_and_one_that_it_names_no_more() -> None:
    hand = report(outside([9.0] * 10), 60, 0, 1)
    report(hand, 5 * DAY, 5, 15, revision=2)
    assert named(hand.changes(until=9 * DAY), NONE) == [("raised", []), ("cleared", ["R-1/1", "R-1/2"])]
    hand = report(report(outside([9.0] * 10), 60, 5, 15), 6 * DAY, 0, 1, revision=2)
    assert named(hand.changes(until=9 * DAY), NONE) == [("raised", ["R-1/1", "R-1/2"])]


def test_figures_that_are_corrected() -> None:
    changes = claimed([30.0, 31.0, 5.0]).changes(until=40 * DAY, bundle=CLAIMS)
    assert named(changes, SPAN) == [
        ("raised", ["R-1/1"]), ("amended", ["R-1/1", "R-1/2"]), ("cleared", ["R-1/2", "R-1/3"]),
    ]  # fmt: skip


def test_of_figures_that_are_corrected_twice_before_they_are_compared_the_compared_one_and_the_newest() -> None:
    hand = claimed([30.0])
    span_report(hand, 4 * DAY, 60, 120, 2, peak=31.0)
    span_report(hand, 4 * DAY, 60, 120, 3, peak=32.0)
    found = named(hand.changes(until=40 * DAY, bundle=CLAIMS), SPAN)
    assert found == [("raised", ["R-1/1"]), ("amended", ["R-1/1", "R-1/3"])]


# -- documents ------------------------------------------------------------------------------------------------------
def test_a_document_that_a_correction_spoils_and_one_that_says_nothing_of_the_lot_any_more() -> None:
    spoilt = fold(recall(1, ("L", 10, 1, 0)), recall(1, ("L", 10, 11, 0), revision=2))
    assert named(spoilt, OVER) == [("raised", ["R1/1", "R1/2"])]
    gone = fold(recall(1, ("L", 10, 11, 0)), recall(1, ("M", 10, 1, 0), revision=2))
    assert named(gone, OVER) == [("raised", ["R1/1"]), ("cleared", ["R1/1", "R1/2"])]


def test_the_document_before_is_corrected() -> None:
    found = fold(recall(1, ("L", 10, 5, 0)), recall(2, ("L", 10, 3, 0)), recall(1, ("L", 10, 2, 0), revision=2))
    assert named(found, FALL) == [("raised", ["R1/1", "R2/1"]), ("cleared", ["R1/1", "R1/2", "R2/1"])]


def test_a_lower_revision_that_comes_late_is_not_named_as_what_changed_it() -> None:
    assert named(fold(recall(1, ("L", 10, 11, 0), revision=2), recall(1, ("L", 10, 1, 0))), OVER) == [
        ("raised", ["R1/2"])
    ]


# -- ledgers --------------------------------------------------------------------------------------------------------
def year(*volumes: float) -> list[tuple[str, list[str]]]:
    """Return what annual reports of 2025 are told of: 100 were made, each revision says another number."""
    at = lambda text: parse_instant(f"{text}T08:00:00+08:00")  # noqa: E731 - short
    days = [f"2025-{month:02}-01" for month in range(1, 13)]
    log = [LogRecord(0, 0, at("2024-12-31"), Kind.REGISTER, FACILITY, register())]
    for i, day in enumerate(days):
        events = [made(at(day), f"L{i}", 100)]
        log.append(LogRecord(0, len(log), at(day) + 1, Kind.EVENTS, FACILITY, Events(batch=f"e{i}", events=events)))
    for i, volume in enumerate(volumes):
        when = at("2026-02-01") + i * 86_400_000
        payload = annual(when, [("P", 12, volume)], revision=1 + i, name="A")
        log.append(LogRecord(0, len(log), when, Kind.REPORT, FACILITY, payload))
    end = at("2026-06-01")
    log.append(LogRecord(0, len(log), end, Kind.TICK, "", Tick(by="t", role="worker", now=end)))
    engine = Engine(ANNUAL)
    return named([change for record in log for change in engine.fold(record)])


def test_an_annual_report_that_is_corrected() -> None:
    assert year(900, 1000, 1200) == [
        ("raised", ["A/1"]), ("amended", ["A/1", "A/2"]), ("cleared", ["A/2", "A/3"]),
    ]  # fmt: skip
    assert year(1200, 900) == [("raised", ["A/1", "A/2"])]


def test_an_investigation_whose_test_was_corrected() -> None:
    hand = result(result(maker(), 100, "oos"), 300, "pass")
    investigated(hand, 350, 200, test="purity")
    investigated(hand, 3 * DAY, 200, revision=2)
    found = named(hand.changes(until=9 * DAY), RETEST)
    assert found == [("raised", []), ("cleared", ["I-1/1", "I-1/2"])]


def test_a_deviation_that_names_a_released_lot_only_when_it_is_corrected() -> None:
    hand = released(deviated(maker(), 100, 90, lots=("L-9",)), 200)
    deviated(hand, 300, 90, revision=2)
    assert named(hand.changes(until=DAY), RELEASE) == [("raised", ["D-1/1", "D-1/2"])]


def fact(name: str, at: float, **said: Any) -> Fact:
    return Fact(ms(at), ms(at), name, "", text_of("deviation", **said))


@pytest.mark.parametrize(
    ("known", "came", "wanted"),
    [
        ([], [1], []), ([1], [2], ["D/1"]), ([1, 2], [5], ["D/2"]), ([1], [2, 3], ["D/1"]), ([3], [2], []), ([1, 3], [2], ["D/1"]),
    ],
)  # fmt: skip
def test_which_revision_was_before(known: list[int], came: list[int], wanted: list[str]) -> None:
    facts = [fact(f"deviation D/{number}", 1, revision=number) for number in known]
    facts += [fact("deviation DX/1", 1, revision=1), fact("deviation D/X/1", 1, revision=1)]
    now = [fact(f"deviation D/{number}", 2, revision=number) for number in came]
    found = replaced(entries_of(now), [*facts, *now])
    assert [one.id for one in found] == wanted
    assert {one.kind for one in found} <= {"report"}


def test_events_replace_nothing_and_of_many_reports_eight_are_named() -> None:
    assert replaced(entries_of([fact("0a0b", 1)]), [fact("0a0b", 0)]) == []
    before = [fact(f"deviation D{i}/1", 1, revision=1) for i in range(20)]
    now = [fact(f"deviation D{i}/2", 2, revision=2) for i in range(20)]
    assert len(replaced(entries_of(now), [*before, *now])) == 8


# -- amendments -----------------------------------------------------------------------------------------------------
def test_an_amendment_that_is_revised_with_its_proof_or_with_older_readings() -> None:
    hand: HandLog = amend(log(), DAY)
    amend(hand, TENTH + DAY, revision=2, proof="WO-1")
    assert named(hand.changes(bundle=ONLY)) == [("raised", []), ("cleared", ["R-1/1", "R-1/2"])]
    hand = amend(log(), 2 * DAY, DAY, proof="WO-1")
    amend(hand, 12 * DAY, 1, DAY, revision=2, proof="WO-1")
    assert named(hand.changes(bundle=ONLY)) == [("raised", ["R-1/1", "R-1/2"])]
