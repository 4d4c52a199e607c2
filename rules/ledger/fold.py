"""Facts of ledgers in the fold: each is kept in its place, and its subject is judged anew (ADR 0069)."""

from __future__ import annotations

from bisect import bisect_left, insort
from functools import partial
from itertools import islice, takewhile
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from rules.ledger import annual, stock, visit
from rules.ledger.entry import GONE, entries_of, name_of, reads_of, text_of
from rules.ledger.kinds import beside, is_known, is_too_old, judge, order_of, said_by_event, said_by_report
from rules.ledger.room import note, place, tiers_of, trim, waits
from rules.ledger.speak import end, know, move, open_alarm
from rules.rare.match import applies, digest_of
from rules.rare.speak import Now
from rules.rare.store import Fact
from rules.rare.store import text_of as text_of_subject
from rules.rule import VisitRule

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rules.emission import Emitter
    from rules.ledger.judged import Run
    from rules.rare.store import Case, Cases
    from rules.records import Event, Inspection, Report
    from rules.register import Facility
    from rules.rule import LedgerRule
    from rules.state import FacilityState

WHOLE = text_of_subject({})
"""The subject of what is about the facility as a whole."""
WAITING = 1_024
"""Facts of a subject that wait until the instant at which they came is over; where there are more they are judged at once."""


def meet(rule: LedgerRule, event: Event, batch: str, now: Now, facility: Facility, emitter: Emitter) -> None:
    """Fold one event; `now.at` is the event time that counts."""
    found = said_by_event(rule, event, now, facility)
    if found is None or not applies(rule, facility, None, now.at):
        return
    fact = Fact(now.at, now.received, digest_of(event, now.copy), batch, found.text)
    if found.subject is not None:
        _take(rule, text_of_subject(found.subject), [fact], now, emitter)
        return
    emitter.state.rare.counts["ledger_unknown"] += 1
    if found.product is not None:
        _mark(rule, found.product, fact, now, emitter)


def _mark(rule: LedgerRule, product: str, fact: Fact, now: Now, emitter: Emitter) -> None:
    """Keep a booking that names no place; the places of its product that were counted behind it are judged when the instant is over."""
    subject, rare = stock.unplaced_subject(product), emitter.state.rare
    known = rare.of(rule.id).get(subject)
    if known is not None and _is_said(rare.of(rule.id), known, fact):
        return
    _take(rule, subject, [fact], now, emitter)
    cases = rare.of(rule.id)
    for place_of in tiers_of(rule, cases).behind.since(product, fact.t, now.received, cases):
        cases[place_of].due = now.received


def _is_said(cases: Cases, case: Case, fact: Fact) -> bool:
    """Say whether a case keeps a fact that says the same at the same event and receive time; of two stays the first one by digest."""
    first = bisect_left(case.facts, fact.t, key=attrgetter("t"))
    behind = takewhile(lambda one: one.t == fact.t, islice(case.facts, first, None))
    same = next((one for one in behind if (one.received, one.text) == (fact.received, fact.text)), None)
    if same is None or same.digest == fact.digest or case.knows(fact.digest):
        return False
    if same.digest > fact.digest:
        cases.keep(case, [one for one in case.facts if one is not same])
        return False
    return True


def report(
    rule: LedgerRule, payload: Report, fields: Mapping[str, Any], now: Now, emitter: Emitter, *, is_first: bool
) -> None:
    """Fold one revision of a report: of the subjects that it names, and of those that an earlier one did.

    Args:
        rule: that asks.
        payload: the report.
        fields: of it.
        now: when it came.
        emitter: of the record.
        is_first: no other revision of it came before: nobody has to look for one.
    """
    if not applies(rule, emitter.state.planned.facility, None, now.received):
        return
    begin = f"{payload.type} {payload.id}/"
    before: dict[str, dict[str, int]] = {}
    for subject, case in () if is_first else emitter.state.rare.of(rule.id).items():
        if found := {fact.digest: fact.received for fact in case.facts if fact.digest.startswith(begin)}:
            before[subject] = found
    others = {name: received for found in before.values() for name, received in found.items()}
    said = {
        text_of_subject(subject): (at, text)
        for subject, at, text in said_by_report(rule, payload, fields, now.received, emitter.state.planned.facility)
    }
    name = name_of(payload.type, payload.id, payload.revision)
    if not said and not before:  # it names nothing yet, and is not forgotten: an older revision that does may come
        said[text_of_subject({"report": payload.id})] = (now.received, "")
    for subject in sorted({*said, *before}):
        # Each subject that a revision ever named knows of all of them: a newer one that names it no more is the newest there too.
        facts = [_gone(other, received) for other, received in others.items() if subject not in before]
        at, text = said.get(subject, (now.received, ""))
        facts.append(Fact(at, now.received, name, "", text) if text else _gone(name, now.received))
        _take(rule, subject, facts, now, emitter)


def inspection(rule: VisitRule, payload: Inspection, now: Now, emitter: Emitter) -> None:
    """Fold one version of a visit; one that came, or is older than one that did, changes nothing."""
    if applies(rule, emitter.state.planned.facility, None, now.received):
        name, text = visit.said(payload)
        _take(rule, WHOLE, [Fact(payload.done_at, now.received, name, "", text)], now, emitter)


def alive(state: FacilityState, received: int) -> None:
    """Note that a record of the facility came (log time, ms), before it is folded: rules over years ask whether it was heard."""
    for rule in () if state.plan is None else state.plan.years:
        annual.alive(rule, state.rare, received)


def _gone(name: str, received: int) -> Fact:
    """Return that a revision of a report says nothing of a subject."""
    return Fact(received, received, name, "", text_of(GONE, revision=int(name.rpartition("/")[2])))


def adopt(rule: LedgerRule, now: Now, emitter: Emitter) -> None:
    """Judge all that is kept by the numbers that are in force now; what waits until its instant is over goes on to."""
    rare = emitter.state.rare
    if (
        isinstance(rule, VisitRule)
        and emitter.state.planned.facility.risk is not None
        and WHOLE not in rare.of(rule.id)
    ):
        place(rare, rule, WHOLE, [])  # the register alone may say that a visit is due
    for subject, case in sorted(rare.of(rule.id).items()):
        if rare.of(rule.id).get(subject) is not case:
            continue  # another one that was judged before it pushed it out
        if (case.facts or subject == WHOLE) and not waits(case):
            settle(rule, subject, case, now, emitter)


def _take(rule: LedgerRule, subject: str, facts: list[Fact], now: Now, emitter: Emitter) -> None:
    """Keep facts of a subject, the last of which came now; it is judged when the instant is over, by all that came at it."""
    rare, fact = emitter.state.rare, facts[-1]
    known = rare.of(rule.id).get(subject)
    if known is not None and (known.knows(fact.digest) or is_known(rule, known.facts, fact.digest)):
        rare.counts["event_duplicate"] += 1
        return
    if known is not None and is_too_old(rule, known.facts, fact.t):
        rare.counts["event_stale"] += 1
        return
    case = place(rare, rule, subject, facts)
    if case is None:
        return
    kept = list(case.facts)
    for one in facts:
        insort(kept, one, key=partial(order_of, rule))
    rare.cases[rule.id].keep(case, kept)
    case.due = now.received
    if len(kept) > WAITING:
        settle(rule, subject, case, now, emitter)


def fire(rule: LedgerRule, subject: str, case: Case, now: Now, emitter: Emitter) -> None:
    """Judge a subject by the clock: because of what came at the instant that is over now, or because its time has come."""
    note(rule, subject, case, emitter.state.rare, touched=True)
    facts = [*case.facts, *beside(rule, subject, emitter.state.rare.of(rule.id))]
    came = entries_of([fact for fact in facts if fact.received == now.received])
    at = max((now.received if "revision" in one.said else one.at for one in came), default=now.at)
    settle(rule, subject, case, Now(at, now.received, list(reads_of(came))), emitter)


def settle(rule: LedgerRule, subject: str, case: Case, now: Now, emitter: Emitter) -> None:
    """Tell what the facts of a subject make of its alarm, and keep within bounds.

    It stands while a time lasts in which the condition held, since the earliest; `amended` too where more came that holds. Where nothing
    stands, a time that is over and of which nothing was told is raised and ended at once: what was late stays on file.
    """
    judged = judge(rule, subject, case.facts, now.received, emitter.state.planned.facility, emitter.state.rare)
    lasts, standing = judged.open, case.standing
    holding = {id(entry.fact) for run in judged.runs if run.is_open for entry in run.entries}
    for fact in case.facts:
        fact.counts = id(fact) in holding
    if standing is not None and lasts is None and not judged.unknown:
        end(rule, subject, case, judged, now, emitter)
    elif standing is not None and lasts is not None:
        more = [run for run in judged.runs if run.is_open and any(not entry.told for entry in run.entries)]
        if more or (standing.start, standing.sev) != (lasts.start, lasts.rank):
            move(rule, subject, case, lasts, more[-1] if more else lasts, now, emitter)
    if case.standing is None:
        for run in [run for run in judged.runs if not run.is_open and not run.was_told]:
            open_alarm(rule, subject, case, run, now, emitter)
            end(rule, subject, case, judged, now, emitter)
            _note(run, now)
        if lasts is not None:
            open_alarm(rule, subject, case, lasts, now, emitter)
    for run in judged.runs:
        if run.is_open:
            _note(run, now)
    if case.standing is not None and case.standing.unknown is not judged.unknown:
        know(rule, subject, case, judged, now, emitter)
    case.due = judged.again
    emitter.state.rare.of(rule.id).busy = False
    note(rule, subject, case, emitter.state.rare)
    trim(rule, subject, emitter.state.rare, emitter.state.planned.facility)
    tiers_of(rule, emitter.state.rare.of(rule.id)).behind.forget()


def _note(run: Run, now: Now) -> None:
    """Note that an alarm was told of a time."""
    for entry in run.entries:
        entry.fact.due = min(entry.fact.due, now.received)
