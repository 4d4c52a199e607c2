"""Proofs in a backup: whole, copied once, put back as they were, and named where they are damaged."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from monitor.backup.check import check_backup
from monitor.backup.make import NoProofsError, make_backup
from monitor.backup.restore import restore_backup
from monitor.cli import main
from monitor.proofs.shelf import Bounds, ProofReceipt, Shelf
from monitor.store.session import Store
from tests.monitor.backup.office import everything, furnished

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


@pytest.mark.parametrize("root", [True, False])
def test_what_root_restores_is_of_the_owner_and_group_of_the_folder(office, to, shelf, tmp_path, monkeypatch, root):
    receipt = keep(shelf, b"a")
    made(office, to, shelf)
    again, given = tmp_path / "again", {}
    again.mkdir()
    monkeypatch.setattr("monitor.proofs.shelf.os.geteuid", lambda: 0 if root else 1000)
    monkeypatch.setattr(
        "monitor.proofs.shelf.os.fchown",
        lambda number, *to_whom: given.__setitem__(Path(f"/proc/self/fd/{number}").readlink().name, to_whom),
    )
    stat_of = Path.stat

    def stat_as(path, **more):
        found = stat_of(path, **more)
        return found if path != again else os.stat_result((*found[:4], 991, 992, *found[6:]))

    monkeypatch.setattr(Path, "stat", stat_as)
    assert restore_backup(to, None, None, proofs=again).proofs == 2
    names = (FACILITY, f".{receipt.sha256}.part", f".{receipt.sha256}.json.part")
    assert given == (dict.fromkeys(names, (991, 992)) if root else {})


def test_a_link_that_lies_among_the_proofs_leads_a_restore_nowhere(office, to, shelf, tmp_path):
    receipt = keep(shelf, b"a")
    made(office, to, shelf)
    again, elsewhere = tmp_path / "again", tmp_path / "elsewhere"
    again.mkdir()
    elsewhere.mkdir(mode=0o700)
    (again / FACILITY).symlink_to(elsewhere)
    with pytest.raises(OSError, match=FACILITY):
        restore_backup(to, None, None, proofs=again)
    assert list(elsewhere.iterdir()) == []
    assert stat.S_IMODE(elsewhere.stat().st_mode) == 0o700
    (again / FACILITY).unlink()
    (again / FACILITY).mkdir()
    for name in (f".{receipt.sha256}.part", receipt.sha256):
        (again / FACILITY / name).symlink_to(elsewhere / "target")
    assert restore_backup(to, None, None, proofs=again).proofs == 2
    assert list(elsewhere.iterdir()) == []
    path = again / FACILITY / receipt.sha256
    assert path.read_bytes() == b"a"
    assert not path.is_symlink()


def test_the_store_is_restored_though_the_proofs_cannot_be(office, to, shelf, tmp_path):
    keep(shelf, b"a")
    made(office, to, shelf)
    (tmp_path / "again").write_bytes(b"a file, no folder")
    with Store(f"sqlite:///{tmp_path}/store-again.db", None) as store:
        with pytest.raises(OSError, match="again"):
            restore_backup(to, store, tmp_path / "archive-again", proofs=tmp_path / "again")
        assert everything(store) == everything(office.store)


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


def overwrite(path, content):
    path.chmod(0o600)
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("of", "what"),
    [
        ("content", "lost"), ("content", "cut"), ("content", "longer"), ("content", "another of its size"),
        ("receipt", "cut"), ("receipt", "longer"), ("receipt", "another of its size"),
    ],
)  # fmt: skip
def test_a_good_copy_stays_when_the_proof_is_lost_or_cut_where_it_lies(office, to, shelf, of, what):
    bad, good = keep(shelf, b"a proof"), keep(shelf, b"b")
    made(office, to, shelf)
    name = f"{FACILITY}/{bad.sha256}" + (".json" if of == "receipt" else "")
    live, saved = shelf.folder / name, to / "proofs" / name
    whole = saved.read_bytes()
    if what == "lost":
        live.unlink()
    else:
        overwrite(live, {"cut": whole[:3], "longer": whole + b"x"}.get(what, b"X" * len(whole)))
    for _ in range(2):
        manifest = made(office, to, shelf).manifest
        assert saved.read_bytes() == whole
        unseen = of == "content" and what == "another of its size"
        assert manifest.damaged == ([] if unseen else [f"proofs/{name}"])
        assert {fault.code for fault in check_backup(to).faults} <= {"damaged"}
        assert check_backup(to).extra == []
        assert f"proofs/{name}" in check_backup(to).files
    assert (to / "proofs" / FACILITY / good.sha256).is_file()


def test_what_was_lost_comes_back_out_of_the_backup_of_after(office, to, shelf):
    receipt = keep(shelf, b"a proof")
    made(office, to, shelf)
    (shelf.folder / FACILITY / receipt.sha256).unlink()
    made(office, to, shelf)
    assert restore_backup(to, None, None, proofs=shelf.folder).proofs == 1
    assert shelf.content(receipt).read_bytes() == b"a proof"
    assert made(office, to, shelf).manifest.damaged == []


def test_a_bad_copy_is_replaced_by_the_good_proof_and_by_nothing_bad(office, to, shelf):
    receipt = keep(shelf, b"a proof")
    made(office, to, shelf)
    saved = to / "proofs" / FACILITY / receipt.sha256
    saved.write_bytes(b"a")
    assert made(office, to, shelf).manifest.damaged == []
    assert saved.read_bytes() == b"a proof"
    saved.write_bytes(b"a")
    overwrite(shelf.folder / FACILITY / receipt.sha256, b"xyz")
    assert made(office, to, shelf).manifest.damaged == [f"proofs/{FACILITY}/{receipt.sha256}"]
    assert not saved.exists(), "neither is the proof"


@pytest.mark.parametrize("there", ["none", "empty", "another", "left out"])
def test_a_folder_of_proofs_that_is_not_mounted_is_refused_and_costs_no_copy(office, to, shelf, tmp_path, there):
    kept = [keep(shelf, b"a"), keep(shelf, b"b", "SH-WHS-0001")]
    before = made(office, to, shelf).manifest
    wrong = tmp_path / "wrong"
    if there in {"empty", "another"}:
        wrong.mkdir()
    if there == "another":
        (wrong / "2026").mkdir()
    with pytest.raises(NoProofsError, match="holds proofs, and there is none"):
        make_backup(to, office.store, office.folder, None, proofs=None if there == "left out" else wrong)
    checked = check_backup(to)
    assert (checked.manifest, checked.faults, checked.extra) == (before, [], [])
    for receipt in kept:
        assert (to / "proofs" / receipt.facility / receipt.sha256).is_file()
    assert "lose-the-proofs" in NoProofsError.action


def test_a_folder_that_is_unmounted_while_the_archive_is_copied_is_refused_too(office, to, shelf):
    keep(shelf, b"a")
    before = made(office, to, shelf).manifest

    def tell(text):
        if text == "the proofs":
            shelf.folder.rename(shelf.folder.with_name("away"))

    with pytest.raises(NoProofsError):
        make_backup(to, office.store, office.folder, None, proofs=shelf.folder, tell=tell)
    assert check_backup(to).manifest == before


def test_one_proof_that_was_deleted_by_hand_is_forgotten_while_others_are_there(office, to, shelf):
    gone, stays = keep(shelf, b"a"), keep(shelf, b"b")
    made(office, to, shelf)
    for name in (gone.sha256, f"{gone.sha256}.json"):
        (shelf.folder / FACILITY / name).unlink()
    assert made(office, to, shelf).manifest.damaged == []
    assert [path for path in sorted((to / "proofs" / FACILITY).iterdir()) if gone.sha256 in path.name] == []
    assert (to / "proofs" / FACILITY / stays.sha256).is_file()


def test_where_no_proof_was_ever_taken_a_missing_folder_is_told_and_no_fault(office, to, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("OFFSITE_STORE_URL", f"sqlite:///{tmp_path}/store.db")
    monkeypatch.setenv("OFFSITE_ARCHIVER_FOLDER", str(office.folder))
    monkeypatch.setenv("OFFSITE_PROOFS_FOLDER", str(tmp_path / "none"))
    with pytest.raises(SystemExit) as end:
        main(["backup", "--to", str(to), "--without-kafka"])
    assert not end.value.code
    assert f"no proofs are saved: {tmp_path}/none is not there" in capsys.readouterr().err
    assert check_backup(to).faults == []


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
    assert call(tmp_path / "none", "backup", "--to", to, "--without-kafka")[0] != 0
    path = shelf.folder / FACILITY / receipt.sha256
    path.rename(tmp_path / "lost")
    code, out = call(shelf.folder, "backup", "--to", to, "--without-kafka")
    assert (code, "damaged where it lies: the copy of before is kept" in out) == (1, True)
    (tmp_path / "lost").rename(path)
    code, out = call(tmp_path / "again", "restore", "--from", to, "--only", "proofs")
    assert code == 0
    assert "restored proofs of backup" in out
    assert "2 of proofs written" in out
    assert Shelf(tmp_path / "again", Bounds(1, 1, 0)).every(FACILITY) == [receipt]
