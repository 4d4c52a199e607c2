"""Explanations of rules over posted laboratory results: what became of each, by the engine's books, and why one is unknown."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from rules.changes import Verdict
from rules.explainparts import Told
from rules.leaves.posted import seen_of
from rules.leaves.rare import come
from rules.rare.match import digest_of
from rules.rare.posted import Said, judged, place_of
from rules.rare.store import Case, text_of

if TYPE_CHECKING:
    from rules.leaves.model import Seen
    from rules.leaves.rare import Come
    from rules.pack import Bundle
    from rules.rare.store import Fact
    from rules.records import LogRecord
    from rules.register import Facility
    from rules.rule import ResultLimitRule
    from rules.state import FacilityState


def results_of(
    rule: ResultLimitRule, log: list[LogRecord], state: FacilityState, bundle: Bundle
) -> tuple[dict[str, list[Told]], dict[str, dict[str, Seen]]]:
    """Return what became of the results that a rule was asked of, and the leaves of the newest, by subject; those of none under an empty name."""
    found: dict[str, list[Told]] = {}
    leaves: dict[str, dict[str, Seen]] = {}
    known: dict[str, set[str]] = {}
    for one, facility in come(log):
        event = one.event
        if (event.stream, event.type) != (rule.events.stream, rule.events.type):
            continue
        said = {"stream": event.stream, "type": event.type, "source": event.source}
        told = Told(one.t, one.received, one.batch, "not meant", said | _shown(event.fields))
        area, meant = place_of(event), judged(rule, event, one.t, facility, bundle) is not None
        name = text_of({"area": area}) if area is not None and meant else ""
        case = state.rare.of(rule.id).get(name, Case())
        before = known.setdefault(name, set())
        if meant:
            told.fate = (
                "again" if not one.new or digest_of(event) in before else _fate(rule, one, facility, bundle, case)
            )
        if one.new and meant:
            before.add(digest_of(event))
        found.setdefault(name, []).append(told)
        now = state.planned.facility if told.fate == "occasion" else facility
        leaves.setdefault(name, {}).update((seen.name, seen) for seen in seen_of(rule, one, now, bundle))
    for name, case in state.rare.of(rule.id).items():
        found.setdefault(name, [])[:0] = [
            _of_fact(fact) for fact in case.facts if fact.digest not in known.get(name, set())
        ]
    return {name: events for name, events in found.items() if events}, leaves


def _fate(rule: ResultLimitRule, one: Come, facility: Facility, bundle: Bundle, case: Case) -> str:
    """Say what became of a result that is meant: by the engine's books if these know it, else by what it says."""
    digest = digest_of(one.event)
    fact = next((fact for fact in case.facts if fact.digest == digest), None)
    if fact is not None:
        return "occasion" if fact.counts else "unregistered"
    if digest in case.seen:
        return "done"
    then = judged(rule, one.event, one.t, facility, bundle)
    assert then is not None  # noqa: S101 - it is meant
    if then.verdict is Verdict.UNKNOWN:
        return "unregistered" if then.may_come else "unreadable"
    return "not kept" if then.verdict is Verdict.TRUE else "within"


def _shown(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the fields that decide, as they were posted."""
    return {name: fields[name] for name in ("sample_id", "test", "method", "value", "unit") if name in fields}


def _of_fact(fact: Fact) -> Told:
    """Return what is said of a result that came before the log, with a saved state."""
    said = Said(*json.loads(fact.text))
    shown = {name: value for name, value in said._asdict().items() if value is not None}
    told = {"stream": "lab", "type": "result", **shown}
    return Told(fact.t, fact.received, fact.batch, "occasion" if fact.counts else "unregistered", told)
