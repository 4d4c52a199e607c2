"""The store's journal of packs, on both databases: who published, where the records stand, whoever is faster."""

from __future__ import annotations

import threading

import pytest
from sqlalchemy import select

from monitor.alarms.rulebook import MAX_BUNDLES, Rulebook
from monitor.archive.chunkfile import RawRecord
from monitor.backup.rebuild import _Heard
from monitor.packs import journal
from monitor.packs.shelf import Shelf, bundle_in_force, packs_job
from monitor.store.tables import PacksBundle, PacksPlace, PacksPublication
from rules.pack import default_bundle
from rules.records import Kind, LogRecord
from streams.packs import Place
from streams.topics import LOG
from tests.monitor.archive.making import Archive, raw
from tests.rules.bundles import changed

RECORD = changed().to_record()
OTHER = changed(high=6.0).to_record()
PLACES = [Place(0, 7, 1_000), Place(1, 3, 1_001)]
T0 = 1_788_000_000_000


def rows(store, table):
    with store.reading() as session:
        return list(session.scalars(select(table)))


def published(store, record=RECORD, actor="li.lei", places=PLACES):
    with store.writing() as session:
        number = journal.begin(session, record, actor, 900)
    with store.writing() as session:
        journal.done(session, number, places, 1_100)


def noted(store, partition, offset, record=RECORD, received=1_000):
    with store.writing() as session:
        journal.note(session, partition, offset, received, record)


def newest(store):
    with store.reading() as session:
        return {p: (n.offset, n.sha256, n.actor) for p, n in journal.newest(session).items()}


@pytest.mark.parametrize("archiver", ["first", "last", "never"])
def test_who_published_is_known_whoever_writes_first(store, archiver):
    if archiver == "first":
        noted(store, 0, 7)
    published(store)
    if archiver == "last":
        noted(store, 0, 7)
    assert newest(store) == {0: (7, RECORD.sha256, "li.lei"), 1: (3, RECORD.sha256, "li.lei")}
    (row,) = rows(store, PacksPublication)
    assert (row.actor, row.begun_ms, row.done_ms, row.sha256) == ("li.lei", 900, 1_100, RECORD.sha256)
    assert [row.data for row in rows(store, PacksBundle)] == [RECORD.model_dump_json()]
    assert [(row.partition, row.offset, row.received_ms) for row in rows(store, PacksPlace)] == [
        (0, 7, 1_000),
        (1, 3, 1_001),
    ]


def test_the_newest_record_counts_and_one_by_other_means_has_no_actor(store):
    published(store)
    noted(store, 1, 9, OTHER, 2_000)
    assert newest(store)[1] == (9, OTHER.sha256, None)
    with store.reading() as session:
        assert journal.last_sha256(session) == OTHER.sha256
        assert journal.unfinished(session, RECORD.sha256) == []
        assert bundle_in_force(session).sha256 == OTHER.sha256


def test_a_publication_without_end_names_who_began_it(store):
    with store.writing() as session:
        journal.begin(session, RECORD, "u-1", 1)
        journal.begin(session, RECORD, "u-2", 2)
    with store.reading() as session:
        assert [row.actor for row in journal.unfinished(session, RECORD.sha256)] == ["u-2", "u-1"]
        assert journal.newest(session) == {}
        assert bundle_in_force(session) is default_bundle()  # begun is not published


def test_the_archiver_notes_packs_with_the_offsets_it_moves(store, tmp_path):
    archive = Archive(store, tmp_path / "archive")
    archive.begin(2)
    good = LogRecord(1, 4, T0, Kind.PACKS, "", RECORD)
    bad = RawRecord(5, T0, 1, None, raw(good).headers, b"{}")
    archive.read(1, [raw(good), bad])
    assert rows(store, PacksPlace) == []
    archive.flush()
    assert archive.pending[1].packs == []  # noted once, and let go
    assert newest(store) == {1: (4, RECORD.sha256, None)}
    assert [row.sha256 for row in rows(store, PacksBundle)] == [RECORD.sha256]
    archive.read(1, [raw(LogRecord(1, 6, T0 + 1, Kind.PACKS, "", OTHER))])
    archive.flush()
    assert newest(store)[1] == (6, OTHER.sha256, None)


def test_a_rebuild_hears_the_packs_of_the_archive():
    heard = _Heard(3)
    heard.hear(LOG, 2, raw(LogRecord(2, 4, T0, Kind.PACKS, "", RECORD)))
    assert {place: record.payload for place, record in heard.packs.items()} == {(2, 4): RECORD}


def test_the_shelf_takes_in_what_is_new_and_what_is_in_force(store):
    book = Rulebook(default_bundle())
    shelf = Shelf(book, store)
    assert shelf.look() == 0
    published(store)
    assert (shelf.look(), shelf.look()) == (1, 0)
    assert book.sha256 == RECORD.sha256
    assert book.rule("cold-chain.store-out").limits.from_.high == 7.0
    noted(store, 0, 8, OTHER, 2_000)
    assert shelf.look() == 1
    assert book.sha256 == OTHER.sha256
    noted(store, 0, 9, RECORD, 3_000)  # the first one again
    assert shelf.look() == 0
    assert book.sha256 == RECORD.sha256


def test_a_bundle_of_long_ago_that_is_published_again_is_taken_in(store):
    noted(store, 0, 0, RECORD, 1)
    with store.writing() as session:
        for i in range(MAX_BUNDLES + 5):
            session.add(PacksBundle(sha256=f"{i:064x}", data=OTHER.model_dump_json(), noted_ms=10 + i))
    noted(store, 0, 1, RECORD, 1_000)
    book = Rulebook(default_bundle())
    Shelf(book, store).look()
    assert book.sha256 == RECORD.sha256


def test_a_bundle_that_cannot_be_read_is_left_out_and_told_once(store, caplog):
    broken = OTHER.model_copy(update={"bundle": "bm9uZQ=="})
    noted(store, 0, 0, broken, 1)
    noted(store, 0, 1, RECORD, 2)
    book = Rulebook(default_bundle())
    shelf = Shelf(book, store)
    assert (shelf.look(), shelf.look()) == (1, 0)
    assert book.sha256 == RECORD.sha256
    assert len([record for record in caplog.records if "cannot be read" in record.message]) == 1


def test_the_job_looks_until_it_is_stopped(store, monkeypatch):
    monkeypatch.setattr("monitor.packs.shelf.LOOK_S", 0.01)
    book = Rulebook(default_bundle())
    learned, stop = threading.Event(), threading.Event()
    learn = book.learn
    monkeypatch.setattr(book, "learn", lambda found, now: (learn(found, now), now is None or learned.set()))
    thread = threading.Thread(target=packs_job(Shelf(book, store)), args=(stop,))
    thread.start()
    try:
        published(store)
        assert learned.wait(30)
        assert book.sha256 == RECORD.sha256
    finally:
        stop.set()
        thread.join(30)
    assert not thread.is_alive()
