"""What the queue asks of the store: order, filters that agree with the counts, plans that use an index, a fixed number of queries."""

from __future__ import annotations

import random
import threading
from contextlib import contextmanager

import pytest
from sqlalchemy import event, text

from monitor.alarms import queries
from monitor.alarms.acknowledge import acknowledge
from monitor.alarms.axes import Attention, attention
from monitor.alarms.projection import apply_batch
from monitor.alarms.queries import UNSEEN, BadCursorError, Filter, queue
from monitor.alarms.rulebook import RESPOND
from monitor.register.store import import_register
from rules.changes import ChangeKind
from rules.models import Severity
from tests.monitor.alarms.changes import change, incoming
from tests.monitor.desk.crowd import crowd
from tests.monitor.desk.lab import NOW, RULEBOOK, DeskLab
from tests.monitor.register.samples import facility, register

pytestmark = pytest.mark.long

MINUTE, HOUR = 60_000, 3_600_000


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def big(request, tmp_path_factory):
    """One crowded store a database and module: 5,000 open alarms and 60,000 that have ended."""
    from monitor.store.schema import upgrade
    from monitor.store.session import Store

    if request.param == "postgresql":
        url = request.getfixturevalue("postgres").database("offsite")
    else:
        url = f"sqlite:///{tmp_path_factory.mktemp('big')}/big.db"
    with Store(url) as store:
        upgrade(store)
        crowd(store, opened=5_000, ended=60_000)
        yield store


@contextmanager
def watched(store):
    """Collect the statements that run, with their parameters."""
    seen = []

    def note(_connection, _cursor, statement, parameters, _context, _many):
        # Answers are made in AnyIO's threads; the live stream looks by itself, once a second, in one of asyncio's.
        if not statement.startswith("BEGIN") and not threading.current_thread().name.startswith("asyncio"):
            seen.append((statement, parameters))

    event.listen(store.engine, "before_cursor_execute", note)
    yield seen
    event.remove(store.engine, "before_cursor_execute", note)


def plan(store, statement, parameters):
    prefix = "EXPLAIN QUERY PLAN " if store.dialect == "sqlite" else "EXPLAIN "
    with store.engine.connect() as connection:
        rows = connection.exec_driver_sql(prefix + statement, parameters).all()
    return "\n".join(" ".join(map(str, row)) for row in rows)


def apply(store, *changes):
    with store.writing() as session:
        apply_batch(session, incoming(changes), NOW)


def shown(store, **wanted):
    with store.reading() as session:
        return queue(session, Filter(**wanted), RULEBOOK)


def tags(page):
    return [row.subject.split('"')[3] for row in page.rows]


def test_each_query_of_a_page_goes_by_an_index_however_much_has_ended(big):
    with watched(big) as seen, big.reading() as session:
        found = queue(session, Filter(), RULEBOOK)
        queries.unseen(session, RULEBOOK)
        queries.open_counts(session)
        queries.returned_counts(session)
        queries.covered(session, [row.id for row in found.rows])
        queries.covered_rows(session, found.rows[0].id)
        queries.history(session, found.rows[0].id)
        queries.actions(session, found.rows[0].id)
        queries.one(session, found.rows[0].id)
        queries.last_live(session)
    assert found.total == 5_000 + 6_000  # and what ended unseen, a tenth of what ended
    assert len(found.rows) == queries.PAGE
    assert len(seen) == 11
    for statement, parameters in seen:
        said = plan(big, statement, parameters)
        assert "Seq Scan on alarm " not in said, statement
        assert "SCAN alarm" not in said.replace("SCAN alarm USING", ""), said
        if "FROM alarm " in statement:
            assert "ix_alarm_" in said or "pk_alarm" in said or "sqlite_autoindex_alarm_1" in said, said


@pytest.mark.parametrize(
    ("wanted", "index"),
    [
        ({}, "ix_alarm_queue"), ({"severity": "red"}, "ix_alarm_queue"), ({"attention": "unacknowledged"}, "ix_alarm_"),
        ({"status": "unknown", "suppressed": "any"}, "ix_alarm_queue"), (UNSEEN["returned"], "ix_alarm_"),
        ({"facility": "F7", "status": "any"}, "ix_alarm_facility"), ({"cause": "silence", "suppressed": "any"}, "ix_alarm_queue"),
    ],
)  # fmt: skip
def test_each_filter_goes_by_its_index(big, wanted, index):
    with watched(big) as seen:
        shown(big, **wanted)
    assert len(seen) == 2
    for statement, parameters in seen:
        assert index in plan(big, statement, parameters)


def test_a_page_asks_the_same_number_of_questions_for_one_alarm_and_for_five_hundred(big, tmp_path):
    lab = DeskLab(big, tmp_path / "archive")
    counts = {}
    with lab.signed_in() as client, watched(big) as seen:
        for path in ("/", "/queue/rows", "/v1/alarms"):
            for limit in (1, 100, 500):
                seen.clear()
                assert client.get(path, params={"limit": limit}).status_code == 200
                counts.setdefault(path, set()).add(len(seen))
    assert all(len(each) == 1 for each in counts.values()), counts
    assert max(max(each) for each in counts.values()) <= 13  # two of them ask what waits for a second officer


def test_the_count_of_what_was_never_seen_goes_by_one_of_the_indexes_of_few_rows(big):
    with watched(big) as seen, big.reading() as session:
        queries.unseen(session, RULEBOOK)
    said = plan(big, *seen[1])
    assert "ix_alarm_unseen" in said or "ix_alarm_covered" in said, said


@pytest.mark.parametrize(("status", "count"), [("open", 5_000), ("queue", 11_000)])
def test_paging_thousands_of_alarms_shows_each_once_in_one_order(big, status, count):
    walked, after = [], None
    while True:
        page = shown(big, limit=500, after=after, status=status)
        walked += page.rows
        after = page.next
        if after is None:
            break
    assert len({row.id for row in walked}) == len(walked) == count

    def place(row):
        asks = attention(row) is Attention.UNACKNOWLEDGED
        limit, own = RULEBOOK.respond(row.rule, Severity(row.severity)), RESPOND[Severity(row.severity)]
        due = row.asked_ms + (limit - own if isinstance(limit, int) and isinstance(own, int) else 0)
        if isinstance(limit, str) != isinstance(own, str) or (isinstance(limit, str) and limit != own):
            due = row.asked_ms + (int(limit[:-2]) - int(own[:-2])) * 24 * HOUR
        return (-row.severity_rank, 2 if not asks else row.status == "cleared", due, row.id)

    assert walked == sorted(walked, key=place)


def test_what_ended_unseen_stays_until_somebody_has_seen_it(store):
    apply(
        store,
        change(1, tag="BACK", severity="red"), change(2, "cleared", tag="BACK", severity="red", end=1_500_000),
        change(3, tag="HOLDS", severity="red", at=NOW), change(4, tag="MILD", severity="blue"),
        change(5, tag="TAKEN", severity="red"), change(6, "retracted", tag="TAKEN", severity="red", end=1_500_000),
        change(7, tag="TRIAL", stage="shadow"), change(8, "cleared", tag="TRIAL", stage="shadow", end=1_500_000),
        change(9, tag="UNDER"), change(10, "suppressed", tag="UNDER", by="f" * 32), change(11, "cleared", tag="UNDER", end=1_500_000),
    )  # fmt: skip
    assert tags(shown(store)) == ["HOLDS", "BACK", "MILD"]
    assert tags(shown(store, limit=1, after=shown(store, limit=1).next)) == ["BACK"]
    assert tags(shown(store, status="open")) == ["HOLDS", "MILD"]
    assert tags(shown(store, **UNSEEN["returned"])) == ["UNDER"]
    with store.reading() as session:
        assert queries.returned_counts(session) == {"red": 1}
    with store.writing() as session:
        acknowledge(session, change(1, tag="BACK").alarm, revision=2, actor="u-1", now_ms=NOW)
    assert tags(shown(store)) == ["HOLDS", "MILD"]
    with store.reading() as session:
        assert queries.returned_counts(session) == {}


def test_within_a_colour_who_has_least_time_left_comes_first(store):
    late_found = change(1, tag="OLD", severity="red", start=NOW - 9 * HOUR, at=NOW - 10 * MINUTE)
    fresh = change(2, tag="FRESH", severity="red", start=NOW - 30 * MINUTE, at=NOW - 30 * MINUTE)
    urgent = change(3, tag="URGENT", severity="red", start=NOW - MINUTE, at=NOW - MINUTE)
    urgent = urgent.model_copy(update={"rule": "cell-storage.oxygen-low"})  # 15 minutes of its own, not an hour
    mild = change(4, tag="MILD", severity="orange", start=NOW - 90 * HOUR, at=NOW - 90 * HOUR)
    apply(store, late_found, fresh, urgent, mild)
    assert tags(shown(store)) == ["URGENT", "FRESH", "OLD", "MILD"]
    assert tags(shown(store, limit=2)) == ["URGENT", "FRESH"]
    assert tags(shown(store, limit=2, after=shown(store, limit=2).next)) == ["OLD", "MILD"]


def test_a_step_up_or_a_release_has_its_time_before_it(store):
    """Its colour's time counts from when it was announced, not from a raise of hours ago in another colour."""
    old = change(1, tag="OLD", severity="orange", start=NOW - 9 * HOUR, at=NOW - 9 * HOUR)
    early = change(2, tag="EARLY", severity="red", start=NOW - 30 * MINUTE, at=NOW - 30 * MINUTE)
    worse = change(3, "stepped", tag="OLD", severity="red", start=NOW - 9 * HOUR, at=NOW - MINUTE)
    later = change(4, tag="LATER", severity="red", start=NOW, at=NOW)
    apply(store, old, early, worse, later)
    assert tags(shown(store)) == ["EARLY", "OLD", "LATER"]
    assert tags(shown(store, after=shown(store, limit=1).next)) == ["OLD", "LATER"]
    assert tags(shown(store, after=shown(store, limit=2).next)) == ["LATER"]


def test_a_rule_that_has_become_unknown_counts_as_its_colour(store):
    apply(store, change(1, tag="T1").model_copy(update={"rule": "gone.rule"}))
    assert tags(shown(store)) == ["T1"]


@pytest.mark.parametrize("seed", range(3))
def test_what_is_counted_as_not_told_is_what_its_filter_lists(store, seed):
    chance = random.Random(seed)  # noqa: S311 - a seed makes the run repeatable
    changes = []
    for n in range(60):
        rule = chance.choice(["cold-chain.store-out", "data-integrity.gap", "cold-chain.interval-storage", "odd.gap"])
        raised = change(
            len(changes) + 1, tag=f"T{n}", severity=chance.choice(list(Severity)).value,
            stage=chance.choice(["live", "live", "live", "shadow", "draft"]),
        ).model_copy(update={"rule": rule})  # fmt: skip
        changes.append(raised)
        for kind in chance.sample(["suppressed", "unknown", "cleared", "retracted"], chance.randrange(3)):
            more = (
                {"by": "f" * 32}
                if kind == "suppressed"
                else {"end": 2_000_000}
                if kind in {"cleared", "retracted"}
                else {}
            )
            changes.append(raised.model_copy(update={"seq": len(changes) + 1, "change": ChangeKind(kind), **more}))
    apply(store, *changes)
    with store.reading() as session:
        counts = queries.unseen(session, RULEBOOK)
    listed = {name: shown(store, **wanted, limit=500) for name, wanted in UNSEEN.items()}
    assert {name: getattr(counts, name) for name in UNSEEN} == {name: page.total for name, page in listed.items()}
    assert all(page.total == len(page.rows) for page in listed.values())
    assert all(getattr(counts, name) > 0 for name in ("suppressed", "blind", "trial", "silent", "returned"))


def test_silence_is_what_the_rules_that_watch_for_it_say(store):
    assert RULEBOOK.silences == (
        "cell-storage.oxygen-silent",
        "cleanroom.a-monitor-off",
        "cold-chain.interval-storage",
        "cold-chain.interval-transport",
        "data-integrity.gap",
    )
    apply(
        store,
        change(1, tag="A").model_copy(update={"rule": "data-integrity.gap"}),
        change(2, tag="B").model_copy(update={"rule": "cold-chain.interval-storage"}),
        change(3, tag="C"),
        change(4, tag="D").model_copy(update={"rule": "cell-storage.oxygen-silent"}),
    )
    assert sorted(tags(shown(store, cause="silence"))) == ["A", "B", "D"]


def test_names_are_the_newest_and_a_version_is_parsed_once(store, monkeypatch):
    def named(zh):
        return facility("A1") | {"name": {"zh": zh, "en": f"en {zh}"}}

    with store.writing() as session:
        import_register(session, register(named("旧名")), "u", NOW)
    with store.writing() as session:
        import_register(session, register(named("新名"), facility("B2")), "u", NOW)
    with store.reading() as session:
        assert queries.names(session, {"A1", "X9"}) == {"A1": {"zh": "新名", "en": "en 新名"}}
        assert queries.names(session, set()) == {}
    monkeypatch.setattr(queries.json, "loads", None)
    with store.reading() as session:
        assert queries.names(session, {"A1"})["A1"]["zh"] == "新名"


def test_names_kept_are_bounded(store, monkeypatch):
    monkeypatch.setattr(queries, "MAX_NAMES", 2)
    with store.writing() as session:
        import_register(session, register(*(facility(f"B{n}") for n in range(5))), "u", NOW)
    with store.reading() as session:
        assert len(queries.names(session, {f"B{n}" for n in range(5)})) == 5
    assert len(queries._NAMES) <= 2


@pytest.mark.parametrize("cursor", ["", "!!", "bnVsbA", "W10", "é", "A" * 200, "WzMsMCwxLCJ4Il0"])
def test_a_cursor_that_is_not_ours_is_an_error_of_its_own(store, cursor):
    with pytest.raises(BadCursorError):
        shown(store, after=cursor)


def test_the_partial_indexes_hold_only_what_they_are_for(big):
    with big.reading() as session:
        assert (
            session.scalar(text("SELECT count(*) FROM alarm WHERE acknowledged_revision < attention_revision")) < 12_000
        )
