"""Any cut into flushes, any order of cutting hours, takeovers in between: the same records come back, and the same files."""

from __future__ import annotations

import shutil

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select

from monitor.archive import index
from monitor.archive.chunkfile import ALL
from monitor.archive.index import Selection
from monitor.archive.merge import UnitReader
from monitor.archive.reader import ArchiveReader
from monitor.archive.verify import verify
from monitor.store.tables import ArchiveChunk, ArchiveSpan, ArchiveWaste, ConsumerOffset, Lease
from streams.topics import LOG
from tests.monitor.archive.making import Archive, raw_logs

pytestmark = pytest.mark.filterwarnings("error")


def read_back(store, folder, partition=0):
    with store.reading() as session:
        units = index.units(session, LOG, partition, Selection())

    def refuse(_, error):
        raise error

    return [found for found, _ in UnitReader(store, folder, refuse).records(units, Selection())]


def cut_all(archive):
    with archive.store.reading() as session:
        units = index.uncut(session, 1 << 62, 1000)
    for unit in units:
        archive.writer.cut(unit)


def clear(store, folder):
    with store.writing() as session:
        for table in (ArchiveChunk, ArchiveSpan, ArchiveWaste, ConsumerOffset, Lease):
            session.execute(delete(table))
    shutil.rmtree(folder, ignore_errors=True)


def final_files(store):
    with store.reading() as session:
        return sorted(session.scalars(select(ArchiveChunk.path)))


@settings(max_examples=25, phases=[Phase.generate], database=None, suppress_health_check=list(HealthCheck))
@given(
    log=raw_logs(),
    steps=st.lists(
        st.tuples(st.integers(1, 9), st.sampled_from(["", "", "cut", "takeover", "clean"])), min_size=1, max_size=12
    ),
)
def test_any_flushes_cuts_and_takeovers_give_the_same_records_and_files(store, tmp_path, log, steps):
    folder = tmp_path / "archive"
    clear(store, folder)
    plain = Archive(store, folder)
    plain.begin(1)
    plain.write(0, log)
    cut_all(plain)
    assert read_back(store, folder) == log
    wanted = final_files(store)
    assert not any(f"/{ALL}/" in path for path in wanted)

    clear(store, folder)
    archive = Archive(store, folder, grace_ms=1000)
    archive.begin(1)
    waiting, number = list(log), 0
    while waiting:
        size, then = steps[number % len(steps)]
        number += 1
        archive.read(0, waiting[:size])
        if then == "takeover":  # what was in hand is lost with the process, and read again
            archive.clock.now_ms += 20_000
            archive = Archive(store, folder, archive.clock, holder=f"a{number}", grace_ms=1000)
            archive.begin(1)
            waiting = [record for record in log if record.offset >= archive.pending[0].base]
            archive.read(0, waiting[:size])
        archive.flush()
        waiting = waiting[size:]
        if then == "cut":
            cut_all(archive)
        if then == "clean":
            archive.clock.now_ms += 5_000
            archive.writer.clean()
        assert read_back(store, folder) == [r for r in log if r.offset < archive.pending[0].base]
    cut_all(archive)
    assert read_back(store, folder) == log
    assert final_files(store) == wanted
    archive.clock.now_ms += 5_000
    archive.writer.clean()
    there = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    assert there == wanted
    report = verify(store, folder)
    assert (report.faults, report.records, report.files) == ([], len(log), len(wanted))
    decoded = list(ArchiveReader(store, folder).records())
    assert [(record.offset, record.received) for record in decoded] == [(r.offset, r.timestamp) for r in log]
