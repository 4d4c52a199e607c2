"""One silence seen by several rules, for any log: engine and oracle agree on who speaks; splits and restarts change nothing."""

from __future__ import annotations

from collections import Counter

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rules.changes import ChangeKind
from rules.engine import Engine
from rules.models import Severity
from rules.pack import Bundle, default_bundle
from tests.examples import examples, until_met
from tests.rules import logs
from tests.rules.failures import by_chance, failing_at, hidden_by_nothing
from tests.rules.oracle.overlap import pairs_of
from tests.rules.seriesproperties import Kinds

SHIPPED = default_bundle()
GAP = SHIPPED.rule("data-integrity.gap")
STORAGE = SHIPPED.rule("cold-chain.interval-storage")
QUICK = settings(
    max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


def bundle():
    """Return the shipped rules and four more: quick ones of the same overlap group, one on trial, and one of another group."""
    minutes = {"threshold": 180_000, "grace": 0, "factor": None}
    severity = STORAGE.severity.model_copy(
        update={"steps": [STORAGE.severity.steps[0].model_copy(update={"after": 600_000})]}
    )
    quick = STORAGE.model_copy(update={"id": "test.quick", **minutes, "severity": severity})
    wide = GAP.model_copy(update={"id": "test.wide", "factor": 3, "severity": severity})
    trial = quick.model_copy(update={"id": "test.trial", "stage": "shadow"})
    other = quick.model_copy(update={"id": "test.other", "overlap": None})
    limits = SHIPPED.only({"cold-chain.store-out", "cold-chain.store-freeze", "data-integrity.physical-range"})
    return Bundle.of([*limits.rules, GAP, STORAGE, quick, wide, trial, other], limits.tables.values())


BUNDLE = bundle()
OWN = (GAP.id, STORAGE.id, "test.quick", "test.wide", "test.trial", "test.other")
KINDS = Kinds(BUNDLE, OWN)


@given(logs.logs())
@QUICK
def test_engine_and_oracle_agree_on_who_speaks(drawn):
    KINDS.agree(drawn)


@given(logs.logs(), st.randoms(use_true_random=False))
@QUICK
def test_splitting_batches_changes_nothing(drawn, random):
    KINDS.splits_change_nothing(drawn, random)


@given(logs.logs(), st.data())
@QUICK
def test_a_restart_from_a_snapshot_at_any_record_changes_nothing(drawn, data):
    KINDS.restarts_change_nothing(drawn, data)


@given(logs.logs())
@QUICK
def test_of_one_silence_one_rule_speaks_with_the_highest_colour_and_nothing_else_is_different(drawn):
    """Behind every instant; and without overlap groups the same alarms rise, end and have the same colours."""
    _, log, until = KINDS.log(drawn)
    changes = KINDS.run(log, until)
    bare = Bundle.of(
        [rule.model_copy(update={"overlap": None}) if rule.id in OWN else rule for rule in BUNDLE.rules],
        BUNDLE.tables.values(),
    )
    assert told(by_their_own(changes)) == told(KINDS.run(log, until, Engine(bare)))
    one_speaks(changes)


def by_their_own(changes):
    """Leave out for whom another rule speaks: what it is given by a place of its own rule that lets go of it, it is released from."""
    of, by = {change.alarm: change.rule for change in changes}, {}
    found = []
    for change in changes:
        if change.change in {ChangeKind.SUPPRESSED, ChangeKind.RELEASED}:
            before = by.get(change.alarm)
            by[change.alarm] = change.by if change.change is ChangeKind.SUPPRESSED else None
            if of[change.by] != change.rule:
                if before is not None and of[before] == change.rule:
                    found.append(change.model_copy(update={"change": ChangeKind.RELEASED}))
                continue
        found.append(change)
    return found


def told(changes):
    """Return what changes say, each alarm by itself: who speaks first at an instant depends on what others say."""
    said = [(c.received, c.alarm, c.change, c.severity, c.start, c.end, c.at) for c in changes]
    return sorted(said, key=lambda one: one[:2])


@given(logs.logs())
@QUICK
def test_nothing_is_released_and_suppressed_at_one_instant(drawn):
    """But where the clock decided something at the very instant of a record, before it."""
    _, log, until = KINDS.log(drawn)
    received = {record.received for record in log}
    found = Counter(
        (c.alarm, c.received)
        for c in KINDS.run(log, until)
        if c.change in {ChangeKind.SUPPRESSED, ChangeKind.RELEASED} and c.received not in received
    )
    assert not [one for one, times in found.items() if times > 1]


def failing(drawn, chosen):
    """Return what is said where rules fail, and rules over silences that were put aside with an alarm for which another one had spoken."""
    _, log, until = KINDS.log(drawn)
    with failing_at(chosen):
        changes = KINDS.run(log, until)
    released = {c.rule for c in changes if c.change is ChangeKind.RELEASED and "put aside" in c.message.en}
    return changes, released


@given(logs.logs(), st.builds(by_chance, st.integers(0, 1 << 32), st.sampled_from([5, 20])))
@QUICK
def test_what_a_rule_that_fails_leaves_behind_is_hidden_by_nothing_that_has_ended(drawn, chosen):
    changes, _ = failing(drawn, chosen)
    assert not hidden_by_nothing(changes)


def test_the_random_logs_reach_rules_that_fail_while_another_one_speaks_for_them():
    met: set[str] = set()

    def look(drawn):
        changes, released = failing(drawn, by_chance(len(met), 20))
        assert not hidden_by_nothing(changes)
        met.update(released)

    until_met(logs.logs(), look, lambda: len(met) > 1, most=400)
    assert len(met) > 1, met


def one_speaks(changes):
    """Follow what stands; behind each instant no two rules of the group speak of the same silence with one subject."""
    grouped = {rule.id for rule in BUNDLE.rules if getattr(rule, "overlap", None) and rule.stage == "live"}
    standing: dict[str, list] = {}
    for i, change in enumerate(changes):
        if change.rule not in grouped:
            continue
        if change.change in {ChangeKind.CLEARED, ChangeKind.RETRACTED}:
            standing.pop(change.alarm, None)
        else:
            was = standing.get(change.alarm, [None, None, None])
            by = {ChangeKind.SUPPRESSED: change.by, ChangeKind.RELEASED: None}.get(change.change, was[2])
            standing[change.alarm] = [change.subject, list(Severity).index(change.severity), by]
        if i + 1 < len(changes) and changes[i + 1].received == change.received:
            continue
        free = [(str(subject), colour) for subject, colour, by in standing.values() if by is None]
        assert len({subject for subject, _ in free}) == len(free), free
        for _, colour, by in standing.values():
            assert by is None or by not in standing or standing[by][1] >= colour or by_own(changes, by)


def by_own(changes, alarm):
    """Say whether an alarm is a place's: what it covers of its own rule may have another colour."""
    return any("tag" not in change.subject for change in changes if change.alarm == alarm)


def test_the_random_logs_reach_every_pair_of_rules():
    met: Counter[object] = Counter()
    pairs = pairs_of([rule for rule in BUNDLE.rules if getattr(rule, "stage", "") == "live"])
    wanted = {(kind, *pair) for pair in pairs for kind in ("suppressed",)}

    def look(drawn):
        _, log, until = KINDS.log(drawn)
        changes = KINDS.run(log, until)
        of = {change.alarm: change.rule for change in changes}
        for change in changes:
            if change.by is not None and of[change.by] != change.rule:
                met[change.change.value, *sorted((change.rule, of[change.by]))] += 1
                met["level", change.change.value, *sorted(change.subject)] += 1

    def missing():
        levels = {("level", kind, *what) for kind in ("suppressed", "released") for what in ((), ("area",), ("tag",))}
        return (wanted | levels) - met.keys()

    until_met(logs.logs(), look, lambda: not missing(), most=400)
    assert not missing(), (missing(), met)
    assert not [pair for pair in met if "test.trial" in pair or "test.other" in pair], (
        "a rule on trial, and one of no group, are nobody's business"
    )
