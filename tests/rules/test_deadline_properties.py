"""Legal clocks, for any log: engine and oracle agree; ticks, restarts, repeats, other facilities and a rule that fails change nothing."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from random import Random
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from rules.alarms import fold_alarms
from rules.changes import ChangeKind
from rules.clocks import book, changing, speak, store
from rules.clocks.due import terms_of
from rules.engine import Engine
from rules.fitting import RULE_FAILED
from rules.layout import NONE
from rules.pack import Bundle
from rules.records import Inspection, Kind, LogRecord, PacksRecord, RegisterRecord, Report, Tick
from tests.examples import examples, until_met
from tests.rules import deadlinelogs
from tests.rules.deadlinelogs import DAY, FACILITY, HOUR
from tests.rules.deadlinerules import ALONE, OWN, PACKS, SHIPPED
from tests.rules.oracle.fold import fold
from tests.rules.restarts import restarted
from tests.rules.test_engine_properties import plain, run, without_records
from tests.rules.test_failing import BrokenError, failed, without

pytestmark = pytest.mark.long
QUICK = settings(
    max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
LONG = settings(QUICK, max_examples=1500)
END = 200 * DAY
SOME_TICKS = 20


def until(log):
    return log[-1].received + END


def folded(drawn, engine=None):
    packs, log = drawn
    return run(log, until(log), engine or Engine(PACKS[packs]))


def numbered(log):
    return [replace(record, offset=i) for i, record in enumerate(log)]


def agree(drawn):
    packs, log = drawn
    engine = Engine(PACKS[packs])
    changes = folded(drawn, engine)
    got = plain(changes)
    books = {}
    wanted, _ = fold(log, PACKS[packs], until(log), books)[FACILITY]
    for i, (a, b) in enumerate(zip(got, wanted, strict=False)):
        if a != b:
            note(f"change {i}: engine {a}\noracle {b}")
            break
    assert got == wanted
    alarms = [change.alarm for change in changes if change.change.value == "raised"]
    assert len(alarms) == len(set(alarms)), "two alarms have one id"
    assert RULE_FAILED not in {change.rule for change in changes}
    counters = engine.state_of(FACILITY).clocks.counts
    assert {name: n for name, n in counters.items() if n} == books[FACILITY].clocks.counts


@given(deadlinelogs.drawn())
@QUICK
def test_engine_and_oracle_agree(drawn):
    agree(drawn)


@pytest.mark.slow
@pytest.mark.timeout(3_000)
@given(deadlinelogs.drawn())
@LONG
def test_engine_and_oracle_agree_on_many_logs(drawn):
    """Slow: 1,500 logs, each case of which the oracle reads from its first document on at every instant."""
    agree(drawn)


def closed(log):
    """Return the times in which the front door was closed."""
    ticks = [r.received for r in log if isinstance(r.payload, Tick) and r.payload.role == "gateway"]
    return [(a, b) for a, b in pairwise(ticks) if b - a > 900_000]


@given(deadlinelogs.drawn(), st.lists(st.integers(1, 40 * HOUR), min_size=1, max_size=9))
@QUICK
def test_more_ticks_change_nothing(drawn, distances):
    """While the front door is closed nothing is put in: what the clock says then is taken back at its opening."""
    packs, log = drawn
    other, at, doors = [], log[0].received, closed(log)
    for i, record in enumerate(log):
        step = max(distances[i % len(distances)], (record.received - at) // SOME_TICKS)
        while at + step < record.received:
            at += step
            if not any(begin <= at <= end for begin, end in doors):
                other.append(LogRecord(0, 0, at, Kind.TICK, "", Tick(by="t", role="worker", now=at)))
        at = max(at, record.received)
        if not (isinstance(record.payload, Tick) and record.payload.role == "worker") or doors:
            other.append(record)
    got = without_records(folded((packs, numbered(other))))
    assert got == without_records(folded(drawn))


@given(deadlinelogs.drawn(doors=False), st.integers(1, 899_999))
@QUICK
def test_a_gateway_that_ticks_less_than_a_quarter_of_an_hour_apart_changes_nothing(drawn, distance):
    packs, log = drawn
    log = log[: 1 + sum(record.received < log[0].received + DAY for record in log)]
    step = max(distance, 60_000)
    end = log[0].received + DAY
    ticks = [
        LogRecord(0, 0, at, Kind.TICK, "", Tick(by="g", role="gateway", now=at))
        for at in range(log[0].received + 1, end, step)
    ]
    first, *rest = [record for record in log if record.received < end]
    other = numbered([first, *sorted([*ticks, *rest], key=lambda record: record.received)])
    begun = run(other, end, Engine(PACKS[packs]))
    assert without_records(begun) == without_records(run([first, *rest], end, Engine(PACKS[packs])))


@given(deadlinelogs.drawn(), st.data())
@QUICK
def test_a_restart_from_a_snapshot_at_any_record_changes_nothing(drawn, data):
    packs, log = drawn
    restarted(PACKS[packs], FACILITY, log, data.draw(st.integers(1, len(log))), until(log))


@given(deadlinelogs.drawn())
@QUICK
def test_a_report_that_comes_again_at_once_changes_nothing(drawn):
    packs, log = drawn
    twice = [again for record in log for again in [record] * (1 + isinstance(record.payload, Report | Inspection))]
    one, two = Engine(PACKS[packs]), Engine(PACKS[packs])
    assert without_records(folded((packs, numbered(twice)), two)) == without_records(folded(drawn, one))
    was, now = (engine.counters(0, FACILITY) for engine in (one, two))
    for name in ("report_unread", "report_unreasoned", "report_conflict"):
        assert now.get(name, 0) == 2 * was.get(name, 0)
    assert now.get("reports", 0) == 2 * was.get("reports", 0)


@given(deadlinelogs.drawn(("whole",)), st.integers(0, 1 << 32))
@QUICK
def test_reports_that_come_again_much_later_change_nothing(drawn, number):
    """Under the same rules: what came before a rule was there is nothing to it, and counts when it comes again."""
    random, log = Random(number), list(drawn[1])  # noqa: S311 - a log, no secret
    for record in [record for record in log if isinstance(record.payload, Report | Inspection)]:
        at = random.randint(log.index(record) + 1, len(log))
        now = log[at - 1].received
        log.insert(at, replace(record, received=now))
    assert without_records(folded(("whole", numbered(log)))) == without_records(folded(drawn))


CHAINS = ["adr-case", "adr-death-investigation", "cosmetic-reaction", "cosmetic-self-check", "susar", "device-event"]


@given(st.integers(0, 1 << 32), st.permutations(range(1, 6)), st.permutations(range(1, 6)))
@QUICK
def test_revisions_in_any_order_end_with_the_same_start_and_class(number, first, second):
    """Of each type one report about one case, in five revisions: what they say together does not depend on the order in which they came."""
    maker = deadlinelogs.Maker(Random(number))  # noqa: S311 - a log, no secret
    said = {}
    for kind in CHAINS:
        case = None
        for revision in range(1, 6):
            fields = maker.fields(kind)
            names = {name: f"{kind[:3]}-1" for name in ("case_id", "event_id") if name in fields}
            fields |= names | ({"cases": ["cos-1"]} if "cases" in fields else {})
            case = case or fields.get("follow_up")
            if "follow_up" in fields:
                fields["follow_up"] = case
            said[kind, revision] = {
                "type": kind,
                "id": kind,
                "revision": revision,
                "reason": "mended",
                "fields": fields,
            }
    ends = []
    for order in (first, second):
        engine = Engine(ALONE)
        maker.log, maker.now, maker.version = [], deadlinelogs.BEGIN + 30 * DAY, 1
        maker.put(Kind.REGISTER, RegisterRecord(version=1, facility=maker.entity or maker.facility()))
        for revision in order:
            for kind in CHAINS:
                maker.now += 1
                maker.put(Kind.REPORT, Report.model_validate(said[kind, revision] | {"sent": 0}))
        for record in maker.log:
            engine.fold(record)
        clocks = engine.state_of(FACILITY).clocks
        ends.append(
            {
                (rule.id, subject): (clock.start, clock.said, times(rule, clock), clock.answered == -1)
                for rule in ALONE.rules
                for subject, clock in clocks.of(rule.id).items()
            }
        )
    assert ends[0] == ends[1]


@given(st.integers(0, 1 << 32), st.lists(st.sampled_from(CHAINS), min_size=2, max_size=9), st.data())
@QUICK
def test_reports_that_come_in_one_state_give_the_same_clocks_in_any_order(number, kinds, data):
    """Several reports of a case, some of them revised and renamed, received in one millisecond: all that is kept of each clock is the same."""
    maker = deadlinelogs.Maker(Random(number))  # noqa: S311 - a log, no secret
    facility, said = maker.facility(), []
    for place, kind in enumerate([*kinds, "recall-notice", "recall-progress", "recall-final"]):
        for revision in range(1, maker.random.choice([1, 2, 3]) + 1):
            one = {
                "type": kind,
                "id": f"P-{place}",
                "revision": revision,
                "reason": "mended",
                "fields": maker.fields(kind),
            }
            said.append(Report.model_validate(one | {"sent": 0}))
    ends = []
    for order in (said, data.draw(st.permutations(said))):
        engine = Engine(ALONE)
        maker.log, maker.now = [], deadlinelogs.BEGIN + 30 * DAY
        maker.put(Kind.REGISTER, RegisterRecord(version=1, facility=facility))
        for report in order:
            maker.put(Kind.REPORT, report)
        for record in maker.log:
            engine.fold(record)
        cases = engine.state_of(FACILITY).clocks.cases
        ends.append({(rule, subject): kept(clock) for rule, of in cases.items() for subject, clock in of.items()})
    none = (NONE, NONE, NONE, 0, NONE, 0, "", (), False)
    one, two = ({place: value for place, value in end.items() if value != none} for end in ends)
    assert one == two


def kept(clock):
    """Return what is kept of a clock but for what was said of it."""
    return (
        clock.start, clock.answered, clock.named, clock.reply, clock.planned, clock.revision, clock.said, tuple(sorted(clock.reports)),
        clock.standing is not None,
    )  # fmt: skip


def times(rule, clock):
    found = terms_of(rule, clock, None)
    return None if found is None else (found.time, found.due)


TWO_LOGS = st.sampled_from(tuple(PACKS)).flatmap(lambda one: st.tuples(*[deadlinelogs.drawn((one,))] * 2))
"""Two logs under the same packs."""


@given(TWO_LOGS, st.integers(0, 1 << 32))
@QUICK
def test_two_facilities_of_one_partition_do_not_hear_of_each_other(two, number):
    """Ticks and packs are everybody's; each facility says what it says alone."""
    drawn, other = two
    random, packs = Random(number), drawn[0]  # noqa: S311 - a log, no secret
    shared = [record for record in drawn[1] if not record.facility]
    ours = [record for record in drawn[1] if record.facility]
    theirs = [replace(r, facility="TEST-0002", payload=renamed(r.payload)) for r in other[1] if r.facility]
    whole = sorted([*shared, *ours, *theirs], key=lambda record: (record.received, random.random()))
    begin = {name: next(r.received for r in whole if r.facility == name) for name in (FACILITY, "TEST-0002")}
    assert begin
    changes = run(numbered(whole), until(whole), Engine(PACKS[packs]))
    for name in begin:
        alone = [record for record in whole if record.facility in ("", name)]
        wanted = run(numbered(alone), until(whole), Engine(PACKS[packs]))
        assert without_records(c for c in changes if c.facility == name) == without_records(wanted)


def renamed(payload):
    if not isinstance(payload, RegisterRecord):
        return payload
    return payload.model_copy(update={"facility": payload.facility.model_copy(update={"id": "TEST-0002"})})


@contextmanager
def broken(rule, *kinds):
    """Let a clock raise where it words a change of these kinds."""
    word = speak.message

    def message(of, named, occurrence, kind, *more):
        if of.id == rule and kind in kinds:
            raise BrokenError
        return word(of, named, occurrence, kind, *more)

    with patch.object(speak, "message", message):
        yield


KINDS = st.sets(st.sampled_from(ChangeKind), min_size=1, max_size=3)


@given(deadlinelogs.drawn(), st.sampled_from(OWN + SHIPPED), KINDS, st.data())
@QUICK
def test_a_clock_that_fails_is_put_aside_and_comes_back_with_the_next_packs(drawn, rule, kinds, data):
    packs, log = drawn
    sound = folded(drawn)
    last = LogRecord(0, len(log), until(log), Kind.PACKS, "", PACKS[packs].to_record())
    more = [*log, last]
    with broken(rule, *kinds):
        changes = run(log, until(log), Engine(PACKS[packs]))
        assert without(changes, failed(changes)) == without(sound, failed(changes))
        assert [c.seq for c in changes] == list(range(1, len(changes) + 1))
        assert not [a for a in fold_alarms(changes) if a.rule in failed(changes) and a.status == "active"]
        _, whole = restarted(PACKS[packs], FACILITY, more, data.draw(st.integers(1, len(more))), until(more))
    again = [a for a in fold_alarms(whole) if a.rule == RULE_FAILED]
    assert len({a.alarm for a in again}) == len(again)


BOUNDS = {"MAX_CLOCKS": 2, "MAX_DOCUMENTS": 2, "MAX_REPORTS": 2, "MAX_SEEN": 2, "SPARE": 0}


@given(deadlinelogs.drawn())
@settings(QUICK, max_examples=examples(30))
def test_within_bounds_that_are_always_met_nothing_fails_and_a_restart_changes_nothing(drawn):
    packs, log = drawn
    bundle = PACKS[packs]
    tight = patch.multiple(store, **BOUNDS), patch.multiple(book, MAX_REPORTS=2, MAX_REVISIONS=2)
    with tight[0], tight[1], patch.object(changing, "MAX_CLOSED", 1):
        whole, cut = Engine(bundle), Engine(bundle)
        for record in log:
            if isinstance(record.payload, PacksRecord):
                bundle_of = Bundle.from_record(record.payload)
                whole.know(bundle_of)
                cut.know(bundle_of)
            wanted = whole.fold(record)
            assert RULE_FAILED not in {change.rule for change in wanted}
            assert cut.fold(record) == wanted
            clocks = whole.state_of(FACILITY).clocks
            assert all(len(cases) <= 2 for cases in clocks.cases.values())
            assert len(clocks.book.reports) <= 2
            assert all(len(entries) <= 2 * 12 for _, entries in clocks.book.pack())
            assert len(clocks.closed) <= 1
            assert len(clocks._heap) <= 2 * sum(len(cases) for cases in clocks.cases.values())
            again = Engine(bundle)
            for known in cut._bundles.values():
                again.know(known)
            again.restore_partition(0, cut.partition_state(0))
            again.restore(0, FACILITY, cut.snapshot(0, FACILITY))
            cut = again
        assert cut.advance(0, until(log)) == whole.advance(0, until(log))
        assert cut.snapshot(0, FACILITY) == whole.snapshot(0, FACILITY)


EVERY = frozenset({"raised", "cleared"})
WANTED = {
    "test.await": EVERY | {"stepped", "amended", "retracted"},
    "test.own": EVERY | {"amended", "retracted"},
    "test.again": EVERY | {"retracted", "amended"},
    "test.notice": EVERY | {"amended", "retracted"},
    "test.visit": EVERY | {"stepped", "amended", "retracted", "unknown", "known"},
    "test.list": EVERY | {"stepped", "amended", "retracted"},
    "test.phone": EVERY | {"stepped", "amended", "retracted"},
    "test.trials": EVERY | {"stepped", "amended", "retracted"},
    "test.ahead": EVERY | {"stepped", "amended", "retracted"},
    "test.holders": EVERY | {"stepped"},
    **dict.fromkeys(SHIPPED, EVERY),
    **dict.fromkeys(
        [f"report-clock.{name}" for name in (
            "adr-death-investigation", "cosmetic-self-check", "device-group", "dsur", "rectification", "susar-follow-up", "annual-report",
        )],
        EVERY | {"stepped"},
    ),
}  # fmt: skip
"""What each clock is to say somewhere."""


@pytest.mark.timeout(600)
def test_the_random_logs_reach_every_transition():
    found, counted = Counter(), Counter()

    def look(drawn):
        engine = Engine(PACKS[drawn[0]])
        found.update((c.rule, c.change.value) for c in folded(drawn, engine))
        counted.update({name: 1 for name, n in engine.counters(0, FACILITY).items() if n})

    def missing():
        seen = {rule: {kind for of, kind in found if of == rule} for rule in WANTED}
        return {rule: kinds - seen[rule] for rule, kinds in WANTED.items() if kinds - seen[rule]}

    until_met(deadlinelogs.drawn(), look, lambda: not missing(), most=4_000, at_once=100)
    assert not missing(), (missing(), found)
    asked = {"reports", "report_repeated", "report_conflict", "report_unreasoned", "report_unread", "clock_unknown"}
    assert asked <= set(counted), counted
