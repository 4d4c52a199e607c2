"""What comes back into a store from log and access topic, and what never comes back by mistake: a key that was revoked."""

from __future__ import annotations

import json

import pytest
from sqlalchemy import delete, select, text

from monitor.archive.reindex import Reindexed
from monitor.backup.rebuild import Rebuilt, _Heard, _keys, _register
from monitor.cli import main
from monitor.register.keys import issue, revoke
from monitor.register.store import differences, import_register
from monitor.store.schema import SchemaError, downgrade, head, revision_of, upgrade
from monitor.store.tables import FacilityVersion, FeedKey, OutboxLane, OutboxRow
from rules.records import Kind, LogRecord, RegisterRecord
from streams.codec import home_of
from streams.topics import ACCESS, ALARMS, LOG
from tests.monitor.archive.making import raw
from tests.monitor.archive.streams import life
from tests.monitor.register.samples import facility, register

NOW = 9_000
PARTITIONS = 3


def keys(store, entries, times=None):
    done = Rebuilt(Reindexed())
    with store.writing() as session:
        _keys(session, entries, times or dict.fromkeys(entries or (), 5_000), done, NOW)
    return done


def sent(store, *, mark=True):
    """What the access topic holds once the outbox is sent."""
    entries = {}
    with store.writing() as session:
        for row in session.scalars(select(OutboxRow).where(OutboxRow.topic == ACCESS).order_by(OutboxRow.id)):
            if row.value is None:
                entries.pop(row.key, None)
            else:
                entries[row.key] = row.value
            if mark:
                row.sent_ms = 1
        for lane in session.scalars(select(OutboxLane)):
            lane.unsent = 0 if mark and lane.lane.startswith(ACCESS) else lane.unsent
    return entries


def issued(store, name="feed"):
    with store.writing() as session:
        issue(session, name=name, facilities=["BJ-MFR-0007"], actor="u-1", now_ms=2_000, tags=["CR1.T1"])


@pytest.fixture
def office(store):
    with store.writing() as session:
        import_register(session, register(), "u-1", 1_000)
    issued(store)
    return store


def states(store):
    with store.reading() as session:
        return {row.name: row.revoked_ms for row in session.scalars(select(FeedKey))}


def unsent(store):
    with store.reading() as session:
        rows = session.scalars(select(OutboxRow).where(OutboxRow.topic == ACCESS, OutboxRow.sent_ms.is_(None)))
        waiting = {row.key: row.value for row in rows}
        counted = sum(session.scalars(select(OutboxLane.unsent).where(OutboxLane.lane.startswith(ACCESS))))
    assert counted == len(waiting)
    return waiting


def test_a_key_that_the_store_does_not_know_comes_back_as_it_was_and_can_be_revoked(office):
    entries = sent(office)
    with office.reading() as session:
        before = session.scalars(select(FeedKey)).one()
    with office.writing() as session:
        session.execute(delete(FeedKey))
    done = keys(office, entries)
    assert (done.keys, done.revoked, done.faults) == (1, 0, [])
    with office.writing() as session:
        row = session.scalars(select(FeedKey)).one()
        for name in ("sha256", "name", "facilities", "endpoints", "tags", "expires_ms", "revoked_ms"):
            assert getattr(row, name) == getattr(before, name)
        assert (row.created_ms, row.created_by) == (5_000, "log")
        assert revoke(session, row.id, NOW)
    assert unsent(office) == {before.sha256: None}
    assert keys(office, entries).keys == 0


def test_a_key_that_the_access_topic_does_not_know_does_not_open_the_door_again(office):
    issued(office, "never-sent")
    entries = sent(office, mark=False)
    gone = next(k for k in entries if not k.startswith("f:"))
    del entries[gone]
    done = keys(office, entries)
    assert done.revoked == 1
    assert gone not in unsent(office)
    assert sorted(state or 0 for state in states(office).values()) == [0, NOW]
    assert keys(office, entries).revoked == 0


def test_a_revoked_key_that_the_access_topic_still_holds_is_revoked_there_once(office):
    entries = sent(office)
    with office.writing() as session:
        session.scalars(select(FeedKey)).one().revoked_ms = 3_000
    assert keys(office, entries).queued == 1
    assert list(unsent(office).values()) == [None]
    assert keys(office, entries).queued == 0  # it waits already


def test_an_empty_access_topic_gets_all_that_the_store_says_and_nothing_that_was_revoked(office):
    issued(office, "old")
    entries = sent(office)
    with office.writing() as session:
        row = session.scalars(select(FeedKey).where(FeedKey.name == "old")).one()
        row.revoked_ms = 3_000
        old = row.sha256
    done = keys(office, None)
    waiting = unsent(office)
    del entries[old]
    assert done.queued == len(entries) == 2
    assert {key: json.loads(value) for key, value in waiting.items()} == {k: json.loads(v) for k, v in entries.items()}
    assert keys(office, None).queued == 2
    assert unsent(office) == waiting


def test_what_is_no_key_in_the_access_topic_is_named_and_grants_nothing(office):
    entries = sent(office) | {"0" * 64: b"{}"}
    done = keys(office, entries)
    assert [fault.code for fault in done.faults] == ["foreign"]
    assert len(states(office)) == 1


def record(version, offset, received, name="BJ-MFR-0007", **more):
    payload = RegisterRecord(version=version, facility=register(facility(name, **more)).facilities[0].logged())
    return raw(LogRecord(home_of(name, PARTITIONS), offset, received, Kind.REGISTER, name, payload))


def heard_of(*records, partition=None):
    heard = _Heard(PARTITIONS)
    for item in records:
        heard.hear(LOG, home_of(item.facility, PARTITIONS) if partition is None else partition, item)
    return heard


def test_versions_come_back_from_the_log_and_the_next_import_goes_on_behind_them(store):
    heard = heard_of(record(1, 0, 100), record(2, 5, 200, labels=["x"]), record(2, 9, 900, labels=["x"]))
    faults = []
    with store.writing() as session:
        assert _register(session, heard, faults) == 2
    with store.writing() as session:
        rows = session.scalars(select(FacilityVersion).order_by(FacilityVersion.version)).all()
        assert [(r.version, r.recorded_ms, r.logged_ms, r.actor) for r in rows] == [
            (1, 100, 900, "log"),
            (2, 200, 900, "log"),
        ]
        same = register(facility(labels=["x"], contacts=None))
        assert [d.kind for d in differences(session, same)] == ["same"]
        import_register(session, register(facility(labels=["y"])), "u-2", NOW)
        assert session.scalars(select(FacilityVersion.version)).all()[-1] == 3
        assert _register(session, heard, faults) == 0
    assert faults == []


def test_a_version_that_the_log_tells_otherwise_is_named_and_one_in_a_foreign_partition_passed_over(office):
    faults = []
    with office.writing() as session:
        assert _register(session, heard_of(record(1, 0, 100, labels=["other"])), faults) == 0
        stray = record(7, 0, 100)
        other = (home_of("BJ-MFR-0007", PARTITIONS) + 1) % PARTITIONS
        assert _register(session, heard_of(stray, partition=other), faults) == 0
    assert [(fault.pointer, fault.code) for fault in faults] == [("BJ-MFR-0007", "register_differs")]


def test_changes_are_heard_by_their_seq_and_foreign_records_passed_over():
    from tests.monitor.archive.making import published

    heard = _Heard(PARTITIONS)
    for item in published([life("A1")[0], life("A1")[3]]):
        heard.hear(ALARMS, 0, item)
    heard.hear(ALARMS, 0, published(life("B1", 1))[0].__class__(9, 1, 1, b"X", [], b"?"))
    assert heard.seqs["A1"].missing() == [(2, 3)]
    assert heard.seqs["X"].missing() == []


def test_a_store_goes_down_for_an_older_release_and_up_again_with_all_rows_but_the_newest_columns(
    office, store_url, monkeypatch, capsys
):
    before = states(office)
    for wrong in ("9999", "", "nonsense"):
        with pytest.raises(SchemaError):
            downgrade(office, wrong)
    monkeypatch.setenv("OFFSITE_STORE_URL", store_url)
    with pytest.raises(SystemExit) as end:
        main(["store", "downgrade"])
    assert end.value.code == 2
    main_code(["store", "downgrade", "--to", "0002"])
    assert "store at 0002" in capsys.readouterr().out
    with office.reading() as session:
        assert revision_of(session.connection()) == "0002"
    with pytest.raises(SchemaError):
        downgrade(office, head())
    assert states(office) == before
    upgrade(office)
    with office.reading() as session:
        session.execute(text("SELECT asked_ms FROM alarm"))


def main_code(arguments):
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert not end.value.code
