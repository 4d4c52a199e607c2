"""Proofs in a backup: whole, copied once, put back as they were, and named where they are damaged."""

from __future__ import annotations

import stat

import pytest

from monitor.backup.check import check_backup
from monitor.backup.make import make_backup
from monitor.backup.restore import restore_backup
from monitor.cli import main
from monitor.proofs.shelf import Bounds, ProofReceipt, Shelf
from tests.monitor.backup.office import furnished

FACILITY = "BJ-MFR-0007"


@pytest.fixture
def office(sqlite_store, tmp_path):
    return furnished(sqlite_store, tmp_path / "archive")


@pytest.fixture
def shelf(tmp_path):
    return Shelf(tmp_path / "proofs", Bounds(1 << 30, 100, 0))


@pytest.fixture
def to(tmp_path):
    return tmp_path / "backup"


def keep(shelf, content, facility=FACILITY):
    with shelf.open("gw-1") as incoming:
        incoming.write(content)
        receipt = ProofReceipt(
            sha256=incoming.finish(), facility=facility, size=incoming.size, type="text/plain; charset=utf-8",
            received=1_000, key="feed", gateway="gw-1",
        )  # fmt: skip
        return shelf.keep(incoming, receipt)[0]


def made(office, to, shelf):
    return make_backup(to, office.store, office.folder, None, proofs=shelf.folder)


def test_every_proof_is_saved_for_the_owner_alone_and_copied_once(office, to, shelf):
    kept = [keep(shelf, b"a"), keep(shelf, b"b", "SH-WHS-0001")]
    (shelf.folder / FACILITY / ("f" * 64)).write_bytes(b"no receipt")
    first = made(office, to, shelf)
    for receipt in kept:
        path = to / "proofs" / receipt.facility / receipt.sha256
        assert path.read_bytes() in {b"a", b"b"}
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not (to / "proofs" / FACILITY / ("f" * 64)).exists()
    assert check_backup(to).faults == []
    path = to / "proofs" / FACILITY / kept[0].sha256
    before = path.stat().st_ino
    kept.append(keep(shelf, b"c"))
    second = made(office, to, shelf)
    assert path.stat().st_ino == before
    assert second.manifest.count == first.manifest.count + 2
    assert check_backup(to).faults == check_backup(to).extra == []


def test_what_is_restored_is_what_was_there(office, to, shelf, tmp_path):
    kept = [keep(shelf, b"a"), keep(shelf, b"b", "SH-WHS-0001")]
    made(office, to, shelf)
    again = Shelf(tmp_path / "again", Bounds(1 << 30, 100, 0))
    done = restore_backup(to, None, None, proofs=again.folder)
    assert done.proofs == 4
    for receipt in kept:
        assert again.every(receipt.facility) == [receipt]
        path = again.content(receipt)
        assert path.read_bytes() == shelf.content(receipt).read_bytes()
        assert stat.S_IMODE(path.stat().st_mode) == 0o440
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o750
    assert restore_backup(to, None, None, proofs=again.folder).proofs == 0, "what is there stays"
    assert keep(again, b"a") == kept[0]


def test_a_proof_that_is_damaged_is_named_and_the_others_are_saved(office, to, shelf):
    bad, good, lost = keep(shelf, b"a"), keep(shelf, b"b"), keep(shelf, b"c")
    path = shelf.folder / FACILITY / bad.sha256
    path.chmod(0o600)
    path.write_bytes(b"X")
    (shelf.folder / FACILITY / lost.sha256).unlink()
    manifest = made(office, to, shelf).manifest
    assert sorted(manifest.damaged) == sorted(f"proofs/{FACILITY}/{one.sha256}" for one in (bad, lost))
    assert not (to / "proofs" / FACILITY / bad.sha256).exists()
    assert {fault.code for fault in check_backup(to).faults} == {"damaged"}
    assert (to / "proofs" / FACILITY / good.sha256).is_file()


def test_a_backup_that_is_damaged_later_is_found_out_and_not_restored(office, to, shelf, tmp_path):
    receipt = keep(shelf, b"a")
    made(office, to, shelf)
    (to / "proofs" / FACILITY / receipt.sha256).write_bytes(b"X")
    assert [fault.code for fault in check_backup(to).faults] == ["hash"]
    with pytest.raises(Exception, match="1 faults"):
        restore_backup(to, None, None, proofs=tmp_path / "again")
    assert not (tmp_path / "again").exists()


def test_without_a_folder_of_proofs_there_is_nothing_to_save(office, to, shelf):
    plain = make_backup(to, office.store, office.folder, None).manifest.count
    assert made(office, to, shelf).manifest.count == plain


def test_the_commands_save_and_restore_them(office, to, shelf, tmp_path, monkeypatch, capsys):
    receipt = keep(shelf, b"a")
    monkeypatch.setenv("OFFSITE_STORE_URL", f"sqlite:///{tmp_path}/store.db")
    monkeypatch.setenv("OFFSITE_ARCHIVER_FOLDER", str(office.folder))

    def call(proofs, *arguments):
        monkeypatch.setenv("OFFSITE_PROOFS_FOLDER", str(proofs))
        with pytest.raises(SystemExit) as end:
            main([*map(str, arguments)])
        return end.value.code or 0, capsys.readouterr().out

    assert call(shelf.folder, "backup", "--to", to, "--without-kafka")[0] == 0
    code, out = call(tmp_path / "again", "restore", "--from", to, "--only", "proofs")
    assert code == 0
    assert "restored proofs of backup" in out
    assert "2 of proofs written" in out
    assert Shelf(tmp_path / "again", Bounds(1, 1, 0)).every(FACILITY) == [receipt]
