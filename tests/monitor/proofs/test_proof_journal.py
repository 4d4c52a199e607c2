"""Which records name an upload: noted by the archiver as it reads, noted anew by a rebuild, the first of two that contradict."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from monitor.archive.index import CONSUMER
from monitor.archive.pending import may_name
from monitor.backup.rebuild import _Heard, _proofs
from monitor.proofs import journal
from monitor.proofs.named import proof_of
from monitor.store.schema import downgrade, upgrade
from monitor.store.tables import ConsumerOffset, ProofNamed
from rules.records import Kind, LogRecord, Tick
from streams.codec import home_of
from streams.topics import ALARMS, LOG
from tests.monitor.archive.making import CLUSTER, Archive, raw
from tests.monitor.proofs.naming import FACILITY, A, B, C, amendment, mark


def rows(store):
    with store.reading() as session:
        found = session.scalars(select(ProofNamed).order_by(ProofNamed.received_ms, ProofNamed.record))
        return [(row.kind, row.record, row.revision, row.sha256, row.received_ms) for row in found]


LOG_OF_IT = [
    mark(A), mark(B, revision=2, offset=1, received=2_000), amendment(C, offset=2, received=3_000),
    mark("WO-5513", "M-2", offset=3), mark(None, "M-3", offset=4), amendment(A, "R-2", offset=5, type_="capa"),
    mark(C, offset=6, received=9_000), mark(A.upper(), "M-4", offset=7, received=9_500),
]  # fmt: skip
NOTED = [
    ("mark", "M-1", 1, A, 1_000), ("mark", "M-1", 2, B, 2_000), ("report", "R-1", 1, C, 3_000), ("mark", "M-4", 1, A, 9_500),
]  # fmt: skip


def test_the_archiver_notes_what_marks_and_amendments_name_with_the_files_that_hold_them(store, tmp_path):
    archive = Archive(store, tmp_path / "archive")
    archive.begin(1)
    archive.read(0, [raw(one) for one in LOG_OF_IT[:3]])
    assert rows(store) == []
    archive.flush()
    assert rows(store) == NOTED[:3]
    archive.write(0, [raw(one) for one in LOG_OF_IT[3:]], (2,))
    assert rows(store) == NOTED
    assert all(not part.naming for part in archive.pending.values())


def test_records_that_cannot_be_read_and_changes_are_passed_over(store, tmp_path):
    archive = Archive(store, tmp_path / "archive")
    archive.begin(1)
    bad = raw(mark(A))
    archive.read(0, [bad.__class__(0, 1_000, 1, bad.key, bad.headers, b'{"proof": ')])
    archive.flush()
    other = Archive(store, tmp_path / "changes", topic=ALARMS)
    other.pending = {}
    assert rows(store) == []


@pytest.mark.parametrize("turned", [False, True])
def test_a_rebuild_notes_the_same_in_whatever_order_the_files_come(store, turned):
    heard = _Heard(3)
    for one in sorted(LOG_OF_IT, key=lambda record: record.offset, reverse=turned):
        heard.hear(LOG, home_of(FACILITY, 3), raw(one))
    heard.hear(LOG, (home_of(FACILITY, 3) + 1) % 3, raw(mark(B, "M-9")))  # another's partition
    for _ in range(2):
        with store.writing() as session:
            _proofs(session, heard)
    assert rows(store) == NOTED


def test_only_a_store_that_looked_at_every_archived_record_says_so(store):
    with store.reading() as session:
        assert journal.all_noted(session), "a new store has archived nothing"
    downgrade(store, "0008")
    with store.writing() as session:
        session.add(ConsumerOffset(consumer=CONSUMER, topic=LOG, partition=0, next_offset=5, cluster=CLUSTER))
    upgrade(store)
    with store.writing() as session:
        assert not journal.all_noted(session), "an older release archived some"
        _proofs(session, _Heard(3))
    with store.reading() as session:
        assert journal.all_noted(session)


def test_what_names_nothing_is_not_decoded():
    tick = LogRecord(0, 0, 1, Kind.TICK, "", Tick(by="gw-1", role="gateway", now=1))
    assert [may_name(raw(one)) for one in (mark(A), amendment(A), tick)] == [True, True, False]
    assert proof_of(tick.payload) is None


def test_what_is_asked_for_comes_newest_first_and_by_name(store):
    with store.writing() as session:
        for one in [*LOG_OF_IT, mark(A, "M-1", facility="SH-1")]:
            journal.note(session, one)
    with store.reading() as session:
        assert [row.sha256 for row in journal.named(session, FACILITY)] == [A, C, B, A]
        found = journal.named_by(session, FACILITY, {("mark", "M-1", 2), ("report", "R-1", 1), ("mark", "R-1", 1)})
        assert [row.sha256 for row in found] == [B, C]
        assert journal.named_by(session, FACILITY, set()) == []
        assert journal.newest_naming(session, FACILITY) == {A: 9_500, B: 2_000, C: 3_000}
