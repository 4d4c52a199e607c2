"""Facts of a ledger: what an event or a report says, as far as its rule reads it, as text that a snapshot keeps."""

from __future__ import annotations

import json
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from rules.changes import RecordRead
from rules.layout import NEVER
from rules.records import Kind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rules.rare.store import Fact

NAMED = 4
"""Records that evidence names of each end of a longer list."""
VISIT = "visit"
"""How the name of a visit's version begins; of a report its type does."""
GONE = "gone"
"""A revision of a report that says nothing of this subject any more."""


class Met(NamedTuple):
    """What an event says to a rule; without a subject it says too little."""

    subject: dict[str, str] | None
    text: str
    product: str | None = None
    """Of a booking that names no place: which stock is not known any more, wherever it is kept."""


class Entry(NamedTuple):
    """A fact with what it says."""

    fact: Fact
    said: Mapping[str, Any]

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


def _read(text: str) -> Mapping[str, Any]:
    return MappingProxyType(json.loads(text))


_said = lru_cache(maxsize=16_384)(_read)
"""What a fact says; read again and again, since each fact that comes is judged with all others of its subject."""
_said_long = lru_cache(maxsize=32)(_read)
"""What a long one says: of a year's sums, which may be some 100 KB, only a few are held twice."""
LONG = 4_096
"""Characters of a text that is long."""


def entries_of(facts: Sequence[Fact]) -> list[Entry]:
    """Return facts with what they say, by event time."""
    return [
        Entry(fact, _said(fact.text) if len(fact.text) <= LONG else _said_long(fact.text))
        for fact in facts
        if fact.text
    ]


def name_of(kind: str, report: str, revision: int) -> str:
    """Return what tells a revision of a report from other facts."""
    return f"{kind} {report}/{revision}"


def report_of(entry: Entry) -> str | None:
    """Return which report a fact is a revision of, None of an event."""
    return entry.fact.digest.rpartition("/")[0] or None if "revision" in entry.said else None


def read_of(entry: Entry) -> RecordRead:
    """Return the record that told a fact: a report or a visit with its number, or the batch of an event."""
    kind, _, name = entry.fact.digest.partition(" ")
    if "revision" in entry.said:
        return RecordRead(kind=Kind.INSPECTION if kind == VISIT else Kind.REPORT, id=name)
    return RecordRead(kind=Kind.EVENTS, id=entry.fact.batch)


def reads_of(entries: Sequence[Entry]) -> tuple[RecordRead, ...]:
    """Return the records that told facts, each once: of many the first and the last ones."""
    told = entries if len(entries) <= 2 * NAMED else [*entries[:NAMED], *entries[-NAMED:]]
    reads = [read_of(one) for one in told]
    return tuple(read for i, read in enumerate(reads) if read not in reads[:i])


def replaced(came: Sequence[Entry], facts: Sequence[Fact]) -> list[RecordRead]:
    """Return of each report and visit of which a revision came the one before it, as far as it is kept; at most twice `NAMED`."""
    highest: dict[str, Entry] = {}
    for one in came:
        if (name := report_of(one)) is not None and one.said["revision"] > _number_of(highest.get(name)):
            highest[name] = one
    found = []
    for name, one in highest.items():
        older = [fact for fact in facts if fact.received < one.fact.received and fact.digest.startswith(f"{name}/")]
        numbers = [int(fact.digest.rpartition("/")[2]) for fact in older if fact.digest.rpartition("/")[0] == name]
        before = max((number for number in numbers if number < one.said["revision"]), default=0)
        if before:
            found.append(RecordRead(kind=read_of(one).kind, id=f"{name.partition(' ')[2]}/{before}"))
    return found[: 2 * NAMED]


def _number_of(entry: Entry | None) -> int:
    return 0 if entry is None else int(entry.said["revision"])


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
