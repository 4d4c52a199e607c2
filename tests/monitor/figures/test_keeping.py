"""What figures need of facilities as rows: made of snapshots, written where they changed, read again where they changed, gone with the facility."""

from __future__ import annotations

from sqlalchemy import event, select

from monitor.deadlines import keeping as deadlines
from monitor.deadlines.snapshots import FORM, Listed, Reader
from monitor.figures import keeping
from monitor.figures.keeping import Shelf
from monitor.store.desk_tables import FigureRow
from rules.figures.facts import FacilityFacts, facts_of
from rules.figures.sampling import counted
from rules.pack import default_bundle
from tests.monitor.figures.counties import at, facility, keep, sample
from tests.rules.duelogs import DAY, HOUR
from tests.rules.figurelogs import LAB, MAKER, FigureLog, risk


def read(log, known=""):
    return Reader(lambda _: None).read(log.name, log.engine(default_bundle()).snapshot(0, log.name), known)


def rows(store):
    with store.reading() as session:
        return {row.facility: row.body for row in session.scalars(select(FigureRow))}


class Statements:
    """The statements that a store was sent."""

    def __init__(self, store):
        self.seen = []
        event.listen(store.engine, "before_cursor_execute", lambda *a: self.seen.append(a[2]))

    def of(self, word):
        found = [one for one in self.seen if word in one]
        self.seen.clear()
        return found


def test_a_snapshot_gives_the_facts_of_its_state(store):
    log = FigureLog(MAKER, risk=risk("B")).visit(HOUR).sample(2 * HOUR)
    listed = read(log)
    assert listed.figures == facts_of(log.engine(default_bundle()).state_of(MAKER))
    with store.writing() as session:
        deadlines.keep(session, 0, listed)
    (body,) = rows(store).values()
    assert FacilityFacts.model_validate_json(body) == listed.figures


def test_a_sample_alone_is_news_and_the_same_snapshot_is_none():
    log = FigureLog(LAB)
    first = read(log)
    assert read(log, first.digest) is None
    log.sample(DAY)
    second = read(log, first.digest)
    assert [one.sample for one in second.figures.samples] == ["S-1"]
    assert second.digest.startswith(f"{FORM}:")


def test_who_was_never_registered_has_samples_and_no_grade():
    log = FigureLog(LAB)
    log.records.clear()
    found = read(log.sample(HOUR)).figures
    assert (found.registered, found.grade, len(found.samples)) == (False, None, 1)


def test_figures_that_cannot_be_read_are_a_fault_and_the_rows_stay(store):
    log = FigureLog(MAKER, risk=risk("B"))
    with store.writing() as session:
        deadlines.keep(session, 0, read(log))
    kept = rows(store)
    with store.writing() as session:
        deadlines.keep(session, 0, Listed(MAKER, "", fault="broken"))
    assert rows(store) == kept


def test_what_stays_the_same_is_neither_written_nor_read_again(store):
    one, two = facility("BJ-A-0001", "A"), facility("BJ-B-0001", "B")
    keep(store, one, two)
    shelf, sent = Shelf(), Statements(store)
    with store.reading() as session:
        assert shelf.all(session) == [one, two]
    assert len(sent.of("body")) == 1
    keep(store, one, two)
    assert sent.of("UPDATE") == []
    with store.reading() as session:
        assert shelf.all(session) == [one, two]
    assert sent.of("figure_facility.body") == []
    changed = two.model_copy(update={"grade": "C"})
    keep(store, changed)
    with store.reading() as session:
        assert shelf.all(session) == [one, changed]


def test_a_facility_that_is_forgotten_is_counted_no_more(store):
    keep(store, facility("BJ-A-0001"), facility("BJ-B-0001"))
    shelf = Shelf()
    with store.writing() as session:
        shelf.all(session)
        deadlines.forget(session, ["BJ-A-0001"])
        assert [one.facility for one in shelf.all(session)] == ["BJ-B-0001"]


def test_rows_of_another_form_are_made_anew(store):
    with store.writing() as session:
        deadlines.keep(session, 0, Listed(MAKER, "1:old", figures=facility(MAKER)))
        assert deadlines.prepare(session) == 1
    assert rows(store) == {}


def test_samples_are_counted_again_only_where_facts_changed(store, monkeypatch):
    asked = []
    monkeypatch.setattr(keeping, "counted", lambda facts: asked.append(len(facts)) or counted(facts))
    lab = facility("BJ-LAB-0001", samples=[sample(1, at("2026-03-01T00:00:00"))])
    keep(store, lab, facility(MAKER))
    shelf = Shelf()
    with store.reading() as session:
        assert [len(shelf.counted(shelf.all(session))) for _ in range(3)] == [1, 1, 1]
    assert asked == [2]
    keep(store, lab.model_copy(update={"samples": []}))
    with store.reading() as session:
        assert shelf.counted(shelf.all(session)) == []
    keep(store, facility("BJ-NEW-0001"))
    with store.reading() as session:
        shelf.counted(shelf.all(session))
    assert asked == [2, 2, 3]
