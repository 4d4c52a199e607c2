"""Kind `visit`: a full on-site visit that is due by the facility's risk grade.

The last one is the later of the register's and of the inspections that the log holds (on-site, full), each by its newest version. Due is
24:00 local of its date so many calendar months later, the day clipped to the month.
"""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

from rules.calendar import day_of, end_of_day, months_behind
from rules.changes import Leaf, RecordRead, Verdict
from rules.instants import LATEST_MS, format_instant
from rules.layout import NEVER
from rules.leaves.model import Seen, verdict
from rules.ledger.entry import VISIT, Entry, entries_of, text_of
from rules.ledger.judged import Judged, Run
from rules.records import Kind

if TYPE_CHECKING:
    from rules.rare.store import Fact
    from rules.records import Inspection
    from rules.register import Facility
    from rules.rule import VisitRule

VISITED = "visited"
LAST_YEAR = 2097
"""No visit is due behind it: instants of the log end soon after."""


def said(payload: Inspection) -> tuple[str, str]:
    """Return what tells a version of a visit from others, and what it says."""
    counts = payload.mode == "on-site" and payload.full
    return f"{VISIT} {payload.visit}/{payload.version}", text_of(VISITED, revision=payload.version, counts=counts)


def last_of(facts: list[Fact], facility: Facility) -> tuple[date | None, Entry | None]:
    """Return the day of the last full on-site visit, and the inspection that says so; None: the register does, or nobody."""
    newest: dict[str, Entry] = {}
    for entry in entries_of(facts):
        name = entry.fact.digest.rpartition("/")[0]
        if name not in newest or entry.said["revision"] > newest[name].said["revision"]:
            newest[name] = entry
    full = [one for one in newest.values() if one.said["counts"]]
    last = max(full, key=lambda one: (one.at, one.fact.digest), default=None)
    registered = None if facility.risk is None or facility.risk.last_visit is None else facility.risk.last_visit
    day = None if registered is None else date.fromisoformat(str(registered))
    if last is not None and (day is None or day_of(last.at) >= day):
        return day_of(last.at), last
    return day, None


def due_of(rule: VisitRule, facts: list[Fact], facility: Facility) -> int | None:
    """Return when the next visit is due, ms; None: the grade or the last visit is not known."""
    day, _ = last_of(facts, facility)
    if facility.risk is None or day is None:
        return None
    next_one = months_behind(day, rule.months[facility.risk.grade])
    return end_of_day(next_one) if next_one.year <= LAST_YEAR else LATEST_MS


def judge(rule: VisitRule, facts: list[Fact], now: int, facility: Facility) -> Judged:
    """Return whether a visit is due at `now` (log time, ms)."""
    day, visit = last_of(facts, facility)
    due, grade = due_of(rule, facts, facility), None if facility.risk is None else facility.risk.grade
    known = Seen("known", Verdict.UNKNOWN if due is None else Verdict.TRUE, str(day or ""), "with", grade)
    leaf = Leaf(
        expr="last full on-site visit", left=None if day is None else str(day), op="due",
        right=None if due is None else format_instant(due), verdict=Verdict.UNKNOWN,
    )  # fmt: skip
    if due is None:
        return Judged((), (leaf,), unknown=True, seen=(known,))
    soon = due - rule.notice.before
    over, near = now >= due, now >= soon
    leaf = leaf.model_copy(update={"verdict": verdict(over)})
    read = () if visit is None else (RecordRead(kind=Kind.INSPECTION, id=visit.fact.digest.partition(" ")[2]),)
    rank = (rule.severity.base if over else rule.notice.severity).rank
    runs = (Run(due, (), True, (leaf,), NEVER, rank, read),) if near else ()  # noqa: FBT003
    seen = (
        known,
        Seen("soon", verdict(near), leaf.right, "from", format_instant(soon)),
        Seen("overdue", verdict(over), leaf.left, "due", leaf.right),
    )
    return Judged(runs, (leaf,), read, again=NEVER if over else due if near else soon, seen=seen)
