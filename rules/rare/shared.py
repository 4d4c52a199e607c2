"""Kind `count` with `occasions`: one subject with several texts of a field at once, again and again (a login that is shared).

An instant counts where at least `n` different texts stand in the time `within` before it. What is kept of events are spans: of
one text, events no farther than `within` from each other. From them the instants follow exactly, in whatever order events come
and however often. Events that are as old as what was lost, or older, are counted as stale: of them nothing is said.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from rules.changes import ChangeKind, Leaf, Verdict
from rules.instants import format_duration
from rules.layout import HORIZON_MS, NONE
from rules.rare.speak import Now, close, open_case, tell
from rules.rare.store import Fact, floor_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rules.emission import Emitter
    from rules.rare.store import Case
    from rules.rareparts import Occasions
    from rules.rule import CountRule

SHOWN = 8
"""Texts that evidence names."""


def meet(
    rule: CountRule, often: Occasions, subject: str, case: Case, text: str, batch: str, now: Now, emitter: Emitter
) -> None:  # fmt: skip
    """Fold one event of a subject; `now.at` is the event time that counts.

    A span is a fact without a digest: `t` is its begin, `received` its end, both event times; a floor has no text.
    """
    rare = emitter.state.rare
    newest = max([now.at, *(fact.received for fact in case.facts)])
    edge = newest - often.over - HORIZON_MS
    if now.at <= floor_of(case.facts) or now.at + rule.within <= edge:
        rare.counts["event_stale"] += 1
        return
    young = [fact for fact in case.facts if not fact.text or fact.received + rule.within > edge]
    rare.cases[rule.id].keep(case, joined(young, now.at, text, batch, rule.within))
    _bound(rule.id, case, emitter)
    counting = counting_of(rule, often, case.facts)
    if counting:
        _judge(rule, often, subject, case, counting, now, emitter)


def joined(facts: Sequence[Fact], t: int, text: str, batch: str, within: int) -> list[Fact]:
    """Return spans with one event more, by begin; it joins those of its text that it is no farther than `within` from."""
    touched = [f for f in facts if f.text == text and f.t - within <= t <= f.received + within]
    begin, end = min([t, *(f.t for f in touched)]), max([t, *(f.received for f in touched)])
    last = max(touched, key=lambda f: f.received, default=None)
    of = batch if last is None or end == t else last.batch
    rest = [fact for fact in facts if fact not in touched]
    return sorted([*rest, Fact(begin, end, "", of, text)], key=lambda f: (f.text != "", f.t, f.text))


def counted(facts: Iterable[Fact], n: int, within: int, edge: int, newest: int) -> list[tuple[int, int]]:
    """Return the instants in (edge, newest] that count, as spans with both ends inside, oldest first.

    >>> two = [Fact(0, 0, "", "", "a"), Fact(3, 4, "", "", "b")]
    >>> counted(two, 2, 5, -100, 4), counted(two, 2, 5, -100, 40)
    ([(3, 4)], [(3, 5)])
    """
    turns: dict[int, int] = {}
    for fact in facts:
        if fact.text:
            turns[fact.t] = turns.get(fact.t, 0) + 1
            turns[fact.received + within + 1] = turns.get(fact.received + within + 1, 0) - 1
    found: list[tuple[int, int]] = []
    standing, since = 0, NONE
    for at in sorted(turns):
        before, standing = standing, standing + turns[at]
        if before < n <= standing:
            since = at
        elif standing < n <= before:
            begin, end = max(since, edge + 1), min(at - 1, newest)
            if begin <= end:
                found.append((begin, end))
    return found


def counting_of(rule: CountRule, often: Occasions, facts: Sequence[Fact]) -> list[tuple[int, int]]:
    """Return the instants that count by what is kept of a subject."""
    newest = max((fact.received for fact in facts), default=NONE)
    return counted(facts, rule.n, rule.within, newest - often.over - HORIZON_MS, newest)


def number(counting: Sequence[tuple[int, int]], at: int, often: Occasions) -> int:
    """Return how many instants up to `at`, itself the last, lie more than `apart` from each other, within `over`."""
    many, below = 1, at - often.apart - 1
    for begin, end in reversed(counting):
        while begin <= below and min(end, below) >= at - often.over:
            many, below = many + 1, min(end, below) - often.apart - 1
            if many >= often.times:
                return many
    return many


def reached(counting: Sequence[tuple[int, int]], often: Occasions) -> int | None:
    """Return the earliest instant with which it was often enough, None: it was not.

    The earliest is the begin of a span, or lies as near as can be behind an instant of which the same is true.
    """
    step = often.apart + 1
    for at in sorted({begin + i * step for begin, _ in counting for i in range(often.times)}):
        if any(low <= at <= high for low, high in counting) and number(counting, at, often) >= often.times:
            return at
    return None


def fire(rule: CountRule, subject: str, case: Case, now: Now, emitter: Emitter) -> None:
    """End an alarm: nothing of it came for so long. What had come is done with."""
    if rule.occasions is None or case.standing is None:
        return
    calm = format_duration(rule.occasions.calm)
    leaf = Leaf(expr=f"occasions of {rule.distinct} / {calm}", left=0.0, op=">", right=0.0, verdict=Verdict.FALSE)
    newest = max(fact.received for fact in case.facts)
    close(rule, subject, case, [leaf], now, emitter)
    emitter.state.rare.cases[rule.id].keep(case, [Fact(newest, newest, "", "")])


def _judge(
    rule: CountRule, often: Occasions, subject: str, case: Case, counting: list[tuple[int, int]], now: Now, emitter: Emitter
) -> None:  # fmt: skip
    start, standing = reached(counting, often), case.standing
    if start is not None and (standing is None or start < standing.start):
        leaves = [_often(rule, often, number(counting, start, often)), _texts(rule, case, start)]
        if standing is None:
            late = start + HORIZON_MS < now.received
            open_case(rule, subject, case, start, rule.severity.base.rank, leaves, now, emitter, late=late)
            case.due = NONE
        else:
            standing.start = start
            tell(rule, subject, case, standing, ChangeKind.AMENDED, leaves, now, emitter)
    if case.standing is not None:  # what ends it later is the newest instant that ever counted
        case.due = max(case.due, counting[-1][1] + often.calm, now.received)
        emitter.state.rare.of(rule.id).busy = False


def _bound(rule: str, case: Case, emitter: Emitter) -> None:
    """Keep a case within its bounds: what ended first goes, and behind it nothing can be told any more."""
    rare = emitter.state.rare
    cases = rare.cases[rule]
    while cases.is_full(case) and sum(bool(fact.text) for fact in case.facts) > 1:
        spans = [fact for fact in case.facts if fact.text]
        gone = min(spans, key=lambda fact: (fact.received, fact.text))
        floor = max(floor_of(case.facts), gone.received)
        cases.keep(case, [Fact(floor, floor, "", ""), *(replace(f) for f in spans if f is not gone)])
        rare.counts["fact_dropped"] += 1


def _often(rule: CountRule, often: Occasions, many: int) -> Leaf:
    verdict = Verdict.TRUE if many >= often.times else Verdict.FALSE
    return Leaf(
        expr=f"occasions of {rule.distinct} / {format_duration(often.over)}", left=float(many), op=">=",
        right=float(often.times), verdict=verdict,
    )  # fmt: skip


def _texts(rule: CountRule, case: Case, at: int) -> Leaf:
    texts = sorted({f.text for f in case.facts if f.text and f.t <= at <= f.received + rule.within})
    shown = ", ".join(texts[:SHOWN]) + (f" and {len(texts) - SHOWN} more" if len(texts) > SHOWN else "")
    return Leaf(expr=f"at once: {rule.distinct}", left=shown, op=">=", right=float(rule.n), verdict=Verdict.TRUE)
