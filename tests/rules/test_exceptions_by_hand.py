"""Site exceptions by hand: what holds at the borders of a window, what is said of it, and what it never does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from rules.engine import Engine
from rules.explain import explain
from rules.explaintext import lines
from rules.instants import NEVER_MS, format_instant
from rules.pack import Bundle
from rules.plan import compile_plan
from rules.register import Span
from rules.watching import Registered, contradictions
from tests.rules import exceptionlogs, restarts
from tests.rules.byhand import BUNDLE, FACILITY, HandLog, ms, sensor, story
from tests.rules.leaves.test_leaves_agree import compare

if TYPE_CHECKING:
    from rules.exceptions import SiteException

STORE, CUMULATIVE, SINGLE = "cold-chain.store-out", "cold-chain.warm-cumulative", "cold-chain.warm-10h"
ALLOWED = {
    **exceptionlogs.ALLOWED, SINGLE: {"when.on_delay": {"max": "20h"}, "mute": True},
    CUMULATIVE: {"limits.high": {"min": 8, "max": 20}, "mute": True},
}  # fmt: skip


def excepting(begin: float, end: float, allow: dict[str, Any], tag: str = "T1", **members: Any) -> SiteException:
    """Return an exception of the hand-written facility, from one minute to another."""
    window = {"from": ms(begin), "to": ms(end)}
    return exceptionlogs.exception(**{"facility": FACILITY, "tag": tag, "allow": allow, **window, **members})


def packs(*exceptions: SiteException, base: Bundle = BUNDLE) -> Bundle:
    """Return the shipped packs with what some rules allow, and exceptions."""
    return exceptionlogs.allowing(base, ALLOWED, exceptions)


WIDE = {"limits.high": 12}
MUTE = {"mute": True}


def store(log: HandLog, bundle: Bundle, **options: Any) -> list[tuple[Any, ...]]:
    """Return what the rule of the store says: (received, change, subject, start, end)."""
    return [
        (at, what, who, start, end)
        for at, what, _, who, _, start, end in story(log.changes(bundle=bundle, **options), "store-out")
    ]


def log_of(values: list[Any], begin: float = 0, *, delay: float = 1 / 60, **members: Any) -> HandLog:
    """Return a log of one series, one row a minute."""
    return HandLog().register(-1, sensor(**members)).live("T1", begin, values, delay=delay)


def test_inside_the_window_the_looser_limit_decides_and_behind_it_the_rules_own():
    log = log_of([5] * 10 + [9] * 15)
    assert store(log, packs())[0] == (11.01667, "raised", "T1", 10, None)
    assert store(log, packs(excepting(10, 20, WIDE))) == [(21.01667, "raised", "T1", 20, None)]


@pytest.mark.parametrize(
    ("begin", "end", "raised"),
    [
        (10, 12, [13]),  # both rows of 9 at the end count: it is outside the window
        (10, 12 + 1 / 60_000, [14]),  # a millisecond more, and the first of them does not
        (
            10 + 1 / 60_000,
            30,
            [11],
        ),  # the row at the beginning came before it began: it and the next one raise, but ...
        (9, 30, []),
    ],
)
def test_a_row_received_exactly_at_a_border_is_judged_by_what_begins_there(begin, end, raised):
    log = log_of([5] * 10 + [9] * 6, delay=0)
    log = log if raised != [11] else log_of([5] * 10 + [9, 12.5, 12.5, 12.5], delay=0)
    assert [row[0] for row in store(log, packs(excepting(begin, end, WIDE)))] == raised


def test_a_late_row_into_a_window_that_has_ended_is_stale():
    log = log_of([5] * 15).live("T1", 16, [5] * 10).rows(25.5, ("T1", [15], [30.0]))
    counts = []
    for bundle in (packs(), packs(excepting(10, 20, WIDE))):
        engine = Engine(bundle)
        for record in log.records():
            engine.fold(record)
        state = engine.state_of(FACILITY)
        counts.append((state.of_series("late", 0), state.of_series("stale", 0)))
    assert counts == [(1, 0), (0, 1)]
    assert store(log, packs(excepting(10, 20, WIDE))) == []


def test_a_late_row_inside_the_window_is_judged_by_the_window():
    log = log_of([5] * 12).live("T1", 14, [5] * 4)
    log.rows(17.5, ("T1", [12, 13], [9.0, 9.0]))
    assert store(log, packs()) == [(17.5, "raised", "T1", 12, None), (17.5, "cleared", "T1", 12, 14)]
    assert store(log, packs(excepting(11, 30, WIDE))) == []


def test_rows_measured_in_the_window_and_received_behind_it_are_judged_by_the_rule():
    log = log_of([5] * 18).rows(21, ("T1", [18, 19], [9.0, 9.0]))
    assert store(log, packs(excepting(10, 20, WIDE))) == [(21, "raised", "T1", 18, None)]


def test_an_alarm_that_stands_goes_on_with_the_looser_limit_and_says_by_whose_leave_it_ends():
    one = excepting(10, 20, WIDE, id="EX-2026-014", approver="Wang Wei, BMPA", document="京药监〔2026〕14号")
    log = log_of([5] * 5 + [9] * 10)
    assert store(log, packs(one)) == [(6.01667, "raised", "T1", 5, None), (12.01667, "cleared", "T1", 5, 10)]
    raised, cleared = [c for c in log.changes(bundle=packs(one)) if c.rule == STORE]
    assert {u.name: u.origin for u in raised.evidence.limits} == {"low": "rule", "high": "rule"}
    (used,) = [u for u in cleared.evidence.limits if u.name == "high"]
    assert (used.value, used.origin) == (12.0, "exception")
    assert used.edition == "EX-2026-014, Wang Wei, BMPA 2026-02-01 → 2026-03-01 00:20:00+08:00"
    assert {u.origin for u in cleared.evidence.limits if u.name == "low"} == {"rule"}


def test_a_muted_rule_lets_go_of_its_alarm_when_the_window_begins_and_begins_anew_when_it_ends():
    one = excepting(10, 20, MUTE, id="EX-9")
    bundle = packs(one)
    log = log_of([5] * 5 + [9] * 20)
    assert store(log, bundle) == [
        (6.01667, "raised", "T1", 5, None), (10, "cleared", "T1", 5, 10), (21.01667, "raised", "T1", 20, None),
    ]  # fmt: skip
    _, cleared, again = [c for c in log.changes(bundle=bundle) if c.rule == STORE]
    assert [(r.kind, r.id) for r in cleared.evidence.records] == [("packs", bundle.sha256), ("exception", "EX-9")]
    until = "2026-03-01 00:20:00+08:00"
    assert (
        cleared.message.en == f"T1: not watched until {until}, by site exception EX-9, approved by Wang Wei 2026-02-01"
    )
    assert cleared.message.zh == f"T1：按现场例外 EX-9（Wang Wei 2026-02-01 批准），在 {until} 之前不监测"
    assert again.alarm != cleared.alarm


def test_a_tag_that_leaves_the_register_while_a_window_begins_is_said_to_leave():
    bundle = packs(excepting(10, 20, MUTE))
    log = log_of([5] * 5 + [9] * 3).register(10, sensor("T2"), version=2)
    _, cleared = [c for c in log.changes(bundle=bundle) if c.rule == STORE]
    assert [(r.kind, r.id) for r in cleared.evidence.records][-1] == ("exception", "EX-1")  # the window began first
    log = log_of([5] * 5 + [9] * 3).register(9, sensor("T2"), version=2)
    _, cleared = [c for c in log.changes(bundle=bundle) if c.rule == STORE]
    assert [(r.kind, r.id) for r in cleared.evidence.records] == [("register", "2")]


def test_a_longer_delay_is_told_in_minutes():
    log = log_of([5] * 10 + [9] * 15)
    bundle = packs(excepting(10, 60, {"when.on_delay": "5m"}))
    assert store(log, bundle) == [(15.01667, "raised", "T1", 10, None)]
    (raised,) = [c for c in log.changes(bundle=bundle) if c.rule == STORE]
    (used,) = [u for u in raised.evidence.limits if u.name == "on_delay"]
    assert (used.value, used.unit, used.origin) == (5.0, "min", "exception")


def test_other_series_and_facilities_are_as_if_there_were_none():
    log = HandLog().register(-1, sensor(), sensor("T2"))
    for i in range(4):
        log.rows(11 + i, ("T1", [11 + i], [9.0]), ("T2", [11 + i], [9.0]))
    assert store(log, packs(excepting(10, 20, WIDE))) == [(12, "raised", "T2", 11, None)]
    elsewhere = packs(excepting(10, 20, WIDE, facility="OTHER-1"))
    assert [row[2] for row in store(log, elsewhere)] == ["T1", "T2"]


@pytest.mark.parametrize("allow", [{"limits.high": 8.5}, {"limits.low": 1}, {"when.on_delay": "0s"}])
def test_an_exception_never_narrows(allow):
    """Whatever its file says: numbers of the rule that are looser already stay, and evidence names the rule."""
    rule = BUNDLE.rule(STORE)
    assert rule is not None
    loose = rule.model_copy(
        update={
            "limits": rule.limits.model_copy(update={"from_": Span(low=0, high=12)}),
            "when": rule.when.model_copy(update={"on_delay": 60_000}),
        }
    )
    base = Bundle.of([loose if one.id == STORE else one for one in BUNDLE.rules], BUNDLE.tables.values())
    log = log_of([5] * 10 + [9, 0.5, 9, 9] + [13] * 5)
    with_it, without = packs(excepting(5, 60, allow), base=base), packs(base=base)
    assert store(log, with_it) == store(log, without) == [(15.01667, "raised", "T1", 14, None)]
    (raised,) = [c for c in log.changes(bundle=with_it) if c.rule == STORE]
    assert {u.origin for u in raised.evidence.limits} == {"rule"}


def test_an_exception_stands_instead_of_a_registered_limit_too():
    """The author's bounds hold absolutely; a sensor's own limit, where the rule takes the narrower one, does not make it void."""
    log = log_of([5] * 10 + [9] * 5, limits={"low": 2, "high": 7})
    assert [row[0] for row in store(log, packs())] == [11.01667]
    assert store(log, packs(excepting(10, 60, WIDE))) == []


def test_packs_that_bring_an_exception_into_a_window_that_has_begun_do_not_reach_back():
    log = log_of([5] * 5 + [9] * 6)
    with_it = packs(excepting(0, 60, WIDE))
    log.packs(11, with_it).live("T1", 12, [9] * 5)
    assert store(log, packs()) == [(6.01667, "raised", "T1", 5, None), (14.01667, "cleared", "T1", 5, 12)]


def test_where_an_exception_stands_re_evaluate_carries():
    def moved(*exceptions: SiteException) -> Bundle:
        other = BUNDLE.rule(STORE)
        assert other is not None
        when = other.when.model_copy(update={"consecutive": 3})
        new = other.model_copy(update={"version": "2.0.0", "when": when, "migration": "re-evaluate"})
        base = Bundle.of([new if one.id == STORE else one for one in BUNDLE.rules], BUNDLE.tables.values())
        return packs(*exceptions, base=base)

    def log(to: Bundle) -> HandLog:
        return log_of([5] * 5 + [9, 9, 5, 5, 5]).packs(11, to)

    raised = [(6.01667, "raised", "T1", 5, None), (9.01667, "cleared", "T1", 5, 7)]
    retracted = (11, "retracted", "T1", 5, 7)
    assert store(log(moved()), packs()) == [*raised, retracted]
    assert store(log(moved(excepting(11, 60, WIDE))), packs()) == raised  # one that comes
    with_it = packs(excepting(-1, 60, {"limits.low": 1}))
    assert store(log(moved()), with_it) == raised  # one that goes
    assert store(log(moved(excepting(30, 60, WIDE))), packs()) == [*raised, retracted]  # not yet in force


def test_an_exception_alone_is_no_other_version_of_its_rule():
    """Packs that only allow or make exceptions begin nothing anew, whatever the rule's `migration` says."""
    closing = BUNDLE.rule(STORE)
    assert closing is not None
    base = Bundle.of(
        [r.model_copy(update={"migration": "close"}) if r.id == STORE else r for r in BUNDLE.rules],
        BUNDLE.tables.values(),
    )
    log = log_of([5] * 5 + [9] * 4).packs(9.5, packs(excepting(60, 90, WIDE), base=base)).live("T1", 10, [9] * 3)
    assert store(log, base) == [(6.01667, "raised", "T1", 5, None)]


@pytest.mark.parametrize("muted", [False, True])
def test_a_sum_takes_out_what_its_rule_of_single_events_tells_with_the_exception(muted):
    """`idle_while`: where the single event's rule is excepted, so is its copy inside the sum; muted, it takes nothing out."""
    stored = {"stores": ["vaccine"]}
    log = HandLog().register(-1, sensor(interval="10m"), areas=[{"id": "A1", "kind": "cold-room", **stored}])
    for i in range(200):
        log.rows(10 * i, ("T1", [10 * i], [5.0 if i < 120 else 9.0]))
    allow: dict[str, Any] = MUTE if muted else {"when.on_delay": "20h"}
    bundle = packs(excepting(0, 60 * 48, allow, rule=SINGLE))
    told = [row[:3] for row in story(log.changes(bundle=bundle), "warm-cumulative", "warm-10h")]
    plain = [row[:3] for row in story(log.changes(bundle=packs()), "warm-cumulative", "warm-10h")]
    assert plain == [(1800, "raised", "warm-10h")]
    assert told == [(1800, "raised", "warm-cumulative")]


@pytest.mark.parametrize("allow", [WIDE, MUTE, {"when.on_delay": "5m"}])
@pytest.mark.parametrize("cut", [8, 11, 16, 21, 24])
def test_a_restart_before_in_and_behind_a_window_changes_nothing(allow, cut):
    bundle = packs(excepting(10, 20, allow))
    records = log_of([5] * 5 + [9] * 20).records()
    _, changes = restarts.restarted(bundle, FACILITY, records, cut, ms(60))
    assert changes


def test_a_plan_is_made_anew_at_both_ends_of_a_window_and_only_for_registered_tags():
    entity = log_of([]).records()[0].payload.facility
    mine = packs(excepting(10, 20, WIDE))
    assert [compile_plan(entity, mine, ms(at)).until for at in (0, 10, 20)] == [ms(10), ms(20), NEVER_MS]
    assert compile_plan(entity, packs(excepting(10, 20, WIDE, tag="T9")), ms(0)).until == NEVER_MS
    assert compile_plan(entity, packs(excepting(10, 20, WIDE, facility="OTHER-1")), ms(0)).until == NEVER_MS


def test_registered_limits_without_room_are_found_whatever_is_excepted():
    log = HandLog().register(-1, {**sensor(limits={"low": 9, "high": 30}), "from": format_instant(ms(5))})
    entity = log.records()[0].payload.facility
    assert (
        contradictions(Registered(entity, packs()))
        == contradictions(Registered(entity, packs(excepting(0, 20, WIDE))))
        != []
    )


def test_an_explanation_names_the_exception_who_approved_it_why_and_until_when():
    log = log_of([5] * 5 + [9] * 15)
    wide, mute = (packs(excepting(8, 60, allow, document="No. 7")) for allow in (WIDE, MUTE))
    (found,), _ = explain(log.records(), wide, STORE, at=ms(19))
    assert found.agrees
    value = found.to_json()
    assert value["exception"]["allow"] == {"limits.high": 12.0}
    assert {(u["name"], u["origin"]) for u in value["limits"]} >= {("high", "exception"), ("low", "rule")}
    text = "\n".join(lines(found, "both"))
    for part in ("有效的现场例外 / site exception in force: EX-1", "limits.high = 12.0", "压缩机更换 / Compressor is replaced",
                 "批准 / approved by: Wang Wei, 2026-02-01, No. 7", f"{format_instant(ms(8))} – {format_instant(ms(60))}"):  # fmt: skip
        assert part in text
    (found,), _ = explain(log.records(), mute, STORE, at=ms(19), tag="T1")
    assert not found.watched
    assert found.agrees
    said = "\n".join(lines(found, "en"))
    assert (
        "not watched, because: exception: EX-1, Wang Wei 2026-02-01 → 2026-03-01 01:00:00+08:00 mutes cold-chain.store-out"
        in said
    )
    (before,), _ = explain(log.records(), mute, STORE, at=ms(7))
    assert "exception" not in before.to_json()


def test_a_bundle_with_exceptions_comes_back_from_its_record_and_one_without_has_the_hash_it_had():
    bundle = packs(excepting(10, 20, WIDE), excepting(10, 20, MUTE, id="EX-2", tag="T2"))
    again = Bundle.from_record(bundle.to_record())
    assert (again.sha256, again.exceptions) == (bundle.sha256, bundle.exceptions)
    assert b'"exceptions":[' not in packs().content()
    assert [one.id for one in bundle.only({STORE}).exceptions] == ["EX-1", "EX-2"]
    assert bundle.only({CUMULATIVE}).exceptions == ()


def test_the_leaves_too_decide_what_is_due_at_the_instant_of_a_border():
    """A silence that falls due when a window begins, and a record of another series at that very instant."""
    log = HandLog().register(0, sensor(), sensor("T2")).live("T2", 1, [5.0] * 3, delay=0)
    bundle = packs(excepting(3, 20, MUTE))
    (raised, *_) = [c for c in log.changes(bundle=bundle) if c.subject == {"tag": "T1"}]
    assert (raised.rule, raised.received) == ("data-integrity.gap", ms(3))
    compare(log.records(), bundle, ms(60))


def test_what_fell_due_with_the_newest_row_is_decided_before_a_border():
    """An old row turns an alarm known; by its own event time it is unknown again at once, and a millisecond later the rule is muted."""
    log = log_of([5] * 5 + [9] * 5).rows(120, ("T1", [60], [9.0]))
    bundle = packs(excepting(120 + 1 / 60_000, 200, MUTE))
    told = [row[:2] for row in store(log.tick(121), bundle)]
    assert told == [
        (6.01667, "raised"),
        (26, "unknown"),
        (120, "known"),
        (120, "unknown"),
        (120.00002, "cleared"),
    ]
    log = log_of([5] * 5 + [9] * 5).rows(120, ("T1", [60], [9.0]))
    log.rows(120 + 1 / 60_000, ("T1", [61], [(9.0, "maintenance")]))
    compare(log.records(), packs(excepting(120 + 1 / 60_000, 200, {"limits.low": 1})), ms(200))
