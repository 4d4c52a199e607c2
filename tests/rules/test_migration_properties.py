"""Packs that change rules in the midst of random logs: engine and oracle agree; batches and restarts change nothing."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from rules.engine import Engine
from rules.pack import Bundle, default_bundle
from rules.records import Kind, LogRecord
from rules.register import Span
from rules.rule import GapRule, RareRule
from tests.examples import examples
from tests.rules import jumplogs, logs
from tests.rules.leaves.test_leaves_agree import compare
from tests.rules.oracle.fold import fold
from tests.rules.restarts import restarted
from tests.rules.splits import row_by_row
from tests.rules.test_engine_properties import END, plain, run, without_records

_RULES = [rule for rule in default_bundle().rules if not isinstance(rule, RareRule)]
SHIPPED = Bundle.of([*_RULES, jumplogs.rule(jumplogs.RULES[0])], default_bundle().tables.values())
STORE, TANK, JUMP = "cold-chain.store-out", "cell-storage.vapour-high", "test.leap"
FROZEN, CUMULATIVE = "data-integrity.frozen", "cold-chain.warm-cumulative"
GAPS = [rule.id for rule in SHIPPED.rules if isinstance(rule, GapRule)]
HOWS = (None, "carry", "re-evaluate", "close")
QUICK = settings(
    max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
LONG = settings(QUICK, max_examples=3000)


def with_changes(changes):
    """Return the packs with other members of some rules, `{id: members}`."""
    rules = [rule.model_copy(update=changes.get(rule.id, {})) for rule in SHIPPED.rules]
    return Bundle.of(rules, SHIPPED.tables.values())


def limits_of(rule, low, high):
    return SHIPPED.rule(rule).limits.model_copy(update={"from_": Span(low=low, high=high)})


@st.composite
def bundles(draw):
    """Draw packs with the same rules and other numbers of some, each with what becomes of what stands."""
    changes = {}
    if draw(st.integers(0, 3)):
        store = SHIPPED.rule(STORE)
        when = store.when.model_copy(
            update={"consecutive": draw(st.sampled_from([1, 2, 3])), "on_delay": draw(st.sampled_from([0, 600_000]))}
        )
        changes[STORE] = {
            "limits": limits_of(STORE, draw(st.sampled_from([2.0, 4.95])), draw(st.sampled_from([7.45, 8.0, 8.5]))),
            "when": when, "migration": draw(st.sampled_from(HOWS)),
        }  # fmt: skip
        if draw(st.booleans()):
            changes[STORE]["severity"] = store.severity.model_copy(update={"steps": store.severity.steps[:1]})
    if draw(st.booleans()):
        clear = SHIPPED.rule(TANK).clear.model_copy(update={"consecutive": draw(st.sampled_from([1, 5]))})
        changes[TANK] = {"clear": clear, "migration": draw(st.sampled_from(HOWS))}
    if draw(st.booleans()):
        changes[JUMP] = {
            "limits": SHIPPED.rule(JUMP).limits.model_copy(update={"from_": Span(low=-0.5, high=2.0)}),
            "migration": draw(st.sampled_from(HOWS)),
        }  # fmt: skip
    for rule, members in (
        (FROZEN, {"identical": 6, "span": 300_000}), (CUMULATIVE, {"total": 1_800_000, "clear_below": 600_000}),
        *((gap, {"marked": "count"}) for gap in GAPS),
    ):  # fmt: skip
        # The oracle does not carry these: they begin anew wherever they change, and back.
        changes[rule] = {**(members if draw(st.integers(0, 2)) == 0 else {}), "migration": "close"}
    return with_changes(changes)


class Drawn(tuple):
    """A facility and its log; with packs in it, it would take Hypothesis longer to print than to draw."""

    __slots__ = ()

    def __repr__(self):
        return f"<{self[0].id}: {len(self[1])} records>"


@st.composite
def changing(draw, **options):
    """Draw a facility and its log, packs in the midst of it."""
    entity, entries = draw(logs.logs(**options))
    log = logs.records(entity, entries)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(1, len(log)))
        received = max(record.received for record in log[:at]) + draw(st.sampled_from([0, 1, 90_000]))
        record = LogRecord(0, 0, received, Kind.PACKS, "", draw(bundles()).to_record())
        log = [*log[:at], record, *log[at:]]
    return Drawn((entity, [LogRecord(0, i, r.received, r.kind, r.facility, r.payload) for i, r in enumerate(log)]))


def agree(drawn):
    entity, log = drawn
    until = max(r.received for r in log) + END
    got = plain(run(log, until, Engine(SHIPPED)))
    wanted, _ = fold(log, SHIPPED, until)[entity.id]
    for i, (a, b) in enumerate(zip(got, wanted, strict=False)):
        if a != b:
            note(f"change {i}: engine {a}\noracle {b}")
            break
    assert got == wanted
    return got


@given(changing())
@QUICK
def test_engine_and_oracle_agree_where_packs_change_rules(drawn):
    agree(drawn)


@pytest.mark.slow
@given(changing())
@LONG
def test_engine_and_oracle_agree_on_many_logs_where_packs_change_rules(drawn):
    """Slow: 3,000 logs, each with bundles of its own."""
    agree(drawn)


@given(changing(), st.data())
@QUICK
def test_a_restart_at_any_record_changes_nothing_where_packs_change_rules(drawn, data):
    entity, log = drawn
    until = max(r.received for r in log) + END
    restarted(SHIPPED, entity.id, log, data.draw(st.integers(1, len(log))), until)


@given(changing())
@QUICK
def test_batches_row_by_row_change_nothing_where_packs_change_rules(drawn):
    _, log = drawn
    until = max(r.received for r in log) + END
    once, apart = (run(one, until, Engine(SHIPPED)) for one in (log, row_by_row(log)))
    assert without_records(once) == without_records(apart)


@given(changing())
@settings(QUICK, max_examples=examples(20))
def test_the_leaves_say_the_same_where_packs_change_rules(drawn):
    _, log = drawn
    compare(log, SHIPPED, max(r.received for r in log) + END)
