"""What the desk says of a rule: title, citations, rationale, and how long there is to respond."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rules.models import Bilingual, Severity

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rules.pack import Bundle
    from rules.rule import Rule

HOUR_MS, DAY_MS = 3_600_000, 86_400_000
RESPOND: dict[Severity, int | str] = {
    Severity.RED: HOUR_MS,
    Severity.ORANGE: 4 * HOUR_MS,
    Severity.YELLOW: "1wd",
    Severity.BLUE: "3wd",
}
"""Time for triage by colour: reference/workflow.md §1.3 (own). `wd` are working days."""
MAX_BUNDLES = 64
"""Of so many published bundles the texts are at hand; an alarm of an older one is told in the newest words of its rule."""
_WORKING = re.compile(r"\d+wd")


@dataclass(frozen=True, slots=True)
class Shift:
    """How many ms earlier (negative) or later the alarms of a rule are due than those of their colour."""

    packs: str | None
    """Only alarms that were raised under this bundle; None: all that no other entry is for."""
    rule: str
    severity: Severity
    ms: int


@dataclass(frozen=True, slots=True)
class _Shelf:
    """What the book holds at one time; replaced as a whole, so that threads never see half of a change."""

    bundles: dict[str, dict[str, Rule]]
    """By hash, oldest first: rules by id."""
    fallback: dict[str, Rule]
    """The rule of an id where an alarm's own bundle is not here: as in force, else the newest that had it."""
    silences: tuple[str, ...]
    shifts: tuple[Shift, ...]
    by_alarm: dict[tuple[str | None, str, Severity], int]


class Rulebook:
    """The rules of the bundles that alarms name: each alarm is explained by the rule that raised it, not by a newer one."""

    def __init__(self, bundle: Bundle) -> None:
        """Take the shipped packs: until others are published their rules raise the alarms."""
        self._current = bundle.sha256
        self._shelf = _shelf({bundle.sha256: {rule.id: rule for rule in bundle.rules}}, self._current)

    @property
    def known(self) -> frozenset[str]:
        """The hashes of the bundles that are here."""
        return frozenset(self._shelf.bundles)

    @property
    def sha256(self) -> str:
        """The bundle in force, as far as the desk knows."""
        return self._current

    @property
    def silences(self) -> tuple[str, ...]:
        """Rules that watch for missing data, in any bundle."""
        return self._shelf.silences

    @property
    def shifts(self) -> tuple[Shift, ...]:
        """Where alarms are due earlier or later than their colour says; an entry with packs goes before one without."""
        return self._shelf.shifts

    def learn(self, bundles: Iterable[Bundle], current: str | None = None) -> None:
        """Take in published bundles, oldest first; the oldest are forgotten when there are too many.

        Args:
            bundles: that are not known yet.
            current: the hash of the one in force; as before if not given or not known.
        """
        shelves = dict(self._shelf.bundles)
        for bundle in bundles:
            shelves[bundle.sha256] = {rule.id: rule for rule in bundle.rules}
        if current in shelves:
            self._current = str(current)
        oldest = [sha256 for sha256 in shelves if sha256 != self._current]
        for sha256 in oldest[: max(0, len(shelves) - MAX_BUNDLES)]:
            del shelves[sha256]
        self._shelf = _shelf(shelves, self._current)

    def rule(self, rule_id: str, packs: str | None = None) -> Rule | None:
        """Return a rule as it was in an alarm's packs, else the newest of its id; None if no bundle has it."""
        shelf = self._shelf
        return shelf.bundles.get(packs or "", {}).get(rule_id) or shelf.fallback.get(rule_id)

    def title(self, rule_id: str, packs: str | None = None) -> Bilingual:
        """Return a rule's title, or its id."""
        rule = self.rule(rule_id, packs)
        return Bilingual(zh=rule_id, en=rule_id) if rule is None else rule.title

    def respond(self, rule_id: str, severity: Severity, packs: str | None = None) -> int | str:
        """Return the time for triage in ms, or in working days (`1wd`).

        A rule's own time counts for its base colour; other colours go by the table.
        """
        return _respond(self.rule(rule_id, packs), severity)

    def shift(self, rule_id: str, severity: Severity, packs: str | None = None) -> int:
        """Return how many ms earlier or later an alarm is due than its colour says; `shifts` say the same in SQL."""
        found = self._shelf.by_alarm
        return found.get((packs, rule_id, severity), found.get((None, rule_id, severity), 0))

    def respond_by_ms(self, rule_id: str, severity: Severity, since_ms: int, packs: str | None = None) -> int | None:
        """Return until when somebody must have acted, None where the limit counts working days."""
        limit = self.respond(rule_id, severity, packs)
        return since_ms + limit if isinstance(limit, int) else None


def _shelf(bundles: dict[str, dict[str, Rule]], current: str) -> _Shelf:
    fallback: dict[str, Rule] = {}
    for rules in [*bundles.values(), bundles[current]]:
        fallback |= rules
    shifts = [Shift(None, rule.id, rule.severity.base, ms) for rule in fallback.values() if (ms := _shift(rule))]
    usual = {(shift.rule, shift.severity): shift.ms for shift in shifts}
    own: list[Shift] = []
    for sha256, rules in bundles.items():
        for rule in rules.values():
            # Also colours that the rule had as its base in other packs: there they are not its own.
            bases = {rule.severity.base, fallback[rule.id].severity.base}
            for severity in sorted(bases, key=lambda each: each.rank):
                ms = _shift(rule) if severity is rule.severity.base else 0
                if ms != usual.get((rule.id, severity), 0):
                    own.append(Shift(sha256, rule.id, severity, ms))
    silences = {rule.id for rules in bundles.values() for rule in rules.values() if rule.kind == "gap"}
    every = (*own, *shifts)
    return _Shelf(
        bundles, fallback, tuple(sorted(silences)), every, {(s.packs, s.rule, s.severity): s.ms for s in every}
    )


def _respond(rule: Rule | None, severity: Severity) -> int | str:
    if rule is not None and rule.time_to_respond is not None and severity is rule.severity.base:
        own = rule.time_to_respond.triage
        if isinstance(own, int) or _WORKING.fullmatch(own):
            return own
    return RESPOND[severity]


def _shift(rule: Rule) -> int:
    base = rule.severity.base
    return _length(_respond(rule, base)) - _length(RESPOND[base])


def _length(limit: int | str) -> int:
    """For the order alone a working day is a day; when it ends is the calendar's matter."""
    return limit if isinstance(limit, int) else int(limit.removesuffix("wd")) * DAY_MS
