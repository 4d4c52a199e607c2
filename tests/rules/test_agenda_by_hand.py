"""What comes before what where much is due at one instant, and what is not due any more, derived by hand from docs/engine-semantics.md."""

from __future__ import annotations

from rules.changes import ChangeKind
from rules.pack import Bundle, default_bundle
from tests.rules.byhand import HandLog, place, sensor, since
from tests.rules.failures import failing_at

SHIPPED = default_bundle()
GAP = SHIPPED.rule("data-integrity.gap")
STORAGE = SHIPPED.rule("cold-chain.interval-storage")


def test_a_rule_put_aside_as_it_fell_silent_under_another_makes_nothing_due_any_more() -> None:
    """T1 is silent at 5; at 5:30 its area would be, by the rule that failed in between, and by no other: the next is T2 at 6."""
    quick = STORAGE.model_copy(update={"id": "test.quick", "threshold": 120_000, "grace": 0, "groups": []})
    bundle = Bundle.of([GAP, quick], SHIPPED.tables.values())
    log = HandLog().register(
        -1, sensor(), sensor("T2"), delivery="3m", scopes=[{"field": "distribution", "line": "drug"}]
    )
    log.rows(0, ("T1", [0], [5.0]), ("T2", [0], [5.0])).rows(1, ("T2", [1], [5.0]))
    with failing_at(lambda change: change.rule == GAP.id and change.change is ChangeKind.SUPPRESSED):
        changes = log.tick(4).changes(until=7, bundle=bundle)
    assert [(since(c.received), c.rule, c.change.value, place(c.subject)) for c in changes] == [
        (5, "data-integrity.gap", "raised", "T1"),
        (5, "test.quick", "raised", "T1"),
        (5, "register.rule-failed", "raised", "*"),
        (5, "data-integrity.gap", "unknown", "T1"),
        (6, "test.quick", "raised", "T2"),
    ]
