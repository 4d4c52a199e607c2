"""Site exceptions in random logs: engine, oracle and leaves agree; batches and restarts change nothing; they only loosen."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from rules.changes import ChangeKind
from rules.engine import Engine
from rules.pack import Bundle
from rules.records import Kind, LogRecord
from rules.rule import CumulativeRule
from tests.examples import examples
from tests.rules import exceptionlogs, logs
from tests.rules import test_migration_properties as changing_packs
from tests.rules.exceptionlogs import STORE
from tests.rules.leaves.test_leaves_agree import compare
from tests.rules.oracle.fold import fold
from tests.rules.restarts import restarted
from tests.rules.splits import row_by_row
from tests.rules.test_engine_properties import END, plain, run, without_records

_ANEW = {changing_packs.FROZEN, changing_packs.CUMULATIVE, *changing_packs.GAPS}
"""The oracle does not carry these where packs change them: they begin anew, and so they do where packs change them back."""
_BASE = changing_packs.with_changes({rule: {"migration": "close"} for rule in _ANEW})
WHOLE = exceptionlogs.allowing(
    _BASE, {
        **exceptionlogs.ALLOWED, "cold-chain.warm-cumulative": {"limits.high": {"min": 8, "max": 20}, "mute": True},
        "cold-chain.warm-10h": {"limits.high": {"min": 8, "max": 20}, "when.on_delay": {"max": "20h"}, "mute": True},
    },
)  # fmt: skip
SHIPPED = exceptionlogs.allowing(
    Bundle.of([r for r in WHOLE.rules if not isinstance(r, CumulativeRule)], WHOLE.tables.values())
)
"""Without rules that sum: the oracle does not carry their numbers, and their single events are another rule's."""
SUMS = {
    **exceptionlogs.TAKEN, "cold-chain.warm-cumulative": [{"limits.high": 9.5}, {"mute": True}],
    "cold-chain.warm-10h": [{"limits.high": 8.5}, {"when.on_delay": "12h"}, {"mute": True}],
}  # fmt: skip
QUICK = settings(
    max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
LONG = settings(QUICK, max_examples=1000)


class Case:
    """A facility, its log, and the packs in force first; no dataclass, for Hypothesis would write out every rule of one."""

    def __init__(self, entity, log, first):
        self.entity, self.log, self.first = entity, log, first

    def __repr__(self):
        """Name what was drawn, without the rules."""
        packs = [self.first, *(Bundle.from_record(r.payload) for r in self.log if r.kind is Kind.PACKS)]
        told = [(e.rule, e.tag, e.from_, e.to, *e.allow.shapes) for each in packs for e in each.exceptions]
        return f"Case({told}, {[(r.received, r.kind.value) for r in self.log]})"[:20_000]

    @property
    def until(self):
        return max(record.received for record in self.log) + END


@st.composite
def excepted(draw, bundle=SHIPPED, taken=exceptionlogs.TAKEN, *, packs=True):
    """Draw a case; packs in the midst bring other exceptions, and other rules."""
    entity, entries = draw(logs.logs())
    log = logs.records(entity, entries)
    instants = exceptionlogs.instants_of(log, max(r.received for r in log) + END)
    first = Bundle.of(bundle.rules, bundle.tables.values(), draw(exceptionlogs.exceptions(instants, taken)))
    for _ in range(draw(st.integers(0, 2)) if packs else 0):
        at = draw(st.integers(1, len(log)))
        received = max(record.received for record in log[:at]) + draw(st.sampled_from([0, 1, 90_000]))
        other = bundle
        if draw(st.booleans()):
            moved = draw(changing_packs.bundles())
            members = {rule.id: rule.exceptions for rule in bundle.rules}
            rules = [r.model_copy(update={"exceptions": members[r.id]}) for r in moved.rules if r.id in members]
            other = Bundle.of(rules, bundle.tables.values())
        other = Bundle.of(other.rules, other.tables.values(), draw(exceptionlogs.exceptions(instants, taken)))
        log = [*log[:at], LogRecord(0, 0, received, Kind.PACKS, "", other.to_record()), *log[at:]]
    log = [LogRecord(0, i, r.received, r.kind, r.facility, r.payload) for i, r in enumerate(log)]
    return Case(entity, log, first)


def agree(drawn):
    entity, log, first, until = drawn.entity, drawn.log, drawn.first, drawn.until
    got = plain(run(log, until, Engine(first)))
    wanted, _ = fold(log, first, until)[entity.id]
    for i, (a, b) in enumerate(zip(got, wanted, strict=False)):
        if a != b:
            note(f"change {i}: engine {a}\noracle {b}")
            break
    assert got == wanted


@given(excepted())
@QUICK
def test_engine_and_oracle_agree_where_sites_are_excepted(drawn):
    agree(drawn)


@pytest.mark.slow
@given(excepted())
@LONG
def test_engine_and_oracle_agree_on_many_logs_where_sites_are_excepted(drawn):
    """Slow: 1,000 logs, each with exceptions and packs of its own."""
    agree(drawn)


@given(excepted(WHOLE, SUMS), st.data())
@QUICK
def test_a_restart_at_any_record_changes_nothing_where_sites_are_excepted(drawn, data):
    restarted(drawn.first, drawn.entity.id, drawn.log, data.draw(st.integers(1, len(drawn.log))), drawn.until)


@given(excepted(WHOLE, SUMS))
@QUICK
def test_batches_row_by_row_change_nothing_where_sites_are_excepted(drawn):
    once, apart = (run(one, drawn.until, Engine(drawn.first)) for one in (drawn.log, row_by_row(drawn.log)))
    assert without_records(once) == without_records(apart)


@given(excepted(WHOLE, SUMS))
@settings(QUICK, max_examples=examples(20))
def test_the_leaves_say_the_same_where_sites_are_excepted(drawn):
    compare(drawn.log, drawn.first, drawn.until)


@given(excepted(packs=False))
@QUICK
def test_what_is_excepted_changes_nothing_of_other_rules_and_series(drawn):
    """Rules that nobody is excepted from say on other series what they say without exceptions (late rows and silences of the whole apart)."""
    log, first, until = drawn.log, drawn.first, drawn.until
    bare = Bundle.of(first.rules, first.tables.values())
    touched = {one.tag for one in first.exceptions}

    def of_others(changes):
        return [
            {name: value for name, value in change.items() if name != "seq"}
            for change in plain(changes)
            if change["subject"].get("tag", "") not in {*touched, ""}
            and not change["rule"].endswith(("gap", "interval"))
        ]

    assert of_others(run(log, until, Engine(first))) == of_others(run(log, until, Engine(bare)))


@given(excepted(packs=False))
@QUICK
def test_an_alarm_raised_inside_a_window_is_one_that_the_exception_allows(drawn):
    """A value that raised an alarm while an exception held lies outside the looser of both limits."""
    log, first, until = drawn.log, drawn.first, drawn.until
    for change in run(log, until, Engine(first)):
        if change.rule != STORE or change.change is not ChangeKind.RAISED or not change.evidence.leaves:
            continue
        own = [
            one
            for one in first.exceptions
            if (one.rule, one.tag) == (STORE, change.subject["tag"]) and one.holds(change.received)
        ]
        value = change.evidence.leaves[0].left
        for one in own:
            assert one.allow.mute is None
            high, low = max(one.allow.high or 8.0, 8.0), min(2.0 if one.allow.low is None else one.allow.low, 2.0)
            assert value is None or not low <= value <= high
            if (one.allow.high or 0) > 8:
                (used,) = [u for u in change.evidence.limits if u.name == "high"]
                assert (used.origin, used.edition) == ("exception", one.label)
