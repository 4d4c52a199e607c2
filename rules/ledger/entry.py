"""Facts of a ledger: what an event or a report says, as far as its rule reads it, as text that a snapshot keeps."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from rules.layout import NEVER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rules.rare.store import Fact

GONE = "gone"
"""A revision of a report that says nothing of this subject any more."""


class Met(NamedTuple):
    """What an event says to a rule; without a subject it says too little."""

    subject: dict[str, str] | None
    text: str


class Entry(NamedTuple):
    """A fact with what it says."""

    fact: Fact
    said: dict[str, Any]

    @property
    def what(self) -> str:
        """Return which part of the rule it is for."""
        return str(self.said["what"])

    @property
    def at(self) -> int:
        """Return its event time, ms; of a report the instant that it is about."""
        return self.fact.t

    @property
    def told(self) -> bool:
        """Say whether an alarm was told that stood because of it."""
        return self.fact.due != NEVER


def text_of(what: str, **said: object) -> str:
    """Return what a fact says as text.

    >>> text_of("takes", quantity="2")
    '{"quantity": "2", "what": "takes"}'
    """
    return json.dumps({"what": what} | said, ensure_ascii=False, sort_keys=True)


def entries_of(facts: list[Fact]) -> list[Entry]:
    """Return facts with what they say, by event time."""
    return [Entry(fact, json.loads(fact.text)) for fact in facts if fact.text]


def name_of(kind: str, report: str, revision: int) -> str:
    """Return what tells a revision of a report from other facts."""
    return f"{kind} {report}/{revision}"


def report_of(entry: Entry) -> str | None:
    """Return which report a fact is a revision of, None of an event."""
    return entry.fact.digest.rpartition("/")[0] or None if "revision" in entry.said else None


def newest(entries: Sequence[Entry], until: int = NEVER) -> list[Entry]:
    """Return of each report the revision with the highest number that was received up to `until` (log time, ms).

    Of one that came later only, the first: it had no other content before.
    """
    by_report: dict[str, list[Entry]] = {}
    for entry in entries:
        if (name := report_of(entry)) is not None:
            by_report.setdefault(name, []).append(entry)
    found = []
    for ones in by_report.values():
        known = [one for one in ones if one.fact.received <= until]
        first = min(ones, key=lambda one: (one.fact.received, one.said["revision"]))
        found.append(max(known, key=lambda one: one.said["revision"]) if known else first)
    return [one for one in found if one.what != GONE]
