"""Open gaps behind the horizon that are kept while the register, the packs or site exceptions change: engine and oracle agree, restarts change nothing (ADR 0092)."""

from __future__ import annotations

from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, Phase, given, note, settings
from hypothesis import strategies as st

from rules import opengaps
from rules.engine import Engine
from rules.pack import Bundle
from rules.records import Kind, LogRecord, RegisterRecord
from tests.examples import examples, until_met
from tests.rules import exceptionlogs, logs, opengaplogs, sums
from tests.rules.formerlylogs import LIMITS, with_limits
from tests.rules.oracle.fold import fold
from tests.rules.restarts import restarted
from tests.rules.splits import row_by_row
from tests.rules.test_engine_properties import END, plain, run, without_records

OUT, OWN = "test.out", "test.own"
HOWS = (None, "carry", "re-evaluate", "close")
ALLOWED = {OUT: {"limits.high": {"min": 8, "max": 20}, "when.on_delay": {"max": "2h"}, "mute": True}}
TAKEN = {OUT: [{"limits.high": 9.5}, {"limits.high": 12}, {"when.on_delay": "20m"}, {"mute": True}]}
pytestmark = [pytest.mark.long, pytest.mark.timeout(1_200)]
QUICK = settings(
    max_examples=examples(16), deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)  # fmt: skip
"""Logs of days take longer to shrink than to read."""
LONG = settings(QUICK, max_examples=1500)


def bundle(how=None, high=8, consecutive=2, exceptions=()):
    """Return the rules of the random logs, and one by registered limits; the numbers are those of `test.out`."""
    base = opengaplogs.bundle()
    out = opengaplogs.RULES[0] | {
        "limits": {"from": {"low": 2, "high": high}}, "when": {"consecutive": consecutive},
        **({} if how is None else {"migration": how}),
    }  # fmt: skip
    own = opengaplogs.RULES[0] | {"id": OWN, "limits": {"from": "sensor"}, "severity": {"base": "yellow"}}
    rules = [rule for rule in base.rules if rule.id != OUT]
    return exceptionlogs.allowing(
        Bundle.of([*rules, sums.rule(out), sums.rule(own)], base.tables.values()), ALLOWED, exceptions
    )


FIRST = bundle()
OF_LIMITS = Bundle.of([rule for rule in FIRST.rules if rule.kind in ("limit", "gap")], FIRST.tables.values())
"""The oracle takes several versions of a register of such rules alone."""


class Case:
    """A facility and its log; no dataclass, for Hypothesis would write out every reading of one."""

    def __init__(self, entity, log):
        self.entity, self.log = entity, log
        self.until = max(record.received for record in log) + END

    def __repr__(self):
        """Name what came when."""
        return f"Case({[(r.received - logs.BEGIN, r.kind.value) for r in self.log]})"[:20_000]


@st.composite
def changing(draw, *kinds):
    """Draw a log of back-fill behind live rows in whose midst the register, packs or exceptions change."""
    entity, entries = draw(opengaplogs.back_filled())
    log = logs.records(entity, entries)
    tags = [sensor.tag for sensor in entity.sensors]
    instants = exceptionlogs.instants_of(log, max(r.received for r in log) + END)
    changed = [(Kind.REGISTER, LIMITS[0])]
    places = [0]
    for _ in range(draw(st.integers(1, 3))):
        kind = draw(st.sampled_from(kinds or ("register", "packs", "exceptions")))
        places.append(draw(st.integers(2, len(log))))
        if kind == "register":
            changed.append((Kind.REGISTER, draw(st.sampled_from(LIMITS))))
        else:
            numbers = draw(st.sampled_from([(8, 2), (8, 2), (9.5, 2), (7.5, 1)])) if kind == "packs" else (8, 2)
            found = draw(exceptionlogs.exceptions(instants, TAKEN)) if kind == "exceptions" else ()
            changed.append((Kind.PACKS, bundle(draw(st.sampled_from(HOWS)), *numbers, found)))
    done = []
    for i, record in enumerate(log):
        for _, (kind, what) in sorted(
            ((place, one) for place, one in zip(places, changed, strict=True) if place == i), key=lambda pair: pair[0]
        ):
            at = max([logs.BEGIN, *(one.received for one in done)]) + draw(st.sampled_from([0, 1]))
            if kind is Kind.PACKS:
                done.append(LogRecord(0, 0, at, kind, "", what.to_record()))
                continue
            registered = with_limits(entity, {tag: [(None, what)] for tag in tags})
            payload = RegisterRecord(version=1 + len(done), facility=registered)
            done.append(LogRecord(0, 0, logs.BEGIN if i == 0 else at, kind, entity.id, payload))
        if i:
            done.append(record)
    return Case(entity, [LogRecord(0, i, r.received, r.kind, r.facility, r.payload) for i, r in enumerate(done)])


def agree(drawn, first=FIRST):
    got = plain(run(drawn.log, drawn.until, Engine(first)))
    wanted, _ = fold(drawn.log, first, drawn.until)[drawn.entity.id]
    for i, (a, b) in enumerate(zip(got, wanted, strict=False)):
        if a != b:
            note(f"change {i}: engine {a}\noracle {b}")
            break
    assert got == wanted


@given(changing("register"))
@QUICK
def test_engine_and_oracle_agree_where_the_register_changes_while_a_gap_is_kept(drawn):
    agree(drawn, OF_LIMITS)


@given(changing("packs"))
@QUICK
def test_engine_and_oracle_agree_where_packs_change_while_a_gap_is_kept(drawn):
    agree(drawn)


@given(changing("exceptions"))
@QUICK
def test_engine_and_oracle_agree_where_exceptions_begin_and_end_while_a_gap_is_kept(drawn):
    agree(drawn)


@pytest.mark.slow
@pytest.mark.timeout(6_000)
@given(changing("packs", "exceptions"))
@LONG
def test_engine_and_oracle_agree_on_many_logs_where_packs_and_exceptions_change(drawn):
    """Slow: 1,500 logs."""
    agree(drawn)


@given(changing(), st.data())
@QUICK
def test_a_restart_at_any_record_changes_nothing_where_gaps_are_kept(drawn, data):
    restarted(FIRST, drawn.entity.id, drawn.log, data.draw(st.integers(1, len(drawn.log))), drawn.until)


@given(changing())
@QUICK
def test_batches_row_by_row_change_nothing_where_gaps_are_kept(drawn):
    once, apart = (run(log, drawn.until, Engine(FIRST)) for log in (drawn.log, row_by_row(drawn.log)))
    assert without_records(once) == without_records(apart)


def test_the_random_logs_change_while_gaps_are_kept_and_fill_them_behind():
    seen = {"changed while kept": 0, "dropped": 0, "filled behind a change": 0}
    plain_fit, plain_drop, plain_fill = opengaps.fit, opengaps.drop, opengaps.fill
    changed = []

    def fit(state):
        kept = any(state.gaps.values())
        seen["changed while kept"] += kept
        changed.extend([True] if kept else [])
        return plain_fit(state)

    def drop(state, slot):
        seen["dropped"] += bool(state.gaps.get(state.planned.sensors[slot].tag))
        return plain_drop(state, slot)

    def fill(state, tag, room):
        found = plain_fill(state, tag, room)
        seen["filled behind a change"] += bool(found.came and changed)
        return found

    def met(drawn):
        changed.clear()
        run(drawn.log, drawn.until, Engine(FIRST))

    with patch.object(opengaps, "fit", fit), patch.object(opengaps, "drop", drop), patch.object(opengaps, "fill", fill):
        until_met(changing(), met, lambda: all(many >= 5 for many in seen.values()), most=300)
    assert all(many >= 5 for many in seen.values()), seen
