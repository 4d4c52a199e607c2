"""Rules over what reports say, by hand: evidence, corrections, what is unknown, what packs change, and what a restart keeps."""

from __future__ import annotations

from typing import Any

import pytest

from rules.changes import Change, alarm_id
from rules.documentparts import Each
from rules.engine import Engine
from rules.explain import explain
from rules.explainraretext import rare_lines
from rules.pack import Bundle
from rules.records import Kind, LogRecord, RegisterRecord, Report
from rules.rule import DocumentRule, is_latched
from rules.snapshot import open_snapshot
from tests.rules import documentlogs
from tests.rules.byhand import BUNDLE
from tests.rules.documentlogs import BEGIN, COPIED, FACILITY, FALL, MINUTE, OVER, SCOPES, entity

REASON = "typing error"


def recall(
    seq: int, *totals: tuple[Any, ...], name: str = "", revision: int = 1, of: str = "C1", final: bool = False,
    reason: str | None = REASON,
) -> Report:  # fmt: skip
    """Return a report of a recall; each total is (lot, shipped, returned, destroyed)."""
    members = ("lot", "shipped", "returned", "destroyed")
    fields = {"recall_id": of, "seq": seq, "as_of": "2026-02-28"}
    return Report.model_validate(
        {
            "type": "recall-final" if final else "recall-progress", "id": name or f"R{seq}", "revision": revision, "sent": BEGIN,
            "reason": reason, "fields": fields | {"totals": [dict(zip(members, one, strict=True)) for one in totals]},
        }
    )  # fmt: skip


def review(period: str, name: str, revision: int = 1, **figures: float) -> Report:
    fields = {"product": "P1", "period": period, "figures": figures}
    value = {
        "type": "quality-review",
        "id": name,
        "revision": revision,
        "sent": BEGIN,
        "reason": REASON,
        "fields": fields,
    }
    return Report.model_validate(value)


def fold(*reports: Report, bundle: Bundle = BUNDLE) -> list[Change]:
    engine = Engine(bundle)
    return [change for record in documentlogs.of(reports) for change in engine.fold(record)]


def told(changes: list[Change], name: str = FALL) -> list[tuple[str, str, int]]:
    """Return (change, subject, minutes from the beginning) of the changes of a rule."""
    return [
        (one.change.value, " ".join(one.subject.values()), (one.received - BEGIN) // MINUTE)
        for one in changes
        if one.rule == name
    ]


def engine_of(*reports: Report, bundle: Bundle = BUNDLE) -> Engine:
    engine = Engine(bundle)
    for record in documentlogs.of(reports):
        engine.fold(record)
    return engine


def fall(**more: Any) -> DocumentRule:
    rule = BUNDLE.rule(FALL)
    assert isinstance(rule, DocumentRule)
    return rule.model_copy(update=more)


def test_evidence_names_both_reports_their_figures_and_on_clearing_both_revisions() -> None:
    first, second = recall(1, ("L1", 9, 4, 0)), recall(2, ("L1", 9, 3, 0))
    raised, cleared = fold(first, second, recall(2, ("L1", 9, 4, 0), revision=2))
    assert [(leaf.expr, leaf.left, leaf.right, leaf.verdict.value) for leaf in raised.evidence.leaves] == [
        ("R2/1: entry.shipped < before.shipped", 9.0, 9.0, "false"),
        ("R2/1: entry.returned < before.returned", 3.0, 4.0, "true"),
        ("R2/1: entry.destroyed < before.destroyed", 0.0, 0.0, "false"),
    ]
    assert [(one.kind, one.id) for one in raised.evidence.records] == [
        ("report", "R2/1"),
        ("report", "R1/1"),
        ("register", "0"),
    ]
    named = [one.id for one in cleared.evidence.records]
    assert named == ["R2/2", "R1/1", "R2/1", "0"]
    assert (raised.subject, raised.start, cleared.end) == ({"lot": "L1"}, raised.received, cleared.received)
    assert raised.message.en == "L1: Running totals of a recall fall (R2)"
    assert raised.message.zh == "L1：召回累计数量回落（R2）"
    assert "does not hold" in cleared.message.en
    assert "已不存在" in cleared.message.zh


def test_a_correction_of_the_report_before_decides_the_later_one_again() -> None:
    first, second = recall(1, ("L1", 9, 4, 0)), recall(2, ("L1", 9, 3, 0))
    changes = fold(first, second, recall(1, ("L1", 9, 2, 0), revision=2), recall(1, ("L1", 9, 4, 0), revision=3))
    assert told(changes) == [("raised", "L1", 2), ("cleared", "L1", 3), ("raised", "L1", 4)]
    assert [one.id for one in changes[1].evidence.records] == ["R2/1", "R1/2", "R1/1", "0"]


def test_a_revision_without_reason_and_a_number_with_other_content_have_no_effect() -> None:
    first, second = recall(1, ("L1", 9, 4, 0)), recall(2, ("L1", 9, 3, 0))
    wrong = [recall(2, ("L1", 9, 4, 0), revision=2, reason=reason) for reason in (None, " ")]
    other = recall(2, ("L1", 9, 4, 0), revision=1)
    assert told(fold(first, second, *wrong, other, second)) == [("raised", "L1", 2)]
    counts = engine_of(first, second, *wrong, other, second).counters(0, FACILITY)
    assert {name: counts[name] for name in counts if name.startswith("report_")} == {
        "report_repeated": 1, "report_conflict": 1, "report_unreasoned": 2, "report_unread": 0, "report_dropped": 0,
    }  # fmt: skip


def test_a_lone_higher_revision_is_judged_as_a_first_report_and_lower_ones_change_nothing_then() -> None:
    late = [recall(2, ("L1", 9, 1, 0), revision=1), recall(2, ("L1", 9, 5, 0), revision=2)]
    changes = fold(recall(1, ("L1", 9, 4, 0)), recall(2, ("L1", 9, 3, 0), revision=3), *late)
    assert told(changes) == [("raised", "L1", 2)]


def test_fields_that_cannot_be_read_neither_raise_nor_clear() -> None:
    unread = recall(2, revision=2)
    assert told(fold(recall(1, ("L1", 9, 4, 0)), recall(2, ("L1", 9, 3, 0)), unread)) == [("raised", "L1", 2)]


def test_the_report_before_is_gone_from_the_series_then_it_is_unknown_until_another_comes() -> None:
    moved = recall(1, ("L1", 9, 4, 0), revision=2, of="C2")
    changes = fold(
        recall(1, ("L1", 9, 4, 0)), recall(2, ("L1", 9, 3, 0)), moved, recall(1, ("L1", 9, 5, 0), name="R9"),
        recall(1, ("L1", 9, 3, 0), name="R9", revision=2),
    )  # fmt: skip
    assert told(changes) == [
        ("raised", "L1", 2), ("unknown", "L1", 3), ("known", "L1", 4), ("cleared", "L1", 5)
    ]  # fmt: skip
    assert {leaf.verdict.value for leaf in changes[1].evidence.leaves} == {"unknown"}
    assert "unknown" in changes[1].message.en
    assert "未知" in changes[1].message.zh


def test_what_a_corrected_report_says_no_more_does_not_hold() -> None:
    first, second = recall(1, ("L1", 9, 4, 0), ("L2", 9, 4, 0)), recall(2, ("L1", 9, 3, 0), ("L2", 9, 4, 0))
    without = recall(2, ("L2", 9, 4, 0), revision=2)
    assert told(fold(first, second, without)) == [("raised", "L1", 2), ("cleared", "L1", 3)]
    # Leaving the lot out does not lower its total unseen: the next report that names it is held to the last that did.
    assert told(fold(first, second, without, recall(3, ("L1", 9, 3, 0)))) == [
        ("raised", "L1", 2), ("cleared", "L1", 3), ("raised", "L1", 4)
    ]  # fmt: skip


def test_a_report_that_is_corrected_to_another_recall_is_unknown_until_that_has_one_before_it() -> None:
    first, second = recall(1, ("L1", 9, 4, 0)), recall(2, ("L1", 9, 3, 0))
    moved = recall(2, ("L1", 9, 3, 0), revision=2, of="C2")
    right, wrong = (recall(1, ("L1", 9, returned, 0), name="S1", of="C2") for returned in (3, 4))
    raised = [("raised", "L1", 2), ("unknown", "L1", 3)]
    assert told(fold(first, second, moved, right)) == [*raised, ("cleared", "L1", 4)]
    assert told(fold(first, second, moved, wrong)) == [*raised, ("known", "L1", 4)]


def test_one_lot_in_two_recalls_has_one_alarm_that_stands_until_both_are_corrected() -> None:
    changes = fold(
        recall(1, ("L1", 9, 4, 0)), recall(2, ("L1", 9, 3, 0)),
        recall(1, ("L1", 9, 4, 0), of="C2", name="S1"), recall(2, ("L1", 9, 1, 0), of="C2", name="S2"),
        recall(2, ("L1", 9, 4, 0), revision=2), recall(2, ("L1", 9, 4, 0), of="C2", name="S2", revision=2),
    )  # fmt: skip
    assert told(changes) == [("raised", "L1", 2), ("amended", "L1", 5), ("cleared", "L1", 6)]
    assert {one.expr.split(":")[0] for one in changes[1].evidence.leaves} == {"S2/1"}


def test_evidence_of_a_correction_names_what_is_wrong_in_other_recalls_too() -> None:
    """Of the lot it is about, and of no other lot of those reports."""
    changes = fold(
        recall(1, ("L1", 9, 4, 0)), recall(2, ("L1", 9, 3, 0)),
        recall(1, ("L0", 7, 4, 0), ("L1", 9, 4, 0), of="C2", name="S1"), recall(2, ("L0", 7, 1, 0), ("L1", 9, 1, 0), of="C2", name="S2"),
        recall(2, ("L1", 9, 2, 0), revision=2),
    )  # fmt: skip
    assert told(changes) == [("raised", "L1", 2), ("raised", "L0", 4), ("amended", "L1", 5)]
    leaves = [(one.expr.split(":")[0], one.left) for one in changes[2].evidence.leaves if "returned" in one.expr]
    assert leaves == [("R2/2", 2.0), ("S2/1", 1.0)]


def test_a_further_wrong_report_is_no_change_and_a_correction_shows_all_that_are_wrong() -> None:
    changes = fold(
        recall(1, ("L1", 9, 4, 0)), recall(2, ("L1", 9, 3, 0)), recall(3, ("L1", 9, 2, 0)),
        recall(3, ("L1", 9, 1, 0), revision=2),
    )  # fmt: skip
    assert told(changes) == [("raised", "L1", 2), ("amended", "L1", 4)]
    assert {one.expr.split(":")[0] for one in changes[1].evidence.leaves} == {"R2/1", "R3/2"}
    assert changes[1].start == changes[0].start
    assert "corrected" in changes[1].message.en


def test_reports_of_one_number_are_not_compared_and_the_last_by_id_stands_before_the_next() -> None:
    first, again = recall(1, ("L1", 9, 4, 0), name="A"), recall(1, ("L1", 9, 2, 0), name="B")
    assert told(fold(first, again)) == []
    assert told(fold(first, again, recall(2, ("L1", 9, 3, 0)))) == []
    assert told(fold(first, again, recall(2, ("L1", 9, 1, 0)))) == [("raised", "L1", 3)]


def test_a_lot_that_stands_twice_before_is_unknown_and_one_that_stands_twice_now_is_judged_twice() -> None:
    twice = recall(1, ("L1", 9, 4, 0), ("L1", 9, 4, 0))
    assert told(fold(twice, recall(2, ("L1", 9, 1, 0)))) == []
    assert told(fold(recall(1, ("L1", 9, 4, 0)), recall(2, ("L1", 9, 4, 0), ("L1", 9, 1, 0)))) == [("raised", "L1", 2)]


def test_what_is_raised_again_at_the_same_instant_has_another_id() -> None:
    log = documentlogs.of([recall(1, ("L1", 9, 4, 0)), recall(2, ("L1", 9, 3, 0))])
    for revision, returned in ((2, 4), (3, 2)):
        report = recall(2, ("L1", 9, returned, 0), revision=revision)
        log.append(LogRecord(0, len(log), log[-1].received, Kind.REPORT, FACILITY, report))
    engine = Engine(BUNDLE)
    changes = [change for record in log for change in engine.fold(record)]
    assert told(changes) == [("raised", "L1", 2), ("cleared", "L1", 2), ("raised", "L1", 2)]
    start = changes[0].start
    assert [one.alarm for one in changes[::2]] == [
        alarm_id(FALL, FACILITY, {"lot": "L1"}, start, use) for use in (1, 2)
    ]


def test_only_the_newest_report_of_a_recall_says_how_much_came_back() -> None:
    changes = fold(
        recall(2, ("L1", 5, 6, 0)), recall(1, ("L1", 5, 9, 0)), recall(3, ("L2", 5, 5, 0)), recall(4, ("L1", 8, 6, 2)),
        recall(4, ("L1", 8, 6, 2.5), revision=2), recall(4, ("L2", 5, 5, 0), revision=3),
    )  # fmt: skip
    # Where the newest names the lot no more, the one before it speaks again.
    assert told(changes, OVER) == [("raised", "L1", 1), ("cleared", "L1", 4), ("raised", "L1", 5), ("amended", "L1", 6)]
    (leaf,) = changes[0].evidence.leaves
    assert (leaf.expr, leaf.left, leaf.op, leaf.right) == ("R2/1: returned + destroyed > shipped", 6.0, ">", 5.0)


@pytest.mark.parametrize(
    ("totals", "over"),
    [
        ((0.3, 0.1, 0.2), False), ((0.3, 0.1, 0.3), True), ((1e17, 1e17, 1), True), ((1e17 + 16, 1e17, 1), False),
        ((1e308, 1e308, 1e308), True), ((0, 0, 0), False), ((0, 0, 5e-324), True), ((5e-324, 5e-324, 0), False),
        ((1e23, 9e22, 1e22), False), ((2**53 + 0.0, 2**53 + 0.0, 1), True),
    ],
)  # fmt: skip
def test_a_balance_adds_the_figures_as_they_are_written(totals: tuple[float, ...], over: bool) -> None:
    assert bool(told(fold(recall(1, ("L1", *totals))), OVER)) is over


def test_a_tolerance_is_allowed_itself() -> None:
    rule = BUNDLE.rule(OVER)
    assert rule is not None
    bundle = Bundle.of([rule.model_copy(update={"tolerance": 0.1})], [])
    assert told(fold(recall(1, ("L1", 0.2, 0.3, 0)), bundle=bundle), OVER) == []
    changes = fold(recall(1, ("L1", 0.2, 0.3, 0.01)), bundle=bundle)
    assert [(leaf.expr, leaf.right) for leaf in changes[0].evidence.leaves] == [
        ("R1/1: returned + destroyed > shipped + 0.1", 0.3)
    ]


TEN = {name: float(i + 1) for i, name in enumerate("abcdefghij")}


def test_figures_that_are_alike_stand_in_the_evidence_five_of_them() -> None:
    raised, cleared = (one for one in fold(
        review("2024", "Q1", **TEN), review("2025", "Q2", **TEN), review("2025", "Q2", 2, **(TEN | dict.fromkeys("abc", 99.0))),
    ) if one.rule == COPIED)  # fmt: skip
    assert [(leaf.expr, leaf.left, leaf.op, leaf.right) for leaf in raised.evidence.leaves] == [
        ("Q2/1: count_compared(previous) >= 10", 10.0, ">=", 10.0),
        ("Q2/1: share_equal(previous) >= 0.8", 1.0, ">=", 0.8),
        *((f"Q2/1: figures.{name} = previous", TEN[name], "==", TEN[name]) for name in "abcde"),
    ]
    assert cleared.evidence.leaves[1].left == 0.7
    assert raised.message.en == "Q2: Figures of a report are those of the last period"


def test_periods_of_one_length_follow_each_other_also_over_a_gap() -> None:
    assert told(fold(review("2025-Q1", "Q1", **TEN), review("2025-Q4", "Q2", **TEN)), COPIED) == [("raised", "Q2", 2)]
    assert told(fold(review("2025-Q1", "Q1", **TEN), review("2025-09", "Q2", **TEN)), COPIED) == []
    three = [review("2025-09", "Q1", **TEN), review("2025-11", "Q2", **TEN), review("2025-10", "Q3", z=1.0)]
    assert told(fold(*three), COPIED) == [("raised", "Q2", 2), ("cleared", "Q2", 3)]


def packs(log: list[LogRecord], bundle: Bundle) -> list[LogRecord]:
    return [*log, LogRecord(0, len(log), log[-1].received + MINUTE, Kind.PACKS, "", bundle.to_record())]


def test_packs_judge_what_is_kept_by_the_new_condition() -> None:
    log = documentlogs.of([recall(1, ("L1", 9, 4, 2), ("L2", 9, 4, 2)), recall(2, ("L1", 9, 3, 2), ("L2", 9, 4, 1))])
    other = Bundle.of([fall(condition="entry.destroyed < before.destroyed")], [])
    engine = Engine(Bundle.of([fall(condition="entry.returned < before.returned")], []))
    changes = [change for record in packs(log, other) for change in engine.fold(record)]
    assert told(changes) == [("raised", "L1", 2), ("cleared", "L1", 3), ("raised", "L2", 3)]
    assert [(one.kind, one.id) for one in changes[1].evidence.records][-2:] == [
        ("packs", other.sha256),
        ("register", "0"),
    ]


def test_a_rule_that_begins_anew_closes_what_stood_and_judges_again() -> None:
    log = documentlogs.of([recall(1, ("L1", 9, 4, 2)), recall(2, ("L1", 9, 3, 2))])
    anew = Bundle.of([fall(condition="entry.returned < before.returned", migration="close")], [])
    engine = Engine(Bundle.of([fall()], []))
    changes = [change for record in packs(log, anew) for change in engine.fold(record)]
    assert told(changes) == [("raised", "L1", 2), ("cleared", "L1", 3), ("raised", "L1", 3)]
    assert len({one.alarm for one in changes}) == 2


def test_what_no_rule_reads_is_kept_no_longer_and_a_rule_that_comes_back_begins_with_what_comes() -> None:
    log = documentlogs.of([recall(1, ("L1", 9, 4, 2)), recall(2, ("L1", 9, 3, 2))])
    copied = BUNDLE.rule(COPIED)
    assert copied is not None
    log = packs(packs(log, Bundle.of([copied], [])), Bundle.of([fall()], []))
    engine = Engine(Bundle.of([fall()], []))
    changes = [change for record in log for change in engine.fold(record)]
    assert told(changes) == [("raised", "L1", 2), ("cleared", "L1", 3)]
    assert "no longer watched" in changes[1].message.en
    assert engine.state_of(FACILITY).documents.kept == {}
    again = LogRecord(0, len(log), log[-1].received, Kind.REPORT, FACILITY, recall(3, ("L1", 9, 1, 2)))
    assert told(engine.fold(again)) == []


def test_a_facility_that_leaves_the_scope_ends_its_alarms() -> None:
    log = documentlogs.of([recall(1, ("L1", 9, 4, 2)), recall(2, ("L1", 9, 3, 2))])
    away = RegisterRecord(version=1, facility=entity(SCOPES[2]))
    log.append(LogRecord(0, len(log), log[-1].received + MINUTE, Kind.REGISTER, FACILITY, away))
    engine = Engine(BUNDLE)
    changes = [change for record in log for change in engine.fold(record)]
    assert told(changes) == [("raised", "L1", 2), ("cleared", "L1", 3)]
    assert [(one.kind, one.id) for one in changes[-1].evidence.records] == [("register", "1")]


def test_without_such_rules_nothing_is_kept_and_a_snapshot_has_no_such_member() -> None:
    bundle = Bundle.of([rule for rule in BUNDLE.rules if rule.kind == "limit"], BUNDLE.tables.values())
    engine = engine_of(recall(1, ("L1", 9, 4, 2)), bundle=bundle)
    assert not isinstance(open_snapshot(engine.snapshot(0, FACILITY))[0].documents, tuple)
    engine = engine_of(recall(1, ("L1", 9, 4, 2)))
    reports, _, cases = open_snapshot(engine.snapshot(0, FACILITY))[0].documents  # type: ignore[misc]
    assert [(kind, name) for kind, name, _ in reports] == [("recall-progress", "R1")]
    assert cases == []


def test_an_explanation_names_the_reports_and_agrees() -> None:
    log = documentlogs.of(
        [recall(1, ("L1", 9, 4, 2)), recall(2, ("L1", 9, 3, 2)), recall(3, ("L1", 9, 3, 2), ("L2", 1, 0, 0))]
    )
    found, left = explain(log, BUNDLE, FALL, at=log[-1].received)
    assert left == 0
    assert [(one.subject, one.agrees, one.phase) for one in found] == [
        ({"lot": "L1"}, True, "active"), ({"lot": "L2"}, True, "normal")
    ]  # fmt: skip
    fates = {told.batch: told.fate for told in found[0].events}
    assert fates == {"R1/1": "heard", "R2/1": "occasion", "R3/1": "heard"}
    seen = {leaf.name: said for leaf, said in found[0].leaves}
    returned = seen["entry.returned < before.returned"]
    assert returned is not None
    assert (returned.left, returned.right, returned.verdict.value) == (3.0, 4.0, "true")
    assert {said.verdict.value for _, said in found[1].leaves if said} == {"unknown"}
    lines = "\n".join(rare_lines(found[0], "both"))
    assert "entry.returned < before.returned" in lines
    assert "entry.returned 小于 before.returned" in lines
    assert found[0].to_json()["agrees_with_engine"] is True


def test_no_decision_of_an_officer_is_needed() -> None:
    assert not is_latched(fall(), {"lot": "L1"})


@pytest.mark.parametrize(("number", "raised"), [(10**30, True), (10**400, False)])
def test_a_whole_number_beyond_json_s_own_stops_nobody(number: int, raised: bool) -> None:
    """RFC 8785 has none above 2^53: it is taken for a double, and where there is none it is unknown."""
    rule = fall(reports=["dsur"], each=None, condition="report.susar_count > 3")
    fields = {"trial_id": "T1", "anniversary": "2026-02-01", "susar_count": number}
    value = {"type": "dsur", "id": "D1", "revision": 1, "sent": BEGIN, "fields": fields}
    changes = fold(Report.model_validate(value), bundle=Bundle.of([rule], []))
    assert told(changes) == ([("raised", "D1", 1)] if raised else [])


def test_each_without_before_looks_at_entries_of_one_report() -> None:
    each = Each(of="lots", key="lot", subject="lot")
    rule = fall(reports=["recall-notice"], each=each, condition="entry.shipped >= 5 && report.class == 1")
    value = {
        "type": "recall-notice", "id": "N1", "revision": 1, "sent": BEGIN,
        "fields": {"recall_id": "C1", "line": "drug", "class": 1, "decided_at": BEGIN, "notified_at": BEGIN,
                   "lots": [{"lot": "L1", "shipped": 5}, {"lot": "L2", "shipped": 4.99}]},
    }  # fmt: skip
    assert told(fold(Report.model_validate(value), bundle=Bundle.of([rule], []))) == [("raised", "L1", 1)]
