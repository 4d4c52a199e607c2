"""Kind `change`: a set-point or a device that was changed without a filing in force before it.

By asset. A major change needs an approval, a moderate one a filing, before it happens; a minor one is told in the annual report, so a
filing of it at any time is enough. A filing that comes later, or was in force later, ends the alarm.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from rules.changes import Leaf, RecordRead, Verdict
from rules.clocks.due import day_begins
from rules.facts import registered_facts
from rules.instants import format_instant
from rules.layout import HORIZON_MS
from rules.leaves.model import Seen
from rules.ledger.entry import Entry, Met, entries_of, newest, text_of
from rules.ledger.judged import Judged, Run
from rules.rare.match import is_meant, named_device, text_of_field
from rules.rare.store import subject_of
from rules.records import Kind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rules.rare.store import Fact
    from rules.records import Event, Report
    from rules.register import Facility
    from rules.rule import ChangeRule

SET_POINT, EQUIPMENT, FILING = "set-point", "equipment", "filing"
LONGEST = 128
"""Characters of a value that is kept."""


def met(rule: ChangeRule, event: Event, facility: Facility) -> Met | None:
    """Return what an event is to the rule, None of one that it does not mean: a configuration without a set-point, a device that is not registered."""
    point = text_of_field(event, "point")
    device = named_device(event) or event.source
    if is_meant(event, rule.set_point) is Verdict.TRUE:
        told = event.fields.get("fields")
        if not isinstance(told, dict) or SET_POINT.replace("-", "_") not in told:
            return None
        value = json.dumps(told["set_point"], sort_keys=True, ensure_ascii=False)
        return Met({"asset": point or device} if len(value) <= LONGEST else None, text_of(SET_POINT, value=value))
    if is_meant(event, rule.equipment) is not Verdict.TRUE or point is not None:
        return None
    if all(one.id != device for one in facility.devices):
        return None
    old, new = text_of_field(event, "old"), text_of_field(event, "new")
    if old is None or new is None:
        return Met(None, "")
    return None if old == new else Met({"asset": device}, text_of(EQUIPMENT, value=json.dumps(new, ensure_ascii=False)))


def said(payload: Report, fields: Mapping[str, Any], facility: Facility) -> list[tuple[dict[str, str], int, str]]:
    """Return what a filing says of its asset, and of what stands in it if it is an area: subject, when it comes into force (ms), content."""
    begins = day_begins(fields["in_force_from"])
    if fields["subject"] not in {SET_POINT, EQUIPMENT} or begins is None:
        return []
    facts, asset = registered_facts(facility), fields["asset"]
    new = fields["new"] if isinstance(fields["new"], int | float) else None
    text = text_of(
        FILING, revision=payload.revision, subject=fields["subject"], of=fields["class"], filed=fields["filed_at"],
        approved=fields.get("approved_at"), new=new,
    )  # fmt: skip
    names = [asset, *facts.tags_in.get(asset, ()), *facts.devices_in.get(asset, ())]
    return [({"asset": name}, begins, text) for name in dict.fromkeys(names)]


class Changed(NamedTuple):
    """A change with the filings that are about it."""

    entry: Entry
    filings: tuple[Entry, ...]

    @property
    def timely(self) -> bool:
        """Say whether one of them was in force before it."""
        return any(_in_force(one, self.entry.at) for one in self.filings)


def changes_of(rule: ChangeRule, entries: Sequence[Entry]) -> list[Changed]:
    """Return the changes of an asset, by event time; the first set-point that is told is the base."""
    filings = newest(entries)
    found: list[Changed] = []
    base: str | None = None
    for one in entries:
        value = one.said.get("value")
        if one.what == EQUIPMENT or (one.what == SET_POINT and base is not None and value != base):
            found.append(Changed(one, tuple(it for it in filings if _is_about(rule, it, one))))
        base = value if one.what == SET_POINT else base
    return found


def judge(rule: ChangeRule, subject: str, facts: list[Fact]) -> Judged:
    """Return which changes of an asset had no filing; time alone changes nothing."""
    asset = subject_of(subject).get("asset", "")
    runs: list[Run] = []
    leaves: tuple[Leaf, ...] = ()
    records: tuple[RecordRead, ...] = ()
    seen: tuple[Seen, ...] = ()
    for one in changes_of(rule, entries_of(facts)):
        records = tuple(RecordRead(kind=Kind.REPORT, id=it.fact.digest.partition(" ")[2]) for it in one.filings)
        named, at = ", ".join(read.id for read in records[:8]) or None, format_instant(one.entry.at)
        said_of = Verdict.TRUE if one.timely else Verdict.FALSE
        leaves = (
            Leaf(expr=f"filing of the {one.entry.what} of {asset}", left=named, op="before", right=at, verdict=said_of),
        )
        seen = (Seen("filed", said_of, named, "before", at),)
        if not one.timely:
            timely = one.entry.at + HORIZON_MS
            runs.append(
                Run(one.entry.at, (one.entry,), not one.filings, leaves, timely, rule.severity.base.rank, records)
            )
    return Judged(tuple(runs), leaves, records, seen=seen)


def _is_about(rule: ChangeRule, filing: Entry, change: Entry) -> bool:
    """Say whether a filing is about a change: of this sort, of this value where both are numbers, not long over, and approved if it is major."""
    told, value = filing.said, json.loads(change.said["value"])
    if told["subject"] != change.what or filing.at + rule.within < change.at:
        return False
    if told["of"] == "major" and told["approved"] is None:
        return False
    numbers = isinstance(value, int | float) and not isinstance(value, bool) and told["new"] is not None
    return not numbers or value == told["new"]


def _in_force(filing: Entry, at: int) -> bool:
    told = filing.said
    known = told["approved"] if told["of"] == "major" else told["filed"]
    return told["of"] == "minor" or (filing.at <= at and known is not None and known <= at)
