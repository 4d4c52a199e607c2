"""Explanations of rules over openings of a door: what became of each event of the door of a sensor, by the engine's books."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rules.changes import Verdict
from rules.explainparts import Told
from rules.layout import NEVER
from rules.leaves.openings import seen_of
from rules.leaves.rare import Come, come, first_of
from rules.rare.match import device_of, is_meant
from rules.rare.openings import ABSENT, CLOSED, OPEN, told_of, verdicts_of
from rules.rare.store import Case, Fact
from rules.rare.store import text_of as text_of_subject

if TYPE_CHECKING:
    from rules.leaves.model import Seen
    from rules.rareparts import Trace
    from rules.records import LogRecord
    from rules.rule import FollowUpRule
    from rules.state import FacilityState


def openings_of(
    rule: FollowUpRule, trace: Trace, log: list[LogRecord], state: FacilityState
) -> tuple[dict[str, list[Told]], dict[str, dict[str, Seen]]]:
    """Return what became of the events of doors that sensors in force name, and the leaves of the newest, by subject."""
    found: dict[str, list[Told]] = {}
    leaves: dict[str, dict[str, Seen]] = {}
    known: dict[str, set[tuple[int, str]]] = {}
    books, judged = state.rare.of(rule.id), state.rare.opened.get(rule.id, {})
    for one, _ in come(log):
        opens = is_meant(one.event, rule.begins) is Verdict.TRUE
        if not opens and is_meant(one.event, trace.ends) is not Verdict.TRUE:
            continue
        for tag in state.planned.doors.get((rule.id, device_of(one.event)), ()):
            name = text_of_subject({"tag": tag})
            before, told = known.setdefault(name, set()), _told(rule, one)
            if not one.new or (one.t, OPEN if opens else CLOSED) in before:
                told.fate = "again"
            else:
                before.add((one.t, OPEN if opens else CLOSED))
                _judge(told, books.get(name, Case()).facts, opens=opens)
            found.setdefault(name, []).append(told)
            leaves.setdefault(name, {}).update((seen.name, seen) for seen in first_of(rule, one))
    for name, said in judged.items():
        for seen in seen_of(trace, said):
            leaves.setdefault(name, {}).update((one.name, one) for one in seen)
    for name, case in books.items():
        for fact in told_of(case.facts):
            if (fact.t, fact.text) not in known.get(name, set()):  # it came before the log, with a saved state
                told = Told(fact.t, fact.received, fact.batch, "not kept", until=fact.t + rule.time)
                _judge(told, case.facts, opens=fact.text == OPEN)
                found.setdefault(name, []).insert(0, told)
    return found, leaves


def _told(rule: FollowUpRule, one: Come) -> Told:
    event = one.event
    said: dict[str, Any] = {"stream": event.stream, "type": event.type, "source": event.source}
    said |= {name: value for name, value in event.fields.items() if name in rule.begins.where}
    return Told(one.t, one.received, one.batch, "not kept", said)


def _judge(told: Told, facts: list[Fact], *, opens: bool) -> None:
    """Say what became of an event; it stays `not kept` where the books do not know it."""
    kept = next((fact for fact in told_of(facts) if (fact.t, fact.text) == (told.t, OPEN if opens else CLOSED)), None)
    verdict = next((fact for fact in verdicts_of(facts) if opens and fact.t == told.t), None)
    if verdict is not None:
        told.fate = "untraced" if verdict.text == ABSENT else "traced"
    elif kept is not None and kept.due != NEVER:
        told.fate, told.decided = "awaited", kept.due
    elif kept is not None:
        told.fate = "uncounted" if opens else "heard"
