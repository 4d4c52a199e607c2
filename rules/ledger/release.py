"""Kind `release`: a lot that is released while a deviation that names it, or a result out of specification, is open.

A result out of specification is open until an investigation of its test says when it was closed. What closes is heard for a time behind
the release: a report that comes later and says it had been closed before takes nothing back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rules.changes import Leaf, RecordRead, Verdict
from rules.instants import format_instant
from rules.layout import HORIZON_MS
from rules.leaves.model import Seen, verdict
from rules.ledger.entry import Entry, Met, entries_of, newest, text_of
from rules.ledger.judged import Judged, Run
from rules.rare.match import is_meant, text_of_field
from rules.rare.store import subject_of
from rules.records import Kind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rules.rare.store import Fact
    from rules.records import Event, Report
    from rules.rule import ReleaseRule

RELEASED, FAILED, DEVIATION, INVESTIGATION = "released", "failed", "deviation", "oos-investigation"


def met(rule: ReleaseRule, event: Event) -> Met | None:
    """Return what an event is to the rule, None of one that it does not mean: of another kind, or of a room or loop."""
    verdicts = {what: is_meant(event, match) for what, match in ((RELEASED, rule.released), (FAILED, rule.failed))}
    what = next((what for what, said in verdicts.items() if said is Verdict.TRUE), None)
    lot, test = text_of_field(event, "lot"), text_of_field(event, "test")
    if what == RELEASED:
        return Met(None if lot is None else {"lot": lot}, text_of(what))
    if lot is None or (what is None and Verdict.UNKNOWN not in verdicts.values()):
        return None
    return Met(None if what is None or test is None else {"lot": lot}, text_of(FAILED, test=test))


def said(payload: Report, fields: Mapping[str, Any]) -> list[tuple[dict[str, str], int, str]]:
    """Return what a deviation or an investigation says of lots: subject, when it was opened (ms), content."""
    closed, revision = fields.get("closed_at"), payload.revision
    if payload.type == DEVIATION:
        text = text_of(DEVIATION, revision=revision, closed=closed)
        return [({"lot": lot}, fields["opened_at"], text) for lot in dict.fromkeys(fields["lots"])]
    text = text_of(INVESTIGATION, revision=revision, closed=closed, test=fields["test"])
    return [({"lot": fields["lot"]}, fields["opened_at"], text)]


def open_at(rule: ReleaseRule, released: Entry, entries: Sequence[Entry]) -> list[Entry]:
    """Return the deviations and failed results of a lot that were open at its release."""
    at = released.at
    cut = max(released.fact.received, at + rule.allowed)
    told = newest(entries, cut)
    found = [
        one
        for one in told
        if one.what == DEVIATION and one.at <= at and (one.said["closed"] is None or one.said["closed"] > at)
    ]
    closing = [
        one for one in told if one.what == INVESTIGATION and one.fact.received <= cut and one.said["closed"] is not None
    ]
    for failed in (one for one in entries if one.what == FAILED and one.at <= at):
        of_test = [one.said["closed"] for one in closing if one.said["test"] == failed.said["test"]]
        if not any(failed.at <= closed <= at for closed in of_test):
            found.append(failed)
    return sorted(found, key=lambda one: (one.at, one.fact.digest))


def judge(rule: ReleaseRule, subject: str, facts: list[Fact]) -> Judged:
    """Return what the releases of a lot met; time alone changes nothing."""
    entries, lot = entries_of(facts), subject_of(subject).get("lot", "")
    runs: list[Run] = []
    leaves: tuple[Leaf, ...] = ()
    seen: tuple[Seen, ...] = ()
    for released in (one for one in entries if one.what == RELEASED):
        found = open_at(rule, released, entries)
        leaves = (_leaf(lot, released, found),)
        seen = (Seen("open", verdict(bool(found)), leaves[0].left, "open at", leaves[0].right),)
        if found:
            records = tuple(_read(one) for one in found)
            timely = released.at + HORIZON_MS
            runs.append(Run(released.at, (released,), True, leaves, timely, rule.severity.base.rank, records))  # noqa: FBT003
    return Judged(tuple(runs), leaves, seen=seen)


def _leaf(lot: str, released: Entry, found: Sequence[Entry]) -> Leaf:
    names = [_name(one) for one in found]
    shown = ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")  # noqa: PLR2004
    return Leaf(
        expr=f"open of lot {lot}", left=shown or None, op="at", right=format_instant(released.at), verdict=verdict(bool(found)),
    )  # fmt: skip


def _name(one: Entry) -> str:
    return one.said["test"] if one.what == FAILED else _read(one).id


def _read(one: Entry) -> RecordRead:
    if one.what == FAILED:
        return RecordRead(kind=Kind.EVENTS, id=one.fact.batch)
    return RecordRead(kind=Kind.REPORT, id=one.fact.digest.partition(" ")[2])
