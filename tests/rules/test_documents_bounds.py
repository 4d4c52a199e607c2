"""What is kept of reports is bounded whatever a firm sends; what goes out is counted, and nothing unknown ends an alarm."""

from __future__ import annotations

from typing import TYPE_CHECKING
from unittest.mock import patch

import pytest

from rules.documents import store
from rules.documents.kept import MAX_ENTRIES
from rules.documents.store import MAX_BYTES, MAX_REPORT_BYTES, Documents
from rules.fitting import EVIDENCE_BYTES, fit
from rules.pack import Bundle
from rules.records import Report
from rules.snapshot import unpacked
from tests.rules import documentlogs
from tests.rules.byhand import BUNDLE
from tests.rules.documentlogs import BEGIN, FACILITY, FALL
from tests.rules.test_documents_by_hand import engine_of, fall, fold, recall, told

if TYPE_CHECKING:
    from rules.engine import Engine


def counts(engine: Engine) -> dict[str, int]:
    found = engine.counters(0, FACILITY)
    return {name: number for name, number in found.items() if name.startswith("document_") and number}


def test_the_report_that_was_touched_longest_ago_goes_out_first() -> None:
    with patch.object(store, "MAX_DOCUMENTS", 2):
        reports = [recall(seq, ("L1", 9, 4, 0)) for seq in (1, 2)]
        engine = engine_of(*reports, recall(1, ("L1", 9, 4, 0), revision=2), recall(3, ("L1", 9, 4, 0)))
    assert [name for _, name in engine.state_of(FACILITY).documents.kept] == ["R1", "R3"]
    assert counts(engine) == {"document_dropped": 1}


def test_where_the_report_before_goes_out_the_alarm_is_unknown_and_its_own_report_stays() -> None:
    with patch.object(store, "MAX_DOCUMENTS", 2):
        others = [recall(1, ("L9", 1, 0, 0), name=f"S{i}", of=f"D{i}") for i in range(3)]
        changes = fold(recall(1, ("L1", 9, 4, 0)), recall(2, ("L1", 9, 3, 0)), *others)
        engine = engine_of(recall(1, ("L1", 9, 4, 0)), recall(2, ("L1", 9, 3, 0)), *others)
    assert told(changes) == [("raised", "L1", 2), ("unknown", "L1", 3)]
    assert [name for _, name in engine.state_of(FACILITY).documents.kept] == ["R2", "S2"]


def test_where_alarms_stand_by_all_that_is_kept_what_comes_is_left_out_and_counted() -> None:
    wrong = [recall(1, ("L1", 1, 2, 0), name=f"R{i}", of=f"C{i}") for i in range(3)]
    only = Bundle.of([rule for rule in BUNDLE.rules if rule.id == "vigilance.recall-over-returned"], [])
    with patch.object(store, "MAX_DOCUMENTS", 2):
        engine = engine_of(*wrong, bundle=only)
    assert [name for _, name in engine.state_of(FACILITY).documents.kept] == ["R0", "R1"]
    assert counts(engine) == {"document_left_out": 1}


def test_a_report_is_kept_up_to_its_last_byte() -> None:
    text = '{"figures":{}}'
    books = Documents()
    assert books.put(("quality-review", "Q1"), 1, text.ljust(MAX_REPORT_BYTES)) is not None
    assert books.put(("quality-review", "Q2"), 1, text.ljust(MAX_REPORT_BYTES + 1)) is None
    assert books.counts["document_too_large"] == 1
    for i in range(20):
        books.put(("quality-review", f"S{i}"), 1, text.ljust(MAX_REPORT_BYTES))
        assert books.size <= MAX_BYTES
    assert len(books.kept) == MAX_BYTES // MAX_REPORT_BYTES


def test_revisions_below_the_two_newest_are_not_kept() -> None:
    books = Documents()
    for revision in (5, 3, 4, 1):
        books.put(("quality-review", "Q1"), revision, "{}")
    kept = books.kept["quality-review", "Q1"]
    assert (kept.newest.revision, kept.earlier and kept.earlier.revision) == (5, 4)
    assert books.size == 4
    assert books.counts["document_stale"] == 1


def test_a_recall_of_a_thousand_lots_is_judged_lot_by_lot() -> None:
    before = recall(1, *((f"L{i}", 9, 4, 0) for i in range(MAX_ENTRIES)))
    after = recall(2, *((f"L{i}", 9, 3, 0) for i in range(MAX_ENTRIES)))
    changes = fold(before, after)
    assert len(told(changes)) == MAX_ENTRIES
    assert len({change.alarm for change in changes}) == MAX_ENTRIES


def test_evidence_of_a_thousand_entries_is_cut_and_says_so() -> None:
    each = fall().each
    assert each is not None
    rule = fall(each=each.model_copy(update={"subject": "report"}))
    before = recall(1, *((f"L{i}", 9, 4, 0) for i in range(MAX_ENTRIES)))
    after = recall(2, *((f"L{i}", 9, 3, 0) for i in range(MAX_ENTRIES)))
    (raised,) = fold(before, after, bundle=Bundle.of([rule], []))
    assert raised.subject == {"report": "R2"}
    assert raised.evidence.left_out == {"leaves": MAX_ENTRIES - 40}
    assert raised.evidence.leaves[0].expr == "R2/1 L0: entry.shipped < before.shipped"
    assert len(fit(raised).evidence.model_dump_json()) <= EVIDENCE_BYTES


def annual(name: str, batches: list[int], year: int = 2025) -> Report:
    products = [{"product": f"P{i}", "batches": each, "volume": 1, "unit": "vial"} for i, each in enumerate(batches)]
    fields = {"year": year, "products": products, "changes": [], "deviations": 0, "recalls": 0, "figures": {}}
    value = {"type": "annual-report", "id": name, "revision": 1, "sent": BEGIN, "fields": fields}
    return Report.model_validate(value)


@pytest.mark.parametrize(("last", "verdict"), [(1, None), (0, True)])
def test_entries_beyond_a_thousand_are_not_looked_at_then_nothing_is_known_to_be_right(
    last: int, verdict: object
) -> None:
    each = {"of": "products", "key": "product"}
    rule = fall(reports=["annual-report"], condition="entry.batches < 1", each=type(fall().each).model_validate(each))  # type: ignore[union-attr]
    bundle = Bundle.of([rule], [])
    many = [1] * (MAX_ENTRIES - 1) + [last, 0]
    changes = fold(annual("Y1", many), bundle=bundle)
    assert told(changes) == ([("raised", "Y1", 1)] if verdict else [])
    assert counts(engine_of(annual("Y1", many), bundle=bundle)) == {"document_entry_left_out": 1}


def test_cases_that_stand_are_never_forgotten() -> None:
    with patch.object(store, "MAX_CASES", 1):
        reports = [recall(1, ("L1", 9, 4, 0), ("L2", 9, 4, 0)), recall(2, ("L1", 9, 3, 0), ("L2", 9, 3, 0))]
        engine = engine_of(*reports)
        assert list(engine.state_of(FACILITY).documents.of(FALL)) == ['{"lot": "L1"}']
        assert counts(engine) == {"document_case_left_out": 1}
        right = recall(2, ("L1", 9, 4, 0), ("L2", 9, 3, 0), revision=2)
        assert told(fold(*reports, right)) == [("raised", "L1", 2), ("cleared", "L1", 3), ("raised", "L2", 3)]


def test_the_state_of_the_busiest_facility_is_bounded() -> None:
    """Two MiB of text at most, whatever it sends: it is packed into a fraction of that."""
    lots = [(f"LOT-{i:04d}", 1200, 300, 20) for i in range(MAX_ENTRIES)]
    reports = [recall(seq, *lots, name=f"R{seq}") for seq in range(1, 41)]
    engine = engine_of(*reports)
    books = engine.state_of(FACILITY).documents
    assert books.size <= MAX_BYTES
    assert len(books.kept) < 40
    assert len(unpacked(engine.snapshot(0, FACILITY))) < MAX_BYTES + 200_000
    assert documentlogs.of(reports)[-1].received > BEGIN
