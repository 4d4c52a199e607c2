"""The second fold by hand: what is told of a lot, with its numbers, evidence and words; its bounds and its snapshots.

Above 400 lines on purpose: the kinds of rules over lots are held to the same scenes, side by side.
"""

from __future__ import annotations

import hashlib
from types import SimpleNamespace

import msgspec
import pytest
import zstandard

from rules.alarms import fold_alarms
from rules.changes import alarm_id
from rules.errors import ContractError
from rules.layout import NONE
from rules.lots import book as books
from rules.lots import fold as folding
from rules.lots import store
from rules.lots.fold import LotFold, LotPartition
from rules.models import Severity
from rules.pack import Bundle
from rules.snapshot import SnapshotError
from tests.rules.lotlogs import BEGIN, DAY, HOUR, Teller, altered, bundle

BUNDLE = bundle()
STOPPED, CLUSTER = "vigilance.moved-after-stop", "vigilance.lot-cluster"
SUM, EXPIRED = "cross-check.sold-over-produced", "cross-check.expired-moving"


@pytest.fixture
def tell():
    return Teller()


@pytest.fixture
def lots():
    return LotFold(BUNDLE)


def run(lots, facts):
    return [change for fact in facts for change in lots.fold(0, fact, None)]


def said(changes):
    return [
        (c.rule.split(".")[1], c.change.value, c.facility, c.start - BEGIN, c.end and c.end - BEGIN) for c in changes
    ]


def test_a_change_of_a_lot_names_stream_number_firm_and_record(lots, tell):
    stop = tell.stop("SHOP-1", HOUR, known=HOUR)
    sold = tell.moved("SHOP-1", 2 * HOUR, 3, record="batch-7", received=5 * HOUR)
    assert lots.fold(0, stop, (3, 0)) == []
    (change,) = lots.fold(0, sold, (3, 9))
    assert (change.stream, change.seq, change.subject) == ("lot:L-1", 1, {"lot": "L-1"})
    assert (change.facility, change.start, change.at, change.received) == (
        "SHOP-1",
        BEGIN + 2 * HOUR,
        BEGIN + 2 * HOUR,
        BEGIN + 5 * HOUR,
    )
    assert change.alarm == alarm_id(STOPPED, "SHOP-1", {"lot": "L-1"}, BEGIN + 2 * HOUR)
    assert (change.source.partition, change.source.offset) == (3, 9)
    assert (change.version, change.packs, change.stage, change.severity) == ("1.0.0", BUNDLE.sha256, "live", "red")
    assert [(one.kind, one.id) for one in change.evidence.records] == [
        ("events", "batch-7"),
        ("events", stop.record.id),
    ]
    (leaf,) = change.evidence.leaves
    assert (leaf.expr, leaf.left, leaf.op, leaf.right) == (
        "SHOP-1: sold against the stop by SHOP-1",
        "2026-02-28T18:00:00.000Z",
        ">=",
        "2026-02-28T17:00:00.000Z",
    )
    assert change.message.en == "Lot L-1: Lot shipped or sold although it was stopped (SHOP-1)"
    assert change.message.zh == "批号 L-1：批次停用或召回后仍发货或销售（SHOP-1）"


def test_received_never_goes_back_and_late_says_that_something_newer_had_come(lots, tell):
    lots.fold(0, tell.notice("MAKER-1", 0, HOUR, received=9 * DAY), None)
    (first,) = lots.fold(0, tell.moved("SHOP-1", 5 * DAY, 1, received=5 * DAY), None)
    assert (first.received, first.late) == (BEGIN + 9 * DAY, False)
    raised, retracted = lots.fold(0, tell.moved("SHOP-2", 4 * DAY, 1, received=8 * DAY), None)
    assert (raised.change, raised.late, raised.received) == ("raised", True, BEGIN + 9 * DAY)
    assert (retracted.change, retracted.evidence.into) == ("retracted", raised.alarm)


def test_a_further_firm_is_told_and_a_further_move_of_the_same_is_not(lots, tell):
    run(lots, [tell.notice("MAKER-1", 0, HOUR)])
    changes = run(lots, [tell.moved("SHOP-1", day * DAY, 1) for day in (2, 3, 4)])
    assert said(changes) == [("moved-after-stop", "raised", "SHOP-1", 2 * DAY, None)]
    (amended,) = run(lots, [tell.moved("SHOP-2", 5 * DAY, 1)])
    assert said([amended]) == [("moved-after-stop", "amended", "SHOP-1", 2 * DAY, None)]
    assert amended.alarm == changes[0].alarm
    assert any(leaf.expr.startswith("SHOP-2: sold") for leaf in amended.evidence.leaves)
    assert amended.message.en.endswith("(SHOP-1, SHOP-2); more is known of it")


def test_two_firms_at_one_instant_and_the_higher_id_is_the_newest(lots, tell):
    facts = [tell.notice("MAKER-1", 0, HOUR), tell.moved("SHOP-2", 2 * DAY, 1), tell.moved("SHOP-1", 2 * DAY, 1)]
    assert said(run(lots, facts))[-1] == ("moved-after-stop", "amended", "SHOP-2", 2 * DAY, None)
    other = run(LotFold(BUNDLE), [facts[0], facts[2], facts[1]])
    assert [one[1:3] for one in said(other)] == [("raised", "SHOP-1"), ("raised", "SHOP-2"), ("retracted", "SHOP-1")]


def test_a_later_date_of_its_own_does_not_excuse_a_firm(lots, tell):
    facts = [
        tell.notice("MAKER-1", 0, HOUR),
        tell.moved("SHOP-1", 2 * DAY, 1),
        tell.stop("SHOP-1", 4 * DAY, known=3 * DAY),
    ]
    assert said(run(lots, facts)) == [("moved-after-stop", "raised", "SHOP-1", 2 * DAY, None)]


def test_a_balance_is_off_from_the_event_to_the_event_and_the_lot_until_all_are_right(lots, tell):
    facts = [
        tell.made("MAKER-1", HOUR, 10), tell.moved("MAKER-1", 2 * HOUR, 11, kind="shipped"),
        tell.moved("SHOP-1", HOUR, 1, kind="arrived"), tell.moved("SHOP-1", 3 * HOUR, 2),
        tell.made("MAKER-1", 4 * HOUR, 1, kind="imported"), tell.moved("SHOP-1", 5 * HOUR, 1, kind="arrived"),
    ]  # fmt: skip
    changes = run(lots, facts)
    assert said(changes) == [
        ("sold-over-produced", "raised", "MAKER-1", 2 * HOUR, None),
        ("sold-over-produced", "amended", "MAKER-1", 2 * HOUR, None),
        ("sold-over-produced", "cleared", "MAKER-1", 2 * HOUR, 5 * HOUR),
    ]
    leaf = changes[0].evidence.leaves[0]
    assert (leaf.left, leaf.op, leaf.right) == (11, ">", 10)
    assert leaf.expr == "MAKER-1: shipped + sold by 2026-02-28T18:00:00.000Z"


def test_what_is_made_before_and_told_late_takes_a_balance_back_what_is_made_later_clears_it(tell):
    facts = [tell.made("MAKER-1", HOUR, 1), tell.moved("MAKER-1", 3 * HOUR, 2), tell.made("MAKER-1", 2 * HOUR, 1)]
    changes = run(LotFold(BUNDLE), facts)
    assert [change.change for change in changes] == ["raised", "retracted"]
    assert run(LotFold(BUNDLE), [facts[0], facts[2], facts[1]]) == []


def test_a_cluster_names_all_who_reported_and_counts_a_case_once(lots, tell):
    facts = [
        tell.case("HOSP-1", 0, "C-1"), tell.case("MAKER-1", HOUR, "C-1"), tell.case("HOSP-2", DAY, "C-2"),
        tell.case("HOSP-3", 2 * DAY, "C-3", seriousness="death"),
    ]  # fmt: skip
    (change,) = run(lots, facts)
    assert said([change]) == [("lot-cluster", "raised", "HOSP-3", 2 * DAY, None)]
    head, *rest = change.evidence.leaves
    assert (head.expr, head.left, head.op, head.right) == ("cases within 7d", 3, ">=", 3)
    assert [leaf.expr for leaf in rest] == [
        "HOSP-1, MAKER-1: case C-1 known",
        "HOSP-2: case C-2 known",
        "HOSP-3: case C-3 known",
    ]


def test_a_retracted_alarm_that_holds_after_all_keeps_its_id(lots, tell):
    run(lots, [tell.case("HOSP-1", day * DAY, f"C-{day}") for day in range(2)])
    (raised,) = run(lots, [tell.case("HOSP-1", 2 * DAY, "C-2")])
    (gone,) = run(lots, [tell.case("HOSP-1", DAY, "C-1", revision=2, seriousness="other")])
    (back,) = run(lots, [tell.case("HOSP-1", DAY, "C-1", revision=3)])
    assert [one.change for one in (raised, gone, back)] == ["raised", "retracted", "amended"]
    assert raised.alarm == gone.alarm == back.alarm
    (alarm,) = fold_alarms([raised, gone, back])
    assert (alarm.status, alarm.end) == ("active", None)


def test_packs_that_take_a_rule_away_clear_it_and_those_that_bring_it_back_go_on(lots, tell):
    (raised,) = run(lots, [tell.notice("MAKER-1", 0, HOUR), tell.moved("SHOP-1", 2 * DAY, 1)])
    (cleared,) = lots.adopt(0, Bundle.of((), ()), BEGIN + 3 * DAY)
    assert (cleared.change, cleared.end, cleared.alarm) == ("cleared", BEGIN + 3 * DAY, raised.alarm)
    assert (cleared.packs, cleared.evidence.records[0].kind) == (BUNDLE.sha256, "packs")
    (back,) = lots.adopt(0, BUNDLE, BEGIN + 4 * DAY)
    assert (back.change, back.end, back.alarm, back.at) == ("amended", None, raised.alarm, BEGIN + 4 * DAY)
    assert lots.adopt(0, BUNDLE, BEGIN + 5 * DAY) == []


def test_packs_with_another_colour_step_it_and_with_other_numbers_decide_again(lots, tell):
    run(lots, [tell.notice("MAKER-1", 0, HOUR), tell.moved("SHOP-1", 2 * DAY, 1), tell.moved("SHOP-1", 4 * DAY, 1)])
    severity = BUNDLE.rule(STOPPED).severity.model_copy(update={"base": Severity.ORANGE})
    (stepped,) = lots.adopt(0, altered(STOPPED, severity=severity), BEGIN + 5 * DAY)
    assert (stepped.change, stepped.severity) == ("stepped", "orange")
    behind = BUNDLE.rule(STOPPED).behind.model_copy(update={"notice": 3 * DAY})
    changes = lots.adopt(0, altered(STOPPED, behind=behind), BEGIN + 6 * DAY)
    assert [(one.change, one.start - BEGIN) for one in changes] == [("raised", 4 * DAY), ("retracted", 2 * DAY)]
    assert [one.late for one in changes] == [False, False]


def test_a_rule_that_raises_says_so_of_the_lot_and_is_tried_again_by_other_packs(lots, tell, monkeypatch):
    run(lots, [tell.notice("MAKER-1", 0, HOUR), tell.moved("SHOP-1", 2 * DAY, 1)])
    heard, real = [], folding.spells_of

    def broken(rule, book):
        if rule.id == STOPPED:
            raise KeyError(rule.id)
        return real(rule, book)

    lots._on_failure = lambda *what: heard.append(what[:2])
    monkeypatch.setattr(folding, "spells_of", broken)
    failed, unknown = run(lots, [tell.moved("SHOP-2", 3 * DAY, 1)])
    assert (failed.rule, failed.subject, failed.severity) == (
        "register.rule-failed",
        {"system": STOPPED, "lot": "L-1"},
        "orange",
    )
    assert (unknown.rule, unknown.change, unknown.end) == (STOPPED, "unknown", None)
    assert failed.evidence.leaves[0].left == "KeyError"
    assert heard == [("lot:L-1", STOPPED)]
    assert run(lots, [tell.moved("SHOP-2", 4 * DAY, 1)]) == []
    again = lots.adopt(0, altered(CLUSTER, n=4), BEGIN + 5 * DAY)
    assert [(one.rule, one.change) for one in again][:2] == [
        ("register.rule-failed", "cleared"),
        ("register.rule-failed", "raised"),
    ]
    assert (again[1].alarm == again[0].alarm) is False
    monkeypatch.setattr(folding, "spells_of", real)
    changes = lots.adopt(0, BUNDLE, BEGIN + 6 * DAY)
    assert [(one.rule, one.change.value) for one in changes] == [
        ("register.rule-failed", "cleared"),
        (STOPPED, "known"),
        (STOPPED, "amended"),
    ]


def test_a_step_that_fails_half_way_is_taken_back_whole(lots, tell, monkeypatch):
    real = folding.proof_of

    def broken(rule, spell, *more, **named):
        if spell.end != NONE:
            raise ValueError(rule.id)
        return real(rule, spell, *more, **named)

    monkeypatch.setattr(folding, "proof_of", broken)
    (raised,) = run(lots, [tell.made("MAKER-1", HOUR, 1), tell.moved("MAKER-1", 2 * HOUR, 2)])
    failed, unknown = run(lots, [tell.made("MAKER-1", 3 * HOUR, 1)])
    assert (failed.seq, failed.rule) == (2, "register.rule-failed")
    assert (unknown.alarm, unknown.change, unknown.end) == (raised.alarm, "unknown", None)
    assert lots.state_of(0, "L-1").told[SUM][0].end == NONE
    other = LotFold(BUNDLE)  # and so it stands behind a restart
    other.restore(0, "L-1", lots.snapshot(0, "L-1"))
    assert other.snapshot(0, "L-1") == lots.snapshot(0, "L-1")
    monkeypatch.setattr(folding, "proof_of", real)
    own = [fold.adopt(0, altered(CLUSTER, n=4), BEGIN + DAY) for fold in (lots, other)]
    assert own[0] == own[1]
    assert [(one.rule, one.change.value) for one in own[0]] == [
        ("register.rule-failed", "cleared"), (SUM, "known"), (SUM, "cleared"),
    ]  # fmt: skip


def test_an_error_of_memory_is_no_rules_failure(lots, tell, monkeypatch):
    def broken(*_):
        raise MemoryError

    monkeypatch.setattr(folding, "spells_of", broken)
    with pytest.raises(MemoryError):
        lots.fold(0, tell.moved("SHOP-1", 0, 1), None)


def test_many_balances_of_one_lot_are_told_up_to_a_bound_and_the_newest_stands(lots, tell, monkeypatch):
    monkeypatch.setattr(folding, "MAX_SPELLS", 3)
    run(lots, [tell.made("MAKER-1", 0, 1)])
    changes = []
    for i in range(6):
        changes += run(
            lots,
            [
                tell.moved("MAKER-1", (2 * i + 1) * HOUR, 2 if i == 0 else 1),
                tell.made("MAKER-1", (2 * i + 2) * HOUR, 1),
            ],
        )
    changes += run(lots, [tell.moved("MAKER-1", 20 * HOUR, 1)])
    assert [one.change.value for one in changes] == ["raised", "cleared"] * 6 + ["raised"]
    alarms = fold_alarms(changes)
    assert [one.status for one in alarms] == ["cleared"] * 6 + ["active"]


def test_what_is_remembered_of_alarms_is_bounded_and_what_stands_never_goes(lots, tell, monkeypatch):
    monkeypatch.setattr(store, "MAX_TOLD", 2)
    run(lots, [tell.notice("MAKER-1", 0, HOUR)])
    run(lots, [tell.moved("SHOP-1", (9 - i) * DAY, 1) for i in range(5)])
    kept = lots.state_of(0, "L-1").told[STOPPED]
    assert [(one.start - BEGIN, one.retracted) for one in kept] == [(5 * DAY, False), (9 * DAY, True)]


def filled(tell, number):
    facts = [tell.made("MAKER-1", 0, 10 * number, expiry="2026-03-05")]
    facts += [tell.moved("MAKER-1", HOUR + i, 0.1, to="SHOP-1" if i % 2 else "a patient") for i in range(number)]
    return facts


def test_above_a_bound_moves_are_folded_together_and_sums_stay_exact(lots, tell, monkeypatch):
    monkeypatch.setattr(books, "MAX_FACTS", 20)
    assert run(lots, filled(tell, 100)) == []
    book = lots.state_of(0, "L-1").book
    assert sum(len(rows) for rows in book.moves.values()) < 25
    assert book.kept <= 20
    total = sum(row.quantity for rows in book.moves.values() for row in rows if row.type == "sold")
    assert total == 10
    assert sum(row.count for rows in book.moves.values() for row in rows) == 101
    (over,) = run(lots, [tell.moved("MAKER-1", 3 * HOUR, 991)])
    assert (over.rule, over.evidence.leaves[0].left, over.evidence.leaves[0].right) == (SUM, 1001, 1000)


def test_what_was_folded_together_is_known_again_by_its_number_and_still_stopped(lots, tell, monkeypatch):
    monkeypatch.setattr(books, "MAX_FACTS", 20)
    facts = filled(tell, 100)
    run(lots, facts)
    before = lots.snapshot(0, "L-1")
    assert run(lots, facts) == []
    assert lots.snapshot(0, "L-1") == before
    (change,) = run(lots, [tell.stop("MAKER-1", 2 * HOUR, known=HOUR + 50)])
    assert change.rule == STOPPED  # something moved behind it: the last that is known
    assert HOUR + 50 <= change.start - BEGIN <= HOUR + 99


def test_without_room_where_things_go_is_forgotten_first_and_then_firms_are_counted_out(lots, tell, monkeypatch):
    monkeypatch.setattr(books, "MAX_FACTS", 10)
    monkeypatch.setattr(books, "MAX_MERGED", 3)
    facts = [tell.moved("SHOP-1", i, 1, to=f"SHOP-{i}") for i in range(9)]
    facts += [tell.moved("SHOP-2", 20 + i, 1, to=f"SHOP-{i}") for i in range(3)]
    run(lots, facts)
    book = lots.state_of(0, "L-1").book
    assert {row.to for row in book.moves["SHOP-1"]} == {"SHOP-0", "SHOP-1", "SHOP-2", ""}
    assert sum(row.quantity for row in book.moves["SHOP-1"]) == 9
    assert book.left_out + sum(row.count for row in book.moves.get("SHOP-2", [])) == 3
    assert lots.counters(0)["lot_left_out"] == book.left_out > 0


def test_reports_of_one_lot_are_bounded(lots, tell, monkeypatch):
    monkeypatch.setattr(books, "MAX_REPORTS", 2)
    run(lots, [tell.case("HOSP-1", i * HOUR, f"C-{i}") for i in range(4)])
    assert lots.counters(0) == {"lots": 1, "lot_moves": 0, "lot_left_out": 2, "lots_dropped": 0}
    run(lots, [tell.case("HOSP-1", HOUR, "C-1", revision=2, seriousness="death")])
    assert lots.state_of(0, "L-1").book.cases["HOSP-1", "R-C-1"].word == "death"


def test_sums_beyond_every_double_raise_no_rule(lots, tell):
    run(lots, [tell.made("MAKER-1", 0, 1e308), tell.moved("MAKER-1", 1, 1.7e308), tell.moved("MAKER-1", 1, 1.7e308)])
    (alarm,) = lots.state_of(0, "L-1").told[SUM]
    assert alarm.stands
    assert not lots.state_of(0, "L-1").failed


def test_lots_partitions_and_what_is_dirty(lots, tell):
    run(lots, [tell.moved("SHOP-1", 0, 1, lot="L-2"), tell.moved("SHOP-1", 0, 1, lot="L-1")])
    lots.fold(1, tell.moved("SHOP-1", 0, 1, lot="L-9"), None)
    assert (lots.lots(0), lots.dirty(0), lots.lots(1)) == (["L-1", "L-2"], ["L-1", "L-2"], ["L-9"])
    lots.clean(0, "L-1")
    assert lots.dirty(0) == ["L-2"]
    lots.adopt(0, Bundle.of((), ()), BEGIN + DAY)
    assert lots.dirty(0) == ["L-2"]  # nothing was told of them
    lots.drop(0)
    assert (lots.lots(0), lots.lots(1)) == ([], ["L-9"])


def test_a_partition_comes_back_with_its_packs_or_not_at_all(lots):
    lots.adopt(2, altered(CLUSTER, n=4), BEGIN + DAY)
    state = lots.partition_state(2)
    assert (state.clock, state.packs) == (BEGIN + DAY, altered(CLUSTER, n=4).sha256)
    other = LotFold(BUNDLE)
    with pytest.raises(ContractError, match="not here"):
        other.restore_partition(2, state)
    other.know(altered(CLUSTER, n=4))
    other.restore_partition(2, state)
    assert other.partition_state(2) == state
    with pytest.raises(ContractError, match="semantics 1"):
        other.restore_partition(2, LotPartition(semantics=1))
    other.restore_partition(3, LotPartition())
    assert other.partition_state(3).packs == BUNDLE.sha256


def sealed(body):
    packed = zstandard.compress(msgspec.msgpack.encode(body))
    return store.MAGIC + hashlib.sha256(packed).digest() + packed


@pytest.fixture
def snapshot(lots, tell):
    run(lots, [tell.notice("MAKER-1", 0, HOUR), tell.moved("SHOP-1", 2 * DAY, 1), tell.case("HOSP-1", 0, "C-1")])
    return lots.snapshot(0, "L-1")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda it: it.raw[:0], lambda it: it.raw[:-1], lambda it: b"OFS2" + it.raw[4:], lambda it: it.raw + b"x",
        lambda it: it.raw[:40] + bytes([it.raw[40] ^ 1]) + it.raw[41:], lambda it: sealed(it.body | {"lot": "L-2"}),
        lambda it: sealed(it.body | {"format": 2}), lambda it: sealed(it.body | {"more": 1}), lambda it: sealed(it.body | {"seq": -1}),
        lambda it: sealed(it.body | {"told": [["x", [["a"] * 11]]]}), lambda it: sealed([it.body]),
        lambda it: sealed(it.body | {"book": [*it.body["book"][:1], [["SHOP-1", "sold", 1, 1, "much", 1, "", False, 1, "", "events", "b"]], *it.body["book"][2:]]}),
    ],
)  # fmt: skip
def test_a_broken_snapshot_is_refused_and_changes_nothing(snapshot, spoil):
    body = msgspec.msgpack.decode(zstandard.decompress(snapshot[36:]))
    other = LotFold(BUNDLE)
    with pytest.raises(SnapshotError):
        other.restore(0, "L-1", spoil(SimpleNamespace(raw=snapshot, body=body)))
    assert other.lots(0) == []
    other.restore(0, "L-1", sealed(body))
    assert other.snapshot(0, "L-1") == snapshot


def test_a_snapshot_that_would_unpack_to_too_much_is_refused(snapshot, monkeypatch):
    monkeypatch.setattr(store, "MAX_BODY_BYTES", 10)
    with pytest.raises(SnapshotError, match="unpacks to more"):
        LotFold(BUNDLE).restore(0, "L-1", snapshot)
