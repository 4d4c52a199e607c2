"""Acknowledging names what was seen; the ISA-18.2 name follows from the axes."""

from __future__ import annotations

import threading

import pytest
from sqlalchemy import select

from monitor.alarms import acknowledge as module
from monitor.alarms.acknowledge import Acknowledged, NoSuchAlarmError, RevisionError, TooManyActsError, acknowledge
from monitor.alarms.axes import Attention, State, attention, state
from monitor.alarms.projection import apply_batch
from monitor.store.desk_tables import ActionRow, AlarmRow, LiveRow
from tests.monitor.alarms.changes import change, incoming

ID = change(1).alarm


def apply(store, *changes):
    with store.writing() as session:
        apply_batch(session, incoming(changes), 5_000_000)


def acknowledged(store, revision, **more):
    with store.writing() as session:
        return acknowledge(session, ID, revision=revision, **({"actor": "u-1", "now_ms": 6_000_000} | more))


def row_of(store):
    with store.reading() as session:
        return session.scalars(select(AlarmRow)).one()


def test_what_was_seen_is_acknowledged_with_who_and_when(store):
    apply(store, change(1))
    assert state(row_of(store)) is State.UNACKNOWLEDGED
    assert acknowledged(store, 1, note="called QA").newer is False
    row = row_of(store)
    assert (row.acknowledged_by, row.acknowledged_ms, row.acknowledged_revision) == ("u-1", 6_000_000, 1)
    assert state(row) is State.ACKNOWLEDGED
    with store.reading() as session:
        action = session.scalars(select(ActionRow)).one()
        assert (action.action, action.revision, action.actor, action.note) == ("acknowledge", 1, "u-1", "called QA")
        assert [r.kind for r in session.scalars(select(LiveRow).order_by(LiveRow.id))] == ["raised", "acknowledged"]


def test_a_step_up_that_was_not_seen_stays_unacknowledged(store):
    apply(store, change(1), change(2, "stepped", severity="red"))
    assert acknowledged(store, 1).newer is True
    assert attention(row_of(store)) is Attention.UNACKNOWLEDGED
    assert acknowledged(store, 2).newer is False
    assert attention(row_of(store)) is Attention.ACKNOWLEDGED


def test_a_step_down_or_a_clear_keeps_the_acknowledgement(store):
    apply(store, change(1))
    acknowledged(store, 1)
    apply(store, change(2, "stepped", severity="blue"))
    assert attention(row_of(store)) is Attention.ACKNOWLEDGED
    apply(store, change(3, "cleared", severity="blue", end=1_500_000))
    assert state(row_of(store)) is State.NORMAL


def acts(store):
    with store.reading() as session:
        rows = session.scalars(select(ActionRow).order_by(ActionRow.id))
        return [(row.revision, row.actor, row.note) for row in rows]


def told(store):
    with store.reading() as session:
        return [(r.kind, r.revision) for r in session.scalars(select(LiveRow).order_by(LiveRow.id))]


def test_the_same_act_sent_again_is_one_act(store):
    apply(store, change(1))
    for _ in range(3):
        assert acknowledged(store, 1, note="called QA") == Acknowledged(1, newer=False)
    assert acts(store) == [(1, "u-1", "called QA")]
    assert told(store) == [("raised", 1), ("acknowledged", 1)]


def test_who_comes_second_stays_second_and_what_he_did_is_kept(store):
    apply(store, change(1), change(2, "stepped", severity="red"))
    acknowledged(store, 2)
    acknowledged(store, 2, actor="u-2")
    acknowledged(store, 2, note="the firm has called back")
    acknowledged(store, 1, actor="u-2", now_ms=7_000_000)
    row = row_of(store)
    assert (row.acknowledged_by, row.acknowledged_revision, row.acknowledged_ms) == ("u-1", 2, 6_000_000)
    assert acts(store) == [(2, "u-1", None), (2, "u-2", None), (2, "u-1", "the firm has called back"), (1, "u-2", None)]
    assert told(store)[2:] == [("acknowledged", 2)] * 3 + [("acknowledged", 1)]


def test_of_many_at_once_one_acknowledges_and_every_note_is_kept(store):
    apply(store, change(1))
    faults, gate = [], threading.Barrier(10)

    def act(n):
        try:
            gate.wait(30)
            acknowledged(store, 1, actor=f"u-{n}", note=f"note {n}")
        except Exception as error:  # noqa: BLE001 - a thread's failure must reach the test
            faults.append(error)

    threads = [threading.Thread(target=act, args=(n,)) for n in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert faults == []
    kept = acts(store)
    assert sorted(kept) == sorted((1, f"u-{n}", f"note {n}") for n in range(10))
    assert row_of(store).acknowledged_by == kept[0][1]


def test_acts_that_change_nothing_are_bounded_and_never_keep_a_new_revision_out(store, monkeypatch):
    monkeypatch.setattr(module, "MAX_ACTS", 3)
    apply(store, change(1))
    for n in range(3):
        acknowledged(store, 1, note=str(n))
    with pytest.raises(TooManyActsError):
        acknowledged(store, 1, note="one more")
    acknowledged(store, 1, note="2")  # a repeat is no new act
    assert len(acts(store)) == 3
    apply(store, change(2, "stepped", severity="red"))
    acknowledged(store, 2, note="seen")
    assert len(acts(store)) == 4
    assert row_of(store).acknowledged_revision == 2


def test_a_revision_of_another_alarm_of_the_stream_was_never_this_ones(store):
    """The seqs of a stream belong to all its alarms: the numbers between two of ours are others'."""
    apply(store, change(1), change(2, tag="T2"), change(3, tag="T2"), change(4, "stepped", severity="red"))
    for revision in (2, 3):
        with pytest.raises(RevisionError):
            acknowledged(store, revision)
    assert acts(store) == []
    acknowledged(store, 4)
    assert attention(acknowledged_row(store)) is Attention.ACKNOWLEDGED


def acknowledged_row(store):
    with store.reading() as session:
        return session.get(AlarmRow, ID)


def test_a_change_that_waits_behind_a_gap_cannot_have_been_seen(store):
    apply(store, change(1), change(2), change(4, "stepped", severity="red"))
    with pytest.raises(RevisionError):
        acknowledged(store, 4)
    apply(store, change(3))
    acknowledged(store, 4)


def test_a_retracted_alarm_takes_note_of_what_was_seen_and_of_nothing_else(store):
    apply(store, change(1), change(2, tag="T2"), change(3, "retracted", end=1_500_000))
    with pytest.raises(RevisionError):
        acknowledged(store, 2)
    assert acknowledged(store, 1).newer is False  # the page was open when it was taken back
    assert acts(store) == [(1, "u-1", None)]


def asked(store):
    return acknowledged_row(store).asked_ms


@pytest.mark.parametrize(
    ("kind", "more", "again"),
    [
        ("stepped", {"severity": "red"}, True), ("stepped", {"severity": "blue"}, False), ("released", {}, True), ("known", {}, False),
        ("amended", {}, False), ("amended", {"severity": "red"}, True), ("cleared", {"end": 1_500_000}, False), ("unknown", {}, False),
        ("suppressed", {"by": "f" * 32}, False),
    ],
)  # fmt: skip
def test_the_time_to_respond_starts_with_the_raise_and_again_with_what_announces(store, kind, more, again):
    apply(store, change(1))
    assert asked(store) == change(1).received
    news = change(2, kind, at=9_000_000, **more)
    apply(store, news)
    assert asked(store) == (news.received if again else change(1).received)


def test_blindness_starts_the_time_again_only_for_an_alarm_that_was_acknowledged(store):
    apply(
        store,
        change(1),
        change(2, "unknown", at=2_000_000),
        change(3, "known", at=3_000_000),
        change(4, "unknown", at=4_000_000),
    )
    assert asked(store) == change(1).received
    acknowledged(store, 4)
    apply(store, change(5, "known", at=5_000_000))
    assert asked(store) == change(1).received
    apply(
        store, change(6, "unknown", at=6_000_000), change(7, "known", at=7_000_000), change(8, "unknown", at=8_000_000)
    )
    assert asked(store) == 6_000_500


@pytest.mark.parametrize("revision", [0, -1, 2, 10**12])
def test_nobody_can_have_seen_a_revision_that_is_not_there(store, revision):
    apply(store, change(1))
    with pytest.raises(RevisionError):
        acknowledged(store, revision)
    assert row_of(store).acknowledged_revision == 0


def test_an_alarm_that_is_not_there_cannot_be_acknowledged(store):
    with pytest.raises(NoSuchAlarmError):
        acknowledged(store, 1)


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ([change(1)], State.UNACKNOWLEDGED),
        ([change(1), change(2, "cleared", end=1_500_000)], State.RETURNED),
        ([change(1), change(2, "unknown")], State.BLIND),
        ([change(1), change(2, "suppressed", by="f" * 32)], State.SUPPRESSED),
        ([change(1), change(2, "retracted", end=1_500_000)], State.RETRACTED),
        ([change(1, stage="shadow")], State.ACKNOWLEDGED),
    ],
)
def test_the_name_follows_from_condition_attention_and_overlay(store, changes, wanted):
    apply(store, *changes)
    assert state(row_of(store)) is wanted


def test_a_shadow_alarm_asks_for_nobody(store):
    apply(store, change(1, stage="shadow"))
    assert attention(row_of(store)) is Attention.NONE
