"""Kind `change`: a set-point or a device that was changed without a filing in force before it.

By asset. A major change needs an approval, a moderate one a filing, before it happens; a minor one is told in the annual report, so a
filing of it at any time is enough. A filing that comes later, or was in force later, ends the alarm; so does a set-point that is put
back to the one that was approved, which is no change that has to be filed.
"""

from __future__ import annotations

import json
from fractions import Fraction
from typing import TYPE_CHECKING, Any, NamedTuple

from rules.changes import Leaf, RecordRead, Verdict
from rules.clocks.due import day_begins
from rules.facts import registered_facts
from rules.instants import format_instant
from rules.layout import HORIZON_MS
from rules.leaves.model import Seen, verdict
from rules.ledger.entry import NAMED, Entry, Met, entries_of, newest, read_of, reads_of, text_of
from rules.ledger.judged import Judged, Run, shown
from rules.rare.match import is_meant, named_device, text_of_field
from rules.rare.store import subject_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rules.rare.store import Fact
    from rules.records import Event, Report
    from rules.register import Facility
    from rules.rule import ChangeRule

SET_POINT, EQUIPMENT, FILING = "set-point", "equipment", "filing"
LONGEST = 128
"""Characters of a value that is kept."""
LARGE = 2.0**53
"""Whole numbers above it are as they were written."""


def met(rule: ChangeRule, event: Event, facility: Facility) -> Met | None:
    """Return what an event is to the rule, None of one that it does not mean: a configuration without a set-point, a device that is not registered."""
    point = text_of_field(event, "point")
    device = named_device(event) or event.source
    if is_meant(event, rule.set_point) is Verdict.TRUE:
        told = event.fields.get("fields")
        if not isinstance(told, dict) or SET_POINT.replace("-", "_") not in told:
            return None
        value = json.dumps(_plain(told["set_point"]), sort_keys=True, ensure_ascii=False)
        return Met({"asset": point or device} if len(value) <= LONGEST else None, text_of(SET_POINT, value=value))
    if is_meant(event, rule.equipment) is not Verdict.TRUE or point is not None:
        return None
    if all(one.id != device for one in facility.devices):
        return None
    old, new = text_of_field(event, "old"), text_of_field(event, "new")
    if old is None or new is None:
        return Met(None, "")
    return (
        None
        if old == new
        else Met({"asset": device}, text_of(EQUIPMENT, value=json.dumps(new, ensure_ascii=False), old=old))
    )


def _plain(value: Any) -> Any:  # noqa: ANN401 - of JSON
    """Return a value in which 5 and 5.0 are one number, as they are one set-point."""
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    whole = isinstance(value, float) and value.is_integer() and abs(value) < LARGE
    return int(value) if whole else value


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
    old: str | None
    """What there was before, as JSON."""
    filings: tuple[Entry, ...]
    undone: bool = False
    """The set-point was put back behind it."""

    @property
    def timely(self) -> bool:
        """Say whether one of them was in force before it."""
        return any(_in_force(one, self.entry.at) for one in self.filings)


def changes_of(rule: ChangeRule, entries: Sequence[Entry]) -> list[Changed]:
    """Return the changes of an asset, by event time; the first set-point that is told is the base.

    Approved is the base, or the last set-point of which a filing was in force before it. What is put back to it is no change.
    """
    filings = newest(entries)
    found: list[Changed] = []
    base: str | None = None
    approved: str | None = None
    for one in entries:
        value = one.said.get("value")
        if one.what == EQUIPMENT:
            found.append(Changed(one, json.dumps(one.said.get("old"), ensure_ascii=False), _about(rule, filings, one)))
        elif one.what == SET_POINT and base is None:
            approved = value
        elif one.what == SET_POINT and value == approved and value != base:
            found = [it._replace(undone=it.undone or it.entry.what == SET_POINT) for it in found]
        elif one.what == SET_POINT and value != base:
            made = Changed(one, base, _about(rule, filings, one))
            found.append(made)
            approved = value if made.timely else approved
        base = value if one.what == SET_POINT else base
    return found


def judge(rule: ChangeRule, subject: str, facts: list[Fact]) -> Judged:
    """Return which changes of an asset had no filing; time alone changes nothing."""
    asset = subject_of(subject).get("asset", "")
    runs: list[Run] = []
    changes = changes_of(rule, entries_of(facts))
    for one in changes:
        if not one.timely:
            timely, lasts = one.entry.at + HORIZON_MS, not one.filings and not one.undone
            leaves, records = (*_leaves(asset, one), *_filed(one)), _records(one)
            runs.append(Run(one.entry.at, (one.entry,), lasts, leaves, timely, rule.severity.base.rank, records))
    if not changes:
        return Judged()
    last = changes[-1]
    leaves = _leaves(asset, last)
    seen = Seen("filed", leaves[0].verdict, leaves[0].left, "before", leaves[0].right)
    return Judged(tuple(runs), (*leaves, *_filed(last)), _records(last), seen=(seen,))


def _records(one: Changed) -> tuple[RecordRead, ...]:
    return (*reads_of(one.filings), read_of(one.entry))


def _leaves(asset: str, one: Changed) -> tuple[Leaf, ...]:
    """Return whether it was filed, and what was changed to what."""
    what, at = one.entry.what, format_instant(one.entry.at)
    named = ", ".join(read.id for read in map(read_of, one.filings[:8])) or None
    return (
        Leaf(expr=f"filing of the {what} of {asset}", left=named, op="before", right=at, verdict=verdict(one.timely)),
        Leaf(
            expr=f"{what} of {asset}", left=_shown(one.entry.said["value"]), op="!=", right=_shown(one.old), verdict=Verdict.TRUE,
        ),
    )  # fmt: skip


def _filed(one: Changed) -> tuple[Leaf, ...]:
    """Return of the filings, up to four, when each was approved or filed, and from when on it holds."""
    told = []
    for filing in one.filings[:NAMED]:
        of = filing.said["of"]
        known = filing.said["approved"] if of == "major" else filing.said["filed"]
        left, verdict_of = None if known is None else format_instant(known), verdict(_in_force(filing, one.entry.at))
        expr, right = f"{of} filing {read_of(filing).id}", format_instant(filing.at)
        told.append(Leaf(expr=expr, left=left, op="in force", right=right, verdict=verdict_of))
    return tuple(told)


def _shown(value: str | None) -> float | str | None:
    """Return a value as evidence shows it: a number as one, all else as text."""
    told = None if value is None else json.loads(value)
    if isinstance(told, int | float) and not isinstance(told, bool):
        return shown(Fraction(told))
    return told if isinstance(told, str) or told is None else value


def _about(rule: ChangeRule, filings: Sequence[Entry], change: Entry) -> tuple[Entry, ...]:
    value = json.loads(change.said["value"])
    return tuple(one for one in filings if _is_about(rule, one, change, value))


def _is_about(rule: ChangeRule, filing: Entry, change: Entry, value: object) -> bool:
    """Say whether a filing is about a change: of this sort, of this value where both are numbers, not long over, and approved if it is major."""
    told = filing.said
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
