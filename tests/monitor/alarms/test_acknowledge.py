"""Acknowledging names what was seen; the ISA-18.2 name follows from the axes."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from monitor.alarms.acknowledge import NoSuchAlarmError, RevisionError, acknowledge
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


def test_a_repeat_or_an_older_revision_changes_nothing(store):
    apply(store, change(1), change(2, "stepped", severity="red"))
    acknowledged(store, 2)
    acknowledged(store, 2, actor="u-2")
    acknowledged(store, 1, actor="u-2")
    row = row_of(store)
    assert (row.acknowledged_by, row.acknowledged_revision) == ("u-1", 2)
    with store.reading() as session:
        assert len(session.scalars(select(ActionRow)).all()) == 1


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
