"""Rows of the clocks that run: those of the newest snapshot, and nothing is written that stays the same."""

from __future__ import annotations

import pytest
from sqlalchemy import event, select

from monitor.deadlines import keeping
from monitor.deadlines.snapshots import Listed, Reader
from monitor.store.desk_tables import DeadlineFacility, DeadlinePartition, DeadlineRow
from monitor.store.tables import ConsumerOffset
from rules.clocks.listing import Running
from tests.monitor.deadlines.listed import snapshot, told, unknown
from tests.rules.duelogs import DAY, FIRM, HOUR

OTHER = "BJ-DUE-0002"


def listed(log, known=""):
    return Reader(lambda _: None).read(log.name, snapshot(log), known)


def put(store, *found, partition=0):
    with store.writing() as session:
        for one in found:
            keeping.keep(session, partition, one)


def rows(store, facility=FIRM):
    with store.reading() as session:
        mine = select(DeadlineRow).where(DeadlineRow.facility == facility).order_by(DeadlineRow.due_ms, DeadlineRow.id)
        return list(session.scalars(mine))


def facilities(store):
    with store.reading() as session:
        return {row.facility: row for row in session.scalars(select(DeadlineFacility))}


@pytest.fixture
def statements(store):
    """Collect what is said to the database but questions."""
    said = []

    def noted(_conn, _cursor, statement, *_rest):
        if not statement.lstrip().upper().startswith(("SELECT", "BEGIN", "COMMIT")):
            said.append(statement.split()[0].upper())

    event.listen(store.engine, "before_cursor_execute", noted)
    yield said
    event.remove(store.engine, "before_cursor_execute", noted)


def test_rows_are_those_of_the_newest_snapshot(store):
    log = told(FIRM, 3, "C-1")
    first = listed(log)
    put(store, first)
    assert [Running.model_validate_json(row.body) for row in rows(store)] == first.rows
    (row,) = rows(store)
    assert (row.due_ms, row.soon_ms) == (first.rows[0].due, first.rows[0].reminder)
    log.death(12 * HOUR, "C-2").investigation(13 * HOUR, "C-1", id="R-9")
    second = listed(log)
    put(store, second)
    assert [Running.model_validate_json(row.body) for row in rows(store)] == second.rows
    assert [one.subject["report"] for one in second.rows] == ["C-2"]
    assert facilities(store)[FIRM].digest == second.digest != first.digest


def test_a_row_that_changes_keeps_its_id(store):
    log = told(FIRM, 3, "C-1")
    put(store, listed(log))
    (before,) = rows(store)
    log.death(12 * HOUR, "C-1", id="R-9", fields={"known_at": 0})
    put(store, listed(log))
    (after,) = rows(store)
    assert (after.id, after.body != before.body) == (before.id, True)
    assert keeping.row_id(Running.model_validate_json(after.body)) == after.id


def test_what_stays_the_same_is_not_written(store, statements):
    log = told(FIRM, 3, "C-1").death(12 * HOUR, "C-2")
    put(store, listed(log))
    assert statements.count("INSERT") == 3  # the facility, the clocks, what figures need of it
    statements.clear()
    put(store, listed(log))
    assert statements == []
    put(store, listed(log.death(13 * HOUR, "C-3")))
    assert sorted(statements) == ["INSERT", "UPDATE"]


def test_a_clock_whose_end_nobody_knows_stands_behind_all_others(store):
    put(store, listed(unknown(FIRM)))
    (row,) = rows(store)
    assert (row.due_ms, row.soon_ms) == (keeping.FAR_MS, keeping.FAR_MS)


def test_a_snapshot_that_cannot_be_read_leaves_the_rows_before_and_is_said(store):
    put(store, listed(told(FIRM, 3)))
    put(store, Listed(FIRM, "", fault="broken"))
    found = facilities(store)[FIRM]
    assert (len(rows(store)), found.fault, found.digest) == (1, "broken", "")
    put(store, listed(told(FIRM, 4)))
    assert (facilities(store)[FIRM].fault, len(rows(store))) == (None, 1)


def test_what_is_left_out_and_put_aside_is_kept(store):
    one = listed(told(FIRM, 3))
    put(store, Listed(FIRM, one.digest, one.rows, 7, ["a.b"]))
    found = facilities(store)[FIRM]
    assert (found.left_out, found.aside, found.held) == (7, '["a.b"]', False)


def test_a_facility_that_is_forgotten_leaves_nothing(store):
    put(store, listed(told(FIRM, 3)), listed(told(OTHER, 3)))
    with store.writing() as session:
        keeping.forget(session, {FIRM, "NOBODY"})
        keeping.forget(session, set())
    assert (rows(store), list(facilities(store)), len(rows(store, OTHER))) == ([], [OTHER], 1)


def test_a_quarantine_is_noted_and_ends(store):
    put(store, listed(told(FIRM, 3)))
    for held in (True, False):
        with store.writing() as session:
            keeping.hold(session, FIRM, held=held)
            keeping.hold(session, "NOBODY", held=held)
        assert facilities(store)[FIRM].held is held


def test_clocks_of_partitions_move_on(store):
    for clocks in ({}, {0: 5, 3: 7}, {3: 9}):
        with store.writing() as session:
            keeping.as_of(session, clocks)
    with store.reading() as session:
        assert {row.partition: row.as_of_ms for row in session.scalars(select(DeadlinePartition))} == {0: 5, 3: 9}


def test_facilities_digests_and_counts_are_told(store):
    first, second = listed(told(FIRM, 3)), listed(told(OTHER, 3))
    put(store, first)
    put(store, second, partition=2)
    with store.reading() as session:
        assert keeping.digests(session) == {FIRM: first.digest, OTHER: second.digest}
        assert (keeping.of_partition(session, 2), keeping.of_partition(session, 1)) == ({OTHER}, set())
        assert keeping.count(session) == 2


def test_rows_of_another_release_are_forgotten_and_the_topic_is_read_again(store):
    one, unread = listed(told(FIRM, 3)), Listed("BJ-DUE-0003", "", fault="broken")
    put(store, one, Listed(OTHER, "99:ab", listed(told(OTHER, 3)).rows), unread)
    with store.writing() as session:
        for consumer in (keeping.CONSUMER, "desk"):
            session.add(ConsumerOffset(
                consumer=consumer, topic="t", partition=0, next_offset=7, cluster="c", tail_ms=None,
            ))  # fmt: skip
    for gone in (1, 0):
        with store.writing() as session:
            assert keeping.prepare(session) == gone
            assert [row.consumer for row in session.scalars(select(ConsumerOffset))] == ["desk"]
    assert (sorted(facilities(store)), rows(store, OTHER)) == ([FIRM, "BJ-DUE-0003"], [])


def test_nothing_is_read_again_while_the_form_is_ours(store):
    put(store, listed(told(FIRM, 3)))
    with store.writing() as session:
        session.add(ConsumerOffset(
            consumer=keeping.CONSUMER, topic="t", partition=0, next_offset=7, cluster="c", tail_ms=None,
        ))  # fmt: skip
        assert keeping.prepare(session) == 0
        assert session.scalar(select(ConsumerOffset.next_offset)) == 7


def test_more_rows_than_a_statement_takes_come_and_go(store, monkeypatch):
    monkeypatch.setattr(keeping, "AT_ONCE", 2)
    log = told(FIRM, 30, "C-0")
    for n in range(1, 6):
        log.death(n * HOUR + 10 * HOUR, f"C-{n}")
    put(store, listed(log))
    assert len(rows(store)) == 6
    for n in range(1, 6):
        log.investigation(n * HOUR + DAY, f"C-{n}", id=f"A-{n}")
    put(store, listed(log))
    assert len(rows(store)) == 1
