"""What a report that came can change is judged anew, and nothing else: the work does not grow with the reports that are kept."""

from __future__ import annotations

from typing import TYPE_CHECKING
from unittest.mock import patch

import pytest

from rules.documents import judge
from rules.documents.judge import NEWEST, Look, Series
from rules.pack import Bundle
from rules.records import Kind, LogRecord
from tests.rules import documentlogs
from tests.rules.byhand import BUNDLE
from tests.rules.documentlogs import FACILITY
from tests.rules.test_documents_by_hand import engine_of, fall, fold, recall, told

if TYPE_CHECKING:
    from rules.documents.kept import Kept
    from rules.records import Report
    from rules.rule import ReportRule


def lot(name: str) -> str:
    return f'{{"lot": "{name}"}}'


def kept(*reports: Report) -> dict[str, Kept]:
    engine = engine_of(*reports)
    return {name: one for (_, name), one in engine.state_of(FACILITY).documents.kept.items()}


def bears_on(rule: ReportRule, name: str, *reports: Report) -> set[tuple[str, str]]:
    """Return subjects and reports (or "newest") that are judged when a report of these has come."""
    of = kept(*reports)
    group = of[name].place.group
    found = Series(rule, of.values(), group).touched([of[name]])
    return {(subject, "newest" if key == NEWEST else key[1]) for subject, key in found}


LONG = [recall(seq, ("L1", 9, 1, 0), *([("L2", 9, 1, 0)] if seq in {2, 5} else [])) for seq in range(1, 7)]


def test_a_report_bears_on_itself_and_on_the_next_that_has_its_entries() -> None:
    assert bears_on(fall(), "R2", *LONG) == {(lot("L1"), "R2"), (lot("L1"), "R3"), (lot("L2"), "R2"), (lot("L2"), "R5")}
    assert bears_on(fall(), "R6", *LONG) == {(lot("L1"), "R6")}


def test_of_reports_of_one_number_all_are_compared_with_those_before_them() -> None:
    twins = [*LONG[:2], recall(3, ("L1", 9, 1, 0), name="A"), recall(3, ("L2", 9, 1, 0), name="B")]
    assert bears_on(fall(), "R2", *twins) == {(lot("L1"), "R2"), (lot("L2"), "R2"), (lot("L1"), "A"), (lot("L2"), "B")}
    assert bears_on(fall(), "A", *twins) == {(lot("L1"), "A")}


def test_where_the_newest_speaks_each_entry_is_judged_once() -> None:
    over = BUNDLE.rule("vigilance.recall-over-returned")
    assert bears_on(over, "R2", *LONG) == {(lot("L1"), "newest"), (lot("L2"), "newest")}


def test_what_reads_the_whole_report_before_is_judged_for_the_one_that_follows() -> None:
    rule = fall(each=None, condition="report.seq < previous.seq + 1.0")
    assert bears_on(rule, "R2", *LONG) == {('{"report": "R2"}', "R2"), ('{"report": "R3"}', "R3")}
    alone = fall(each=None, condition="report.seq < 1.0")
    assert bears_on(alone, "R2", *LONG) == {('{"report": "R2"}', "R2")}


def test_an_entry_that_a_correction_takes_away_is_judged_where_it_stood_and_where_it_counts_next() -> None:
    reports = [recall(1, ("L1", 9, 4, 0)), recall(2, ("L1", 9, 3, 0)), recall(3, ("L1", 9, 3, 0))]
    gone = recall(2, ("L2", 9, 3, 0), revision=2)
    assert told(fold(*reports, gone)) == [("raised", "L1", 2), ("amended", "L1", 4)]
    assert told(fold(*reports[:2], gone)) == [("raised", "L1", 2), ("cleared", "L1", 3)]


def test_a_report_that_moves_to_another_recall_is_judged_there_and_what_it_left_is_judged_without_it() -> None:
    reports = [recall(1, ("L1", 9, 4, 0)), recall(2, ("L1", 9, 5, 0)), recall(3, ("L1", 9, 4, 0))]
    moved = recall(2, ("L1", 9, 5, 0), revision=2, of="C2")
    assert told(fold(*reports, moved)) == [("raised", "L1", 3), ("cleared", "L1", 4)]


@pytest.mark.parametrize("reports", [5, 40])
def test_the_work_of_a_report_does_not_grow_with_those_before_it(reports: int) -> None:
    lots = [(f"L{i}", 9, 1, 0) for i in range(50)]
    log = documentlogs.of([recall(seq, *lots) for seq in range(1, reports + 1)])
    engine, looked = engine_of(), 0

    def counted(*args: object) -> Look:
        nonlocal looked
        looked += 1
        return Look(*args)  # type: ignore[arg-type]

    for record in log[:-1]:
        engine.fold(record)
    with patch.object(judge, "Look", counted):
        engine.fold(log[-1])
    assert looked == 2 * len(lots), "one for each lot and rule"


def test_a_rule_that_goes_on_with_every_report_keeps_an_alarm_that_is_unknown() -> None:
    """The causes of an alarm stay, also where packs let more than the newest report speak."""
    newest = fall(judged="newest")
    first, second = recall(1, ("L1", 9, 4, 0)), recall(2, ("L1", 9, 3, 0))
    twice = recall(1, ("L1", 9, 4, 0), ("L1", 9, 4, 0), revision=2)
    packs = Bundle.of([newest.model_copy(update={"judged": "every", "version": "2.0.0"})], [])
    log = documentlogs.of([first, second, twice])
    more = LogRecord(0, len(log), log[-1].received + 1, Kind.PACKS, "", packs.to_record())
    engine = engine_of(bundle=Bundle.of([newest], []))
    changes = [change for record in [*log, more] for change in engine.fold(record)]
    assert told(changes) == [("raised", "L1", 2), ("unknown", "L1", 3)]
    assert [case.standing is not None for case in engine.state_of(FACILITY).documents.of(newest.id).values()] == [True]
