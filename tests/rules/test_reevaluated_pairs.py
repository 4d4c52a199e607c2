"""`migration: re-evaluate` of pairs: by hand, and over random logs what stands is what a facility folded anew would have."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from rules import lookpairs
from rules.engine import Engine
from rules.layout import NONE
from rules.pack import Bundle
from rules.records import Kind, LogRecord, Readings, Tick
from rules.register import Span
from tests.examples import examples
from tests.rules import logs, pairlogs
from tests.rules.byhand import BUNDLE, FACILITY, HandLog, since
from tests.rules.leaves.test_pairs_agree import compare
from tests.rules.restarts import restarted
from tests.rules.splits import row_by_row
from tests.rules.test_engine_properties import END, run, without_records
from tests.rules.test_pairs_by_hand import AREAS, pressure, two

if TYPE_CHECKING:
    from rules.changes import Change

REVERSED = "cleanroom.pressure-reversed"
CASCADE = {"areas": AREAS, "cascades": [{"cleaner": "B1", "dirtier": "C1", "low": 10}]}


def lower(low: float, how: str | None = "re-evaluate", **members: Any) -> Bundle:
    """Return packs in which the cleaner room has to lead by more than this."""
    rule = BUNDLE.rule(REVERSED)
    assert rule is not None
    limits = rule.limits.model_copy(update={"from_": Span(low=low)})  # type: ignore[union-attr]
    changed = rule.model_copy(update={"version": "1.1.0", "limits": limits, "migration": how} | members)
    return Bundle.of([changed if one.id == REVERSED else one for one in BUNDLE.rules], BUNDLE.tables.values())


def lead(log: HandLog, minutes: range, by: float) -> HandLog:
    """Append a record a minute in which the cleaner room leads by some pressure."""
    for minute in minutes:
        log.rows(minute + 0.5, ("P.B", [minute], [20 + by]), ("P.C", [minute], [20]))
    return log


def changes_of(log: HandLog, until: float) -> list[Change]:
    return [change for change in log.changes(until=until) if change.rule == REVERSED]


def told(log: HandLog, until: float) -> list[tuple[object, ...]]:
    return [(since(c.received), c.change.value, since(c.start), since(c.end)) for c in changes_of(log, until)]


# -- by hand: outside is a lead of 0 or less, two records raise, three inside by 1 clear ------------------------------
def test_an_alarm_that_the_new_numbers_do_not_make_is_retracted() -> None:
    log = lead(lead(two(), range(3), 10), range(3, 6), -5).packs(5.7, lower(-10))
    changes = changes_of(lead(log, range(6, 9), -12), 9)
    assert [(since(c.received), c.change.value, since(c.start)) for c in changes] == [
        (4.5, "raised", 3), (5.7, "retracted", 3), (7.5, "raised", 6),
    ]  # fmt: skip
    assert [c.version for c in changes] == ["1.0.0", "1.0.0", "1.1.0"]
    assert next((r.kind, r.id) for r in changes[1].evidence.records) == ("packs", lower(-10).sha256)
    assert (since(changes[1].at), changes[1].late) == (5.7, False)


def test_the_new_numbers_raise_what_they_find_in_the_horizon() -> None:
    log = lead(lead(two(), range(3), 10), range(3, 6), 4).packs(5.7, lower(5))
    (raised,) = changes_of(log, 6)
    assert (since(raised.received), raised.change, since(raised.start), raised.late) == (5.7, "raised", 3, False)
    assert (raised.version, [one.value for one in raised.evidence.limits]) == ("1.1.0", [5])
    log = lead(lead(two(), range(3), 10), range(3, 6), 4).packs(5.7, lower(5, "carry"))
    assert changes_of(log, 6) == []
    assert told(lead(log, range(6, 9), 4), 8.9) == [(7.5, "raised", 6, None)]


@pytest.mark.parametrize(("low", "made"), [(4, True), (3.999, False)])
def test_a_value_on_the_new_bound_is_outside_as_the_rule_says(low: float, made: bool) -> None:
    log = lead(lead(two(), range(3), 10), range(3, 6), 4).packs(5.7, lower(low))
    assert [row[1] for row in told(log, 6)] == ["raised"] * made


def test_an_alarm_goes_on_or_ends_as_it_would_have() -> None:
    log = lead(lead(lead(two(), range(3), 10), range(3, 6), -5), range(6, 9), 3)
    assert told(log, 8.9) == [(4.5, "raised", 3, None), (8.5, "cleared", 3, 6)]
    log.packs(8.9, lower(2.5))
    assert told(log, 9) == [(4.5, "raised", 3, None), (8.5, "cleared", 3, 6), (8.9, "amended", 3, None)]
    log = lead(lead(lead(two(), range(3), 10), range(3, 6), -5), range(6, 9), 0.5)
    assert told(log.packs(8.9, lower(-1)), 9) == [(4.5, "raised", 3, None), (8.9, "cleared", 3, 6)]


def test_what_lies_before_the_horizon_stands() -> None:
    """Two hours before minute 200 is minute 80: what is decided again from there on clears with the third record inside."""
    log = lead(lead(two(), range(3), 10), range(3, 201), -5).packs(200.7, lower(-10))
    assert told(log, 201) == [(4.5, "raised", 3, None), (200.7, "cleared", 3, 81)]


def test_a_colour_that_the_new_steps_have_not_reached_is_taken_back() -> None:
    """Red since minute 6, long before the horizon; steps are known by their place, and this one is another now."""
    severity = BUNDLE.rule(REVERSED).severity  # type: ignore[union-attr]
    early, late = (
        severity.model_validate({"base": "orange", "steps": [{"after": after, "to": "red"}]}) for after in ("3m", "10h")
    )
    log = lead(lead(two().packs(-0.5, lower(0, severity=early)), range(3), 10), range(3, 201), -5)
    changes = changes_of(log.packs(200.7, lower(0, version="1.2.0", severity=late)), 201)
    assert [(c.change.value, c.severity.value) for c in changes] == [
        ("raised", "orange"), ("stepped", "red"), ("amended", "orange"),
    ]  # fmt: skip


def test_rows_of_before_that_come_late_are_not_read() -> None:
    log = lead(lead(two(), range(3), 10), range(4, 7), 10).packs(6.7, lower(5))
    log.rows(6.8, ("P.B", [3, 3.5], [20, 20]), ("P.C", [3, 3.5], [20, 20]))
    assert told(log, 7) == []
    log = lead(lead(two(), range(3), 10), range(4, 7), 10)
    log.rows(6.6, ("P.B", [3, 3.5], [24, 24]), ("P.C", [3, 3.5], [20, 20])).packs(6.7, lower(5))
    assert [row[1:3] for row in told(log, 7)] == [("raised", 3), ("cleared", 3)]


def test_what_waits_at_the_instant_is_decided_before_and_then_again() -> None:
    log = lead(lead(two(), range(3), 10), range(3, 4), -5)
    log.rows(4.5, ("P.B", [4], [15]), ("P.C", [4], [20])).packs(4.5, lower(-10))
    assert told(log, 5) == [(4.5, "raised", 3, None), (4.5, "retracted", 3, None)]


def test_where_the_inputs_were_others_inside_the_horizon_the_pair_is_carried() -> None:
    log = lead(lead(two(), range(3), 10), range(3, 6), 4)
    log.register(5.6, pressure("P.B", "B1"), pressure("P.D", "C1"), version=2, **CASCADE)
    engine = Engine(BUNDLE)
    for record in log.records():
        engine.fold(record)
    state = engine.state_of(FACILITY)
    assert [lookpairs.take(state, pair) for pair in state.planned.pairs] == [None, None]
    assert told(log.packs(5.7, lower(5)), 6) == []


def test_numbers_of_the_register_that_changed_inside_the_horizon_do_not_matter() -> None:
    """The cascade's own low is none of this rule's; that of `pressure-low` it is: all of the horizon is judged by those of now."""
    low = BUNDLE.rule("cleanroom.pressure-low")
    assert low is not None
    limits = low.limits.model_copy(update={"from_": Span(low=1.0), "narrower": None})  # type: ignore[union-attr]
    other = low.model_copy(update={"version": "1.1.0", "limits": limits, "migration": "re-evaluate"})
    packs = Bundle.of([other if one.id == low.id else one for one in BUNDLE.rules], BUNDLE.tables.values())
    log = lead(two(), range(8), 5)
    log.register(8, pressure("P.B", "B1"), pressure("P.C", "C1"), version=2, areas=AREAS,
                 cascades=[{"cleaner": "B1", "dirtier": "C1", "low": 20}])  # fmt: skip
    log = lead(log, range(9, 12), 15).packs(12, packs)
    changes = [(c.change.value, since(c.start)) for c in log.changes(until=12.5) if c.rule == low.id]
    assert changes[0] == ("raised", 0)
    assert changes[-1] == ("retracted", 0)
    engine = Engine(BUNDLE)
    for record in log.records():
        engine.fold(record)
    assert engine.state_of(FACILITY).former == {}


@pytest.mark.parametrize("cut", range(1, 11))
def test_so_it_is_over_a_restart(cut: int) -> None:
    log = lead(lead(two(), range(3), 10), range(3, 6), -5).packs(5.7, lower(-10))
    records = lead(log, range(6, 9), -12).records()
    restarted(BUNDLE, FACILITY, records, cut, records[-1].received + END)


@pytest.mark.parametrize("how", ["carry", "re-evaluate", "close"])
@pytest.mark.parametrize("low", [-10, 5])
def test_the_leaves_say_the_same(how: str, low: float) -> None:
    log = lead(lead(two(), range(3), 10), range(3, 6), -5 if low < 0 else 4).packs(5.7, lower(low, how))
    records = lead(lead(log, range(6, 9), -12), range(9, 12), 10).records()
    assert compare(records, BUNDLE, [REVERSED], records[-1].received + 60_000) > 0


# -- random logs ------------------------------------------------------------------------------------------------------
PACKS = pairlogs.BUNDLE
OWN = {rule.id for rule in PACKS.rules if rule.kind == "difference"}
HORIZON = 110 * 60_000
"""Less than two hours: of a log so long nothing has left the horizon."""
QUICK = settings(
    max_examples=examples(40), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


def changed(draw: Any, rule: Any) -> Any:
    """Return a rule with other numbers, decided again."""
    members: dict[str, Any] = {"when": rule.when.model_copy(update={"consecutive": draw(st.integers(1, 3))})}
    if isinstance(rule.limits.from_, Span):
        spans = [(0.0, None), (5.0, None), (12.0, None), (-3.0, 30.0), *([] if rule.limits.narrower else [(-3.0, 3.0)])]
        low, high = draw(st.sampled_from(spans))
        members["limits"] = rule.limits.model_copy(update={"from_": Span(low=low, high=high)})
    if draw(st.booleans()):
        members["clear"] = rule.clear.model_copy(update={"consecutive": draw(st.integers(1, 3)), "deadband": 0.0})
    if draw(st.integers(0, 2)) == 0:
        members["severity"] = rule.severity.model_copy(update={"steps": []})
    return rule.model_copy(update={**members, "version": "2.0.0", "migration": "re-evaluate"})


@st.composite
def packs(draw: Any) -> Bundle:
    rules = [changed(draw, rule) if rule.id in OWN and draw(st.integers(0, 3)) else rule for rule in PACKS.rules]
    return Bundle.of(rules, PACKS.tables.values())


def standing(changes: list[Change]) -> Counter[tuple[object, ...]]:
    """Return what stands or stood of each pair, without what was taken back, and in which colour what stands."""
    newest = {change.alarm: change for change in changes if change.rule in OWN}
    return Counter(
        (c.rule, *c.subject.values(), c.start, c.end, c.severity if c.end is None else "")
        for c in newest.values()
        if c.change != "retracted"
    )


SEEN: Counter[str] = Counter()


@pytest.mark.long
@given(pairlogs.logs(), packs(), st.sampled_from([0, 1, 30_000, 300_000]))
@settings(QUICK, max_examples=examples(120))
def test_inside_the_horizon_it_is_what_a_facility_folded_anew_would_have(drawn: Any, new: Bundle, later: int) -> None:
    """Long: each log is folded three times."""
    log = [record for record in logs.records(*drawn) if record.received < logs.BEGIN + HORIZON]
    times = [t for record in log if isinstance(record.payload, Readings) for t in record.payload.time.tolist()]
    assume(times and max(times) - min(times) < HORIZON)
    now = max(record.received for record in log) + later
    parts = ((Kind.PACKS, new.to_record()), (Kind.TICK, Tick(by="t", role="worker", now=now)))
    again, anew = ([*log, LogRecord(0, len(log), now, kind, "", payload)] for kind, payload in parts)
    old, first, second = Engine(PACKS), Engine(PACKS), Engine(new)
    one, two_, before = (
        [change for record in part for change in engine.fold(record)] + engine.settle(0)
        for part, engine in ((again, first), (anew, second), (anew, old))
    )
    state = old.state_of(drawn[0].id)  # of a sensor without an interval fewer rows are kept than it sends
    assume(all(state.of(pair, "floor") == NONE for pair in state.planned.pairs))
    assert standing(one) == standing(two_)
    if standing(before) != standing(one):
        SEEN.update({rule for rule, *_ in (standing(before) - standing(one)) + (standing(one) - standing(before))})


@pytest.mark.long
def test_the_random_packs_change_what_stands_of_each_rule() -> None:
    if not SEEN:  # run alone
        test_inside_the_horizon_it_is_what_a_facility_folded_anew_would_have()
    assert len(SEEN.keys() & OWN) >= 3


@st.composite
def changing(draw: Any) -> tuple[Any, list[LogRecord]]:
    """Draw a facility and its log, packs in the midst of it."""
    entity, entries = draw(pairlogs.logs())
    log = logs.records(entity, entries)
    for _ in range(draw(st.integers(1, 2))):
        at = draw(st.integers(1, len(log)))
        received = max(record.received for record in log[:at]) + draw(st.sampled_from([0, 1, 90_000]))
        log = [*log[:at], LogRecord(0, 0, received, Kind.PACKS, "", draw(packs()).to_record()), *log[at:]]
    return entity, [replace(record, offset=i) for i, record in enumerate(log)]


@pytest.mark.long
@given(changing(), st.data())
@QUICK
def test_a_restart_and_batches_row_by_row_change_nothing(drawn: Any, data: Any) -> None:
    """Long: each log is folded five times."""
    entity, log = drawn
    until = max(record.received for record in log) + END
    restarted(PACKS, entity.id, log, data.draw(st.integers(1, len(log))), until)
    once, apart = (run(one, until, Engine(PACKS)) for one in (log, row_by_row(log)))
    assert without_records(once) == without_records(apart)


@pytest.mark.long
@given(changing())
@settings(QUICK, max_examples=examples(12))
def test_the_leaves_never_contradict_the_engine(drawn: Any) -> None:
    """Long: each pair is followed from its first row after every record."""
    _, log = drawn
    compare(log, PACKS, OWN, max(record.received for record in log) + END)
