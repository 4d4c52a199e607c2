"""Proofs at the desk: who sees them, how they are given, and what the page says, in both languages."""

from __future__ import annotations

import hashlib
import logging

import pytest

from monitor.console.texts import text
from monitor.desk.guard import CSP
from monitor.proofs.shelf import Bounds, ProofReceipt, Shelf
from monitor.register.store import import_register
from tests.monitor.alarms.changes import change
from tests.monitor.desk.html import parse
from tests.monitor.desk.lab import NOW, DeskLab
from tests.monitor.proofs.samples import CSV, PDF
from tests.monitor.register.samples import facility, register

FACILITY = "BJ-MFR-0007"
LANGUAGES = ("zh", "en")


@pytest.fixture
def lab(sqlite_store, tmp_path):
    made = DeskLab(sqlite_store, tmp_path / "archive")
    with sqlite_store.writing() as session:
        import_register(session, register(facility()), "u", NOW)
    return made


def keep(lab, content=PDF, received=NOW, media="application/pdf", **more):
    shelf = Shelf(lab.desk.proofs, Bounds(1 << 30, 10_000, 0))
    with shelf.open("gw-1") as incoming:
        incoming.write(content)
        receipt = ProofReceipt(
            sha256=incoming.finish(), size=incoming.size, type=media, received=received,
            **({"facility": FACILITY, "key": "feed", "gateway": "gw-1"} | more),
        )  # fmt: skip
        return shelf.keep(incoming, receipt)[0]


def address(receipt):
    return f"/v1/proofs/{receipt.facility}/{receipt.sha256}"


@pytest.mark.parametrize("role", ["reader", "supervisor", "lead"])
def test_who_is_here_for_what_firms_do_gets_it_as_a_download(lab, role, caplog):
    receipt = keep(lab)
    with lab.signed_in(role=role) as client, caplog.at_level(logging.INFO, "monitor.api.proofs"):
        answer = client.get(address(receipt))
    assert (answer.status_code, answer.content) == (200, PDF)
    assert answer.headers["content-disposition"] == f'attachment; filename="{hashlib.sha256(PDF).hexdigest()[:16]}.pdf"'
    assert answer.headers["content-type"] == "application/pdf"
    said = [record.getMessage() for record in caplog.records if record.name == "monitor.api.proofs"]
    assert said == [f"proof {receipt.sha256} of {FACILITY} given to li.lei"]
    assert lab.desk.figures.proofs._value.get() == 1


def test_no_browser_runs_or_shows_it(lab):
    receipt = keep(lab, b"<script>alert(1)</script>", media="text/plain; charset=utf-8")
    with lab.signed_in() as client:
        headers = client.get(address(receipt)).headers
        assert headers.get_list("content-security-policy") == ["sandbox; default-src 'none'"]
        assert headers.get_list("x-content-type-options") == ["nosniff"]
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert headers["cache-control"] == "no-store"
        assert client.get("/").headers.get_list("content-security-policy") == [CSP], (
            "every other page keeps the desk's own"
        )


def test_who_runs_the_monitor_does_not_see_it_nor_who_is_not_signed_in(lab):
    receipt = keep(lab)
    with lab.signed_in(role="operator") as client:
        for path in (address(receipt), f"/v1/proofs?facility={FACILITY}", f"/proofs?facility={FACILITY}"):
            assert client.get(path).status_code == 403
    with lab.client() as client:
        assert client.get(address(receipt)).status_code == 401
        assert client.get(f"/v1/proofs?facility={FACILITY}").status_code == 401
        assert client.get(f"/proofs?facility={FACILITY}").status_code == 303


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (f"/v1/proofs/{FACILITY}/{'0' * 64}", 404), (f"/v1/proofs/BJ-WHS-0112/{hashlib.sha256(PDF).hexdigest()}", 404),
        (f"/v1/proofs/{FACILITY}/x", 422), ("/v1/proofs/../../etc/passwd", 404), (f"/v1/proofs/%2e%2e/{'0' * 64}", 422),
        ("/v1/proofs?facility=..", 422), ("/v1/proofs", 422), ("/proofs", 422), ("/proofs?facility=%3Cb%3E", 422),
    ],
)  # fmt: skip
def test_only_what_that_facility_sent_is_found(lab, path, status):
    keep(lab)
    with lab.signed_in() as client:
        assert client.get(path).status_code == status


def test_a_proof_whose_content_is_gone_is_not_found(lab):
    receipt = keep(lab)
    (lab.desk.proofs / FACILITY / receipt.sha256).unlink()
    with lab.signed_in() as client:
        assert client.get(address(receipt)).json()["code"] == "no_such_proof"


def test_a_folder_that_cannot_be_read_is_said_to_be(lab, monkeypatch):
    receipt = keep(lab)

    def refused(*_):
        raise PermissionError(13, "Permission denied")

    with lab.signed_in() as client:
        monkeypatch.setattr("monitor.proofs.shelf.os.scandir", refused)
        monkeypatch.setattr("monitor.proofs.shelf.Shelf.find", refused)
        for path in (address(receipt), f"/v1/proofs?facility={FACILITY}"):
            answer = client.get(path)
            assert (answer.status_code, answer.json()["code"]) == (503, "proofs_down")
        assert text("refused.proofs_down", "zh") in client.get(f"/proofs?facility={FACILITY}").text


def test_the_list_is_newest_first_and_cut(lab, monkeypatch):
    older, newer = keep(lab), keep(lab, CSV, NOW + 1, "text/csv; charset=utf-8", name="温度.csv")
    with lab.signed_in() as client:
        found = client.get(f"/v1/proofs?facility={FACILITY}").json()
        assert [ProofReceipt.model_validate(item) for item in found["proofs"]] == [newer, older]
        assert (found["files"], found["bytes"], found["left_out"]) == (2, len(PDF) + len(CSV), 0)
        monkeypatch.setattr("monitor.api.proofs.LISTED", 1)
        assert client.get(f"/v1/proofs?facility={FACILITY}").json()["left_out"] == 1
        assert text("proofs.left_out", "zh", n=1) in client.get(f"/proofs?facility={FACILITY}").text
        assert client.get("/v1/proofs?facility=BJ-NONE-1").json()["proofs"] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_lists_names_as_data_and_gives_each_as_a_download(lab, language):
    receipt = keep(lab, name="<b>\u202eexe.pdf")
    with lab.signed_in(language=language) as client:
        answer = client.get(f"/proofs?facility={FACILITY}")
        page = parse(answer.text)
        (link,) = [a for a in page.all("a") if "download" in a.attributes]
        assert link.attributes["href"] == address(receipt)
        assert link.text == "<b>⟨202E⟩exe.pdf"
        assert "<b>⟨" not in answer.text
        assert text("proofs.hint", language) in answer.text
        assert receipt.sha256 in answer.text
        empty = client.get("/proofs?facility=BJ-NONE-1").text
        assert text("proofs.none", language) in empty
    unnamed = keep(lab, CSV, media="text/csv; charset=utf-8")
    with lab.signed_in("han.mei", language=language) as client:
        assert text("proofs.unnamed", language) in client.get(f"/proofs?facility={FACILITY}").text
    assert unnamed.name is None


def test_the_page_of_an_alarm_leads_there(lab):
    made = change(1)
    lab.apply(made)
    link = f"/proofs?facility={made.facility}"
    with lab.signed_in() as client:
        assert link in client.get(f"/alarms/{made.alarm}").text
    with lab.signed_in("yun.wei", role="operator") as client:
        assert link not in client.get(f"/alarms/{made.alarm}").text
