"""When the readings were that evidence speaks of: from the history first, else from the archive, and asked for once."""

from __future__ import annotations

import pytest

from monitor.alarms import moments, queries
from monitor.alarms.chart import chart_of
from monitor.alarms.moments import MomentBook, Moments
from monitor.register.store import import_register
from rules.changes import Evidence, Leaf, LimitUsed, Verdict
from tests.monitor.alarms.changes import change
from tests.monitor.archive.making import Archive
from tests.monitor.archive.test_archive_readings import batch
from tests.monitor.desk import seeds
from tests.monitor.desk.html import parse
from tests.monitor.desk.lab import NOW, DeskLab
from tests.monitor.register.samples import facility, register

MINUTE = 60_000
START = NOW - 30 * MINUTE
LIMIT = LimitUsed(name="high", value=8.0, unit="Cel", origin="GSP")
SILENT = Evidence(leaves=[Leaf(expr="silence of T1", left=None, op=">", right="2 x interval", verdict=Verdict.TRUE)])


@pytest.fixture
def lab(sqlite_store, tmp_path):
    made = DeskLab(sqlite_store, tmp_path / "archive")
    sensors = [{"tag": tag, "area": "CR1", **seeds.TEMPERATURE} for tag in ("T1", "T2")]
    with made.store.writing() as session:
        import_register(
            session, register(facility("A1", sensors=sensors, areas=[{"id": "CR1", "kind": "cold-room"}])), "u", NOW - seeds.DAY
        )  # fmt: skip
    made.asked = []
    made.archive = Archive(made.store, tmp_path / "archive")
    made.archive.begin(1)
    return made


def write(lab, *rows, offset=0, tag="T1"):
    records = [batch(offset + n, at + 500, [(tag, at, value, 0)], "A1") for n, (at, value) in enumerate(rows)]
    lab.archive.write(0, records)


def decided(value, peak=None):
    leaf = Leaf(expr="T1", left=value, op=">", right=8.0, unit="Cel", verdict=Verdict.TRUE)
    return Evidence(leaves=[leaf], limits=[LIMIT], peak=peak)


def told(seq, evidence, kind="raised", **more):
    return change(seq, kind, **({"start": START, "at": START + 2 * MINUTE} | more)).model_copy(
        update={"subject": {"tag": "T1"}, "evidence": evidence}
    )


def found(lab, *changes, book=None):
    lab.apply(*changes)
    with lab.store.reading() as session:
        row = queries.one(session, changes[-1].alarm)
        history = queries.history(session, row.id)

    def chart():
        lab.asked.append(row.revision)
        return chart_of(lab.store, lab.desk.archive, row, NOW)

    return (book or MomentBook()).of(row, Evidence.model_validate_json(row.evidence), history, chart)


def test_a_peak_that_decided_a_change_has_that_changes_event_time_without_a_look_into_the_archive(lab):
    assert found(lab, told(1, decided(9.1, 9.1))).peak_ms == START + 2 * MINUTE
    later = found(lab, told(2, decided(9.9, 9.9), "stepped", at=START + 9 * MINUTE))
    assert later == Moments(peak_ms=START + 9 * MINUTE)
    assert lab.asked == []


@pytest.mark.parametrize(
    "second",
    [
        told(2, decided(9.9, 9.9), "amended", at=START + 9 * MINUTE),
        told(2, decided(9.9, 9.9), "stepped", at=START + 9 * MINUTE, late=True),
        told(2, decided(9.7, 9.9), "stepped", at=START + 9 * MINUTE),
    ],
    ids=["amended", "late", "another value"],
)
def test_what_did_not_decide_by_the_peak_itself_is_no_time_of_it(lab, second):
    write(lab, (START - MINUTE, 9.9), (START + 4 * MINUTE, 9.9), (START + 6 * MINUTE, 9.9))
    assert (
        found(lab, told(1, decided(9.1, 9.1)), second).peak_ms == START + 4 * MINUTE
    )  # the first one of the alarm's own
    assert lab.asked == [2]


def test_a_reading_behind_the_alarms_end_is_not_its_peak(lab):
    write(lab, (START + 20 * MINUTE, 9.9))
    ended = told(2, decided(7.0, 9.9), "cleared", end=START + 10 * MINUTE)
    assert found(lab, told(1, decided(9.1, 9.1)), ended).peak_ms is None


def test_the_archive_is_asked_once_for_a_revision_and_again_for_what_it_has_not_yet(lab, monkeypatch):
    book = MomentBook()
    raised = told(1, decided(9.1, 9.5))
    assert found(lab, raised, book=book) == Moments()
    write(lab, (START + MINUTE, 9.5))
    for _ in range(3):
        assert found(lab, raised, book=book).peak_ms == START + MINUTE
    assert len(lab.asked) == 2
    found(lab, raised, told(2, decided(9.2, 9.5), "amended"), book=book)
    assert len(lab.asked) == 3
    monkeypatch.setattr(moments, "KEPT", 1)
    found(lab, raised, told(3, decided(9.3, 9.5), "amended"), book=book)
    assert len(book._known) == 1


def test_the_last_reading_before_a_silence_is_found_and_not_the_one_that_ended_it(lab):
    write(lab, (START - 5 * MINUTE, 5.0), (START - MINUTE, 5.0), (START + 20 * MINUTE, 5.0))
    write(lab, (START - 30_000, 5.0), offset=9, tag="T2")
    ended = told(2, SILENT, "cleared", end=START + 20 * MINUTE)
    assert found(lab, told(1, SILENT), ended).heard_ms == START - MINUTE


def test_without_peak_and_silence_nothing_is_asked(lab):
    assert found(lab, told(1, decided(9.1))) == Moments()
    assert lab.asked == []


def test_an_archive_that_is_away_leaves_the_times_out(lab):
    lab.apply(told(1, SILENT))
    with lab.store.reading() as session:
        row = queries.one(session, told(1, SILENT).alarm)
    assert MomentBook().of(row, SILENT, [], lambda: None) == Moments()


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize("part", ["", "/why"])
def test_the_page_shows_peak_and_time_with_unit_and_how_long_nothing_came(lab, language, part):
    write(lab, (START - MINUTE, 5.0), (START + 4 * MINUTE, 9.94))
    hot, silent = told(1, decided(9.1, 9.94)), told(1, SILENT).model_copy(update={"alarm": "f" * 32, "seq": 2})
    lab.apply(hot, silent)
    with lab.signed_in(language=language) as client:
        page = parse(client.get(f"/alarms/{hot.alarm}{part}").text)
        peak = page.one("p", id="peak")
        assert "9.94 °C" in peak.text
        assert [time["datetime"] for time in peak.all("time")] == ["2026-09-21T13:47:20.000Z"]
        assert ("Farthest" in peak.text) == (language == "en")
        page = parse(client.get(f"/alarms/{silent.alarm}{part}").text)
        assert page.all("p", id="peak") == []
        waited = "31 min > 2 × registered interval" if language == "en" else "31分 > 2 × 登记的采集间隔"
        assert waited in page.text


@pytest.mark.parametrize("kind", ["cleared", "retracted"])
def test_a_silence_that_does_not_hold_is_not_compared_with_a_time_that_would(lab, kind):
    write(lab, (START - MINUTE, 5.0), (START + 20 * MINUTE, 5.0))
    over = Evidence(leaves=[SILENT.leaves[0].model_copy(update={"verdict": Verdict.FALSE})])
    ended = told(2, over, kind, end=START + 20 * MINUTE)
    lab.apply(told(1, SILENT), ended)
    with lab.signed_in(language="en") as client:
        page = parse(client.get(f"/alarms/{ended.alarm}/why").text)
    leaf = [cell.text for cell in page.all("table")[0].all("tr")[1].all("td")]
    assert leaf == ["Time without a record of T1", "> 2 × registered interval", "false"]


def test_a_peak_whose_time_nobody_knows_says_so(lab):
    hot = told(1, decided(9.1, 9.94))
    lab.apply(hot)
    with lab.signed_in(language="en") as client:
        peak = parse(client.get(f"/alarms/{hot.alarm}").text).one("p", id="peak")
    assert "9.94 °C" in peak.text
    assert "does not tell the time" in peak.text
