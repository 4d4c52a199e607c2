"""Importing, exporting and comparing the register; what is queued for the log."""

from __future__ import annotations

import json
import threading

import pytest
from sqlalchemy import func, select

from monitor.register.store import REPEAT_MS, Difference, differences, export, import_register, newest, repeat_due
from monitor.store.tables import ContactRow, FacilityVersion, OutboxRow
from rules.records import LogRecord, RegisterRecord
from rules.register import RegisterFile
from streams.access import FacilityEntry
from streams.codec import decode
from streams.topics import ACCESS, LOG
from tests.monitor.register.samples import facility, register


def do_import(store, value, now=1_000):
    with store.writing() as session:
        return import_register(session, value, "u-1", now)


def queued(store, topic):
    with store.reading() as session:
        return list(session.scalars(select(OutboxRow).where(OutboxRow.topic == topic).order_by(OutboxRow.id)))


def test_a_new_facility_becomes_version_one_a_log_record_and_an_access_entry(store):
    assert do_import(store, register()) == [Difference("BJ-MFR-0007", "new", 0)]
    (row,) = queued(store, LOG)
    headers = [(name, value.encode()) for name, value in json.loads(row.headers)]
    record = decode(0, 5, 1_000, row.key.encode(), headers, row.value)
    assert isinstance(record, LogRecord)
    assert record.facility == "BJ-MFR-0007"
    assert isinstance(record.payload, RegisterRecord)
    assert record.payload.version == 1
    assert record.payload.facility == register().facilities[0].logged()
    (access,) = queued(store, ACCESS)
    assert access.key == "f:BJ-MFR-0007"
    assert FacilityEntry.model_validate_json(access.value).tags == {"CR1.T1": "Cel"}


def test_contacts_stay_in_the_store_and_never_reach_kafka(store):
    do_import(store, register())
    for topic in (LOG, ACCESS):
        for row in queued(store, topic):
            assert "王芳".encode() not in row.value
            assert b"5555" not in row.value
    with store.reading() as session:
        assert [row.name for row in session.scalars(select(ContactRow))] == ["王芳"]
        assert "王芳" not in newest(session)["BJ-MFR-0007"].data


def test_what_is_the_same_gets_no_version(store):
    do_import(store, register())
    assert [d.kind for d in do_import(store, register(), 2_000)] == ["same"]
    assert len(queued(store, LOG)) == 1


def test_a_change_is_the_next_version_with_pointers_to_what_changed(store):
    do_import(store, register())
    changed = facility(labels=["vaccine"])
    changed["sensors"][0]["interval"] = "30s"
    (difference,) = do_import(store, register(changed), 2_000)
    assert difference.kind == "changed"
    assert difference.version == 1
    assert {at: (old, new) for at, old, new in difference.changes} == {
        "/labels": ([], ["vaccine"]),
        "/sensors/0/interval": ("1m", "30s"),
    }
    with store.reading() as session:
        assert newest(session)["BJ-MFR-0007"].version == 2
        assert session.scalar(select(func.count()).select_from(FacilityVersion)) == 2
    assert [json.loads(row.value)["version"] for row in queued(store, LOG)] == [1, 2]


def test_new_contacts_alone_make_no_version_and_no_record(store):
    do_import(store, register())
    (difference,) = do_import(store, register(facility(contacts=[{"name": "李雷", "role": "QP"}])))
    assert difference.kind == "contacts"
    assert len(queued(store, LOG)) == 1
    with store.reading() as session:
        assert [row.name for row in session.scalars(select(ContactRow))] == ["李雷"]


def test_a_facility_the_file_does_not_name_stays_as_it_is(store):
    do_import(store, register(facility("A1"), facility("B2")))
    found = do_import(store, register(facility("B2")))
    assert [(d.facility, d.kind) for d in found] == [("B2", "same"), ("A1", "absent")]
    with store.reading() as session:
        assert set(newest(session)) == {"A1", "B2"}


def test_an_export_is_what_import_takes_and_differs_in_nothing(store):
    do_import(store, register(facility("B2"), facility("A1", contacts=None)))
    with store.reading() as session:
        value = export(session)
        again = RegisterFile.model_validate(value)
        assert [d.kind for d in differences(session, again)] == ["same", "same"]
    assert [f["id"] for f in value["facilities"]] == ["A1", "B2"]


def test_records_are_repeated_before_the_log_drops_them(store):
    do_import(store, register(facility("A1"), facility("B2")), now=0)
    do_import(store, register(facility("A1", labels=["x"])), now=REPEAT_MS // 2)
    with store.writing() as session:
        assert repeat_due(session, REPEAT_MS) == 1
    with store.writing() as session:
        assert repeat_due(session, REPEAT_MS + 1) == 0
    last = queued(store, LOG)[-1]
    assert (last.key, json.loads(last.value)["version"]) == ("B2", 1)


def test_two_imports_at_once_take_turns(store):
    faults = []

    def work(label):
        try:
            do_import(store, register(facility(labels=[label])))
        except Exception as error:  # noqa: BLE001 - a thread's failure must reach the test
            faults.append(error)

    threads = [threading.Thread(target=work, args=(f"l{i}",)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert faults == []
    versions = [json.loads(row.value)["version"] for row in queued(store, LOG)]
    assert versions == [1, 2, 3, 4, 5, 6]
    assert [row.position for row in queued(store, LOG)] == [1, 2, 3, 4, 5, 6]


def test_a_failed_import_leaves_nothing(store):
    def fail():
        with store.writing() as session:
            import_register(session, register(), "u-1", 1_000)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert queued(store, LOG) == []
    with store.reading() as session:
        assert newest(session) == {}


def test_the_access_entry_carries_the_facts_unless_they_are_too_large(store):
    sensor = facility()["sensors"][0]
    many = [sensor | {"tag": f"CR1.{'X' * 50}{i}", "serial": "S" * 60} for i in range(2_500)]
    do_import(store, register(facility("A1"), facility("B2", sensors=many)))
    small, large = (FacilityEntry.model_validate_json(row.value) for row in queued(store, ACCESS))
    assert small.version == 1
    assert json.loads(small.facts) == json.loads(
        register(facility("A1")).facilities[0].logged().model_dump_json(by_alias=True, exclude_none=True)
    )
    assert (large.facts, len(large.tags)) == (None, 2_500)
