"""Alarms of a lot on the pages of every facility that they name: in the queue, in the API, on the alarm's page; by an index."""

from __future__ import annotations

import hashlib

import pytest
from sqlalchemy import insert, select

from monitor.alarms.projection import apply_batch
from monitor.alarms.queries import Filter, queue
from monitor.register.store import import_register
from monitor.store.desk_tables import NamedRow
from rules.changes import Change, ChangeKind, Evidence
from rules.lots.fold import LotFold
from rules.lots.speak import LISTED_FACILITIES
from rules.models import Bilingual, Severity
from tests.monitor.alarms.changes import PACKS, change, incoming
from tests.monitor.alarms.test_queries import plan, watched
from tests.monitor.desk.crowd import crowd
from tests.monitor.desk.lab import NOW, RULEBOOK, DeskLab
from tests.monitor.register.samples import facility, register
from tests.rules.lotlogs import DAY, SHIPPED, Teller

CLUSTER = "vigilance.lot-cluster"
MAKER, WHOLESALER, HOSPITAL = "BJ-MFR-0007", "BJ-WHS-0112", "BJ-HOS-0001"


@pytest.fixture
def lab(sqlite_store, tmp_path):
    return DeskLab(sqlite_store, tmp_path / "archive")


def of_lot(seq, kind="raised", *, facilities=(HOSPITAL, MAKER), lot="L-1", alarm="a", end=None, **more):
    named = None if facilities is None else list(facilities)
    evidence = Evidence(facilities=named, left_out=more.pop("left_out", {}))
    return Change(
        stream=f"lot:{lot}", seq=seq, facility=MAKER, alarm=hashlib.md5(f"{lot} {alarm}".encode(), usedforsecurity=False).hexdigest(),
        rule=CLUSTER, version="1.0.0", packs=PACKS, subject={"lot": lot}, change=ChangeKind(kind), severity=Severity.RED,
        stage="live", start=NOW - DAY, end=end, at=NOW - DAY, received=NOW - DAY + seq,
        message=Bilingual(en=f"Lot {lot}", zh=f"批号 {lot}"), evidence=evidence, **more,
    )  # fmt: skip


def listed(client, **wanted):
    page = client.get("/v1/alarms", params=wanted).json()
    assert page["total"] == len(page["items"])
    return [(one["facility"], one["subject"]) for one in page["items"]]


def test_an_alarm_of_a_lot_is_listed_for_each_facility_that_it_names_once(lab):
    lab.apply(of_lot(1), change(1, stream=MAKER), change(1, stream=HOSPITAL), change(1, stream=WHOLESALER))
    own = {name: (name, {"tag": "T1"}) for name in (MAKER, HOSPITAL, WHOLESALER)}
    lot = (MAKER, {"lot": "L-1"})
    with lab.signed_in() as client:
        assert listed(client, facility=MAKER) == [lot, own[MAKER]]
        assert listed(client, facility=HOSPITAL) == [lot, own[HOSPITAL]]
        assert listed(client, facility=HOSPITAL, named="no") == [own[HOSPITAL]]
        assert listed(client, facility=HOSPITAL, named="only") == [lot]
        assert listed(client, facility=MAKER, named="only") == []
        assert listed(client, facility=WHOLESALER) == [own[WHOLESALER]]
        assert client.get("/v1/alarms", params={"facility": HOSPITAL, "named": "some"}).status_code == 422


def test_who_is_named_follows_the_newest_change_that_says_so(lab):
    lab.apply(of_lot(1), of_lot(2, "amended", facilities=(MAKER, WHOLESALER)))
    with lab.signed_in() as client:
        assert listed(client, facility=HOSPITAL) == []
        assert len(listed(client, facility=WHOLESALER)) == 1
        lab.apply(of_lot(3, "unknown", facilities=None), of_lot(4, "known", facilities=None))
        assert len(listed(client, facility=WHOLESALER)) == 1
        lab.apply(of_lot(5, "cleared", facilities=(HOSPITAL, MAKER), end=NOW))
        assert listed(client, facility=WHOLESALER, status="any") == []
        assert len(listed(client, facility=HOSPITAL, status="cleared")) == 1
        lab.apply(of_lot(6, "amended", facilities=(MAKER,)))
        assert listed(client, facility=HOSPITAL, status="any") == []


def test_changes_of_one_batch_and_one_by_one_name_the_same_and_a_copy_names_nobody_twice(sqlite_store):
    changes = [
        of_lot(1),
        of_lot(2, "amended", facilities=(MAKER, WHOLESALER, HOSPITAL)),
        of_lot(3, alarm="b", facilities=(HOSPITAL,)),
        of_lot(4, "cleared", facilities=None, end=NOW),
    ]
    with sqlite_store.writing() as session:
        apply_batch(session, incoming([changes[0]]), NOW)
        apply_batch(session, incoming(changes), NOW)
    with sqlite_store.reading() as session:
        rows = sorted((row.facility, row.alarm) for row in session.scalars(select(NamedRow)))
    alarms = (changes[0].alarm, changes[2].alarm)
    assert rows == sorted([(WHOLESALER, alarms[0]), (HOSPITAL, alarms[0]), (HOSPITAL, alarms[1])])


@pytest.mark.parametrize(("language", "words"), [("en", "names BJ-HOS-0001"), ("zh", "涉及 BJ-HOS-0001")])
def test_the_queue_says_that_an_alarm_of_another_facility_names_this_one(lab, language, words):
    lab.apply(of_lot(1))
    with lab.signed_in(language=language) as client:
        assert words in client.get("/", params={"facility": HOSPITAL}).text
        assert words in client.get("/queue/rows", params={"facility": HOSPITAL}).text
        assert 'name="named"' in client.get("/", params={"facility": HOSPITAL}).text
        for query in ({"facility": MAKER}, {}):
            page = client.get("/", params=query).text
            assert "L-1" in page
            assert words.split()[0] + " BJ-" not in page


@pytest.mark.parametrize(
    ("language", "words", "more"), [("en", "Also names", "7 more"), ("zh", "同时涉及", "另有 7 条")]
)
def test_the_page_of_an_alarm_links_the_other_facilities_by_name_and_counts_the_rest(lab, language, words, more):
    with lab.store.writing() as session:
        firm = facility(WHOLESALER) | {"name": {"zh": "<批发>", "en": "A & B"}}
        import_register(session, register(firm), "li.lei", NOW)
    many = [f"BJ-SHP-{i:04d}" for i in range(44)]
    first, second = of_lot(1, facilities=(HOSPITAL, MAKER, WHOLESALER)), of_lot(2, lot="L-2", alarm="b", left_out={"facilities": 3}, facilities=[*many, MAKER])  # fmt: skip
    lab.apply(first, second.model_copy(update={"seq": 1}))
    with lab.signed_in(language=language) as client:
        page = client.get(f"/alarms/{first.alarm}").text
        assert words in page
        assert f'href="/?facility={WHOLESALER}&amp;status=any"' in page
        assert ("A &amp; B" if language == "en" else "&lt;批发&gt;") in page
        assert f"facility={MAKER}&amp;status=any" not in page
        page = client.get(f"/alarms/{second.alarm}/why").text
        assert page.count("&amp;status=any") == 40
        assert more in page
        detail = client.get(f"/v1/alarms/{second.alarm}").json()
        assert detail["evidence"]["facilities"] == [*many, MAKER]
        assert detail["evidence"]["left_out"] == {"facilities": 3}


def test_an_alarm_that_names_nobody_else_says_nothing_of_it(lab):
    first = change(1, stream=MAKER)
    lab.apply(first, of_lot(1, facilities=(MAKER,)))
    with lab.signed_in(language="en") as client:
        for alarm in (first.alarm, of_lot(1).alarm):
            assert "Also names" not in client.get(f"/alarms/{alarm}").text


def test_what_names_a_facility_is_for_the_same_eyes_as_the_alarm_itself(lab):
    """The desk gives every role that may see alarms all of them; who is not signed in sees none, by neither way."""
    lab.apply(of_lot(1))
    with lab.client() as client:
        for query in ({"facility": MAKER}, {"facility": HOSPITAL}, {"facility": HOSPITAL, "named": "only"}):
            assert client.get("/v1/alarms", params=query).status_code == 401
    with lab.signed_in(role="reader") as client:
        assert listed(client, facility=HOSPITAL) == listed(client, facility=MAKER)
        alarm, page = of_lot(1).alarm, client.get("/", params={"facility": HOSPITAL}).text
        assert f'action="/alarms/{alarm}/acknowledge"' not in page


def test_the_fold_of_lots_names_all_whose_facts_make_an_alarm_hold():
    tell, lots = Teller(), LotFold(SHIPPED)
    facts = [tell.case(f"HOSP-{i}", i * DAY, f"C-{i}") for i in (1, 2, 3)]
    (raised,) = [one for fact in facts for one in lots.fold(0, fact, None)]
    assert (raised.facility, raised.evidence.facilities) == ("HOSP-3", ["HOSP-1", "HOSP-2", "HOSP-3"])
    assert raised.to_json()["evidence"]["facilities"] == ["HOSP-1", "HOSP-2", "HOSP-3"]
    (amended,) = lots.fold(0, tell.case("HOSP-4", 4 * DAY, "C-4"), None)
    assert amended.evidence.facilities == ["HOSP-1", "HOSP-2", "HOSP-3", "HOSP-4"]
    (retracted,) = [
        one
        for i in (1, 2)
        for one in lots.fold(0, tell.case(f"HOSP-{i}", i * DAY, f"C-{i}", revision=2, seriousness="other"), None)
        if one.change == "retracted" and one.evidence.into is None
    ]
    assert retracted.facility in retracted.evidence.facilities


def test_of_very_many_facilities_the_first_are_named_and_the_rest_counted():
    tell, lots = Teller(), LotFold(SHIPPED)
    many = LISTED_FACILITIES + 2
    changes = [one for i in range(many) for one in lots.fold(0, tell.case(f"H-{i:04d}", i, f"C-{i}"), None)]
    last = changes[-1].evidence
    assert last.facilities == [f"H-{i:04d}" for i in range(LISTED_FACILITIES)]
    assert last.left_out["facilities"] == 2
    assert len(changes[-1].model_dump_json()) < 64 * 1024


def test_changes_of_one_facility_are_written_as_before():
    told = change(1, stream=MAKER)
    assert "facilities" not in told.to_json()["evidence"]


@pytest.mark.parametrize("named", ["any", "only", "no"])
def test_each_way_goes_by_an_index_however_much_has_ended(sqlite_store, named):
    crowd(sqlite_store, opened=300, ended=6_000)
    with sqlite_store.writing() as session:
        rows = [{"facility": f"F{i % 90}", "alarm": f"{i:032x}"} for i in range(4_000)]
        session.execute(insert(NamedRow), rows)
    with watched(sqlite_store) as seen, sqlite_store.reading() as session:
        queue(session, Filter(facility="F7", status="any", suppressed="any", named=named), RULEBOOK)
    assert len(seen) == 2
    for statement, parameters in seen:
        said = plan(sqlite_store, statement, parameters)
        assert "SCAN alarm" not in said, said
        if named != "no":
            assert "alarm_named" in said
            assert "SEARCH alarm_named" in said, said
        if named != "only":
            assert "ix_alarm_facility" in said, said
