"""What becomes of alarms when packs change their rule: `carry`, `re-evaluate`, `close` (docs/engine-semantics.md, "Register and packs")."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import pytest

from rules import rule as rule_models
from rules.errors import BadInputError
from rules.migration import AGAIN
from rules.models import Bilingual
from rules.pack import Bundle
from rules.packdiff import differences
from rules.register import Span
from rules.rule import CountRule, LimitRule
from tests.rules.byhand import BUNDLE, HandLog, sensor, since, story
from tests.rules.leaves.test_leaves_agree import compare

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rules.changes import Change

STORE, GAP = "cold-chain.store-out", "data-integrity.gap"
COLD = [{"id": "A1", "kind": "cold-room"}]


def with_rule(rule: str = STORE, base: Bundle = BUNDLE, **members: Any) -> Bundle:
    """Return packs with other members of one rule."""
    rules = [each.model_copy(update=members) if each.id == rule else each for each in base.rules]
    return Bundle.of(rules, base.tables.values(), (), base.calendars.values())


def limited(high: float, how: str | None, **members: Any) -> Bundle:
    """Return packs in which a cold room may have another temperature at most."""
    rule = BUNDLE.rule(STORE)
    assert rule is not None
    limits = rule.limits.model_copy(update={"from_": Span(low=2.0, high=high)})  # type: ignore[union-attr]
    return with_rule(version="1.1.0", limits=limits, migration=how, **members)


def cold(values: list[float], begin: float = 0, log: HandLog | None = None) -> HandLog:
    """Append a record a minute of a cold room (2 to 8, two records outside raise, three inside clear)."""
    return (log or HandLog().register(-1, sensor(), areas=COLD)).live("T1", begin, values)


def told(changes: Iterable[Change], rule: str = STORE) -> list[tuple[Any, ...]]:
    return [(since(c.received), c.change.value, since(c.start), since(c.end)) for c in changes if c.rule == rule]


def at(minute: float) -> float:
    """Return when a row of a minute is received: a second later."""
    return round(minute + 1 / 60, 5)


@pytest.mark.parametrize("how", [None, "carry"])
def test_carried_an_alarm_and_its_counts_go_on_with_the_new_numbers(how: str) -> None:
    """8.2 is outside of 2 to 8. From 5.5 on 9 are allowed: the third record inside by 0.5, minute 8, clears; it ended with minute 6."""
    log = cold([5, 8.2, 8.2, 8.2, 8.2, 8.2]).packs(5.5, limited(9.0, how))
    assert told(cold([8.2, 8.2, 8.2], 6, log).changes()) == [
        (at(2), "raised", 1, None), (at(8), "cleared", 1, 6),
    ]  # fmt: skip


def test_closed_an_alarm_ends_with_the_packs_and_the_next_one_is_another() -> None:
    log = cold([5, 9, 9, 9]).packs(3.5, limited(8.5, "close"))
    changes = [c for c in cold([9, 9, 5, 5, 5], 4, log).changes() if c.rule == STORE]
    assert told(changes) == [
        (at(2), "raised", 1, None), (3.5, "cleared", 1, 3.5), (at(5), "raised", 4, None), (at(8), "cleared", 4, 6),
    ]  # fmt: skip
    assert [c.version for c in changes] == ["1.0.0", "1.0.0", "1.1.0", "1.1.0"]
    assert [(r.kind, r.id) for r in changes[1].evidence.records] == [("packs", limited(8.5, "close").sha256)]
    assert changes[1].message.en == "T1: the rule was changed and begins anew"
    assert changes[1].message.zh == "T1：规则已变更，重新开始判断"


def test_closed_what_was_counted_does_not_count() -> None:
    """The record outside of minute 3 was the first of two; behind the packs two more are needed."""
    log = cold([5, 5, 5, 9]).packs(3.5, limited(8.5, "close"))
    assert told(cold([9, 9], 4, log).changes()) == [(at(5), "raised", 4, None)]
    log = cold([5, 5, 5, 9]).packs(3.5, limited(8.5, "carry"))
    assert told(cold([9, 9], 4, log).changes()) == [(at(4), "raised", 3, None)]


def test_closed_the_horizon_of_the_series_ends_for_every_rule() -> None:
    """Minute 2 comes late, behind the packs: it is not folded any more."""
    log = (
        cold([5, 9]).live("T1", 3, [9]).packs(3.5, with_rule("data-integrity.frozen", identical=13, migration="close"))
    )
    log.rows(4, ("T1", [2], [5]))
    assert told(log.changes()) == [(at(3), "raised", 1, None)]


def test_decided_again_an_alarm_that_the_new_numbers_do_not_make_is_retracted() -> None:
    log = cold([5, 8.2, 8.2, 8.2]).packs(3.5, limited(8.5, "re-evaluate"))
    changes = [c for c in cold([8.2, 9, 9], 4, log).changes() if c.rule == STORE]
    assert told(changes) == [
        (at(2), "raised", 1, None), (3.5, "retracted", 1, None), (at(6), "raised", 5, None),
    ]  # fmt: skip
    assert [c.version for c in changes] == ["1.0.0", "1.0.0", "1.1.0"]
    assert changes[1].evidence.records[0].kind == "packs"


def test_decided_again_the_new_numbers_raise_what_they_find_in_the_horizon() -> None:
    log = cold([5, 7.6, 7.6, 7.6]).packs(3.5, limited(7.5, "re-evaluate"))
    changes = [c for c in cold([7.6], 4, log).changes() if c.rule == STORE]
    assert told(changes) == [(3.5, "raised", 1, None)]
    assert (changes[0].version, changes[0].late, since(changes[0].at)) == ("1.1.0", False, 3.5)
    assert [(r.kind, r.id) for r in changes[0].evidence.records[:2]] == [
        ("readings", "b2"), ("packs", limited(7.5, "re-evaluate").sha256),
    ]  # fmt: skip


def test_decided_again_an_alarm_that_ended_inside_the_horizon_goes_on_if_it_would_have() -> None:
    log = cold([5, 9, 9, 7.4, 7.4, 7.4]).packs(5.5, limited(7.3, "re-evaluate"))
    assert told(cold([5, 5, 5], 6, log).changes()) == [
        (at(2), "raised", 1, None), (at(5), "cleared", 1, 3), (5.5, "amended", 1, None), (at(8), "cleared", 1, 6),
    ]  # fmt: skip


def test_decided_again_what_lies_before_the_horizon_stands() -> None:
    """Two hours before the newest row (minute 200) is minute 80: rows behind that are decided again, and clear by the third."""
    log = cold([5, *[8.2] * 200]).packs(200.5, limited(9.0, "re-evaluate"))
    assert told(log.changes()) == [(at(2), "raised", 1, None), (200.5, "cleared", 1, 81)]


def test_decided_again_a_start_that_had_an_alarm_is_told_under_another_id() -> None:
    """Raised with minute 4, from late rows on since minute 3; by 8.5 minute 3.5 lies between two alarms, and the second begins with minute 4."""
    rule = BUNDLE.rule(STORE)
    assert rule is not None
    quick = {name: getattr(rule, name).model_copy(update={"consecutive": 1}) for name in ("when", "clear")}
    quick["clear"] = quick["clear"].model_copy(update={"deadband": 0.0})
    log = cold([5]).live("T1", 4, [9, 9]).rows(5.5, ("T1", [3, 3.5], [9, 8.2]))
    changes = [c for c in log.packs(6, limited(8.5, "re-evaluate", **quick)).changes() if c.rule == STORE]
    assert told(changes) == [
        (at(5), "raised", 4, None), (5.5, "amended", 3, None), (6, "cleared", 3, 3.5), (6, "raised", 4, None),
    ]  # fmt: skip
    assert len({c.alarm for c in changes}) == 2


def test_decided_again_a_late_row_of_the_time_before_is_stale() -> None:
    log = cold([5, 7.6]).live("T1", 3, [7.6]).packs(3.5, limited(7.5, "re-evaluate")).rows(4, ("T1", [2], [5]))
    assert told(log.changes()) == [(3.5, "raised", 1, None)]
    log = cold([5, 7.6]).live("T1", 3, [7.6]).rows(3.2, ("T1", [2], [5])).packs(3.5, limited(7.5, "re-evaluate"))
    assert told(log.changes()) == []


@pytest.mark.parametrize("how", ["close", "re-evaluate"])
def test_other_words_change_nothing_of_what_stands(how: str) -> None:
    title = Bilingual(en="Too warm or too cold", zh="温度超限")
    new = with_rule(version="1.0.1", title=title, migration=how)
    log = cold([5, 9, 9]).packs(2.5, new)
    log.live("T1", 4, [9]).rows(4.5, ("T1", [3], [5]))  # and the horizon is as it was: this row is late, not stale
    assert told(log.changes()) == [(at(2), "raised", 1, None)]
    (found,) = differences(BUNDLE, new)
    assert found.migrations == ()


def test_the_file_that_comes_decides_and_a_rule_that_does_not_change_stays_with_what_it_says() -> None:
    closing = limited(8.5, "close")
    log = cold([5, 9, 9]).packs(2.5, limited(8.5, None))
    assert told(log.changes(bundle=with_rule(migration="close"))) == [(at(2), "raised", 1, None)]
    log = cold([5, 9, 9]).packs(2.5, with_rule(GAP, factor=3.0, migration="close", base=closing))
    assert told(log.changes(bundle=closing)) == [(at(2), "raised", 1, None)]


def test_a_table_belongs_to_the_rules_that_take_limits_from_it() -> None:
    """A cool store is warm since minute 1; the table that gives its limit gets another deadband."""
    rule = "cold-chain.ambient-store-out"
    closing = with_rule(rule, migration="close")
    table = closing.tables["ambient-stores"]
    rows = [row.model_copy(update={"deadband": 0.25}) for row in table.rows]
    other = Bundle.of(
        closing.rules,
        [table.model_copy(update={"rows": rows}), *(t for t in closing.tables.values() if t is not table)],
        calendars=closing.calendars.values(),
    )
    log = HandLog().register(
        -1, sensor(), areas=[{"id": "A1", "kind": "cool-store"}], scopes=[{"field": "distribution", "line": "drug"}]
    )
    changes = log.live("T1", 0, [15, 30, 30, 30]).packs(3.5, other).changes(bundle=closing)
    assert told(changes, rule)[-1] == (3.5, "cleared", 1, 3.5)
    (found,) = differences(closing, other)
    assert (found.of, dict(found.migrations)) == ("table", {rule: "close"})


def test_a_silence_that_is_closed_and_lasts_is_raised_anew_under_another_id() -> None:
    """Records of minutes 0 and 1; the next was due at 2. The silence is due at 1 + 2 intervals + a minute of delivery: 4."""
    log = cold([5, 5]).packs(6.5, with_rule(GAP, version="1.2.0", marked="count", migration="close")).tick(7)
    changes = [c for c in log.changes() if c.rule == GAP and c.subject]
    assert told(changes, GAP) == [(4, "raised", 2, None), (6.5, "cleared", 2, 6.5), (6.5, "raised", 2, None)]
    assert len({c.alarm for c in changes}) == 2
    assert [c.version for c in changes] == ["1.1.0", "1.1.0", "1.2.0"]


def test_closed_time_takes_back_what_new_packs_raised_in_it_and_the_leaves_say_so() -> None:
    """Between the ticks of minutes 5 and 21 the front door was closed; the packs of minute 10 close and raise anew inside it."""
    closing = with_rule(GAP, version="1.1.0", marked="count", migration="close")
    log = cold([5, 5]).tick(4.5).tick(5).packs(10, closing).tick(21, "worker").tick(21)
    changes = [c for c in log.changes() if c.rule == GAP and c.subject]
    raised = [(since(c.received), c.change.value) for c in changes]
    assert raised == [(4, "raised"), (8, "stepped"), (10, "cleared"), (10, "raised"), (21, "retracted")]
    compare(log.records(), BUNDLE)


def test_a_place_that_is_silent_as_a_whole_is_closed_behind_its_tags() -> None:
    log = HandLog().register(-1, sensor("T1"), sensor("T2"), areas=COLD)
    log.rows(0.1, ("T1", [0], [5]), ("T2", [0], [5]))
    log.packs(6, with_rule(GAP, version="1.1.0", marked="count", migration="close")).tick(7)
    rows = [row[:4] for row in story(log.changes(), "gap") if row[0] >= 6]
    assert rows[:3] == [
        (6, "cleared", "gap", "T1"), (6, "cleared", "gap", "T2"), (6, "cleared", "gap", "*"),
    ]  # fmt: skip
    assert [row[1] for row in rows[3:]].count("raised") == 3


def test_a_case_of_events_is_closed_and_counting_begins_anew() -> None:
    rule = "data-integrity.audit-disabled"
    old = BUNDLE.rule(rule)
    assert old is not None
    event = {
        "stream": "audit", "type": "config", "time": "2026-03-01T00:01:00+08:00", "source": "LIMS-1",
        "fields": {"system": "LIMS-1"},
    }  # fmt: skip
    assert isinstance(old, CountRule)
    event |= {"stream": old.events.stream, "type": old.events.type}
    event["fields"] = {"system": "LIMS-1", **{name: _one(value) for name, value in old.events.where.items()}}
    log = HandLog().register(-1, sensor(), areas=COLD).line(1.1, "events", {"batch": "e1", "events": [event]})
    log.packs(3, with_rule(rule, version="1.1.0", within=60_000, migration="close"))
    log.line(4, "events", {"batch": "e2", "events": [event]})  # the same again: it is known
    later = {**event, "time": "2026-03-01T00:05:00+08:00"}
    log.line(5.1, "events", {"batch": "e3", "events": [later]})
    changes = [c for c in log.changes() if c.rule == rule]
    assert told(changes, rule) == [(1.1, "raised", 1, None), (3, "cleared", 1, 3), (5.1, "raised", 5, None)]
    assert [c.version for c in changes] == ["1.0.0", "1.0.0", "1.1.0"]


def _one(value: Any) -> Any:
    return value[0] if isinstance(value, list) else value


def test_only_a_rule_whose_rows_are_kept_is_decided_again() -> None:
    packs = with_rule(GAP, migration="re-evaluate")
    with pytest.raises(BadInputError) as caught:
        Bundle.from_record(packs.to_record())
    (fault,) = caught.value.faults
    assert fault.pointer.endswith("/migration")
    assert fault.detail == "a gap rule is not decided again: carry or close"
    Bundle.from_record(with_rule(migration="re-evaluate").to_record())


def test_what_a_rule_says_of_its_changes_is_part_of_the_bundle_and_nothing_where_it_says_nothing() -> None:
    assert b"migration" not in BUNDLE.content()
    assert with_rule(migration=None).sha256 == BUNDLE.sha256
    assert len({BUNDLE.sha256, *(with_rule(migration=how).sha256 for how in ("carry", "close"))}) == 3
    assert differences(BUNDLE, with_rule(migration="close"))[0].migrations == ()


def test_decided_again_an_alarm_that_comes_back_with_its_start_has_another_id() -> None:
    """Three records outside are wanted from 2.5 on: the alarm of two is retracted, and its third record raises it again."""
    wanted = BUNDLE.rule(STORE)
    assert isinstance(wanted, LimitRule)
    when = wanted.when.model_copy(update={"consecutive": 3})
    log = cold([5, 9, 9]).packs(2.5, with_rule(when=when, version="1.1.0", migration="re-evaluate"))
    changes = [c for c in cold([9], 3, log).changes() if c.rule == STORE]
    assert told(changes) == [(at(2), "raised", 1, None), (2.5, "retracted", 1, None), (at(3), "raised", 1, None)]
    assert len({c.alarm for c in changes}) == 2


def test_decided_again_the_clock_speaks_between_the_rows_with_the_new_numbers() -> None:
    """Outside at minute 1, inside at 4. The horizon begins behind minute 1, by a change of another rule at 1.5.

    After ten minutes outside nothing is told. After two it is: by the clock, at 3, before the record of minute 4 came.
    """
    rule = BUNDLE.rule(STORE)
    assert isinstance(rule, LimitRule)
    slow = rule.when.model_copy(update={"consecutive": 1, "on_delay": 600_000})
    quick = rule.when.model_copy(update={"consecutive": 1, "on_delay": 120_000})
    first = with_rule(when=slow)
    second = with_rule("data-integrity.frozen", identical=13, base=first)
    third = with_rule(when=quick, base=second, migration="re-evaluate")
    log = cold([5, 9]).packs(1.5, second).live("T1", 4, [5]).packs(5, third)
    assert told(log.live("T1", 5.5, [5, 5]).changes(bundle=first)) == [
        (5, "raised", 1, None),
        (at(6.5), "cleared", 1, 4),
    ]


def test_carried_a_silence_that_lasts_is_raised_by_a_shorter_number_with_the_start_that_it_has() -> None:
    """One of two series is silent from minute 1 on: due at 4 by two intervals and the delivery, by ten at 12; the packs come at 6."""
    log = HandLog().register(-1, sensor(), sensor("T2"), areas=COLD).packs(-0.5, with_rule(GAP, factor=10.0))
    log.live("T1", 0, [5, 5]).live("T2", 0, [5] * 6)
    assert [c.change for c in log.changes() if c.rule == GAP] == []
    log.packs(6, with_rule(GAP, factor=2.0, version="1.1.0", migration="carry")).tick(6.1)
    assert told(log.changes(), GAP) == [(6, "raised", 2, None)]


@pytest.mark.parametrize(("row", "change"), [(7, "retracted"), (13, "cleared")])
def test_carried_a_silence_that_a_longer_number_would_not_have_raised_ends_with_the_next_row(
    row: int, change: str
) -> None:
    """Raised at 4 by two intervals. By ten it is none if a row of minute 7 comes, and one if the next is that of 13."""
    log = HandLog().register(-1, sensor(), sensor("T2"), areas=COLD).live("T1", 0, [5, 5]).live("T2", 0, [5] * 6)
    log.packs(6, with_rule(GAP, factor=10.0, version="1.1.0")).live("T2", 6, [5] * (row - 6)).live("T1", row, [5])
    assert [(c.change, since(c.start)) for c in log.changes() if c.rule == GAP and c.subject and c.change != "stepped"] == [
        ("raised", 2), (change, 2),
    ]  # fmt: skip


def kind_of(rule: Any) -> str:
    """Return the kind that a model of rules is of."""
    found = get_args(rule.model_fields["kind"].annotation)
    assert len(found) == 1
    return str(found[0])


def test_every_kind_that_is_not_decided_again_is_named_with_a_reason() -> None:
    """In docs/packs.md, each kind of rule that lint refuses `re-evaluate` for."""
    refused = (Path(__file__).parents[2] / "docs" / "packs.md").read_text(encoding="utf-8").split("## Not there yet")[1]
    models = {
        one
        for one in vars(rule_models).values()
        if isinstance(one, type) and "kind" in getattr(one, "model_fields", ())
    }
    kinds, again = {kind_of(one) for one in models}, {kind_of(one) for one in AGAIN}
    assert again < kinds
    assert len(kinds) > 30
    assert sorted(kinds - again - set(re.findall(r"[a-z_]+", refused))) == []
