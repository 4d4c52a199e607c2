"""Explanations of rules over parallel measurements: what became of each measurement of a sensor, by the engine's books."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rules.changes import Verdict
from rules.explainparts import Told
from rules.leaves.parallel import first_of, seen_of
from rules.leaves.rare import come
from rules.rare.match import digest_of, text_of_field
from rules.rare.parallel import said_of
from rules.rare.store import Case, text_of

if TYPE_CHECKING:
    from rules.leaves.model import Seen
    from rules.leaves.rare import Come
    from rules.rare.parallel import Compared
    from rules.records import LogRecord
    from rules.rule import ParallelRule
    from rules.state import FacilityState

_FATES = {Verdict.TRUE: "done", Verdict.FALSE: "within", Verdict.UNKNOWN: "unmatched"}


def parallels_of(
    rule: ParallelRule, log: list[LogRecord], state: FacilityState
) -> tuple[dict[str, list[Told]], dict[str, dict[str, Seen]]]:  # fmt: skip
    """Return what became of the measurements of each registered sensor, and the leaves of the newest, by subject."""
    found: dict[str, list[Told]] = {}
    leaves: dict[str, dict[str, Seen]] = {}
    came: dict[str, set[str]] = {}
    books, compared = state.rare.of(rule.id), state.rare.compared.get(rule.id, {})
    for one, facility in come(log):
        first = first_of(one, facility)
        tag = text_of_field(one.event, "series")
        if first is None or tag is None:
            continue
        name, digest = text_of({"tag": tag}), digest_of(one.event)
        told = Told(one.t, one.received, one.batch, "not kept", {"stream": "lab", "type": "parallel"})
        before = came.setdefault(name, set())
        if not one.new or digest in before:
            told.fate = "again"
        else:
            before.add(digest)
            leaves[name] = {first.name: first}
            _judge(told, one, digest, books.get(name, Case()), compared.get(name, {}))
            if digest in compared.get(name, {}):
                leaves[name] |= {seen.name: seen for seen in seen_of(compared[name][digest])}
        found.setdefault(name, []).append(told)
    for name, case in books.items():  # what came before a saved state
        older = [fact for fact in case.facts if fact.digest not in came.get(name, set())]
        fates = ["occasion" if fact.counts else "awaited" for fact in older]
        said = [Told(f.t, f.received, f.batch, fate) for f, fate in zip(older, fates, strict=True)]
        found[name] = [*said, *found.get(name, [])]
    return {name: events for name, events in found.items() if events}, leaves


def _judge(told: Told, one: Come, digest: str, case: Case, compared: dict[str, Compared]) -> None:
    """Say what became of a measurement; it stays `not kept` where the books do not know it."""
    fact = next((fact for fact in case.facts if fact.digest == digest), None)
    if fact is not None and fact.counts:
        told.fate = "occasion"
    elif fact is not None:
        told.fate, told.decided, told.until = "awaited", fact.due, fact.due
    elif digest in compared:
        told.fate = _FATES[compared[digest].verdict]
    elif digest in case.seen:
        told.fate = "done"
    elif said_of(one.event, one.received) is None:
        told.fate = "unmatched"
