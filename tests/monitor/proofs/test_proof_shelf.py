"""The folder of proofs: whole or not at all, once, within the quota, and readable by nobody else."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

from monitor.proofs import shelf as module
from monitor.proofs.shelf import Bounds, DiskFullError, NoRoomError, ProofReceipt, Shelf, Use
from monitor.proofs.upkeep import kept_files

FACILITY, OTHER = "BJ-MFR-0007", "BJ-WHS-0112"


@pytest.fixture
def shelf(tmp_path):
    return Shelf(tmp_path / "proofs", Bounds(bytes=100, files=3, keep_free=0))


def put(shelf, content, facility=FACILITY, received=1000, owner="gw-1", **members):
    with shelf.open(owner) as incoming:
        for at in range(0, len(content), 7):
            incoming.write(content[at : at + 7])
        sha256 = incoming.finish()
        receipt = ProofReceipt(
            sha256=sha256, facility=facility, size=incoming.size, type="text/plain; charset=utf-8", received=received,
            **({"key": "feed", "gateway": owner} | members),
        )  # fmt: skip
        return shelf.keep(incoming, receipt)


def files(shelf):
    return sorted(path.relative_to(shelf.folder).as_posix() for path in shelf.folder.rglob("*") if path.is_file())


def test_content_is_kept_under_its_hash_with_a_receipt_and_found_again(shelf):
    receipt, new = put(shelf, b"a proof")
    sha256 = hashlib.sha256(b"a proof").hexdigest()
    assert (new, receipt.sha256, receipt.size) == (True, sha256, 7)
    assert files(shelf) == [f"{FACILITY}/.lock", f"{FACILITY}/{sha256}", f"{FACILITY}/{sha256}.json"]
    assert shelf.content(receipt).read_bytes() == b"a proof"
    assert shelf.find(FACILITY, sha256) == receipt
    assert shelf.every(FACILITY) == [receipt]
    assert shelf.use(FACILITY) == Use(1, 7)


def test_the_same_content_again_is_the_receipt_of_then(shelf):
    first, _ = put(shelf, b"a proof", name="then")
    again, new = put(shelf, b"a proof", received=2000, owner="gw-2", key="another", name="now")
    assert (again, new) == (first, False)
    assert shelf.use(FACILITY) == Use(1, 7)
    assert len([name for name in files(shelf) if "incoming" in name]) == 0


def test_each_facility_has_its_own(shelf):
    first, _ = put(shelf, b"a proof")
    second, new = put(shelf, b"a proof", facility=OTHER)
    assert new
    assert (first.facility, second.facility) == (FACILITY, OTHER)
    assert shelf.find(OTHER, "0" * 64) is None
    assert shelf.every("BJ-NONE-1") == []
    assert shelf.use("BJ-NONE-1") == Use()


def test_receipts_are_listed_newest_first(shelf):
    for received, content in ((1, b"a"), (3, b"b"), (2, b"c")):
        put(shelf, content, received=received)
    assert [receipt.received for receipt in shelf.every(FACILITY)] == [3, 2, 1]


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "..", "", "A" * 64, "0" * 63, "0" * 65, "0" * 64 + "\n", f"{'0' * 64}.json"]
)
def test_no_name_leads_out_of_the_folder(shelf, name):
    put(shelf, b"a proof")
    assert shelf.find(FACILITY, name) is None
    assert shelf.find("..", hashlib.sha256(b"a proof").hexdigest()) is None
    assert shelf.find(f"../{FACILITY}", hashlib.sha256(b"a proof").hexdigest()) is None


@pytest.mark.parametrize(
    ("sizes", "more", "fits"), [((40, 40), 20, True), ((40, 40), 21, False), ((1, 1), 1, True), ((1, 1, 1), 1, False)]
)
def test_the_quota_holds_to_the_byte_and_to_the_file(shelf, sizes, more, fits):
    for number, size in enumerate(sizes):
        put(shelf, bytes([65 + number]) * size)
    if fits:
        assert put(shelf, b"z" * more)[1]
        return
    before = files(shelf)
    with pytest.raises(NoRoomError, match="are kept"):
        put(shelf, b"z" * more)
    assert [name for name in files(shelf) if "incoming" not in name] == before
    assert put(shelf, bytes([65]) * sizes[0])[1] is False, "what is kept is still answered with its receipt"
    assert put(shelf, b"z" * more, facility=OTHER)[1], "nor is it another firm's affair"


def test_uploads_at_once_do_not_break_the_quota(shelf):
    def one(number):
        try:
            return put(shelf, bytes([65 + number]) * 30, owner=f"gw-{number % 2}")[1]
        except NoRoomError:
            return False

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(one, range(16))) == 3
    assert shelf.use(FACILITY) == Use(3, 90)


def test_the_same_content_at_once_is_kept_once(shelf):
    with ThreadPoolExecutor(8) as threads:
        done = list(threads.map(lambda number: put(shelf, b"the same", received=number), range(16)))
    assert sum(new for _, new in done) == 1
    assert len({receipt.received for receipt, _ in done}) == 1


def test_what_is_kept_is_for_the_owner_and_its_group_to_read_and_for_nobody_to_write(shelf):
    old = os.umask(0o077)
    try:
        receipt, _ = put(shelf, b"a proof")
    finally:
        os.umask(old)
    home = shelf.folder / FACILITY
    for path in (home / receipt.sha256, home / f"{receipt.sha256}.json"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o440
    for path in (shelf.folder, home):
        assert stat.S_IMODE(path.stat().st_mode) == 0o750


def test_an_upload_that_ends_early_leaves_nothing(shelf):
    with shelf.open("gw-1") as incoming:
        incoming.write(b"half")
    assert files(shelf) == []


def test_what_a_crash_left_is_deleted_at_the_next_start_of_that_gateway_alone(shelf):
    for owner in ("gw-1", "gw-2"):
        shelf.clear(owner)
        (shelf.folder / ".incoming" / owner / "half").write_bytes(b"x")
    shelf.clear("gw-1")
    assert files(shelf) == [".incoming/gw-2/half"]


@pytest.mark.parametrize("dies_at", range(1, 8))
def test_a_crash_at_any_step_leaves_a_proof_whole_or_not_there_and_sending_it_again_heals(shelf, monkeypatch, dies_at):
    class Died(BaseException):
        """The process is gone."""

    steps = 0

    def step(work):
        def counted(*args, **kwargs):
            nonlocal steps
            steps += 1
            if steps == dies_at:
                raise Died
            return work(*args, **kwargs)

        return counted

    put(shelf, b"another one")
    with monkeypatch.context() as patched:
        patched.setattr(module, "sync_folder", step(module.sync_folder))
        patched.setattr(module, "_write", step(module._write))
        patched.setattr(module.os, "fsync", step(os.fsync))
        patched.setattr(module.Path, "replace", step(module.Path.replace))
        with contextlib.suppress(Died):
            put(shelf, b"a proof")
    sha256 = hashlib.sha256(b"a proof").hexdigest()
    receipt = shelf.find(FACILITY, sha256)
    assert receipt is None or shelf.content(receipt).read_bytes() == b"a proof"
    assert put(shelf, b"a proof", received=5000)[0].sha256 == sha256
    assert shelf.use(FACILITY) == Use(2, 18)
    assert len(shelf.every(FACILITY)) == 2


def test_content_whose_receipt_a_crash_cost_is_in_nobodys_way(shelf):
    put(shelf, b"x" * 60)
    (shelf.folder / FACILITY / hashlib.sha256(b"y" * 40).hexdigest()).write_bytes(b"y" * 40)
    assert put(shelf, b"y" * 40)[1]
    assert shelf.use(FACILITY) == Use(2, 100)


def test_content_that_was_damaged_on_the_disk_is_made_whole_by_sending_it_again(shelf):
    receipt, _ = put(shelf, b"a proof")
    path = shelf.folder / FACILITY / receipt.sha256
    path.chmod(0o600)
    path.write_bytes(b"A proof")
    again, new = put(shelf, b"a proof", received=9000)
    assert (again, new, path.read_bytes()) == (receipt, False, b"a proof")
    path.unlink()
    assert shelf.content(receipt) is None
    assert put(shelf, b"a proof", received=9000)[0] == receipt
    assert path.read_bytes() == b"a proof"


def test_a_receipt_that_was_changed_or_moved_is_none(shelf):
    receipt, _ = put(shelf, b"a proof")
    path = shelf.folder / FACILITY / f"{receipt.sha256}.json"
    text = json.loads(path.read_bytes())
    path.chmod(0o600)
    for changed in (text | {"facility": OTHER}, text | {"sha256": "0" * 64}, text | {"more": 1}, "no object"):
        path.write_text(json.dumps(changed))
        assert shelf.find(FACILITY, receipt.sha256) is None
        assert shelf.every(FACILITY) == []


def test_below_what_is_to_stay_free_nothing_is_begun(tmp_path):
    shelf = Shelf(tmp_path, Bounds(bytes=100, files=3, keep_free=1 << 62))
    with pytest.raises(DiskFullError):
        shelf.open("gw-1")
    assert DiskFullError.retriable


def test_uploads_at_once_leave_free_what_is_to_stay_free(tmp_path, monkeypatch):
    folder = tmp_path / "proofs"
    disk = 1000

    def usage(_):
        used = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        return SimpleNamespace(free=disk - used)

    monkeypatch.setattr(module.shutil, "disk_usage", usage)
    shelf = Shelf(folder, Bounds(bytes=10_000, files=100, keep_free=500))
    with contextlib.ExitStack() as under_way:
        several = [under_way.enter_context(shelf.open(f"gw-{number % 2}")) for number in range(8)]
        refused = 0
        for _ in range(4):
            for incoming in several:
                try:
                    incoming.write(b"x" * 50)
                    incoming._sink.flush()
                except DiskFullError:
                    refused += 1
        assert refused == 8 * 4 - 500 // 50
        assert usage(folder).free == 500, "to the byte"
        assert sum(incoming.size for incoming in several) == 500, "what was refused is not of it"
    assert usage(folder).free == disk


@pytest.mark.parametrize("receipt_is", ["lost", "damaged"])
def test_content_is_not_deleted_for_an_upload_that_has_no_room(shelf, receipt_is):
    receipt, _ = put(shelf, b"y" * 60)
    home = shelf.folder / FACILITY
    written = home / f"{receipt.sha256}.json"
    written.chmod(0o600)
    written.write_bytes(b"{")
    if receipt_is == "lost":
        written.unlink()
    smaller = Shelf(shelf.folder, Bounds(bytes=50, files=3, keep_free=0))
    with pytest.raises(NoRoomError):
        put(smaller, b"y" * 60)
    assert (home / receipt.sha256).read_bytes() == b"y" * 60
    assert put(shelf, b"y" * 60)[1], "with room it has a receipt again, and counts once"
    assert shelf.use(FACILITY) == Use(1, 60)


def test_what_is_to_be_saved_is_what_has_a_receipt_content_first(shelf):
    first, _ = put(shelf, b"a proof")
    second, _ = put(shelf, b"b", facility=OTHER)
    (shelf.folder / FACILITY / ("f" * 64)).write_bytes(b"no receipt")
    (shelf.folder / "notes").mkdir()
    assert list(kept_files(shelf.folder)) == [
        (f"{FACILITY}/{first.sha256}", first.sha256), (f"{FACILITY}/{first.sha256}.json", None),
        (f"{OTHER}/{second.sha256}", second.sha256), (f"{OTHER}/{second.sha256}.json", None),
    ]  # fmt: skip
    assert list(kept_files(shelf.folder / "none")) == []
