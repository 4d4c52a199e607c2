"""What the reports of a case say together: the same whatever order they came in (ADR 0094).

The earliest start that any of them tells, the earliest receipt of those that answer, and all that is said of what `only` and `within` ask.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from rules.clocks.due import day_begins, day_is_over, facts_in, facts_of, matches
from rules.clocks.saying import keys_named
from rules.deadlineparts import RECEIPT
from rules.instants import EARLIEST_MS, LATEST_MS
from rules.layout import NEVER, NONE

if TYPE_CHECKING:
    from rules.clocks.saying import Saying
    from rules.clocks.store import Clock
    from rules.deadlineparts import Document
    from rules.rule import DeadlineRule

MAX_ROUNDS = 32
"""Instants at which a clock began anew that are kept of reports that went out, the newest, and planned days, the earliest."""
PackedSum: TypeAlias = tuple[
    int, int, int, int, int, list[str], list[str], list[tuple[int, int]], list[int]
]  # fmt: skip


@dataclass(slots=True)
class Sum:
    """What some reports say together, and findings of a visit. Instants in ms, NONE without."""

    start: int = NONE
    """The earliest start that any tells; of a clock that begins anew by those that start it first."""
    answered: int = NONE
    """The earliest first receipt of those that answer it, or end it for good."""
    judged: int = NONE
    """The earliest instant by which any of them counts: receipt, or the later one that it names."""
    revision: int = 0
    """The highest of those that start it; 0: none does."""
    reply: int = 0
    """The highest of those that answer."""
    sure: set[str] = field(default_factory=set)
    """What those that start it say of what the rule asks, as text ..."""
    unsure: set[str] = field(default_factory=set)
    """... and those that answer, which speaks where none starts it."""
    plans: set[tuple[int, int]] = field(default_factory=set)
    """End of a planned day and receipt of the report that told it; NONE: it is known to have come in time."""
    rounds: set[int] = field(default_factory=set)
    """First receipts of those that begin it anew."""

    def add(self, rule: DeadlineRule, key: str, kind: str, saying: Saying) -> None:
        """Add what a report says of a case."""
        fields = saying.fields
        if key in keys_named(rule, rule.starts, kind, fields) and rule.starts is not None:
            self.tell(began(rule.starts, saying))
            self.revision = max(self.revision, saying.revision)
            self.sure.add(facts_of(rule, fields))
        if key in keys_named(rule, rule.again_until, kind, fields):
            self.answer(saying.came, saying.came)
        if key not in keys_named(rule, rule.answer, kind, fields):
            return
        if rule.again_until is not None:
            self.rounds |= set() if saying.first == NONE else {saying.first}
            return
        if rule.yearly is None:
            self.tell(began(rule.answer, saying))
        self.reply = max(self.reply, saying.revision)
        self.unsure.add(facts_of(rule, fields))
        named, day = fields.get(rule.judged or ""), fields.get(rule.plan or "")
        self.answer(saying.came, max(saying.came, named if isinstance(named, int) else NONE))
        planned = day_is_over(day) if isinstance(day, str) else None
        if planned is not None:
            self.plans.add((planned, saying.at))

    def tell(self, start: int | None) -> None:
        """Add a start; None: none is told."""
        if start is not None and (self.start == NONE or start < self.start):
            self.start = start

    def answer(self, received: int, judged: int) -> None:
        """Add an answer."""
        self.answered = received if self.answered == NONE else min(self.answered, received)
        self.judged = judged if self.judged == NONE else min(self.judged, judged)

    def begun(self, rule: DeadlineRule) -> int:
        """Return when the clock began, the last time."""
        if rule.again_until is None or self.start == NONE:
            return self.start
        until = NEVER if self.answered == NONE else self.answered
        return max([self.start, *(one for one in self.rounds if self.start <= one <= until)])

    def said(self, rule: DeadlineRule) -> str:
        """Return what the rule keeps of what they say, as text: of what comes to the same for it one."""
        return gist(rule, self.sure if self.revision else self.unsure)

    def copy(self) -> Sum:
        """Return another one that says the same."""
        return Sum(
            self.start, self.answered, self.judged, self.revision, self.reply, set(self.sure), set(self.unsure), set(self.plans),
            set(self.rounds),
        )  # fmt: skip

    def keep(self, rule: DeadlineRule) -> None:
        """Keep it within bounds, where what it was made of has gone out."""
        self.sure, self.unsure = ({text_of(one) for one in facts_in(gist(rule, of))} for of in (self.sure, self.unsure))
        self.plans = set(sorted(self.plans)[:MAX_ROUNDS])
        self.rounds = set(sorted(self.rounds)[-MAX_ROUNDS:])

    def pack(self) -> PackedSum:
        """Return its members for a snapshot."""
        return (
            self.start, self.answered, self.judged, self.revision, self.reply, sorted(self.sure), sorted(self.unsure),
            sorted(self.plans), sorted(self.rounds),
        )  # fmt: skip

    @classmethod
    def unpack(cls, packed: PackedSum) -> Sum:
        """Return what was packed."""
        start, answered, judged, revision, reply, sure, unsure, plans, rounds = packed
        return cls(start, answered, judged, revision, reply, set(sure), set(unsure), set(plans), set(rounds))

    @classmethod
    def of(cls, clock: Clock) -> Sum:
        """Return what a clock says whose reports were not kept: they can be added to, and not be taken back."""
        said = {text_of(one) for one in facts_in(clock.said)} if clock.said else {""}
        found = cls(clock.start, clock.answered, clock.judged, clock.revision, clock.reply)
        found.sure, found.unsure = (said, set()) if clock.revision else (set(), said if clock.reply else set())
        found.plans = set() if clock.planned == NONE else {(clock.planned, NONE)}
        found.rounds = set() if clock.start == NONE else {clock.start}
        return found


def began(part: Document, saying: Saying) -> int | None:
    """Return the instant that a report tells as the clock's beginning; a day begins at its local midnight. None: it tells none."""
    if part.at is None or part.at == RECEIPT:
        return None if part.at is None else saying.came
    value = saying.fields.get(part.at)
    if isinstance(value, str):
        return day_begins(value)
    return value if isinstance(value, int) and EARLIEST_MS <= value <= LATEST_MS else None


def told(rule: DeadlineRule, key: str, kind: str, saying: Saying) -> list[int]:
    """Return the starts that a report tells of a case, ms."""
    parts = [part for part in (rule.starts, rule.answer) if key in keys_named(rule, part, kind, saying.fields)]
    found = [began(part, saying) for part in parts if part is not None]
    return [] if rule.yearly is not None or rule.again_until is not None else [at for at in found if at is not None]


def gist(rule: DeadlineRule, said: set[str]) -> str:
    """Return one text for each sort of what is said, as far as the rule tells them apart; a list where there are several."""
    sorts: dict[tuple[bool, ...], str] = {}
    for text in sorted(said):
        facts = facts_in(text)[0]
        wheres = [*rule.only, *(edition.where for edition in rule.within)]
        sorts.setdefault(
            (all(_says(facts, where) for where in rule.only), *(matches(one, facts) for one in wheres)), text
        )
    found = sorted(sorts.values())
    if len(found) > 1:
        return sys.intern("[" + ",".join(one or "{}" for one in found) + "]")
    return sys.intern(found[0]) if found else ""


def _says(facts: dict[str, Any], where: dict[str, Any]) -> bool:
    return all(name in facts for name in where)


def text_of(facts: dict[str, Any]) -> str:
    """Return facts as the text that `facts_of` makes of them."""
    return sys.intern(json.dumps(facts, sort_keys=True)) if facts else ""
