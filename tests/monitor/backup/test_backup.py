"""A backup on either database: whole, checked by every byte, incremental, for its owner alone, and put back as it was."""

from __future__ import annotations

import json
import os
import stat
import threading
from pathlib import Path

import pytest
from sqlalchemy import func, select, text

from monitor.archive.reader import ArchiveReader
from monitor.archive.verify import verify
from monitor.backup import make as make_module
from monitor.backup.check import check_backup
from monitor.backup.make import MARK, FolderError, make_backup
from monitor.backup.manifest import MANIFEST, BackupError, read_list, read_manifest, safe_path
from monitor.backup.restore import restore_backup
from monitor.backup.storecopy import NotEmptyError
from monitor.cli import main
from monitor.register.store import import_register
from monitor.store.desk_tables import ActionRow, ChangeRow
from monitor.store.restored import mark_rebuilt
from monitor.store.schema import SchemaError, downgrade, upgrade
from monitor.store.session import Store
from monitor.store.tables import ArchiveChunk, FacilityVersion
from tests.monitor.archive.making import story
from tests.monitor.archive.test_archive_property import cut_all
from tests.monitor.backup.office import everything, furnished
from tests.monitor.register.samples import facility, register


@pytest.fixture
def office(store, tmp_path):
    return furnished(store, tmp_path / "archive")


@pytest.fixture
def to(tmp_path):
    return tmp_path / "backup"


def made(office, to):
    return make_backup(to, office.store, office.folder, None)


def named(to):
    manifest = read_manifest(to)
    return {file.path: file for file in read_list(to, manifest)}


def empty_store(tmp_path, request, kind):
    postgres = kind == "postgresql"
    url = (
        request.getfixturevalue("postgres").database("offsite")
        if postgres
        else f"sqlite:///{tmp_path}/restored/store.db"
    )
    made = Store(url)
    request.addfinalizer(made.close)
    return made


def test_a_backup_is_whole_and_for_its_owner_alone(office, to):
    done = made(office, to)
    with office.store.reading() as session:
        chunks = session.scalar(select(func.count()).select_from(ArchiveChunk))
    assert done.copied == chunks > 3
    assert done.manifest.count == chunks + 1
    assert done.manifest.bytes == sum(file.size for file in named(to).values())
    assert done.manifest.cluster is None
    assert check_backup(to).faults == check_backup(to).extra == []
    for path in [to, *to.rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_restore_gives_every_row_and_every_record_again_on_either_database(office, to, tmp_path, request, kind):
    made(office, to)
    before, records = everything(office.store), list(ArchiveReader(office.store, office.folder).records())
    target, archive = empty_store(tmp_path, request, kind), tmp_path / "restored" / "archive"
    try:
        done = restore_backup(to, target, archive)
        assert everything(target) == before
        assert list(ArchiveReader(target, archive).records()) == records
        assert verify(target, archive).faults == []
        assert done.copied == done.manifest.count - 1
        with target.writing() as session:  # numbers go on behind those that came
            mark_rebuilt(session)
            session.add(ActionRow(alarm="a", action="acknowledge", revision=1, actor="x", at_ms=1))
            import_register(session, register(facility("SH-WHS-0009")), "u-2", 9_000)
            session.flush()
            assert session.scalar(select(func.max(ActionRow.id))) == 2
    finally:
        target.close()
    if kind == "sqlite":
        assert stat.S_IMODE((tmp_path / "restored" / "store.db").stat().st_mode) == 0o600


def test_the_second_backup_copies_only_what_is_new_and_forgets_what_was_replaced(office, to):
    first = made(office, to).manifest
    old = set(named(to))
    assert made(office, to).copied == 0
    office.begin(2)
    office.write(1, story(1, offset=40)[:3], (3,))
    cut_all(office)
    with office.store.writing() as session:
        office.tenancy.release(session)
    done = made(office, to)
    assert 0 < done.copied < done.manifest.count - 1
    gone = old - set(named(to))
    assert first.store in gone
    assert any("_uncut" in path for path in gone)
    assert all(not (to / path).exists() for path in gone)
    assert check_backup(to).faults == check_backup(to).extra == []


def test_writers_go_on_while_a_backup_is_made_and_it_is_one_state(store, tmp_path, to):
    office = furnished(store, tmp_path / "archive")
    stop, written = threading.Event(), []

    def write():
        while not stop.is_set():
            number = len(written)
            with store.writing() as session:  # a version and its outbox rows belong together
                import_register(session, register(facility(f"ZZ-{number:04d}")), "w", 1_000)
            written.append(number)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        while len(written) < 5:
            assert writer.is_alive()
        made(office, to)
    finally:
        stop.set()
        writer.join(30)
    target = Store(f"sqlite:///{tmp_path}/restored/store.db")
    restore_backup(to, target, None)
    with target.reading() as session:
        versions = set(session.scalars(select(FacilityVersion.facility).where(FacilityVersion.actor == "w")))
        queued = set(session.scalars(text("SELECT key FROM outbox WHERE key LIKE 'ZZ-%'")))
    target.close()
    assert versions == queued
    assert len(versions) >= 5


@pytest.mark.parametrize("what", ["store", "chunk", "list", "manifest"])
@pytest.mark.parametrize("how", ["flip", "cut", "gone"])
def test_no_byte_changes_unseen_and_nothing_is_restored_of_a_bad_backup(sqlite_store, tmp_path, to, what, how):
    office = furnished(sqlite_store, tmp_path / "archive")
    manifest = made(office, to).manifest
    chunk = next(path for path in named(to) if path.startswith("archive/"))
    path = to / {"store": manifest.store, "chunk": chunk, "list": manifest.files.path, "manifest": MANIFEST}[what]
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    if how == "gone":
        path.unlink()
    else:
        path.write_bytes(raw if how == "flip" else path.read_bytes()[:-1])
    if what in {"store", "chunk"}:
        (fault,) = check_backup(to).faults
        assert fault.code == {"flip": "hash", "cut": "size", "gone": "missing"}[how]
        assert str(path.relative_to(to)) == fault.pointer
    elif (what, how) != ("manifest", "cut"):  # its last byte is the end of the line
        with pytest.raises(BackupError):
            check_backup(to)
    target = Store(f"sqlite:///{tmp_path}/restored/store.db")
    if (what, how) != ("manifest", "cut"):
        with pytest.raises(BackupError):
            restore_backup(to, target, tmp_path / "restored" / "archive")
        assert not (tmp_path / "restored" / "archive").exists()
    target.close()


def test_a_chunk_that_the_list_does_not_name_is_missed(sqlite_store, tmp_path, to, monkeypatch):
    office = furnished(sqlite_store, tmp_path / "archive")
    honest = make_module.write_list
    monkeypatch.setattr(make_module, "write_list", lambda folder, name, files: honest(folder, name, list(files)[:-1]))
    made(office, to)
    (fault,) = check_backup(to).faults
    assert fault.code == "not_saved"


def test_a_backup_that_others_may_read_is_a_fault(sqlite_store, tmp_path, to):
    office = furnished(sqlite_store, tmp_path / "archive")
    manifest = made(office, to).manifest
    (to / manifest.store).chmod(0o640)
    to.chmod(0o750)
    assert [(fault.pointer, fault.code) for fault in check_backup(to).faults] == [
        (manifest.store, "open_to_others"), (str(to), "open_to_others"),
    ]  # fmt: skip
    made(office, to)  # the next one closes it again
    assert check_backup(to).faults == []


def test_a_damaged_file_of_the_archive_is_named_and_the_rest_is_saved(sqlite_store, tmp_path, to):
    office = furnished(sqlite_store, tmp_path / "archive")
    with sqlite_store.reading() as session:
        first, second = session.scalars(select(ArchiveChunk.path).order_by(ArchiveChunk.path).limit(2)).all()
    (office.folder / first).unlink()
    raw = bytearray((office.folder / second).read_bytes())
    raw[-1] ^= 1
    (office.folder / second).write_bytes(raw)
    manifest = made(office, to).manifest
    assert manifest.damaged == [first, second]
    assert [(fault.pointer, fault.code) for fault in check_backup(to).faults] == [
        (first, "damaged"),
        (second, "damaged"),
    ]
    target = Store(f"sqlite:///{tmp_path}/restored/store.db")
    restore_backup(to, target, tmp_path / "restored" / "archive")
    assert {fault.pointer for fault in verify(target, tmp_path / "restored" / "archive").faults} >= {first, second}
    target.close()


def test_a_file_that_the_archiver_replaces_meanwhile_is_looked_up_again(store, tmp_path, to, monkeypatch):
    office = furnished(store, tmp_path / "archive")
    honest, turns = make_module.copy_store, []

    def copied(source, path):
        revision = honest(source, path)
        if not turns:  # behind the store's copy, before the first file is copied: the hour is cut, its files go
            office.begin(2)
            cut_all(office)
            office.clock.now_ms += 700_000
            office.writer.clean()
            with office.store.writing() as session:
                office.tenancy.release(session)
        turns.append(path)
        return revision

    monkeypatch.setattr(make_module, "copy_store", copied)
    manifest = made(office, to).manifest
    assert len(turns) == 2
    assert manifest.damaged == []
    assert check_backup(to).faults == []


def test_a_backup_that_ends_in_the_middle_leaves_the_one_before(sqlite_store, tmp_path, to, monkeypatch):
    office = furnished(sqlite_store, tmp_path / "archive")
    first = made(office, to).manifest

    def ends(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(make_module, "write_manifest", ends)
    with pytest.raises(KeyboardInterrupt):
        made(office, to)
    checked = check_backup(to)
    assert (checked.manifest, checked.faults) == (first, [])
    assert any(path.startswith("store-") for path in checked.extra)
    monkeypatch.undo()
    made(office, to)
    assert check_backup(to).extra == []


def test_a_folder_that_cannot_be_made_is_named():
    with pytest.raises(FolderError) as error, make_module._claimed(Path("/proc/no/backup")):
        pass
    assert [(fault.pointer, fault.code) for fault in error.value.faults] == [("/proc/no/backup", "unwritable")]


def test_a_folder_of_something_else_is_not_touched_nor_one_in_use(sqlite_store, tmp_path, to):
    office = furnished(sqlite_store, tmp_path / "archive")
    to.mkdir()
    (to / "letter.txt").write_text("dear")
    with pytest.raises(FolderError) as error:
        made(office, to)
    assert error.value.faults[0].code == "foreign"
    assert [path.name for path in to.iterdir()] == ["letter.txt"]
    (to / MARK).touch()
    with make_module._claimed(to), pytest.raises(FolderError) as error:
        made(office, to)
    assert error.value.faults[0].code == "in_use"
    assert (to / "letter.txt").exists()


def test_what_stands_in_the_place_is_refused_and_kept_when_it_is_replaced(sqlite_store, tmp_path, to):
    office = furnished(sqlite_store, tmp_path / "archive")
    made(office, to)
    with sqlite_store.writing() as session:
        import_register(session, register(facility("ZZ-NEW")), "u-1", 5_000)
    after = everything(sqlite_store)
    with pytest.raises(NotEmptyError, match="holds rows"):
        restore_backup(to, sqlite_store, None)
    with pytest.raises(NotEmptyError, match="archive's folder"):
        restore_backup(to, None, office.folder)
    assert everything(sqlite_store) == after
    done = restore_backup(to, sqlite_store, office.folder, replace=True)
    assert done.copied == 0
    assert everything(sqlite_store) != after
    kept = Store(f"sqlite:///{done.kept}")
    assert everything(kept) == after
    kept.close()


def test_a_full_postgresql_is_refused_and_replaced_on_demand(sqlite_store, tmp_path, to, postgres):
    office = furnished(sqlite_store, tmp_path / "archive")
    made(office, to)
    target = Store(postgres.database("offsite"))
    with target.writing() as session:
        import_register(session, register(facility("ZZ-NEW")), "u-1", 5_000)
    with pytest.raises(NotEmptyError):
        restore_backup(to, target, None)
    restore_backup(to, target, None, replace=True)
    assert everything(target) == everything(sqlite_store)
    target.close()


def test_a_store_with_an_archiver_at_work_is_never_replaced(store, tmp_path, to):
    office = furnished(store, tmp_path / "archive")
    made(office, to)
    import time

    office.clock.now_ms = time.time_ns() // 1_000_000
    office.begin(2)
    with pytest.raises(NotEmptyError, match="at work"):
        restore_backup(to, store, None, replace=True)


def test_a_copy_of_a_newer_release_is_refused_and_an_older_one_is_brought_forward(sqlite_store, tmp_path, to):
    office = furnished(sqlite_store, tmp_path / "archive")
    with sqlite_store.writing() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    manifest = made(office, to).manifest
    assert manifest.revision == "9999"
    target = Store(f"sqlite:///{tmp_path}/restored/store.db")
    with pytest.raises(SchemaError):
        restore_backup(to, target, None)
    target.close()
    older = Store(f"sqlite:///{tmp_path}/older.db")
    upgrade(older)
    downgrade(older, "0002")
    make_backup(tmp_path / "b2", older, tmp_path / "no-archive", None)
    older.close()
    target = Store(f"sqlite:///{tmp_path}/restored/store.db")
    restore_backup(tmp_path / "b2", target, None)
    with target.reading() as session:
        session.execute(text("SELECT asked_ms FROM alarm"))
    target.close()


@pytest.mark.parametrize("path", ["/etc/passwd", "../x", "a/../../x", "", "a\\b", "a\0b"])
def test_no_path_leads_out_of_a_backup(path):
    with pytest.raises(BackupError):
        safe_path(path)


def test_the_commands_say_what_they_did(office, store_url, to, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("OFFSITE_STORE_URL", store_url)
    monkeypatch.setenv("OFFSITE_ARCHIVER_FOLDER", str(office.folder))
    monkeypatch.setenv("OFFSITE_PROOFS_FOLDER", str(tmp_path / "proofs"))

    def call(*arguments):
        with pytest.raises(SystemExit) as end:
            main([*map(str, arguments)])
        return end.value.code or 0, capsys.readouterr().out

    code, out = call("backup", "--to", to, "--without-kafka", "--json")
    assert (code, json.loads(out)["faults"], json.loads(out)["cluster"]) == (0, [], None)
    assert call("backup", "--verify", to)[0] == 0
    assert call("backup")[0] == 2
    monkeypatch.setenv("OFFSITE_STORE_URL", f"sqlite:///{tmp_path}/restored/store.db")
    monkeypatch.setenv("OFFSITE_ARCHIVER_FOLDER", str(tmp_path / "restored" / "archive"))
    code, out = call("restore", "--from", to)
    assert code == 0
    assert "restored archive, proofs, store" in out
    assert call("restore", "--from", to)[0] == 4
    assert call("restore", "--from", to, "--only", "nonsense")[0] == 2
    assert call("archive", "verify")[0] == 0
    manifest = read_manifest(to)
    os.truncate(to / manifest.store, 100)
    code, out = call("backup", "--verify", to)
    assert code == 1
    assert "size" in out
    with office.store.reading() as session:
        assert session.scalar(select(func.count()).select_from(ChangeRow)) == 5
