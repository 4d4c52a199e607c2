"""Proofs whose time is over go, noted before; never one that an open alarm names, or may name."""

from __future__ import annotations

import json
import os

import pytest
from sqlalchemy import select

from monitor.alarms.projection import apply_batch
from monitor.cli import main
from monitor.proofs import journal, pruning
from monitor.proofs import shelf as shelves
from monitor.proofs.pruning import DAY_MS, NotNotedError, prune
from monitor.proofs.shelf import LOCK, Bounds, ProofReceipt, Shelf
from monitor.proofs.upkeep import remove
from monitor.store.desk_tables import Counter
from monitor.store.restored import NotRebuiltError, mark_restored
from monitor.store.tables import ProofDeleted
from rules.changes import Evidence, RecordRead
from tests.monitor.alarms.changes import change, incoming
from tests.monitor.proofs.naming import FACILITY, amendment, mark

DAYS = 30
NOW = 1_790_000_000_000
OVER = NOW - DAYS * DAY_MS - 1
"""Received a millisecond before its time is over."""


@pytest.fixture
def shelf(tmp_path):
    return Shelf(tmp_path / "proofs", Bounds(1 << 30, 100, 0))


def keep(shelf, content, received=OVER, facility=FACILITY):
    with shelf.open("gw-1") as incoming_:
        incoming_.write(content)
        receipt = ProofReceipt(
            sha256=incoming_.finish(), facility=facility, size=incoming_.size, type="text/plain; charset=utf-8",
            received=received, key="feed", gateway="gw-1",
        )  # fmt: skip
        return shelf.keep(incoming_, receipt)[0]


def run(store, shelf, **more):
    return prune(store, shelf, **({"keep_days": DAYS, "actor": "op", "now_ms": NOW} | more))


def noted(store, *records):
    with store.writing() as session:
        for record in records:
            journal.note(session, record)


def alarmed(store, evidence, seq=1, kind="raised", stream=FACILITY, facility=None, **more):
    one = change(seq, kind, stream=facility or stream, evidence=evidence, **more)
    one = one.model_copy(update={"stream": stream})
    with store.writing() as session:
        apply_batch(session, incoming([one]), NOW)


def written(store):
    with store.reading() as session:
        rows = session.scalars(select(ProofDeleted).order_by(ProofDeleted.sha256))
        return [
            (row.facility, row.sha256, row.received_ms, row.size, row.deleted_ms, row.actor, row.keep_days)
            for row in rows
        ]


def left(shelf):
    return {receipt.sha256 for home in shelf.facilities() for receipt in shelf.every(home)}


def test_a_proof_goes_once_its_time_is_over_and_the_store_says_so(sqlite_store, shelf):
    old, young = keep(shelf, b"old"), keep(shelf, b"young", OVER + 1)
    other = keep(shelf, b"old", facility="SH-1")
    done = run(sqlite_store, shelf)
    assert {(one.facility, one.sha256) for one in done.gone} == {(FACILITY, old.sha256), ("SH-1", other.sha256)}
    assert done.held == []
    assert left(shelf) == {young.sha256}
    assert sorted(path.name for path in (shelf.folder / FACILITY).iterdir()) == sorted(
        [LOCK, young.sha256, f"{young.sha256}.json"]
    )
    assert written(sqlite_store) == [
        (home, old.sha256, OVER, 3, NOW, "op", DAYS) for home in (FACILITY, "SH-1")
    ]  # fmt: skip
    assert run(sqlite_store, shelf).gone == []
    assert keep(shelf, b"old", NOW).received == NOW, "it may be sent again"
    assert run(sqlite_store, shelf).gone == []
    assert old.sha256 in left(shelf)


def test_a_dry_run_deletes_and_notes_nothing(sqlite_store, shelf):
    old = keep(shelf, b"old")
    assert run(sqlite_store, shelf, dry_run=True).gone == [old]
    assert left(shelf) == {old.sha256}
    assert written(sqlite_store) == []


@pytest.mark.parametrize(("received", "stays"), [(OVER, False), (OVER + 1, True)])
def test_its_time_counts_from_the_newest_record_that_names_it(sqlite_store, shelf, received, stays):
    old = keep(shelf, b"old", 1_000)
    noted(sqlite_store, mark(old.sha256, received=2_000), amendment(old.sha256, received=received))
    run(sqlite_store, shelf)
    assert (old.sha256 in left(shelf)) is stays


@pytest.mark.parametrize("where", ["marks", "records"])
def test_what_an_open_alarm_names_stays_until_it_ends(sqlite_store, shelf, where):
    old, other = keep(shelf, b"old"), keep(shelf, b"other")
    noted(sqlite_store, mark(old.sha256), mark(other.sha256, "M-2"))
    evidence = (
        Evidence(marks=["M-1/1"]) if where == "marks" else Evidence(records=[RecordRead(kind="mark", id="M-1/1")])
    )
    alarmed(sqlite_store, evidence)
    done = run(sqlite_store, shelf)
    assert ([one.sha256 for one in done.gone], [one.sha256 for one in done.held]) == ([other.sha256], [old.sha256])
    alarmed(sqlite_store, Evidence(), 2, "amended")  # what an earlier change named counts on
    assert run(sqlite_store, shelf).gone == []
    alarmed(sqlite_store, Evidence(), 3, "cleared", end=2_000_000)
    assert [one.sha256 for one in run(sqlite_store, shelf).gone] == [old.sha256]


def test_every_revision_of_a_record_that_is_named_keeps_its_proof(sqlite_store, shelf):
    first, second = keep(shelf, b"1"), keep(shelf, b"2")
    noted(sqlite_store, mark(first.sha256), mark(second.sha256, revision=2))
    alarmed(sqlite_store, Evidence(marks=["M-1/2"]))
    assert run(sqlite_store, shelf).gone == []
    assert left(shelf) == {first.sha256, second.sha256}


def test_an_alarm_that_was_taken_back_keeps_nothing(sqlite_store, shelf):
    old = keep(shelf, b"old")
    noted(sqlite_store, mark(old.sha256))
    alarmed(sqlite_store, Evidence(marks=["M-1/1"]))
    alarmed(sqlite_store, Evidence(), 2, "retracted")
    assert [one.sha256 for one in run(sqlite_store, shelf).gone] == [old.sha256]


@pytest.mark.parametrize("cut", ["marks", "records"])
def test_where_evidence_was_cut_everything_of_the_facility_stays(sqlite_store, shelf, cut):
    old, other = keep(shelf, b"old"), keep(shelf, b"other", facility="SH-1")
    alarmed(sqlite_store, Evidence(left_out={cut: 3}))
    done = run(sqlite_store, shelf)
    assert (done.gone, done.held) == ([other], [old])


def test_evidence_that_was_cut_of_other_things_keeps_nothing(sqlite_store, shelf):
    old = keep(shelf, b"old")
    alarmed(sqlite_store, Evidence(left_out={"leaves": 3}))
    assert run(sqlite_store, shelf).gone == [old]


@pytest.mark.parametrize("stream", ["lot:B-1", "product:P-1"])
def test_an_alarm_over_a_lot_keeps_what_records_of_others_name(sqlite_store, shelf, stream):
    old, other = keep(shelf, b"old"), keep(shelf, b"other", facility="SH-1")
    third = keep(shelf, b"third", facility="SH-2")
    noted(sqlite_store, mark(old.sha256), mark(other.sha256, facility="SH-1"), mark(third.sha256, facility="SH-2"))
    lot = {"stream": stream, "facility": "GZ-9"}
    alarmed(
        sqlite_store,
        Evidence(records=[RecordRead(kind="mark", id=f"{FACILITY} M-1/1"), RecordRead(kind="mark", id="SH-1 M-1/1")]),
        **lot,
    )
    done = run(sqlite_store, shelf)
    assert (done.gone, {one.sha256 for one in done.held}) == ([third], {old.sha256, other.sha256})
    alarmed(sqlite_store, Evidence(left_out={"records": 1}), 2, "amended", **lot)
    keep(shelf, b"fourth", facility="SH-3")
    assert run(sqlite_store, shelf).gone == [], "it may name records of anybody"


def test_a_store_that_does_not_know_every_record_lets_nothing_go(sqlite_store, shelf):
    old = keep(shelf, b"old")
    with sqlite_store.writing() as session:
        session.add(Counter(name=journal.UNNOTED, value=1))
    with pytest.raises(NotNotedError):
        run(sqlite_store, shelf)
    with sqlite_store.writing() as session:
        journal.mark_noted(session)
        mark_restored(session.connection())
    with pytest.raises(NotRebuiltError):
        run(sqlite_store, shelf)
    assert left(shelf) == {old.sha256}


@pytest.mark.parametrize("step", [0, 1, 2, 3])
def test_a_death_at_any_step_is_made_good_by_the_next_run(sqlite_store, shelf, step, monkeypatch):
    old = keep(shelf, b"old")
    real, calls = os.unlink, []

    def dies(*args, **kwargs):
        calls.append(1)
        if len(calls) > step:
            raise KeyboardInterrupt
        real(*args, **kwargs)

    monkeypatch.setattr(shelves.os, "unlink", dies)
    if step < 2:
        with pytest.raises(KeyboardInterrupt):
            run(sqlite_store, shelf)
    else:
        run(sqlite_store, shelf)
    monkeypatch.undo()
    assert len(written(sqlite_store)) == 1, "noted before anything goes"
    run(sqlite_store, shelf)
    assert len(written(sqlite_store)) == 1
    assert [path.name for path in (shelf.folder / FACILITY).iterdir()] == [LOCK]
    assert old.sha256 not in left(shelf)


def test_content_without_a_receipt_that_was_never_deleted_is_not_touched(sqlite_store, shelf):
    keep(shelf, b"old")
    path = shelf.folder / FACILITY / ("f" * 64)
    path.write_bytes(b"an upload that a death left: it heals when it is sent again")
    run(sqlite_store, shelf)
    assert path.exists()


def test_a_link_that_lies_in_the_folder_leads_nowhere(sqlite_store, shelf, tmp_path):
    old = keep(shelf, b"old")
    (shelf.folder / FACILITY).rename(tmp_path / "elsewhere")
    (shelf.folder / FACILITY).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match=FACILITY):
        run(sqlite_store, shelf)
    assert (tmp_path / "elsewhere" / old.sha256).exists()
    (shelf.folder / FACILITY).unlink()
    remove(shelf.folder, old)  # a folder that is gone has nothing to delete


def test_root_leaves_the_lock_to_the_owner_of_the_folder(sqlite_store, shelf, monkeypatch):
    keep(shelf, b"old")
    (shelf.folder / FACILITY / LOCK).unlink()  # as behind a restore
    given = []
    monkeypatch.setattr(shelves.os, "geteuid", lambda: 0)
    monkeypatch.setattr(shelves.os, "fchown", lambda _, *whom: given.append(whom))
    run(sqlite_store, shelf)
    owner = (shelf.folder / FACILITY).stat()
    assert set(given) == {(owner.st_uid, owner.st_gid)}


def test_a_folder_that_is_not_there_holds_nothing(sqlite_store, shelf):
    assert run(sqlite_store, shelf) == pruning.Pruned()


@pytest.fixture
def call(sqlite_store, shelf, monkeypatch, capsys):
    monkeypatch.setenv("OFFSITE_STORE_URL", f"sqlite:///{sqlite_store.engine.url.database}")
    monkeypatch.setenv("OFFSITE_PROOFS_FOLDER", str(shelf.folder))

    def called(*arguments, days="30"):
        if days is not None:
            monkeypatch.setenv("OFFSITE_PROOFS_KEEP_DAYS", days)
        code = 0
        try:
            main(["proofs", "prune", *arguments])
        except SystemExit as end:
            code = end.code or 0
        return code, *capsys.readouterr()

    return called


def test_the_command_says_what_it_would_do_and_what_it_did(sqlite_store, shelf, call):
    old = keep(shelf, b"old", 1_000)
    held = keep(shelf, b"held", 1_000)
    noted(sqlite_store, mark(held.sha256))
    alarmed(sqlite_store, Evidence(marks=["M-1/1"]))
    code, out, _ = call("--dry-run")
    assert (code, out.splitlines()[0]) == (0, f"{FACILITY}: 1")
    assert "1 proofs (3 bytes) would be deleted, older than 30 days; 1 stay" in out
    assert json.loads(call("--dry-run", "--json")[1]) == {
        "deleted": 0, "due": 1, "bytes": 3, "held": 1, "keep_days": 30, "facilities": {FACILITY: 1},
    }  # fmt: skip
    code, out, _ = call("--actor", "li.lei")
    assert (code, "1 proofs (3 bytes) deleted" in out) == (0, True)
    assert [row[1::4] for row in written(sqlite_store)] == [(old.sha256, "li.lei")]
    assert left(shelf) == {held.sha256}


def test_without_the_setting_nothing_is_ever_deleted(sqlite_store, shelf, call):
    old = keep(shelf, b"old", 1_000)
    code, _, err = call(days=None)
    assert (code, "OFFSITE_PROOFS_KEEP_DAYS" in err) == (2, True)
    for bad in ("0", "-1", "36501", "soon"):
        assert call(days=bad)[0] == 3
    assert call("--actor", "  ")[0] == 2
    assert left(shelf) == {old.sha256}
    assert written(sqlite_store) == []
