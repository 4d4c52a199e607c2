"""What firms corrected of their readings: noted with the files that hold the report, listed on the page of the alarm, nothing else changed."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from monitor import amendments
from monitor.alarms.chart import LEAST_AROUND_MS
from monitor.amendments import SHOWN, amendment_of, corrections
from monitor.archive.index import CONSUMER
from monitor.archive.pending import may_name
from monitor.backup.rebuild import _Heard, _proofs
from monitor.console.texts import text
from monitor.register.store import import_register
from monitor.store.schema import downgrade, upgrade
from monitor.store.tables import AmendedSpan, ConsumerOffset
from rules.instants import format_instant
from rules.records import Kind, LogRecord, Report
from streams.codec import home_of
from streams.topics import LOG
from tests.monitor.alarms.changes import change
from tests.monitor.archive.making import CLUSTER, Archive, raw
from tests.monitor.desk.html import parse
from tests.monitor.desk.lab import NOW, DeskLab
from tests.monitor.register.samples import facility, register

FIRM = "BJ-MFR-0007"
MINUTE = 60_000
LANGUAGES = ("zh", "en")


def reading(tag="CR1.T1", at=0, old=9.5, new=5.0):
    return {"tag": tag, "time": format_instant(NOW + at * MINUTE), "old": old, "new": new}


def amendment(*readings, id_="R-1", revision=1, offset=0, received=NOW, type_="amendment", firm=FIRM, **more):
    fields = {"readings": list(readings), "author": "u-17", "made_at": format_instant(NOW)} | more
    payload = Report.model_validate(
        {"type": type_, "id": id_, "revision": revision, "sent": NOW, "reason": "r", "fields": fields}
    )
    return LogRecord(0, offset, received, Kind.REPORT, firm, payload)


def noted(store, *records):
    with store.writing() as session:
        for record in records:
            amendments.note(session, record)


def told(store, tags=("CR1.T1",), begin=NOW - MINUTE, end=NOW + 10 * MINUTE, firm=FIRM):
    with store.reading() as session:
        found, more = corrections(session, firm, tags, begin, end)
    return [(one.report, one.revision, one.tag, one.readings) for one in found], more


def keys(store):
    with store.reading() as session:
        return sorted((row.report, row.revision, row.tag) for row in session.scalars(select(AmendedSpan)))


def test_of_each_tag_the_span_and_the_values_are_kept(store):
    noted(
        store,
        amendment(reading(at=3, old=9.7, new=5.2), reading(at=1), reading("CR2.T1", 2, None, 4.0), reading("X", 2, 4.0, None)),
    )  # fmt: skip
    with store.reading() as session:
        (first,), more = corrections(session, FIRM, ["CR1.T1"], NOW, NOW + MINUTE)
        (second, third), _ = corrections(session, FIRM, ["CR2.T1", "X"], NOW, None)
    assert more == 0
    assert first.model_dump() == {
        "report": "R-1", "revision": 1, "tag": "CR1.T1", "first_ms": NOW + MINUTE, "last_ms": NOW + 3 * MINUTE, "readings": 2,
        "old_low": 9.5, "old_high": 9.7, "new_low": 5.0, "new_high": 5.2, "author": "u-17", "received_ms": NOW,
    }  # fmt: skip
    assert (second.old_low, second.old_high, second.new_low, second.new_high) == (None, None, 4.0, 4.0)
    assert (third.old_low, third.new_low, third.new_high) == (4.0, None, None)


@pytest.mark.parametrize(
    ("begin", "end", "there"),
    [(2, 2, 1), (3, None, 1), (4, None, 0), (0, 1, 1), (0, 0, 0), (3, 9, 1), (-9, 9, 1)],
)
def test_what_is_asked_for_overlaps_the_span_both_ends_inside(store, begin, end, there):
    noted(store, amendment(reading(at=1), reading(at=3)))
    last = None if end is None else NOW + end * MINUTE
    assert len(told(store, begin=NOW + begin * MINUTE, end=last)[0]) == there


def test_every_revision_stays_newest_first_and_another_firm_s_is_nobody_s_business(store):
    noted(
        store, amendment(reading(), received=NOW), amendment(reading(), revision=2, received=NOW + 2),
        amendment(reading(), id_="R-0", received=NOW + 1), amendment(reading(), firm="SH-1"),
    )  # fmt: skip
    assert told(store) == ([("R-1", 2, "CR1.T1", 1), ("R-0", 1, "CR1.T1", 1), ("R-1", 1, "CR1.T1", 1)], 0)
    assert told(store, tags=()) == ([], 0)
    assert told(store, tags=("CR9",)) == ([], 0)


def test_of_two_contents_of_one_revision_the_first_stays_also_where_they_name_other_tags(store):
    noted(store, amendment(reading()), amendment(reading(at=1), reading(at=2)), amendment(reading("CR2.T1")))
    assert told(store, tags=("CR1.T1", "CR2.T1")) == ([("R-1", 1, "CR1.T1", 1)], 0)


def test_the_list_is_bounded_and_says_by_how_much(store):
    noted(store, *(amendment(reading(), id_=f"R-{n}", received=NOW + n) for n in range(SHOWN + 3)))
    found, more = told(store)
    assert (len(found), more) == (SHOWN, 3)
    assert found[0][0] == f"R-{SHOWN + 2}"


def test_an_amendment_of_five_thousand_tags_is_noted_whole(store):
    noted(store, amendment(*(reading(f"T{n}") for n in range(5_000))))
    assert len(keys(store)) == 5_000


def test_what_is_no_amendment_or_not_of_its_shape_is_passed_over(store):
    odd = [
        amendment(reading(), type_="capa"), amendment(reading(old=None, new=None)), amendment(), amendment(reading() | {"more": 1}),
        amendment({"tag": "CR1.T1", "time": "yesterday", "old": 1, "new": 2}),
    ]  # fmt: skip
    noted(store, *odd)
    assert [amendment_of(record.payload) for record in odd] == [None] * len(odd)
    assert keys(store) == []


LOG_OF_IT = [
    amendment(reading()), amendment(reading("CR2.T1"), offset=1), amendment(reading("CR2.T1"), revision=2, offset=2),
    amendment(reading(), id_="R-2", offset=3, type_="capa"),
]  # fmt: skip
NOTED = [("R-1", 1, "CR1.T1"), ("R-1", 2, "CR2.T1")]


def test_the_archiver_notes_them_with_the_files_that_hold_the_report(store, tmp_path):
    archive = Archive(store, tmp_path / "archive")
    archive.begin(1)
    archive.read(0, [raw(one) for one in LOG_OF_IT])
    assert keys(store) == []
    archive.flush()
    assert keys(store) == NOTED


@pytest.mark.parametrize("turned", [False, True])
def test_a_rebuild_notes_the_same_in_whatever_order_the_files_come(store, turned):
    heard = _Heard(3)
    for one in sorted(LOG_OF_IT, key=lambda record: record.offset, reverse=turned):
        heard.hear(LOG, home_of(FIRM, 3), raw(one))
    for _ in range(2):
        with store.writing() as session:
            _proofs(session, heard)
    assert keys(store) == NOTED


def test_an_amendment_is_read_though_it_names_no_proof():
    assert [may_name(raw(one)) for one in LOG_OF_IT] == [True, True, True, False]


def test_only_a_store_that_looked_at_every_archived_amendment_says_so(store):
    with store.reading() as session:
        assert amendments.all_noted(session), "a new store has archived nothing"
    downgrade(store, "0010")
    with store.writing() as session:
        session.add(ConsumerOffset(consumer=CONSUMER, topic=LOG, partition=0, next_offset=5, cluster=CLUSTER))
    upgrade(store)
    with store.writing() as session:
        assert not amendments.all_noted(session), "an older release archived some"
        _proofs(session, _Heard(3))
    with store.reading() as session:
        assert amendments.all_noted(session)


# the page of the alarm


@pytest.fixture
def lab(sqlite_store, tmp_path):
    made = DeskLab(sqlite_store, tmp_path / "archive")
    sensors = [
        {"tag": tag, "area": area, "quantity": "temperature", "unit": "Cel", "interval": "60s"}
        for tag, area in (("CR1.T1", "CR1"), ("CR2.T1", "CR2"))
    ]
    areas = [{"id": each, "kind": "cold-room"} for each in ("CR1", "CR2")]
    with sqlite_store.writing() as session:
        import_register(session, register(facility(FIRM, sensors=sensors, areas=areas)), "u", NOW)
    return made


def alarmed(lab, start=-10):
    lab.apply(one := change(1, start=NOW + start * MINUTE, stream=FIRM, tag="CR1.T1"))
    return one.alarm


def rows(client, alarm):
    found = parse(client.get(f"/alarms/{alarm}").text).all("table", id="corrections")
    return [row.text for table in found for row in table.all("tr")[1:]]


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_lists_what_was_corrected_and_says_that_it_changes_nothing(lab, language):
    alarm = alarmed(lab)
    with lab.signed_in(language=language) as client:
        before = client.get(f"/v1/alarms/{alarm}").json()
        assert rows(client, alarm) == []
        noted(
            lab.store,
            amendment(reading(at=-5), reading(at=-4, old=9.75, new=None)),
            amendment(reading("CR2.T1"), id_="R-2"),
        )
        (row,) = rows(client, alarm)
        for said in ("R-1/1", "CR1.T1", "2", "9.5 … 9.75", "5", "u-17"):
            assert said in row
        assert text("corrections.hint", language) in client.get(f"/alarms/{alarm}").text
        assert client.get(f"/v1/alarms/{alarm}").json() == before
        chart = client.get(f"/v1/alarms/{alarm}/chart").json()
    assert [one["report"] for one in chart["corrections"]] == ["R-1"]
    assert (chart["corrections_left_out"], chart["corrections_known"]) == (0, True)


@pytest.mark.parametrize(("at", "there"), [(0, 1), (-1, 1), (1, 0)])
def test_what_led_to_the_alarm_belongs_to_it_and_what_came_behind_its_end_does_not(lab, at, there):
    """From where the chart begins to the end of the alarm: bounds are inside."""
    start, end = NOW - 20 * MINUTE, NOW - 10 * MINUTE
    raised = change(1, start=start, stream=FIRM, tag="CR1.T1")
    lab.apply(raised, change(2, "cleared", start=start, end=end, stream=FIRM, tag="CR1.T1"))
    with lab.signed_in() as client:
        begins = client.get(f"/v1/alarms/{raised.alarm}/chart").json()["from_ms"]
        assert begins <= start - LEAST_AROUND_MS
        noted(lab.store, amendment(reading(at=-10 + at)))
        assert len(rows(client, raised.alarm)) == there
        noted(lab.store, amendment(reading(at=(begins - NOW) // MINUTE - at), id_="R-2"))
        assert len(rows(client, raised.alarm)) == there + (at <= 0)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_store_that_has_not_looked_at_all_says_so_and_a_long_list_what_it_leaves_out(lab, language, monkeypatch):
    alarm = alarmed(lab)
    with lab.signed_in(language=language) as client:
        assert text("corrections.unnoted", language) not in client.get(f"/alarms/{alarm}").text
        with lab.store.writing() as session:
            session.add(amendments.Counter(name=amendments.UNNOTED, value=1))
        assert text("corrections.unnoted", language) in client.get(f"/alarms/{alarm}").text
        monkeypatch.setattr(amendments, "SHOWN", 2)
        noted(lab.store, *(amendment(reading(at=-5), id_=f"R-{n}") for n in range(5)))
        assert len(rows(client, alarm)) == 2
        assert text("corrections.left_out", language).format(n=3) in client.get(f"/alarms/{alarm}").text


def test_words_of_a_firm_are_text_on_the_page(lab):
    alarm = alarmed(lab)
    noted(lab.store, amendment(reading(at=-5), author="<b>me</b>"))
    with lab.signed_in() as client:
        page = client.get(f"/alarms/{alarm}").text
    assert "<b>me</b>" not in page
    assert "&lt;b&gt;me&lt;/b&gt;" in page
