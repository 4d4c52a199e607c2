"""Rare records, derived by hand in minutes: what stays, what ends, what is bounded, and what a restart must not change."""

from __future__ import annotations

from unittest.mock import patch

import msgspec
import pytest

from rules.changes import alarm_id
from rules.engine import Engine
from rules.migrate import FORMAT
from rules.pack import Bundle
from rules.rare import count, store
from rules.rare.store import MAX_PARTNERS, MAX_RUNS, Heard, Rare
from rules.rule import RareRule
from rules.snapshot import SnapshotError, unpacked
from tests.rules import rarelogs
from tests.rules.byhand import BUNDLE, FACILITY, MINUTE, HandLog, ms, sensor, since
from tests.rules.test_snapshot import BUNDLE as WHOLE
from tests.rules.test_snapshot import body_of, packed

DISABLED, RIGHTS, POWER = "data-integrity.audit-disabled", "data-integrity.full-rights", "cold-chain.power-no-alarm"
STORE = [{"id": "A1", "kind": "cold-room", "floor_m2": 60}]
FIRM = {"scopes": [{"field": "distribution", "line": "drug"}], "areas": STORE}


def event(at, kind="audit-disabled", stream="audit", **more):
    return {"stream": stream, "type": kind, "time": ms(at), "source": "LIMS", **more}


def power(at, **more):
    return event(at, "power", "device", **{"area": "A1", "device": "UPS", "fields": {"state": "lost"}, **more})


def horn(at, **more):
    return event(at, "alarm", "device", **{"area": "A1", "fields": {"cause": "power", "state": "on"}, **more})


def acted(at, actor="u-1", **fields):
    said = {"actor": actor, "role": "administrator", "verb": "change"} | fields
    return event(at, "action", fields=said)


def posted(log, at, *happened, batch=None):
    return log.line(at, "events", {"batch": batch or f"e{len(log.lines)}", "events": list(happened)})


def decided(log, at, rule, subject, start, code="close-latched", **more):
    alarm = alarm_id(rule, FACILITY, subject, ms(start))
    said = {"id": "D-1", "version": 1, "subject": {"alarm": alarm}, "code": code, "officer": "o-1", "revision_seen": 1}
    return log.line(at, "decision", said | {"reason_sha256": "0" * 64} | more)


def begun(**facts):
    return HandLog().register(0, sensor("T1"), sensor("T2"), **(FIRM | facts))


def told(log, *rules, until=None, bundle=BUNDLE):
    return [
        (since(c.received), c.change.value, c.rule.split(".")[1], c.subject, since(c.start), since(c.end))
        for c in log.changes(until=until, bundle=bundle)
        if c.rule in rules
    ]


def engine_of(log, bundle=BUNDLE):
    engine = Engine(bundle)
    changes = [change for record in log.records() for change in engine.fold(record)]
    return engine, changes


def test_a_batch_that_comes_again_changes_nothing_and_one_of_other_content_is_counted():
    log = begun()
    posted(log, 5, event(4), batch="e")
    posted(log, 6, event(4), batch="e")
    posted(log, 7, event(3), batch="e")
    engine, _ = engine_of(log)
    counts = engine.counters(0, FACILITY)
    assert (counts["event_repeated"], counts["event_conflict"], counts["events"]) == (1, 1, 1)
    assert told(log, DISABLED) == [(5, "raised", "audit-disabled", {"system": "LIMS"}, 4, None)]


def test_the_same_event_in_another_batch_is_the_same_event_also_after_it_was_closed():
    log = begun()
    posted(log, 5, event(4))
    posted(log, 6, event(4))
    decided(log, 10, DISABLED, {"system": "LIMS"}, 4)
    posted(log, 11, event(4))
    assert [row[:2] for row in told(log, DISABLED)] == [(5, "raised"), (10, "cleared")]
    assert engine_of(log)[0].counters(0, FACILITY)["event_duplicate"] == 2


def test_another_event_of_the_same_instant_after_a_decision_is_another_alarm():
    log = begun()
    posted(log, 5, event(4))
    decided(log, 10, DISABLED, {"system": "LIMS"}, 4)
    posted(log, 11, event(4, fields={"reason": "again"}))
    changes = [c for c in log.changes() if c.rule == DISABLED]
    assert [c.change.value for c in changes] == ["raised", "cleared", "raised"]
    assert changes[2].alarm == alarm_id(DISABLED, FACILITY, {"system": "LIMS"}, ms(4), 2)


@pytest.mark.parametrize(
    ("code", "second", "ends"),
    [
        ("close-latched", None, True), ("breach", None, True), ("false-alarm", None, True), ("duplicate", None, True),
        ("data-fraud", "o-2", True), ("data-fraud", None, False), ("data-fraud", "o-1", False),
        ("grade-signed", None, False), ("amendment-accepted", None, False),
    ],
)  # fmt: skip
def test_only_a_closing_code_ends_a_latched_alarm_and_fraud_needs_two_officers(code, second, ends):
    log = begun()
    posted(log, 5, event(4))
    decided(log, 10, DISABLED, {"system": "LIMS"}, 4, code, **({"second": second} if second else {}))
    assert [row[1] for row in told(log, DISABLED, until=60 * 24 * 100)] == ["raised"] + ["cleared"] * ends


def test_a_decision_says_who_it_was_and_ends_no_alarm_that_clears_by_itself():
    log = begun()
    posted(log, 5, event(4))
    decided(log, 10, DISABLED, {"system": "LIMS"}, 4)
    closing = [c for c in log.changes() if c.rule == DISABLED][-1]
    assert [(r.kind, r.id) for r in closing.evidence.records] == [
        ("events", "e1"),
        ("decision", "D-1/1"),
        ("register", "1"),
    ]
    assert "officer" in closing.message.en
    assert "监管人员" in closing.message.zh
    log = HandLog().register(0, sensor("T1"), **FIRM)
    decided(log, 10, "register.sensor-count", {"area": "A1"}, 0)
    assert [row[1] for row in told(log, "register.sensor-count")] == ["raised"]


def test_an_event_ahead_of_its_time_counts_as_of_when_it_came():
    log = begun()
    posted(log, 5, event(10), event(10.001, source="SCADA"))
    assert [(row[3]["system"], row[4]) for row in told(log, DISABLED)] == [("LIMS", 10), ("SCADA", 5)]
    assert engine_of(log)[0].counters(0, FACILITY)["event_future"] == 1


def test_an_alarm_by_an_event_more_than_two_hours_old_is_late():
    for minutes, late in ((180, False), (180.001, True)):
        log = posted(begun(), minutes, event(60))
        assert [c.late for c in log.changes() if c.rule == DISABLED] == [late]


def test_three_within_ten_minutes_are_counted_by_event_time_however_they_come():
    bundle = rarelogs.bundle()

    for second in (10, 10.001):
        log = begun()
        posted(log, 30, acted(0 + second, verb="create"), acted(5, verb="create"))
        posted(log, 31, acted(0.0, verb="create"))
        rows = told(log, "test.three", bundle=bundle)
        assert rows == ([(31, "raised", "three", {"actor": "u-1"}, 10, None)] if second == 10 else [])


def test_of_two_cuts_the_second_keeps_the_alarm_when_the_first_was_answered_late():
    log = begun()
    posted(log, 1, event(1, "heartbeat", "device", area="A1"))
    posted(log, 10, power(10))
    posted(log, 20, power(20))
    posted(log, 60, horn(12))
    posted(log, 61, horn(22))
    assert [(row[0], row[1], row[4]) for row in told(log, POWER)] == [
        (16, "raised", 10),
        (60, "amended", 20),
        (61, "retracted", 20),
    ]


def test_a_tick_between_makes_no_difference_and_the_decision_carries_its_instant():
    log = begun()
    posted(log, 10, event(9, "heartbeat", "device", area="A1"), power(10))
    log.tick(13).tick(17)
    assert [(row[0], row[1]) for row in told(log, POWER)] == [(16, "raised")]


def test_what_the_packs_no_longer_hold_ends_and_pending_cuts_are_forgotten():
    log = begun()
    posted(log, 10, event(4), event(9, "heartbeat", "device", area="A1"), power(10))
    log.packs(12, Bundle.of([r for r in BUNDLE.rules if r.id not in (DISABLED, POWER)], BUNDLE.tables.values()))
    log.packs(30, BUNDLE)
    assert [(row[0], row[1], row[2]) for row in told(log, DISABLED, POWER, until=600)] == [
        (10, "raised", "audit-disabled"),
        (12, "cleared", "audit-disabled"),
    ]


def test_a_facility_that_leaves_the_scope_of_a_rule_is_not_judged_by_it_any_more():
    log = HandLog().register(0, sensor("T1"), **FIRM)
    log.register(10, sensor("T1"), version=2, areas=STORE)  # a drug maker, no distributor
    assert [(row[0], row[1]) for row in told(log, "register.sensor-count")] == [(0, "raised"), (10, "cleared")]


def test_a_rule_that_raises_is_put_aside_and_forgets_what_it_kept():
    log = begun()
    posted(log, 5, event(4))
    posted(log, 6, event(5, source="SCADA"))
    posted(log, 7, event(6, source="MES"))
    log.packs(9, BUNDLE)
    posted(log, 10, event(9, source="MES"))
    meet = count.meet

    def broken(rule, happened, *rest):
        if rule.id == DISABLED and happened.source == "SCADA":
            raise ZeroDivisionError
        meet(rule, happened, *rest)

    with patch.object(count, "meet", broken):
        rows = told(log, DISABLED, "register.rule-failed")
    assert [(row[0], row[1], row[3].get("system")) for row in rows] == [
        (5, "raised", "LIMS"), (6, "raised", DISABLED), (6, "unknown", "LIMS"),
        (9, "cleared", "LIMS"), (9, "cleared", DISABLED), (10, "raised", "MES"),
    ]  # fmt: skip


def test_subjects_are_bounded_standing_alarms_stay_and_what_is_left_out_is_counted(monkeypatch):
    monkeypatch.setattr(store, "MAX_CASES", 2)
    log = begun()
    posted(log, 5, event(3, source="S0"))
    decided(log, 5.5, DISABLED, {"system": "S0"}, 3)
    posted(log, 6, event(4, source="S1"))
    posted(log, 7, event(5, source="S2"))  # what was closed goes
    posted(log, 8, event(6, source="S3"))  # both stand: left out
    posted(log, 9, acted(6))  # another rule has room of its own
    engine, changes = engine_of(log)
    counts = engine.counters(0, FACILITY)
    assert (counts["case_dropped"], counts["event_left_out"]) == (1, 1)
    raised = [c for c in changes if c.change.value == "raised"]
    assert [c.subject["system"] for c in raised if c.rule == DISABLED] == ["S0", "S1", "S2"]
    assert [c.subject for c in raised if c.rule == RIGHTS] == [{"actor": "u-1"}]


def test_events_of_a_case_are_bounded_and_the_start_stays(monkeypatch):
    monkeypatch.setattr(store, "MAX_FACTS", 3)
    log = begun()
    for at in range(5, 12):
        posted(log, at, event(at))
    decided(log, 20, DISABLED, {"system": "LIMS"}, 5)
    engine, changes = engine_of(log)
    assert engine.counters(0, FACILITY)["fact_dropped"] == 4
    assert [(c.change.value, since(c.start)) for c in changes if c.rule == DISABLED] == [("raised", 5), ("cleared", 5)]


def test_what_an_area_was_heard_is_exact_and_bounded():
    heard = Heard()
    for at in (0, 60, 121, 300):  # minutes; the second is an hour off, the third farther
        heard.hear(at * MINUTE, 30 * MINUTE)
    assert heard.runs == [(0, 60 * MINUTE), (121 * MINUTE, 121 * MINUTE), (300 * MINUTE, 300 * MINUTE)]
    assert [heard.was_heard(at * MINUTE, 30 * MINUTE) for at in (-31, -30, 30, 90, 90.5, 91, 151, 152)] == [
        False, True, True, True, False, True, True, False,
    ]  # fmt: skip
    for at in range(1_000):
        heard.hear(at * 61 * MINUTE, 30 * MINUTE)
    assert len(heard.runs) <= MAX_RUNS


def test_partners_of_an_area_are_bounded():
    log = begun()
    for i in range(MAX_PARTNERS + 3):
        posted(log, i, horn(i))
    assert engine_of(log)[0].counters(0, FACILITY)["partner_dropped"] == 3


def test_a_whole_number_beyond_those_of_json_ends_no_fold():
    log = posted(begun(), 5, event(4, fields={"count": 2**70}))
    assert [row[1] for row in told(log, DISABLED)] == ["raised"]


def test_events_before_the_register_judge_nothing_and_nothing_is_kept_of_them():
    log = posted(HandLog(), 1, event(1))
    log.register(2, sensor("T1"), sensor("T2"), **FIRM)
    assert told(log, DISABLED) == []
    assert engine_of(log)[0].counters(0, FACILITY)["events"] == 0


def test_packs_without_such_rules_leave_nothing_of_events_in_counters_or_snapshot():
    series = Bundle.of([r for r in BUNDLE.rules if not isinstance(r, RareRule)], BUNDLE.tables.values())
    quiet, busy = begun(), posted(begun(), 5, event(4), power(4), horn(4))
    decided(busy, 5, DISABLED, {"system": "LIMS"}, 4)
    quiet.line(5, "events", {"batch": "e", "events": [event(1)]})
    bodies = []
    for log in (quiet, busy):
        engine, changes = engine_of(log, series)
        assert [c for c in changes if c.rule == DISABLED] == []
        assert not set(store.COUNTERS) & set(engine.counters(0, FACILITY))
        bodies.append(msgspec.msgpack.decode(unpacked(engine.snapshot(0, FACILITY))))
    assert "rare" not in bodies[1]
    assert {name for name in bodies[0] if bodies[0][name] != bodies[1][name]} == {"position"}


def test_a_snapshot_from_before_rare_records_is_read_and_one_of_no_sense_is_refused():
    old = {name: value for name, value in body_of().items() if name != "rare"}
    engine = Engine(WHOLE)
    engine.restore(0, old["facility"], packed(old))
    assert engine.counters(0, old["facility"])["events"] == 0
    assert old["format"] == FORMAT
    good = msgspec.to_builtins(Rare().pack(), builtin_types=(bytes,))
    engine.restore(0, old["facility"], packed(old | {"rare": good}))
    for spoiled in (
        [*good[:2], [["r", "no json", [], [], None, [], -1]], *good[3:]],
        [*good[:2], [["r", '["list"]', [], [], None, [], -1]], *good[3:]],
        [good[0], [["events", 0]], *good[2:]],
        good[:4],
    ):
        with pytest.raises(SnapshotError):
            engine.restore(0, old["facility"], packed(body_of() | {"rare": spoiled}))


def test_equal_states_give_equal_bytes_whatever_else_the_process_folded():
    log = begun()
    posted(log, 10, event(4), event(9, "heartbeat", "device", area="A1"), power(10))
    one, two = engine_of(log)[0], engine_of(log)[0]
    assert one.snapshot(0, FACILITY) == two.snapshot(0, FACILITY)
    assert msgspec.to_builtins(one._state(0, FACILITY).rare.pack())[2][0][0] == POWER


def test_a_rule_that_comes_back_raises_another_alarm_than_the_one_that_ended():
    """Also where it begins with the same start, and what it had judged before is not judged again."""
    late = {"done": "2026-02-01", "due": "2027-02-01", "points": [{"at": 5, "error": 0.6}]}
    log = HandLog().register(0, sensor("T1", calibration=late), sensor("T2"), **FIRM)
    log.register(10, sensor("T1", calibration=late), sensor("T2"), version=2, areas=STORE)
    log.register(20, sensor("T1", calibration=late), sensor("T2"), version=3, **FIRM)
    rule = "register.sensor-error"
    changes = [c for c in log.changes() if c.rule == rule]
    assert [(since(c.received), c.change.value) for c in changes] == [(0, "raised"), (10, "cleared"), (20, "raised")]
    start = changes[0].start
    assert [c.alarm for c in changes] == [alarm_id(rule, FACILITY, {"tag": "T1"}, start, use) for use in (1, 1, 2)]
    log = posted(begun(), 5, event(4), batch="e")
    log.packs(6, Bundle.of([r for r in BUNDLE.rules if r.id != DISABLED], BUNDLE.tables.values()))
    log.packs(7, BUNDLE)
    posted(log, 8, event(4), batch="f")
    posted(log, 9, event(4, fields={"reason": "again"}))
    changes = [c for c in log.changes() if c.rule == DISABLED]
    assert [(since(c.received), c.change.value) for c in changes] == [(5, "raised"), (6, "cleared"), (9, "raised")]
    assert len({c.alarm for c in changes}) == 2


def test_a_rule_that_failed_and_is_tried_again_raises_another_alarm():
    log = begun()
    posted(log, 5, event(4))
    posted(log, 6, event(5))
    log.packs(9, BUNDLE)
    posted(log, 10, event(4, fields={"reason": "again"}))
    meet = count.meet

    def broken(rule, happened, *rest):
        if rule.id == DISABLED and happened.time == ms(5):
            raise ZeroDivisionError
        meet(rule, happened, *rest)

    with patch.object(count, "meet", broken):
        changes = [c for c in log.changes() if c.rule == DISABLED]
    assert [c.change.value for c in changes] == ["raised", "unknown", "cleared", "raised"]
    assert [c.alarm for c in changes] == [
        alarm_id(DISABLED, FACILITY, {"system": "LIMS"}, ms(4), use) for use in (1, 1, 1, 2)
    ]


def test_different_texts_are_counted_where_the_rule_says_so():
    bundle = rarelogs.bundle()
    for second, raised in (("t-1", []), ("t-2", [(6, "raised")])):
        log = begun()
        posted(log, 5, acted(4, terminal="t-1"))
        posted(log, 6, acted(5, terminal=second))
        assert [row[:2] for row in told(log, "test.places", bundle=bundle)] == raised


def test_a_cut_that_is_told_when_it_was_long_due_is_decided_when_it_came():
    log = begun()
    posted(log, 5, event(4, "heartbeat", "device", area="A1"))
    posted(log, 60, power(10))
    assert [(row[0], row[1], row[4]) for row in told(log, POWER, until=100)] == [(60, "raised", 10)]


def test_a_restart_keeps_every_time_at_which_an_area_was_heard():
    log = begun()
    posted(log, 1, event(1, "heartbeat", "device", area="A1"))
    posted(log, 200, event(200, "heartbeat", "device", area="A1"))
    first = engine_of(log)[0]
    for at in (20, 100, 190):  # told late; of the second nothing was heard near it
        engine = Engine(BUNDLE)
        engine.restore_partition(0, first.partition_state(0))
        engine.restore(0, FACILITY, first.snapshot(0, FACILITY))
        (record,) = posted(HandLog(first=10), 201, power(at)).records()
        changes = [*engine.fold(record), *engine.advance(0, ms(300))]
        assert [c.change.value for c in changes if c.rule == POWER] == ([] if at == 100 else ["raised"])
