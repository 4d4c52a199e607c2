"""From changes to rows: dense, once, in any batching, and never past a gap."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, func, select

from monitor.alarms.axes import Attention, attention
from monitor.alarms.operators import open_alarms
from monitor.alarms.projection import CONFLICT, FOREIGN, GAP, apply_batch
from monitor.store.desk_tables import AlarmRow, ChangeRow, Counter, LiveRow, OperatorAlarm, StreamRow
from monitor.store.schema import upgrade
from monitor.store.session import Store
from rules.alarms import fold_alarms
from rules.instants import format_instant
from tests.monitor.alarms.changes import change, incoming, streams

pytestmark = pytest.mark.long

TABLES = (AlarmRow, ChangeRow, Counter, LiveRow, OperatorAlarm, StreamRow)


def apply(store, changes, now=5_000_000):
    with store.writing() as session:
        return apply_batch(session, incoming(changes), now)


def line(row):
    """The row as `offsite evaluate --alarms` writes it."""
    return {
        "alarm": row.id, "rule": row.rule, "facility": row.facility, "subject": json.loads(row.subject),
        "severity": row.highest, "stage": row.stage, "start": format_instant(row.start_ms),
        "end": None if row.end_ms is None else format_instant(row.end_ms), "status": row.status,
        "suppressed_by": row.suppressed_by, "late": row.late, "changes": row.changes,
    }  # fmt: skip


def lines(store):
    with store.reading() as session:
        rows = session.scalars(select(AlarmRow)).all()
    return sorted((line(row) for row in rows), key=lambda value: value["alarm"])


def expected(changes):
    return sorted((alarm.to_json() for alarm in fold_alarms(changes)), key=lambda value: value["alarm"])


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    store = Store(f"sqlite:///{tmp_path_factory.mktemp('projection')}/store.db")
    upgrade(store)
    yield store
    store.close()


def emptied(store):
    with store.writing() as session:
        for table in TABLES:
            session.execute(delete(table))


@settings(max_examples=60)
@given(streams(), st.data())
def test_any_batching_with_repeats_gives_the_alarms_of_the_fold(kept, changes, data):
    emptied(kept)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(changes)), max_size=4)))
    for begin, end in zip([0, *cuts], [*cuts, len(changes)], strict=True):
        again = data.draw(st.integers(0, begin))  # a consumer that starts again reads some records twice
        apply(kept, changes[again:end])
    assert lines(kept) == expected(changes)
    with kept.reading() as session:
        assert open_alarms(session) == []
        assert list(session.scalars(select(LiveRow.id).order_by(LiveRow.id))) == list(range(1, len(changes) + 1))


@settings(max_examples=60)
@given(streams(), st.data())
def test_a_missing_change_stops_its_stream_only_and_nothing_is_lost_when_it_comes(kept, changes, data):
    emptied(kept)
    missing = data.draw(st.sampled_from(changes))
    others = [c for c in changes if c is not missing]
    cut = data.draw(st.integers(0, len(others)))
    apply(kept, others[:cut])
    apply(kept, others[cut:])
    visible = [c for c in others if c.stream != missing.stream or c.seq < missing.seq]
    assert lines(kept) == expected(visible)
    stopped = any(c.stream == missing.stream and c.seq > missing.seq for c in others)
    with kept.reading() as session:
        assert [(a.code, a.subject) for a in open_alarms(session)] == ([(GAP, missing.stream)] if stopped else [])
    apply(kept, [missing])
    assert lines(kept) == expected(changes)
    with kept.reading() as session:
        assert open_alarms(session) == []


def test_on_each_database_a_life_is_applied_and_a_repeat_changes_nothing(store):
    life = [change(1), change(2, "stepped", severity="red"), change(3, "cleared", severity="red", end=1_900_000)]
    assert apply(store, life).applied == 3
    outcome = apply(store, life, now=6_000_000)
    assert (outcome.applied, outcome.duplicates) == (0, 3)
    assert lines(store) == expected(life)
    with store.reading() as session:
        row = session.scalars(select(AlarmRow)).one()
        assert (row.revision, row.severity, row.status) == (3, "red", "cleared")
        assert session.scalar(select(func.count()).select_from(LiveRow)) == 3


def test_the_same_identity_with_other_content_is_shown_and_the_first_stays(store):
    apply(store, [change(1, severity="yellow")])
    apply(store, [change(1, severity="red")])
    with store.reading() as session:
        assert [(a.code, a.subject) for a in open_alarms(session)] == [(CONFLICT, "A1")]
        assert session.scalars(select(AlarmRow)).one().severity == "yellow"


def test_the_place_in_the_log_is_no_part_of_the_content(store):
    apply(store, [change(1, source={"partition": 0, "offset": 5})])
    assert apply(store, [change(1, source={"partition": 0, "offset": 9})]).duplicates == 1
    with store.reading() as session:
        assert open_alarms(session) == []
        assert session.scalars(select(ChangeRow)).one().source == "0:5"


@pytest.mark.parametrize(
    "value", [b"", b"{", b"\xff\xfe", b"[]", b'{"stream":"A1","seq":1}', b"9" * 100_000, b"[" * 9000]
)
def test_what_is_no_change_is_shown_with_its_place_and_stops_nothing(store, value):
    outcome = apply(store, [change(1), value, change(2, "cleared", end=1_500_000)])
    assert (outcome.applied, outcome.foreign) == (2, 1)
    with store.reading() as session:
        (alarm,) = open_alarms(session)
        assert (alarm.code, alarm.subject, alarm.count) == (FOREIGN, "partition 0", 1)
        assert alarm.detail.startswith("offset 1: ")
    apply(store, [b"x"] * 20)
    with store.reading() as session:
        assert [(a.subject, a.count) for a in open_alarms(session)] == [("partition 0", 21)]


def test_attention_moves_with_what_asks_for_a_person_only(store):
    apply(store, [change(1, severity="yellow")])
    steps = [
        ("stepped", "orange", 2), ("stepped", "yellow", 2), ("amended", "yellow", 2), ("unknown", "yellow", 5),
        ("known", "yellow", 5), ("suppressed", "yellow", 5), ("released", "yellow", 8), ("cleared", "yellow", 8),
    ]  # fmt: skip
    for seq, (kind, severity, wanted) in enumerate(steps, start=2):
        end = 1_500_000 if kind == "cleared" else None
        apply(store, [change(seq, kind, severity=severity, end=end, by="f" * 32 if kind == "suppressed" else None)])
        with store.reading() as session:
            row = session.scalars(select(AlarmRow)).one()
            assert (kind, row.revision, row.attention_revision) == (kind, seq, wanted)


def test_an_alarm_of_a_lot_that_holds_after_all_asks_for_a_person_again(store):
    apply(store, [change(1)])
    with store.writing() as session:
        session.scalars(select(AlarmRow)).one().acknowledged_revision = 1
    apply(store, [change(2, "retracted", end=1_500_000)])
    with store.reading() as session:
        row = session.scalars(select(AlarmRow)).one()
        assert (row.status, row.attention_revision) == ("retracted", 1)
    apply(store, [change(3, "amended")])
    with store.reading() as session:
        row = session.scalars(select(AlarmRow)).one()
        assert (row.status, row.attention_revision, attention(row)) == ("active", 3, Attention.UNACKNOWLEDGED)


def test_streams_that_wait_are_counted_though_the_batch_is_of_others(store):
    assert apply(store, [change(2), change(3, stream="B2")]).waiting == 2
    assert apply(store, [change(1, stream="C3")]).waiting == 2
    assert apply(store, [change(1), change(2, stream="C3")]).waiting == 1


@pytest.mark.parametrize("kept_first", [1, 500, 1001])
def test_what_was_kept_behind_a_gap_is_applied_page_by_page(store, kept_first):
    life = [change(seq, "raised" if seq == 1 else "amended", tag=f"T{seq % 3}") for seq in range(1, kept_first + 3)]
    apply(store, life[2:])
    apply(store, life[:1])
    assert apply(store, life[1:2]).applied == kept_first + 1
    assert lines(store) == expected(life)
    with store.reading() as session:
        assert session.get(StreamRow, "A1").waiting_for is None
        assert list(session.scalars(select(LiveRow.revision).order_by(LiveRow.id))) == list(range(1, kept_first + 3))


def test_a_second_gap_behind_the_first_stops_the_stream_again_and_says_where(store):
    apply(store, [change(1), change(3, "amended"), change(4, "amended"), change(6, "amended")])
    assert apply(store, [change(2, "amended")]).applied == 3
    with store.reading() as session:
        (alarm,) = open_alarms(session)
        assert (alarm.code, alarm.subject) == (GAP, "A1")
        assert alarm.detail.startswith("change 5 is missing, 6 came")
        assert session.get(StreamRow, "A1").waiting_for == 5
    apply(store, [change(5, "amended")])
    with store.reading() as session:
        assert open_alarms(session) == []


def test_a_conflict_behind_a_gap_is_shown_too_with_its_place(store):
    apply(store, [change(1), change(3, "amended")])
    apply(store, [change(3, "amended", severity="red")])
    with store.reading() as session:
        (conflict,) = [a for a in open_alarms(session) if a.code == CONFLICT]
    assert "partition 0, offset 0" in conflict.detail


def test_a_conflict_within_one_batch_is_shown(store):
    outcome = apply(store, [change(1), change(2, "amended"), change(2, "amended", severity="red")])
    assert (outcome.applied, outcome.duplicates) == (2, 1)
    with store.reading() as session:
        assert [a.code for a in open_alarms(session)] == [CONFLICT]


def test_a_failed_transaction_leaves_no_row(store):
    def fail():
        with store.writing() as session:
            apply_batch(session, incoming([change(1)]), 1)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert lines(store) == []
    assert apply(store, [change(1)]).applied == 1


def test_an_operators_alarm_is_counted_and_opens_again(store):
    apply(store, [change(2)])
    apply(store, [change(4)])
    apply(store, [change(3), change(1)])
    with store.reading() as session:
        row = session.get(OperatorAlarm, (GAP, "A1"))
        assert (row.count, row.closed_ms) == (2, 5_000_000)
    apply(store, [change(9)])
    with store.reading() as session:
        row = session.get(OperatorAlarm, (GAP, "A1"))
        assert (row.count, row.closed_ms) == (1, None)
