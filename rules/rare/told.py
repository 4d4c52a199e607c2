"""Kind `register_check`, checks `serial-changed` and `config-hash`: what devices tell of themselves against the register (ADR 0037).

An event is judged when it comes, by the register as it is then, with the facts in force at its event time. What is told and is not
what is registered is a *stranger*: of each a case keeps one span, from the first event that told it to the newest. It holds from the
first on; of a serial only when the time in which a replacement may be told, or with one the register's own time, is past. It is over
when the register names it, or when something that is registered is told behind it. Nothing is judged of what the register leaves out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from rules.changes import ChangeKind, Leaf, Verdict
from rules.instants import format_duration
from rules.layout import HORIZON_MS, NEVER, NONE
from rules.rare import store
from rules.rare.match import device_of, named_device, text_of_field
from rules.rare.points import WORDS
from rules.rare.speak import Now, close, open_case, tell
from rules.rare.store import Fact, floor_of, subject_of, text_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rules.emission import Emitter
    from rules.rare.points import Point
    from rules.rare.store import Case
    from rules.records import Event
    from rules.register import Facility
    from rules.rule import RegisterCheckRule

HOME, STRANGER, REPLACEMENT = ".", "=", "+"
"""How the text of a fact begins; its `t` and `received` are event times (ms) of the first and of the newest event, it has no digest.

The first is of whatever was registered when it was told, and one only; the others are of the serial or hash behind the sign.
"""


@dataclass(frozen=True, slots=True)
class Word:
    """What an event tells: whom it is about, a sign as above (STRANGER: it is only told), and the serial or hash."""

    subject: str
    sign: str
    text: str


def word_of(rule: RegisterCheckRule, event: Event) -> Word | None:
    """Return what an event tells that a check is about, None of others.

    It is about the point (a tag) that a field names, or about its device, and about none where it names both.
    """
    if event.stream != "device":
        return None
    point = text_of_field(event, "point")
    if "point" in event.fields and (point is None or named_device(event) is not None):
        return None
    subject = text_of({"device": device_of(event)} if point is None else {"tag": point})
    name, sign = _NAMES[rule.check].get(event.type, ("", ""))
    text = text_of_field(event, name)
    return None if text is None else Word(subject, sign, text)


_NAMES: dict[str, dict[str, tuple[str, str]]] = {
    "serial-changed": {"serial": ("serial", STRANGER), "replacement": ("new", REPLACEMENT)},
    "config-hash": {"config": ("hash", STRANGER)},
}
"""Check -> type of a device's event -> the field that is read, and what it stands for."""


def meet(rule: RegisterCheckRule, event: Event, batch: str, now: Now, emitter: Emitter) -> None:
    """Fold one event; `now.at` is the event time that counts."""
    word = word_of(rule, event)
    point = None if word is None else emitter.state.planned.points.at(rule, word.subject, now.at)
    if word is None or point is None:
        return
    rare = emitter.state.rare
    if point.word is None and word.subject not in rare.of(rule.id):  # nothing to compare it with
        return
    case = rare.case(rule.id, word.subject, store.MAX_CHECKED)
    if case is None:
        return
    if now.at <= floor_of(case.facts):
        rare.counts["event_stale"] += 1
    elif word.sign == REPLACEMENT:
        if now.received <= now.at + (rule.allowed or 0):
            _keep(rule, case, Fact(now.at, now.at, "", batch, REPLACEMENT + word.text), emitter)
    elif point.word is not None:
        _tell(rule, case, word.text, point.word, batch, now, emitter)
    judge(rule, word.subject, case, now, emitter, heard=word.sign == STRANGER)


def _tell(
    rule: RegisterCheckRule, case: Case, text: str, registered: str, batch: str, now: Now, emitter: Emitter
) -> None:  # fmt: skip
    """Put what was told into its span; `registered` is what should have been."""
    home = home_of(case.facts)
    if text == registered:
        at_home = next((fact for fact in case.facts if fact.text == HOME), None)
        _keep(rule, case, Fact(max(now.at, home), max(now.at, home), "", "", HOME), emitter, instead_of=at_home)
        return
    span = next((fact for fact in case.facts if fact.text == STRANGER + text), None)
    if span is not None and not is_live(span) and now.at <= max(span.received, home):
        emitter.state.rare.counts["event_duplicate"] += 1
    elif span is None or not is_live(span):
        _keep(rule, case, Fact(now.at, now.at, "", batch, STRANGER + text, due=NONE), emitter, instead_of=span)
    elif now.at < span.t:
        _keep(rule, case, replace(span, t=now.at, batch=batch), emitter, instead_of=span)
    else:
        span.received = max(span.received, now.at)


def _keep(rule: RegisterCheckRule, case: Case, new: Fact, emitter: Emitter, instead_of: Fact | None = None) -> None:
    """Keep a fact within the bounds of a case: what is done with goes out first, then what ended first.

    Never what is told now, what was registered (HOME), and the stranger since which an alarm stands.
    """
    rare = emitter.state.rare
    cases = rare.cases[rule.id]
    rest = [fact for fact in case.facts if fact is not instead_of and (fact.t, fact.text) != (new.t, new.text)]
    cases.keep(case, sorted([*rest, new], key=lambda fact: (fact.text != "", fact.t, fact.text)))
    while len(case.facts) > store.MAX_TOLD or cases.held > store.MAX_ALL_FACTS + len(cases):
        since = next((fact for fact in case.facts if fact.counts), None)
        loose = [f for f in case.facts if f is not new and f is not since and f.text not in {"", HOME}]
        if not loose:
            break
        gone = min(loose, key=lambda fact: (is_live(fact), fact.received, fact.text))
        cases.keep(case, [fact for fact in case.facts if fact is not gone])
        rare.counts["fact_dropped"] += 1


def is_live(fact: Fact) -> bool:
    """Say whether a fact is a stranger that is not done with; one that is, is kept so that it is known when it is sent again."""
    return fact.text[:1] == STRANGER and (fact.counts or fact.due != NEVER)


def home_of(facts: Sequence[Fact]) -> int:
    """Return the newest event time at which what was told was registered, ms; NONE: never."""
    return next((fact.t for fact in facts if fact.text == HOME), NONE)


def is_declared(rule: RegisterCheckRule, facts: Sequence[Fact], span: Fact) -> bool:
    """Say whether a replacement told a stranger, in the time that is allowed before or after its first event."""
    text, within = REPLACEMENT + span.text[1:], rule.within or 0
    return any(fact.text == text and abs(fact.t - span.t) <= within for fact in facts)


def due_of(rule: RegisterCheckRule, facts: Sequence[Fact], span: Fact, facility: Facility) -> int:
    """Return the log time from which on a stranger is more than unknown, ms; a hash is at once."""
    if rule.within is None:
        return span.t
    return span.t + rule.within + (rule.grace or 0) * is_declared(rule, facts, span) + facility.delivery


def judge(
    rule: RegisterCheckRule, subject: str, case: Case, now: Now, emitter: Emitter,
    *, heard: bool = False, by_clock: bool = False,
) -> None:  # fmt: skip
    """Decide a case again: behind an event that it tells (`heard`), when a register comes into force, or by the clock."""
    point, standing = emitter.state.planned.points.at(rule, subject, now.received), case.standing
    emitter.state.rare.of(rule.id).busy = False
    if point is None:
        _forget(rule, subject, case, now, emitter)
        return
    silent = standing is not None and rule.silent is not None and case.due == NEVER and not heard
    if point.word is not None:
        if standing is not None and standing.unknown and not silent:
            standing.unknown = False
            tell(rule, subject, case, standing, ChangeKind.KNOWN, [], now, emitter)
        _settle(rule, subject, case, point, now, emitter, by_clock=by_clock)
    raised = standing is None and case.standing is not None
    standing = case.standing
    if standing is not None and not standing.unknown and (silent or point.word is None):
        standing.unknown = True
        leaf = Leaf(
            expr=_expr(rule, subject), left=None, op="told" if silent else "registered", verdict=Verdict.UNKNOWN
        )
        tell(rule, subject, case, standing, ChangeKind.UNKNOWN, [leaf], now, emitter)
    if rule.silent is not None:
        anew = now.received + rule.silent + 1
        case.due = NEVER if standing is None else anew if heard or raised else case.due
    else:
        waiting = [fact.due for fact in case.facts if is_live(fact) and not fact.counts]
        case.due = NEVER if point.word is None else min(waiting, default=NEVER)


def fire(rule: RegisterCheckRule, subject: str, case: Case, now: Now, emitter: Emitter) -> None:
    """Decide what is due: a stranger that nobody declared, or registered in time; of an alarm, that nothing is told any more."""
    judge(rule, subject, case, now, emitter, by_clock=True)


def adopt(rule: RegisterCheckRule, now: Now, emitter: Emitter) -> None:
    """Judge what was told by the register of now: it may name a stranger, and accuses nothing that was told before."""
    for subject, case in sorted(emitter.state.rare.of(rule.id).items()):
        judge(rule, subject, case, now, emitter)


def _forget(rule: RegisterCheckRule, subject: str, case: Case, now: Now, emitter: Emitter) -> None:
    """Let go of what is registered no more; a case that spoke keeps the ids of its alarms, and up to when it had looked."""
    cases = emitter.state.rare.cases[rule.id]
    if case.standing is not None:
        close(rule, subject, case, [], now, emitter)
    case.due, newest = NEVER, max((fact.received for fact in case.facts), default=NONE)
    cases.keep(case, [Fact(newest, newest, "", "")] if case.uses and newest != NONE else [])
    if not case.uses:
        del cases[subject]


def _settle(
    rule: RegisterCheckRule, subject: str, case: Case, point: Point, now: Now, emitter: Emitter, *, by_clock: bool
) -> None:  # fmt: skip
    """Tell what the strangers of a case make of its alarm; it stands while one holds, since the earliest of these."""
    standing = case.standing
    live = [fact for fact in case.facts if is_live(fact)]
    before = [span for span in live if span.counts]
    ended = [span for span in live if _decide(rule, subject, case, span, point, now, emitter, by_clock=by_clock)]
    counting = [span for span in live if span.counts]
    holding = [span for span in counting if span not in ended]
    since = next(iter(holding or counting or before), None)
    leaves = [] if since is None else _leaves(rule, subject, case, since, point)
    if standing is None and since is not None and counting:
        late = due_of(rule, case.facts, since, emitter.state.planned.facility) + HORIZON_MS < now.received
        standing = open_case(rule, subject, case, since.t, rule.severity.base.rank, leaves, now, emitter, late=late)
    elif standing is not None and holding and holding[0].t != standing.start:
        standing.start = holding[0].t
        tell(rule, subject, case, standing, ChangeKind.AMENDED, leaves, now, emitter)
    if standing is not None and not holding:
        if counting or any(not is_live(span) for span in before):
            close(rule, subject, case, leaves, now, emitter)
        else:  # each of them was declared
            standing.retracted = True
            tell(rule, subject, case, standing, ChangeKind.RETRACTED, leaves, now, emitter)
    for span in counting:
        span.counts = span in holding


def _decide(
    rule: RegisterCheckRule, subject: str, case: Case, span: Fact, point: Point, now: Now, emitter: Emitter,
    *, by_clock: bool,
) -> bool:  # fmt: skip
    """Say of a stranger whether it counts, is waited for, or is done with; returns whether it ended, if it counts, with that.

    A hash counts at once, and one that the register has come to name meanwhile too: it was not registered when it was told.
    """
    plan, text = emitter.state.planned, span.text[1:]
    then = plan.points.at(rule, subject, span.t)
    fresh = rule.within is None and span.due == NONE
    named = (text == point.word and not fresh) or (then is not None and text == then.word)
    over = span.received < home_of(case.facts)
    due = due_of(rule, case.facts, span, plan.facility)
    if named or (over and is_declared(rule, case.facts, span)):
        span.counts, span.due = False, NEVER
    elif rule.within is None or (due <= now.received and (span.counts or by_clock)):
        span.counts, span.due = True, NEVER
    else:
        span.counts, span.due = False, max(due, now.received)
    return over or text == point.word


def _expr(rule: RegisterCheckRule, subject: str) -> str:
    return f"{WORDS[rule.check].replace('_', ' ')} of {' '.join(subject_of(subject).values())}"


def _leaves(rule: RegisterCheckRule, subject: str, case: Case, span: Fact, point: Point) -> list[Leaf]:
    named = span.text[1:] == point.word
    found = [
        Leaf(
            expr=_expr(rule, subject), left=span.text[1:], op="!=", right=point.word,
            verdict=Verdict.FALSE if named else Verdict.TRUE,
        )
    ]  # fmt: skip
    if rule.within is not None:
        declared = Verdict.TRUE if is_declared(rule, case.facts, span) else Verdict.FALSE
        within = format_duration(rule.within)
        found.append(
            Leaf(expr=f"replacement by {span.text[1:]}", left=None, op="within", right=within, verdict=declared)
        )
    return found
