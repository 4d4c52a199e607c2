"""What the desk says of a rule: title, citations, rationale, and how long there is to respond."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from rules.models import Bilingual, Severity

if TYPE_CHECKING:
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
_WORKING = re.compile(r"\d+wd")


class Rulebook:
    """The rules of one bundle, by id."""

    def __init__(self, bundle: Bundle) -> None:
        """Take the bundle in force; an alarm of another bundle may name a rule that is not here."""
        self._rules = {rule.id: rule for rule in bundle.rules}
        self.sha256 = bundle.sha256
        self.silences = tuple(sorted(rule.id for rule in bundle.rules if rule.kind == "gap"))
        """Rules that watch for missing data."""
        self.shifts = self._shifts()
        """By rule and colour: how many ms earlier (negative) or later its alarms are due than their colour's."""

    def rule(self, rule_id: str) -> Rule | None:
        """Return a rule, None if this bundle has none of the id."""
        return self._rules.get(rule_id)

    def title(self, rule_id: str) -> Bilingual:
        """Return a rule's title, or its id."""
        rule = self._rules.get(rule_id)
        return Bilingual(zh=rule_id, en=rule_id) if rule is None else rule.title

    def respond(self, rule_id: str, severity: Severity) -> int | str:
        """Return the time for triage in ms, or in working days (`1wd`).

        A rule's own time counts for its base colour; other colours go by the table.
        """
        rule = self._rules.get(rule_id)
        if rule is not None and rule.time_to_respond is not None and severity is rule.severity.base:
            own = rule.time_to_respond.triage
            if isinstance(own, int) or _WORKING.fullmatch(own):
                return own
        return RESPOND[severity]

    def _shifts(self) -> dict[tuple[str, Severity], int]:
        found = {}
        for rule in self._rules.values():
            base = rule.severity.base
            shift = _length(self.respond(rule.id, base)) - _length(RESPOND[base])
            if shift:
                found[rule.id, base] = shift
        return found

    def respond_by_ms(self, rule_id: str, severity: Severity, since_ms: int) -> int | None:
        """Return until when somebody must have acted, None where the limit counts working days."""
        limit = self.respond(rule_id, severity)
        return since_ms + limit if isinstance(limit, int) else None


def _length(limit: int | str) -> int:
    """For the order alone a working day is a day; when it ends is the calendar's matter."""
    return limit if isinstance(limit, int) else int(limit.removesuffix("wd")) * DAY_MS
