"""How many subjects a rule over facts in any order keeps, and which go out: what is open never does (ADR 0069).

Subjects are kept apart by what they hold. What holds nothing gives way to others of its sort, so a flood of what says nothing pushes out
nothing that was said before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rules.layout import NEVER
from rules.ledger import stock
from rules.ledger.behind import Behind
from rules.ledger.kinds import ANSWERS, NOTHING, OPEN, beside, holds, is_heavy, shortened
from rules.rare import store
from rules.rare.store import Case, Cases

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rules.rare.store import Fact, Rare
    from rules.register import Facility
    from rules.rule import LedgerRule

MAX_ANSWERS = 2_000
"""Subjects of a rule that hold only what answers others, or is closed; of those that hold nothing `store.MAX_CASES`."""
MAX_OPEN = 10_000
"""Subjects that hold what may still make an alarm, and others that stand beyond their bounds: none goes, and one more is left out."""
MAX_ALL = 30_000
"""Facts that all subjects of a rule keep together: beyond it the fullest give up their oldest."""
SPARE = 16
"""So much of it (a sixteenth) is made free at once."""


class Tiers:
    """The subjects of one rule by what they hold, each in the order in which they were touched. Follows from the cases."""

    def __init__(self, rule: LedgerRule, cases: Cases) -> None:
        """Begin with what is kept."""
        self._of: tuple[dict[str, None], ...] = ({}, {}, {})
        self._tier: dict[str, int] = {}
        self.behind = Behind()
        for subject, case in cases.items():
            self.put(subject, tier_of(rule, case))

    def put(self, subject: str, tier: int) -> None:
        """Let a subject be the one of a tier that was touched last."""
        before = self._tier.get(subject)
        if before is not None:
            del self._of[before][subject]
        else:
            self.behind.add(subject)
        self._tier[subject] = tier
        self._of[tier][subject] = None

    def drop(self, subject: str) -> None:
        """Forget a subject."""
        before = self._tier.pop(subject, None)
        if before is None:
            return
        del self._of[before][subject]
        self.behind.drop(subject)

    def of(self, tier: int) -> dict[str, None]:
        """Return the subjects of a tier, the one untouched longest first."""
        return self._of[tier]

    def tier(self, subject: str) -> int | None:
        """Return the tier of a subject, None of one that is not kept."""
        return self._tier.get(subject)


def waits(case: Case) -> bool:
    """Say whether what came of a subject is still to be judged, when the instant at which it came is over."""
    if case.due == NEVER:
        return False
    before = case.due - 1
    return before < max((fact.received for fact in case.facts), default=before) or (
        case.of is not None
        and before < max((one.received for one in stock.unplaced(case.subject, case.of)), default=before)
    )


def tier_of(rule: LedgerRule, case: Case) -> int:
    """Return what a case holds; one that still waits may hold anything, unless there is nothing in it."""
    tier = holds(rule, case.facts)
    return OPEN if tier != NOTHING and waits(case) else tier


def place(rare: Rare, rule: LedgerRule, subject: str, facts: Sequence[Fact]) -> Case | None:
    """Return the case of a subject to which facts come, touched; a new one if there is room. None: left out, and counted."""
    cases = rare.cases.setdefault(rule.id, Cases())
    tiers = tiers_of(rule, cases)
    before = tiers.tier(subject)
    tier = OPEN if before not in {None, NOTHING} or holds(rule, facts) != NOTHING else NOTHING
    is_full = before != tier and before in {None, NOTHING} and len(tiers.of(tier)) + _over(tiers, tier) >= _most(tier)
    if is_full and (tier == OPEN or not _let_go(rare, cases, tiers, tier)):
        rare.counts["event_left_out"] += 1
        return None
    case = cases.pop(subject, None) or Case()
    cases[subject] = case
    tiers.put(subject, tier)
    return case


def note(rule: LedgerRule, subject: str, case: Case, rare: Rare, *, touched: bool = False) -> None:
    """Take notice of what a case holds now; one that is judged by the clock is touched by that. It stays: another one goes for it."""
    cases = rare.cases[rule.id]
    tiers, tier = tiers_of(rule, cases), tier_of(rule, case)
    if tiers.tier(subject) == tier and not touched:
        return
    cases[subject] = cases.pop(subject)
    tiers.put(subject, tier)
    while tier != OPEN and len(tiers.of(tier)) > _most(tier) and _let_go(rare, cases, tiers, tier, subject):
        pass


def trim(rule: LedgerRule, subject: str, rare: Rare, facility: Facility) -> None:
    """Let a case that was judged, and where all have too many the fullest, give up facts; those that still wait keep theirs."""
    cases = rare.cases[rule.id]
    _shorten(rare, rule, subject, stock.MARKS if stock.is_unplaced(subject) else store.MAX_FACTS, facility)
    if cases.held <= MAX_ALL:
        return
    full = {name: len(case.facts) for name, case in cases.items() if len(case.facts) > 1 and not waits(case)}
    level = _level(list(full.values()), cases.held - MAX_ALL + MAX_ALL // SPARE)
    for name, kept in full.items():
        if kept > level and name in cases:  # one that gave up facts may have pushed it out
            _shorten(rare, rule, name, level, facility)


def tiers_of(rule: LedgerRule, cases: Cases) -> Tiers:
    """Return the tiers of a rule's cases."""
    if cases.tiers is None:
        cases.tiers = Tiers(rule, cases)
    return cases.tiers


def _most(tier: int) -> int:
    return {NOTHING: store.MAX_CASES, ANSWERS: MAX_ANSWERS, OPEN: MAX_OPEN}[tier]


def _over(tiers: Tiers, tier: int) -> int:
    """Return how many subjects of the other tiers are kept beyond their bounds because alarms stand: they count as open."""
    return sum(max(0, len(tiers.of(one)) - _most(one)) for one in (NOTHING, ANSWERS)) if tier == OPEN else 0


def _let_go(rare: Rare, cases: Cases, tiers: Tiers, tier: int, but: str = "") -> bool:
    """Let the subject of a tier that was untouched longest go, none of an alarm that stands, nor `but`; False: there is none."""
    idle = next((name for name in tiers.of(tier) if name != but and cases[name].standing is None), None)
    if idle is None:
        return False
    cases.keep(cases[idle], [])
    del cases[idle]
    tiers.drop(idle)
    rare.counts["case_dropped"] += 1
    return True


def _shorten(rare: Rare, rule: LedgerRule, subject: str, most: int, facility: Facility) -> None:
    cases = rare.cases[rule.id]
    case = cases[subject]
    is_small = len(case.facts) <= most and not is_heavy(rule)
    kept = case.facts if is_small else shortened(rule, case.facts, most, facility, beside(rule, subject, cases))
    if kept is case.facts:
        return
    rare.counts["fact_dropped"] += len(case.facts) - len(kept)
    names = {fact.digest for fact in kept}
    for fact in case.facts:
        if fact.digest not in names:
            case.remember(fact.digest)
    cases.keep(case, kept)
    note(rule, subject, case, rare)


def _level(sizes: list[int], less: int) -> int:
    """Return to how many facts the fullest are brought down so that there are so many less, none below one.

    >>> _level([256, 40, 3], 220), _level([2, 2], 9)
    (38, 1)
    """
    low, high = 1, max(sizes, default=1)
    while low < high:
        middle = (low + high + 1) // 2
        if sum(max(0, size - middle) for size in sizes) >= less:
            low = middle
        else:
            high = middle - 1
    return low
