"""Kind `release`: a lot that is released while a deviation that names it, or a result out of specification, is open.

A result out of specification is open until an investigation of its test says when it was closed. What closes is heard for a time behind
the release: a report that comes later and says it had been closed before takes nothing back.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, Any

from rules.changes import Leaf, Verdict
from rules.instants import format_instant
from rules.layout import HORIZON_MS, NEVER, NONE
from rules.leaves.model import Seen, verdict
from rules.ledger.entry import GONE, Entry, Met, entries_of, newest, read_of, reads_of, text_of
from rules.ledger.judged import Judged, Run
from rules.rare.match import is_meant, text_of_field
from rules.rare.store import subject_of

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


class _Book:
    """What is kept of a lot, sorted once for all its releases."""

    def __init__(self, rule: ReleaseRule, entries: Sequence[Entry]) -> None:
        self._rule = rule
        self._reports = [one for one in entries if one.what in {DEVIATION, INVESTIGATION, GONE}]
        self._failed: dict[str, list[Entry]] = {}
        for one in entries:
            if one.what == FAILED:
                self._failed.setdefault(one.said["test"], []).append(one)
        self._last = max((one.fact.received for one in self._reports), default=NONE)
        self._told: tuple[int, list[Entry]] | None = None

    def open_at(self, released: Entry) -> list[Entry]:
        """Return the deviations and failed results that were open at a release."""
        at = released.at
        cut = max(released.fact.received, at + self._rule.allowed)
        told = self._newest(cut)
        found = [
            one
            for one in told
            if one.what == DEVIATION and one.at <= at and (one.said["closed"] is None or one.said["closed"] > at)
        ]
        closed: dict[str, int] = {}
        for one in told:
            if one.what == INVESTIGATION and one.fact.received <= cut and (one.said["closed"] or NEVER) <= at:
                test = one.said["test"]
                closed[test] = max(one.said["closed"], closed.get(test, NONE))
        for test, failed in self._failed.items():
            # The last one that was closed by then closes all results up to it.
            begin = bisect_right(failed, closed.get(test, NONE), key=_at)
            found += failed[begin : bisect_right(failed, at, key=_at)]
        return sorted(found, key=lambda one: (one.at, one.fact.digest))

    def _newest(self, cut: int) -> list[Entry]:
        """Return the revisions that count for what was received up to `cut` (ms); behind the last of all, the same for every release."""
        cut = min(cut, self._last)
        if self._told is None or self._told[0] != cut:
            self._told = (cut, newest(self._reports, cut))
        return self._told[1]


def _at(entry: Entry) -> int:
    return entry.at


def is_open(facts: Sequence[Fact]) -> bool:
    """Say whether a lot has a deviation, or a result out of specification, that nothing closed yet: by the newest revisions."""
    entries = entries_of(facts)
    told = newest(entries)
    if any(one.what == DEVIATION and one.said["closed"] is None for one in told):
        return True
    closings = [one for one in told if one.what == INVESTIGATION and one.said["closed"] is not None]
    last: dict[str, int] = {}
    for one in closings:
        last[one.said["test"]] = max(one.said["closed"], last.get(one.said["test"], NONE))
    return any(one.what == FAILED and one.at > last.get(one.said["test"], NONE) for one in entries)


def judge(rule: ReleaseRule, subject: str, facts: list[Fact]) -> Judged:
    """Return what the releases of a lot met; time alone changes nothing."""
    entries, lot = entries_of(facts), subject_of(subject).get("lot", "")
    book = _Book(rule, entries)
    met = [(released, book.open_at(released)) for released in entries if released.what == RELEASED]
    runs = []
    for released, found in met:
        if found:
            timely, rank, leaf = released.at + HORIZON_MS, rule.severity.base.rank, _leaf(lot, released, found)
            runs.append(
                Run(
                    released.at,
                    (released,),
                    is_open=True,
                    leaves=(leaf,),
                    timely=timely,
                    rank=rank,
                    records=reads_of(found),
                )
            )
    if not met:
        return Judged()
    released, found = met[-1]
    leaf = _leaf(lot, released, found)
    return Judged(tuple(runs), (leaf,), seen=(Seen("open", verdict(bool(found)), leaf.left, "open at", leaf.right),))


def _leaf(lot: str, released: Entry, found: Sequence[Entry]) -> Leaf:
    names = [_name(one) for one in found[:8]]
    shown = ", ".join(names) + (f" and {len(found) - 8} more" if len(found) > 8 else "")  # noqa: PLR2004
    return Leaf(
        expr=f"open of lot {lot}", left=shown or None, op="at", right=format_instant(released.at), verdict=verdict(bool(found)),
    )  # fmt: skip


def _name(one: Entry) -> str:
    return one.said["test"] if one.what == FAILED else read_of(one).id
