"""Pages, counts and filters of the clocks: the database says of each what `Running.at` says, at every instant."""

from __future__ import annotations

import itertools

import pytest

from monitor.accounts import assignments, users
from monitor.alarms.projection import apply_batch
from monitor.alarms.queries import BadCursorError
from monitor.deadlines import keeping, queries
from monitor.deadlines.queries import Filter, Standing
from monitor.deadlines.snapshots import Listed
from monitor.register.store import import_register
from rules.clocks.listing import DueState
from tests.monitor.alarms.changes import change
from tests.monitor.alarms.changes import incoming as records
from tests.monitor.deadlines.listed import DUE, LATE, SOON, UNKNOWN, keep, province, told
from tests.monitor.desk.lab import NOW
from tests.monitor.register.samples import facility, register
from tests.rules.duelogs import DAY, HOUR


def cases(store, now=NOW, **wanted):
    with store.reading() as session:
        return [row.subject["report"] for row in queries.page(session, Filter.model_validate(wanted), now).rows]


def counted(store, now=NOW, **wanted):
    with store.reading() as session:
        return {s.value: n for s, n in queries.counts(session, Filter.model_validate(wanted), now).items()}


def stands(store, name=None):
    with store.reading() as session:
        return queries.standing(session, name)


@pytest.fixture
def whole(store):
    province(store)
    return store


def test_all_come_by_due_instant_and_those_without_end_last(whole):
    assert cases(whole) == ["C-LATE", "C-SOON", "C-DUE", "V-1"]
    assert counted(whole) == {"late": 1, "soon": 1, "due": 1, "unknown": 1}


@pytest.mark.parametrize(
    ("state", "found"), [("late", ["C-LATE"]), ("soon", ["C-SOON"]), ("due", ["C-DUE"]), ("unknown", ["V-1"])]
)
def test_a_state_is_asked_for(whole, state, found):
    assert cases(whole, state=state) == found
    assert counted(whole, state=state) == {"late": 1, "soon": 1, "due": 1, "unknown": 1}


def test_the_database_says_what_the_row_says_at_every_instant(whole):
    with whole.reading() as session:
        rows = queries.page(session, Filter(), NOW).rows
    marks = {NOW} | {one.since + by for row in rows for one in row.colours for by in (-1, 0, 1)}
    for now in sorted(marks):
        held = [row.at(now).state for row in rows]
        assert counted(whole, now) == {state.value: held.count(state) for state in DueState}
        for state in DueState:
            mine = [row.subject["report"] for row in rows if row.at(now).state is state]
            assert cases(whole, now, state=state) == mine


def test_one_facility_and_until_an_instant(whole):
    assert cases(whole, facility=SOON) == ["C-SOON"]
    assert counted(whole, facility=SOON) == {"late": 0, "soon": 1, "due": 0, "unknown": 0}
    assert cases(whole, until=NOW + 3 * DAY) == ["C-LATE", "C-SOON", "V-1"]  # what has no known end may be due by then
    with whole.reading() as session:
        (row,) = queries.page(session, Filter(facility=SOON), NOW).rows
    assert cases(whole, facility=SOON, until=row.due) == ["C-SOON"]
    assert cases(whole, facility=SOON, until=row.due - 1) == []


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 9])
def test_pages_put_together_are_the_whole(whole, limit):
    log = told(DUE, 3, "C-DUE")
    for n in range(5):
        log.death(10 * HOUR, f"C-{n}")  # the same due instant
    keep(whole, log)
    everything = cases(whole, limit=500)
    assert len(everything) == 9
    found, after, rounds = [], None, 0
    while True:
        with whole.reading() as session:
            page = queries.page(session, Filter(limit=limit, after=after), NOW)
        found += [row.subject["report"] for row in page.rows]
        assert page.total == 9
        rounds += 1
        if page.next is None:
            break
        after = page.next
    assert (found, rounds) == (everything, -(-9 // limit))


@pytest.mark.parametrize("after", ["x", "bnVsbA", "WzEsMl0", "WzEsIjAwMCJd", "W3RydWUsImZmIl0", "Wy0xLCIi"])
def test_a_cursor_that_is_none_of_ours_is_refused(whole, after):
    with whole.reading() as session, pytest.raises(BadCursorError):
        queries.page(session, Filter(after=after), NOW)


def test_inspectors_have_their_facilities_and_nobody_has_the_rest(whole):
    with whole.writing() as session:
        import_register(session, register(*(facility(name) for name in (LATE, SOON, DUE, UNKNOWN))), "u", NOW)
        for name in ("li.lei", "han.mei"):
            users.add(session, name, display=name, role="supervisor", language="zh", now_ms=NOW)
        assignments.assign(session, "li.lei", [LATE, SOON], "op", NOW)
        assignments.assign(session, "han.mei", [SOON], "op", NOW)
    assert cases(whole, inspector="li.lei") == ["C-LATE", "C-SOON"]
    assert counted(whole, inspector="li.lei") == {"late": 1, "soon": 1, "due": 0, "unknown": 0}
    assert cases(whole, inspector="han.mei", state="late") == []
    assert cases(whole, inspector="no.body") == []
    assert cases(whole, inspector="-") == ["C-DUE", "V-1"]
    with whole.writing() as session:
        users.disable(session, "li.lei", NOW)
    assert cases(whole, inspector="-") == ["C-LATE", "C-DUE", "V-1"]  # who may not sign in answers for nothing


def test_how_new_the_list_is_and_what_is_missing(whole):
    assert stands(whole) == Standing(NOW - 30_000, 0, 0, 0, 0)
    assert stands(whole).is_whole
    with whole.writing() as session:
        keeping.as_of(session, {1: NOW - 90_000})
        keeping.hold(session, DUE, held=True)
        keeping.keep(session, 0, Listed(LATE, "", fault="broken"))
        keeping.keep(session, 1, Listed(SOON, "x", [], 4, ["a.b", "a.c"]))
    assert stands(whole) == Standing(NOW - 90_000, 4, 2, 1, 1)
    assert not stands(whole).is_whole
    assert stands(whole, SOON) == Standing(NOW - 90_000, 4, 2, 0, 0)
    assert stands(whole, LATE) == Standing(NOW - 30_000, 0, 0, 0, 1)
    assert stands(whole, "BJ-NEW-0001") == Standing(
        NOW - 90_000, 0, 0, 0, 0
    )  # no partition of it is known: the oldest counts


def test_before_anything_was_read_nothing_is_said_of_how_new_it_is(store):
    assert stands(store) == Standing(None, 0, 0, 0, 0)
    assert cases(store) == []
    assert counted(store) == dict.fromkeys(("late", "soon", "due", "unknown"), 0)


def test_alarms_that_the_desk_has(store):
    raised = change(1, start=NOW)
    with store.writing() as session:
        apply_batch(session, records([raised]), NOW)
    with store.reading() as session:
        assert queries.known_alarms(session, [raised.alarm, "f" * 32]) == {raised.alarm}
        assert queries.known_alarms(session, []) == set()


def test_filters_of_any_kind_stand_side_by_side(whole):
    kinds = [{"facility": LATE}, {"state": "late"}, {"until": NOW}, {"limit": 1}]
    for some in itertools.chain.from_iterable(itertools.combinations(kinds, n) for n in range(1, 5)):
        wanted = {key: value for one in some for key, value in one.items()}
        assert cases(whole, **wanted)[0] == "C-LATE"
