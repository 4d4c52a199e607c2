"""Who reads published packs besides the workers: the desk's pages and API, the register's import."""

from __future__ import annotations

import json

import pytest

from monitor.alarms.rulebook import Rulebook
from monitor.cli import main
from monitor.console import views
from monitor.packs import journal
from monitor.packs.shelf import Shelf
from monitor.settings import open_store
from monitor.store.desk_tables import AlarmRow
from rules.models import Bilingual
from rules.pack import Bundle, default_bundle
from tests.monitor.alarms.changes import change
from tests.monitor.desk.lab import NOW, DeskLab
from tests.rules.bundles import changed

NEW = "cold-chain.summer"


def with_new_rule():
    """Return the shipped packs and one rule that only they have."""
    shipped = default_bundle()
    old = shipped.rule("cold-chain.store-out")
    response = Bilingual(zh="立即开启备用制冷", en="Start the stand-by cooling at once")
    new = old.model_copy(
        update={
            "id": NEW,
            "title": Bilingual(zh="夏季冷库", en="Cold room in summer"),
            "rationale": old.rationale.model_copy(update={"response": response}),
        }
    )
    return Bundle.of([*shipped.rules, new], shipped.tables.values())


def note(store, bundle, offset=0, received=1_000):
    with store.writing() as session:
        journal.note(session, 0, offset, received, bundle.to_record())


@pytest.fixture
def lab(sqlite_store, tmp_path):
    made = DeskLab(sqlite_store, tmp_path / "archive")
    made.desk.rulebook = Rulebook(default_bundle())
    return made


def raised(seq, bundle, *, rule=NEW, tag="T1"):
    made = change(seq, tag=tag, at=NOW - 60_000)
    return made.model_copy(update={"rule": rule, "packs": bundle.sha256, "alarm": f"{seq:032x}"})


def test_a_rule_that_only_the_published_packs_have_is_told_in_their_words(lab):
    bundle = with_new_rule()
    lab.apply(raised(1, bundle))
    with lab.signed_in(language="en") as client:
        path = f"/alarms/{1:032x}"
        unknown = client.get(path).text
        assert NEW in unknown  # by its id, until the packs are known
        assert "Start the stand-by cooling" not in unknown
        note(lab.store, bundle)
        assert Shelf(lab.desk.rulebook, lab.store).look() == 1
        told = client.get(path).text
        assert "Cold room in summer" in told
        assert "Start the stand-by cooling at once" in told
        assert "GSP annexes 2013" in told
        assert "Cold room in summer" in client.get("/").text
        (item,) = client.get("/v1/alarms").json()["items"]
        assert item["rule_title"] == {"zh": "夏季冷库", "en": "Cold room in summer"}
        assert item["packs"] == bundle.sha256


def test_two_alarms_of_one_rule_are_each_told_by_their_own_packs(lab):
    first, second = with_new_rule(), with_new_rule()
    rule = second.rule(NEW)
    renamed = rule.model_copy(update={"title": Bilingual(zh="新题", en="Another title"), "version": "2.0.0"})
    second = Bundle.of([*(each for each in second.rules if each.id != NEW), renamed], second.tables.values())
    note(lab.store, first)
    note(lab.store, second, 1, 2_000)
    Shelf(lab.desk.rulebook, lab.store).look()
    lab.apply(raised(1, first, tag="A"), raised(2, second, tag="B"))
    with lab.store.reading() as session:
        rows = {row.id: row for row in session.query(AlarmRow)}
        titles = [views.alarm(rows[f"{i:032x}"], lab.desk.rulebook, {}, "en", NOW)["title"] for i in (1, 2)]
    assert titles == ["Cold room in summer", "Another title"]


def test_an_alarm_keeps_the_version_and_packs_that_raised_it(lab):
    old, new = default_bundle(), changed()
    lab.apply(change(1).model_copy(update={"packs": old.sha256}))
    lab.apply(change(2, "stepped", severity="red").model_copy(update={"packs": new.sha256, "version": "1.1.0"}))
    with lab.store.reading() as session:
        (row,) = session.query(AlarmRow)
        assert (row.version, row.packs, row.severity) == ("1.0.0", old.sha256, "red")


def test_both_in_one_batch_keep_it_too(lab):
    old, new = default_bundle(), changed()
    lab.apply(
        change(1).model_copy(update={"packs": old.sha256}),
        change(2, "stepped", severity="red").model_copy(update={"packs": new.sha256, "version": "1.1.0"}),
    )
    with lab.store.reading() as session:
        (row,) = session.query(AlarmRow)
        assert (row.version, row.packs, row.severity) == ("1.0.0", old.sha256, "red")


def test_the_register_is_checked_against_the_packs_in_force(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("OFFSITE_STORE_URL", f"sqlite:///{tmp_path}/store.db")
    facility = {
        "id": "BJ-MFR-0007", "name": {"zh": "甲", "en": "A"}, "jurisdiction": "110115",
        "scopes": [{"field": "manufacture", "line": "drug"}], "areas": [{"id": "CR1", "kind": "cold-room"}],
        "sensors": [{"tag": "CR1.T1", "area": "CR1", "quantity": "temperature", "unit": "Cel", "interval": "60s",
                     "limits": {"low": 7.2, "high": 12}}],
    }  # fmt: skip
    file = tmp_path / "register.json"
    file.write_text(json.dumps({"facilities": [facility]}), encoding="utf-8")
    with open_store() as store:
        note(store, changed())  # at most 7
    with pytest.raises(SystemExit) as end:
        main(["register", "import", str(file)])
    assert end.value.code == 3
    assert "cold-chain.store-out" in capsys.readouterr().err
    with open_store() as store:
        note(store, default_bundle(), 1, 2_000)  # at most 8 again
    with pytest.raises(SystemExit) as end:
        main(["register", "import", str(file)])
    assert not end.value.code
