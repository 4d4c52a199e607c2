"""Kind `retest`: a lot that passes a test which it had failed, without an investigation that was opened in between.

The first passing result behind one out of specification decides, a time behind it. An investigation that was opened between the two, and
is known by then, answers it; one that comes later, or was opened later, ends the alarm.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from rules.changes import Leaf, RecordRead, Verdict
from rules.instants import format_instant
from rules.layout import NEVER
from rules.leaves.model import Seen
from rules.ledger.entry import Entry, Met, entries_of, newest, read_of, reads_of, report_of, text_of
from rules.ledger.judged import Judged, Run
from rules.rare.match import is_meant, text_of_field
from rules.rare.store import subject_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rules.rare.store import Fact
    from rules.records import Event, Report
    from rules.rule import RetestRule

FAILED, PASSED, INVESTIGATION = "failed", "passed", "investigation"


def met(rule: RetestRule, event: Event) -> Met | None:
    """Return what a result is to the rule, None of one that it does not mean: of another test, or of a room or loop."""
    verdicts = {what: is_meant(event, match) for what, match in ((FAILED, rule.failed), (PASSED, rule.passed))}
    lot, test = text_of_field(event, "lot"), text_of_field(event, "test")
    if lot is None or all(said is Verdict.FALSE for said in verdicts.values()):
        return None
    what = next((what for what, said in verdicts.items() if said is Verdict.TRUE), None)
    if what is None or test is None:
        return Met(None, "")
    return Met({"lot": lot, "case": test}, text_of(what, sample=text_of_field(event, "sample_id")))


def said(payload: Report, fields: Mapping[str, Any]) -> list[tuple[dict[str, str], int, str]]:
    """Return what an investigation says: subject, when it was opened (ms), content."""
    text = text_of(INVESTIGATION, revision=payload.revision, closed=fields.get("closed_at"))
    return [({"lot": fields["lot"], "case": fields["test"]}, fields["opened_at"], text)]


class _Retest(NamedTuple):
    """A first passing result behind a failure, with the passing ones that follow it."""

    failed: Entry
    passed: tuple[Entry, ...]

    @property
    def first(self) -> Entry:
        return self.passed[0]

    @property
    def whole(self) -> int:
        """When both were known, log time, ms."""
        return max(self.failed.fact.received, self.first.fact.received)


def retests_of(entries: Sequence[Entry]) -> list[_Retest]:
    """Return the retests of a lot; of one instant a passing result does not stand behind a failure."""
    results = [one for one in entries if one.what in {FAILED, PASSED}]
    found: list[_Retest] = []
    failed: Entry | None = None
    passed: list[Entry] = []
    for one in sorted(results, key=lambda one: (one.at, one.what == FAILED, one.fact.digest)):
        if one.what == PASSED and failed is not None:
            passed.append(one)
        elif one.what == FAILED and (failed is None or passed):
            if failed is not None:
                found.append(_Retest(failed, tuple(passed)))
            failed, passed = one, []
    return [*found, _Retest(failed, tuple(passed))] if failed is not None and passed else found


def judge(rule: RetestRule, subject: str, facts: list[Fact], now: int) -> Judged:
    """Return what the results and investigations of a lot and test say at `now` (log time, ms)."""
    entries, named = entries_of(facts), subject_of(subject)
    told = newest(entries)
    runs: list[Run] = []
    again, seen = NEVER, [Seen("after", Verdict.FALSE, None, "behind", "a failure")] if entries else []
    leaves: tuple[Leaf, ...] = ()
    records: tuple[RecordRead, ...] = ()
    revisions = _revisions(entries)
    for one in retests_of(entries):
        decided = one.first.at + rule.wait
        between = [it for it in told if one.failed.at <= it.at <= one.first.at]
        known = min((_known(it, one, revisions) for it in between), default=NEVER)
        timely = known < decided or known <= one.whole
        later = [it for it in told if it.at >= one.failed.at]
        records = (*reads_of(later), read_of(one.failed), read_of(one.first))
        leaves = (_leaf(named, one, later), _failure(named, one))
        waits = not timely and now < decided
        verdict = Verdict.TRUE if timely else Verdict.UNKNOWN if waits else Verdict.FALSE
        seen = [
            Seen("after", Verdict.TRUE, format_instant(one.first.at), "behind", format_instant(one.failed.at)),
            Seen("investigated", verdict, leaves[0].left, "by", leaves[0].right),
        ]
        if waits:
            again = min(again, decided)
        elif not timely:
            is_open = not later
            runs.append(Run(one.first.at, one.passed, is_open, leaves, decided, rule.severity.base.rank, records))
    return Judged(tuple(runs), leaves, records, again=again, seen=tuple(seen))


def _revisions(entries: Sequence[Entry]) -> dict[str, list[Entry]]:
    """Return the revisions of each report that name this lot and test."""
    found: dict[str, list[Entry]] = {}
    for entry in entries:
        if entry.what == INVESTIGATION:
            found.setdefault(report_of(entry) or "", []).append(entry)
    return found


def _known(newest_one: Entry, one: _Retest, revisions: Mapping[str, Sequence[Entry]]) -> int:
    """Return when the firm first said that an investigation was opened between the two results, log time, ms."""
    said_so = revisions[report_of(newest_one) or ""]
    return min(it.fact.received for it in said_so if one.failed.at <= it.at <= one.first.at)


def _leaf(named: dict[str, str], one: _Retest, later: Sequence[Entry]) -> Leaf:
    opened = min((it.at for it in later), default=None)
    return Leaf(
        expr=f"investigation of {named['case']} of {named['lot']}", left=None if opened is None else format_instant(opened),
        op="<=", right=format_instant(one.first.at), verdict=Verdict.FALSE if opened is None or opened > one.first.at else Verdict.TRUE,
    )  # fmt: skip


def _failure(named: dict[str, str], one: _Retest) -> Leaf:
    return Leaf(
        expr=f"failed {named['case']} of {named['lot']}", left=one.failed.said["sample"], op="at", right=format_instant(one.failed.at),
        verdict=Verdict.TRUE,
    )  # fmt: skip
