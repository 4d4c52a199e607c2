"""What the fold keeps of rare records for a facility: bounded, in the snapshot, the same bytes after a restart (ADR 0033).

Above 400 lines: each kind's rows are packed and read beside each other, so that a member that is forgotten is seen.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, TypeAlias

import msgspec

from rules.batches import Batches, PackedBatches
from rules.layout import NEVER, NONE
from rules.occurrence import Occurrence, Packed
from rules.rare.named import Named
from rules.rare.waiting import Areas, Texts, Waiting

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rules.ledger.room import Tiers
    from rules.rare.feeds import Feed
    from rules.rare.missing import Ways
    from rules.rare.openings import Openings
    from rules.rare.parallel import Compared
    from rules.rare.rate import Rate
    from rules.rare.share import Share

MAX_CASES = 500
"""Subjects of one rule over events; the one that is longest untouched goes out first, never one that stands or is due."""
MAX_CHECKED = 12_000
"""Subjects of one check of the register: more than it holds tags and areas, so that none in force is ever left out."""
MAX_STRAYS = 256
"""Tags that the register does not hold, of a facility (rules/rare/strays.py)."""
KNOWN_STRAYS = 4
"""Of so many times as many it is known up to when their readings came, also once they are forgotten."""
MAX_FACTS = 256
"""Events that one case keeps ..."""
MAX_ROWS = 32
"""... or rows, of which a series may have many ..."""
MAX_ALL_FACTS = 10_000
"""... and all cases of a rule together, beside the first of each."""
MAX_SEEN = 64
"""Digests of closed events that one case knows again, and starts of alarms that may come again."""
MAX_PARTNERS = 64
"""Events B that one area keeps for one rule ..."""
MAX_CHANGES = 32
"""Changes of the settings of one asset that a case keeps (rules/rare/approval.py)."""
MAX_TOLD = 16
"""Serials or hashes of one sensor or device, and replacements, that a case keeps (rules/rare/told.py)."""
MAX_SPANS = 64
"""Spans and days of rows that a series' device flagged (rules/rare/share.py); the oldest goes."""
MAX_DOOR = 32
"""Openings and closings of a door that the case of a sensor keeps (rules/rare/openings.py); the oldest goes."""
MAX_RUNS = 32
"""... and times at which its devices were heard."""
COUNTERS = (
    "events", "event_repeated", "event_conflict", "event_future", "event_duplicate", "event_stale", "event_left_out",
    "case_dropped", "fact_dropped", "partner_dropped",
    "calibration_unknown", "calibration_unreadable", "calibration_older",
    "hole_dropped", "feed_dropped", "feed_left_out", "gap_dropped", "front_dropped", "stretch_dropped", "restart_dropped",
    "stray_dropped", "stray_left_out",
    "result_unknown", "parallel_unknown", "ledger_unknown", "amended_dropped",
)  # fmt: skip

_At: TypeAlias = Annotated[int, msgspec.Meta(ge=NONE, le=NEVER)]
_Some: TypeAlias = Annotated[int, msgspec.Meta(ge=1)]
PackedFact: TypeAlias = tuple[_At, _At, str, str, str, bool, _At]
PackedCase: TypeAlias = tuple[str, str, list[PackedFact], list[str], Packed | None, list[tuple[_At, _Some]], _At]
PackedArea: TypeAlias = tuple[str, str, list[_At], list[tuple[_At, _At]]]
PackedRare: TypeAlias = tuple[
    PackedBatches, list[tuple[str, _Some]], list[PackedCase], list[PackedArea], list[tuple[str, _At]]
]
"""In a snapshot: batches of events, counters, cases, areas, when each check of the register is due."""
NOTHING: PackedRare = ((0, [], b"", b""), [], [], [], [])
"""Where no rule over rare records was ever in force: a snapshot then has no such member."""


@dataclass(slots=True)
class Fact:
    """One event that a case keeps: event and receive time (ms), digest, batch, the counted text, whether it is an occasion."""

    t: int
    received: int
    digest: str
    batch: str
    text: str = ""
    counts: bool = False
    """The condition holds since this event: an occasion. The alarm stands while there is one, since the earliest."""
    due: int = NEVER
    """When the clock decides on it."""

    def pack(self) -> PackedFact:
        """Return the members for a snapshot."""
        return (self.t, self.received, self.digest, self.batch, self.text, self.counts, self.due)


def floor_of(facts: Iterable[Fact]) -> int:
    """Return the event time up to which what came is done with or lost (rules/rare/shared.py), NONE: nothing is."""
    return next((fact.t for fact in facts if not fact.text and not fact.digest), NONE)


@dataclass(slots=True)
class AnyCase:
    """What is kept of one rule on one subject, whatever keeps it (rules/rare, rules/clocks, rules/excursions)."""

    facts: list[Fact] = field(default_factory=list)
    """By (event time, digest)."""
    seen: list[str] = field(default_factory=list)
    """Digests of events that were closed or met: one that comes again changes nothing. Newest last."""
    last: Occurrence | None = None
    """The alarm that stands, or the one that ended last."""
    uses: dict[int, int] = field(default_factory=dict)
    """Start -> how many alarms were raised with it, which enters their ids; the one raised last stands last."""
    due: int = NEVER
    """The next decision by the clock, or, of a check of the register, never."""

    @property
    def standing(self) -> Occurrence | None:
        """Return the alarm that stands, or None."""
        return self.last if self.last is not None and self.last.active else None

    def use(self, start: int) -> int:
        """Return how often an alarm was raised with a start, this time included."""
        times = self.uses.pop(start, 0) + 1
        self.uses[start] = times
        while len(self.uses) > MAX_SEEN:
            del self.uses[next(iter(self.uses))]
        return times

    def put_back(self, uses: dict[int, int], last: Occurrence | None) -> None:
        """Put back how often starts were used, and the alarm before: the one that had come was never told."""
        self.uses, self.last = uses, last

    def knows(self, digest: str) -> bool:
        """Say whether an event is kept, or was closed not long ago."""
        return digest in self.seen or any(fact.digest == digest for fact in self.facts)

    def remember(self, digest: str) -> None:
        """Note the digest of an event that is done with."""
        self.seen.append(digest)
        del self.seen[:-MAX_SEEN]


class Case(AnyCase):
    """One rule over rare records on one subject: the cases among which it stands know when it is due."""

    __slots__ = ("_due", "of", "subject")

    def __init__(
        self, facts: list[Fact] | None = None, seen: list[str] | None = None, last: Occurrence | None = None,
        uses: dict[int, int] | None = None, due: int = NEVER,
    ) -> None:  # fmt: skip
        """Begin with what is known of it; the members are those of `AnyCase`."""
        self._due = NEVER
        self.of: Cases | None = None
        """Among which it stands ..."""
        self.subject = ""
        """... under this subject, as text."""
        super().__init__(facts or [], seen or [], last, uses or {}, due)

    @property
    def due(self) -> int:
        """Return the instant of the next decision by the clock."""
        return self._due

    @due.setter
    def due(self, due: int) -> None:
        if due != self._due:
            self._due = due
            if self.of is not None:
                self.of.wait_for(self)

    def waits_for(self, due: int) -> bool:
        """Say whether the clock decides on it at an instant, and it is still kept."""
        return self._due == due and self.of is not None and self.of.get(self.subject) is self


class Cases(dict[str, Case]):
    """The cases of one rule, by subject as text; the one that was touched last stands last."""

    def __init__(self) -> None:
        super().__init__()
        self.held = 0
        """Events that they keep together; follows from them."""
        self.busy = False
        """None of them may go out, as far as is known: no case was touched since one was looked for. Follows from them."""
        self.waiting = Waiting()
        self._texts: Texts | None = None  # where somebody asked
        self.tiers: Tiers | None = None  # where somebody asked: which of them may go out (rules/ledger/room.py)

    def __setitem__(self, subject: str, case: Case) -> None:
        """Put a case under its subject."""
        super().__setitem__(subject, case)
        if case.of is not self or case.subject != subject:
            case.of, case.subject = self, subject
            self.wait_for(case)
            if self._texts is not None:
                self._texts.note(subject, {fact.text for fact in case.facts}, set())

    def wait_for(self, case: Case) -> None:
        """Take notice of when the clock decides on a case next."""
        self.waiting.note(case, self.values(), len(self))

    def keep(self, case: Case, facts: list[Fact]) -> None:
        """Let a case keep these events from now on."""
        self.held += len(facts) - len(case.facts)
        if self._texts is not None:
            self._texts.note(case.subject, {fact.text for fact in facts}, {fact.text for fact in case.facts})
        case.facts, self.busy = facts, False
        if self.tiers is not None:
            self.tiers.behind.touch(case.subject)

    def with_text(self, text: str) -> list[tuple[str, Case]]:
        """Return the cases that keep facts with a text, by subject."""
        if self._texts is None:
            self._texts = Texts(self.values())
        return [(subject, self[subject]) for subject in self._texts.of(text)]

    def make_room(self) -> bool:
        """Let the case that was untouched for longest and neither stands nor is due go out; False: there is none."""
        idle = None
        if not self.busy:
            idle = next((k for k, c in self.items() if c.standing is None and c.due == NEVER), None)
        if idle is None:
            self.busy = True
            return False
        self.keep(self[idle], [])
        del self[idle]
        return True

    def is_full(self, case: Case, most: int | None = None) -> bool:
        """Say whether a case has to give up an event; the last one that it has stays."""
        kept = len(case.facts)
        return kept > 1 and (kept > (MAX_FACTS if most is None else most) or self.held > MAX_ALL_FACTS)


@dataclass(slots=True)
class Heard:
    """What one area's devices sent, for one rule: times of events B, and spans in which something was heard."""

    partners: list[int] = field(default_factory=list)
    runs: list[tuple[int, int]] = field(default_factory=list)

    def hear(self, t: int, silent: int) -> None:
        """Note that something was heard at `t`; what lies no more than twice `silent` apart is one span.

        So `was_heard` is exact: no instant inside of a span is farther than `silent` from what was heard.
        """
        low = high = t
        rest = []
        for begin, end in self.runs:
            if begin - 2 * silent <= t <= end + 2 * silent:
                low, high = min(low, begin), max(high, end)
            else:
                rest.append((begin, end))
        self.runs = sorted([*rest, (low, high)])[-MAX_RUNS:]

    def was_heard(self, t: int, silent: int) -> bool:
        """Say whether something was heard from `silent` before `t` to `silent` after it."""
        return any(begin <= t + silent and end >= t - silent for begin, end in self.runs)


@dataclass(slots=True)
class Rare:
    """Everything that is kept of rare records."""

    batches: Batches = field(default_factory=Batches)
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(COUNTERS, 0))
    cases: dict[str, Cases] = field(default_factory=dict)
    """Rule -> its cases."""
    areas: Areas = field(default_factory=Areas)
    """What was heard."""
    checked: dict[str, int] = field(default_factory=dict)
    """Rule that checks the register -> when a registered date changes its answer next."""
    feeds: dict[tuple[str, str], Feed] = field(default_factory=dict)
    """(rule, feed) -> how far its numbers have come; the one that was touched last stands last."""
    sent: dict[str, dict[str, int]] = field(default_factory=dict)
    """Rule over tags that the register does not hold -> the newest event time (ms) that came of each, also of some that are forgotten
    (rules/rare/strays.py); the one that came last stands last."""
    named: Named = field(default_factory=Named)
    """Readings that amendments name (rules/rare/named.py)."""
    missing: dict[str, Ways] = field(default_factory=dict)
    """Rule that asks how much of a month was measured -> which time is missing (rules/rare/rate.py)."""
    judged: dict[str, dict[str, Share | Rate]] = field(default_factory=dict)
    """Rule -> what its newest judgement of a month found, by subject: for explanations only, and in no snapshot ..."""
    opened: dict[str, dict[str, Openings]] = field(default_factory=dict)
    """... so with one that looks for openings of doors (rules/rare/openings.py)."""
    compared: dict[str, dict[str, dict[str, Compared]]] = field(default_factory=dict)
    """... and of one over parallel measurements (rules/rare/parallel.py), by subject and digest."""
    due: int = NEVER
    """The earliest decision by the clock; follows from the rest (`refresh`)."""

    def refresh(self) -> None:
        """Recompute the earliest decision by the clock."""
        cases = min((of.waiting.next_due() for of in self.cases.values()), default=NEVER)
        self.due = min(cases, min(self.checked.values(), default=NEVER))

    def of(self, rule: str) -> Cases:
        """Return the cases of a rule, by subject."""
        return self.cases.get(rule) or Cases()

    def heard(self, rule: str, area: str) -> Heard:
        """Return what was heard of an area, or of what a device did there, to go on with."""
        if (rule, area) not in self.areas:
            self.areas[rule, area] = Heard()
        return self.areas[rule, area]

    def case(self, rule: str, subject: str, most: int | None = None) -> Case | None:
        """Return the case of a rule and a subject, touched; a new one if there is room. None: left out, and counted."""
        cases = self.cases.setdefault(rule, Cases())
        case = cases.pop(subject, None)
        if case is None:
            if len(cases) >= (MAX_CASES if most is None else most):
                if not cases.make_room():
                    self.counts["event_left_out"] += 1
                    return None
                self.counts["case_dropped"] += 1
            case = Case()
        cases[subject] = case
        return case

    def vacate(self, rule: str, *, told: bool = False) -> None:
        """Stop watching for a rule: of its cases stays what tells a later alarm from an earlier one.

        Args:
            rule: its id.
            told: what events told of its subjects stays too: they are facts, whatever becomes of the alarms.
        """
        kept = Cases()
        for subject, case in self.cases.pop(rule, Cases()).items():
            for fact in () if told else case.facts:
                if fact.digest:
                    case.remember(fact.digest)
            newest = max((fact.received for fact in case.facts if not fact.digest), default=NONE)
            left = case.facts if told else [Fact(newest, newest, "", "")] if newest != NONE and case.uses else []
            if case.uses or left:
                kept[subject] = Case(seen=case.seen, uses=case.uses)
                kept.keep(kept[subject], left)  # of spans: what is not newer has come
        if kept:
            self.cases[rule] = kept
        for of in (self.areas, self.feeds):
            for key in [key for key in of if key[0] == rule]:
                del of[key]
        self.checked.pop(rule, None)
        self.judged.pop(rule, None)
        self.opened.pop(rule, None)
        self.compared.pop(rule, None)
        self.missing.pop(rule, None)
        self.sent.pop(rule, None)
        self.refresh()

    def pack(self) -> PackedRare:
        """Return the members for a snapshot, in the order in which they are kept."""
        cases = [
            (
                rule, subject, [f.pack() for f in c.facts], list(c.seen), None if c.last is None else c.last.pack(),
                list(c.uses.items()), c.due,
            )
            for rule, of in sorted(self.cases.items())
            for subject, c in of.items()
        ]  # fmt: skip
        areas = [(rule, area, list(h.partners), list(h.runs)) for (rule, area), h in sorted(self.areas.items())]
        counts = [(name, number) for name, number in self.counts.items() if number]
        return (self.batches.pack(), counts, cases, areas, sorted(self.checked.items()))

    @classmethod
    def unpack(cls, packed: PackedRare) -> Rare:
        """Return what packed members say.

        Raises:
            ValueError: a case without a subject.
        """
        batches, counts, cases, areas, checked = packed
        found = cls(Batches.unpack(batches), dict.fromkeys(COUNTERS, 0) | dict(counts))
        for rule, subject, facts, seen, last, uses, due in cases:
            subject_of(subject)  # a snapshot that names no subject is none
            alarm = None if last is None else Occurrence.unpack(last)
            one = Case([Fact(*row) for row in facts], list(seen), alarm, dict(uses), due)
            of = found.cases.setdefault(rule, Cases())
            of[subject] = one
            of.held += len(one.facts)
        for rule, area, partners, runs in areas:
            found.areas[rule, area] = Heard(list(partners), [(begin, end) for begin, end in runs])
        found.checked = dict(checked)
        found.refresh()
        return found


def text_of(subject: dict[str, str]) -> str:
    """Return a subject as the text that keys its case.

    >>> text_of({"system": "LIMS-1"})
    '{"system": "LIMS-1"}'
    """
    return json.dumps(subject, ensure_ascii=False, sort_keys=True)


def subject_of(text: str) -> dict[str, str]:
    """Return the subject of a case's key."""
    found = json.loads(text)
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise ValueError("no subject of a case")
    return found


__all__ = [
    "COUNTERS", "MAX_ALL_FACTS", "MAX_CASES", "MAX_CHANGES", "MAX_CHECKED", "MAX_DOOR", "MAX_FACTS", "MAX_PARTNERS", "MAX_ROWS", "MAX_RUNS", "MAX_SEEN",
    "MAX_SPANS", "MAX_STRAYS", "MAX_TOLD", "NOTHING",
    "AnyCase", "Case", "Cases", "Fact", "Heard", "PackedRare", "Rare", "floor_of", "subject_of", "text_of",
]  # fmt: skip
