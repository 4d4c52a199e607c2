"""A proof that is named and was never uploaded: told on the page of the alarm, on that of the proofs, and by the API."""

from __future__ import annotations

import pytest

from monitor.console.texts import text
from monitor.proofs import journal
from monitor.proofs.shelf import Shelf
from rules.changes import Evidence, RecordRead
from rules.instants import format_instant
from tests.monitor.alarms.changes import change
from tests.monitor.desk.html import parse
from tests.monitor.desk.lab import NOW, DeskLab
from tests.monitor.desk.test_proofs import FACILITY, LANGUAGES, keep
from tests.monitor.proofs.naming import A, B, amendment, mark


@pytest.fixture
def lab(sqlite_store, tmp_path):
    return DeskLab(sqlite_store, tmp_path / "archive")


def noted(lab, *records):
    with lab.store.writing() as session:
        for record in records:
            journal.note(session, record)


def alarmed(lab, marks=("M-1/1",), reads=(("report", "R-1/2"),), stream=FACILITY):
    evidence = Evidence(marks=list(marks), records=[RecordRead(kind=kind, id=name) for kind, name in reads])
    lab.apply(one := change(1, start=NOW - 60_000, stream=stream, evidence=evidence))
    return one.alarm


def states(client, alarm):
    told = client.get(f"/v1/alarms/{alarm}").json()["proofs"]
    return None if told is None else {(one["kind"], one["record"], one["revision"]): one["state"] for one in told}


def test_the_alarm_says_of_each_proof_that_its_evidence_names_whether_it_came(lab):
    receipt = keep(lab)
    noted(lab, mark(receipt.sha256), mark(B, "M-9"), amendment(A, revision=2), amendment(B, revision=1))
    alarm = alarmed(lab)
    with lab.signed_in() as client:
        assert states(client, alarm) == {("mark", "M-1", 1): "received", ("report", "R-1", 2): "missing"}
        (told,) = [one for one in client.get(f"/v1/alarms/{alarm}").json()["proofs"] if one["state"] == "missing"]
        assert told == {
            "facility": FACILITY, "kind": "report", "record": "R-1", "revision": 2, "received": format_instant(1_000), "sha256": A, "state": "missing",
        }  # fmt: skip


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_of_the_alarm_links_to_what_came_and_says_what_did_not(lab, language):
    receipt = keep(lab)
    noted(lab, mark(receipt.sha256), amendment(A, revision=2))
    alarm = alarmed(lab)
    with lab.signed_in(language=language) as client:
        first, second = parse(client.get(f"/alarms/{alarm}").text).one("ul", id="proofs").all("li")
        assert first.one("a")["href"] == f"/v1/proofs/{FACILITY}/{receipt.sha256}"
        assert text("proofs.state.missing", language) in second.text
        assert second.all("a") == []
        (lab.desk.proofs / FACILITY / f"{receipt.sha256}.json").unlink()
        with lab.store.writing() as session:
            journal.note_deleted(session, [receipt], now_ms=NOW, actor="op", keep_days=1)
        first, _ = parse(client.get(f"/alarms/{alarm}").text).one("ul", id="proofs").all("li")
        assert text("proofs.state.deleted", language) in first.text


def test_an_alarm_whose_evidence_names_none_says_nothing(lab):
    alarm = alarmed(lab)
    with lab.signed_in() as client:
        assert states(client, alarm) == {}
        assert parse(client.get(f"/alarms/{alarm}").text).all("ul", id="proofs") == []


def test_a_lot_s_alarm_names_records_of_other_facilities(lab):
    receipt = keep(lab, facility="SH-1")
    noted(lab, mark(A), mark(receipt.sha256, "M-2", facility="SH-1"))
    alarm = alarmed(
        lab,
        (),
        (("mark", "M-1/1"), ("mark", "SH-1 M-2/1"), ("events", "SH-1 e/1"), ("report", "odd"), ("report", "R/x")),
    )
    with lab.signed_in() as client:
        told = {one["facility"]: one["state"] for one in client.get(f"/v1/alarms/{alarm}").json()["proofs"]}
        assert told == {FACILITY: "missing", "SH-1": "received"}
        assert f"/v1/proofs/SH-1/{receipt.sha256}" in client.get(f"/alarms/{alarm}").text


def test_who_runs_the_monitor_and_a_folder_that_cannot_be_read_show_the_alarm_without(lab, monkeypatch):
    noted(lab, mark(A))
    alarm = alarmed(lab)
    with lab.signed_in("op", role="operator") as client:
        assert states(client, alarm) is None
        assert A[:16] not in client.get(f"/alarms/{alarm}").text

    def fails(*_):
        raise PermissionError("not yours")

    monkeypatch.setattr(Shelf, "find", fails)
    with lab.signed_in() as client:
        assert states(client, alarm) is None
        assert client.get(f"/alarms/{alarm}").status_code == 200


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_of_proofs_lists_what_never_came_newest_first(lab, language):
    receipt = keep(lab)
    noted(
        lab,
        mark(receipt.sha256),
        mark(A, "M-2", received=2_000),
        amendment(B, received=3_000),
        mark(A, "M-3", facility="SH-1"),
    )
    with lab.signed_in(language=language) as client:
        page = parse(client.get(f"/proofs?facility={FACILITY}").text)
        table = page.one("table", id="missing")
        assert [row.text.count(sha) for row, sha in zip(table.all("tr")[1:], (B, A), strict=True)] == [1, 1]
        assert text("proofs.missing", language) in page.text
        told = client.get(f"/v1/proofs?facility={FACILITY}").json()
        assert [(one["record"], one["state"]) for one in told["missing"]] == [("R-1", "missing"), ("M-2", "missing")]
        assert [one["sha256"] for one in told["proofs"]] == [receipt.sha256]


def test_what_was_deleted_is_not_called_missing_and_the_list_is_bounded(lab, monkeypatch):
    receipt = keep(lab)
    noted(lab, mark(receipt.sha256), *(mark(f"{n:064x}", f"M-{n + 10}") for n in range(4)))
    (lab.desk.proofs / FACILITY / f"{receipt.sha256}.json").unlink()
    with lab.store.writing() as session:
        journal.note_deleted(session, [receipt], now_ms=NOW, actor="op", keep_days=1)
    monkeypatch.setattr("monitor.api.proofs.LISTED", 3)
    with lab.signed_in() as client:
        missing = client.get(f"/v1/proofs?facility={FACILITY}").json()["missing"]
    assert len(missing) == 3
    assert receipt.sha256 not in {one["sha256"] for one in missing}
