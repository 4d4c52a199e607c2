"""Leaves of rules over amendments that come too late (`rules.rare.amendments`), report by report through a log."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rules.clocks.book import Book, Met
from rules.instants import format_instant
from rules.layout import NONE
from rules.leaves.model import TWO, Leaf, Moment, Seen, both, verdict
from rules.leaves.sent import Sent
from rules.rare.amendments import REPORT, data_of, has_proof, proof_due
from rules.rare.lateness import due_of
from rules.records import Report
from rules.reports.quality import Amendment
from rules.reports.reading import fields_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from rules.records import LogRecord
    from rules.rule import LatenessRule


@dataclass(frozen=True, slots=True)
class Amended:
    """A revision of an amendment as it came, or (without a `name`) what of a report holds at the end."""

    report: str
    name: str
    t: int
    """Event time of the earliest reading that it corrects, ms."""
    received: int
    met: Met
    leaves: tuple[Seen, ...]

    @property
    def moment(self) -> Moment:
        """Return what the leaves were."""
        return Moment("report", self.received, self.leaves)


@dataclass(slots=True)
class _Known:
    """What is known of a report: its highest revision, what it corrects, when its proof came."""

    revision: int = 0
    data: set[str] = field(default_factory=set)
    earliest: int = NONE
    proof: int = NONE


def leaves_of(rule: LatenessRule) -> list[Leaf]:
    """Return the leaves of a rule, in the order of its condition."""
    proof = both(f"no proof by day {rule.proof_by} of the next month", f"次月 {rule.proof_by} 日前未提交证明")
    return [
        Leaf("first", both("it corrects what no revision before it did", "补正了此前各修订未补正的数据"), TWO),
        Leaf("late", both(f"received more than {rule.within} behind that reading", f"晚于该数据 {rule.within} 才收到"), TWO),
        *([] if rule.proof_by is None else [Leaf("proof", proof, TWO)]),
    ]  # fmt: skip


def told_of(
    rule: LatenessRule, log: Iterable[LogRecord], end: int, closed: Sequence[tuple[int, int]] = ()
) -> Iterator[Amended]:  # fmt: skip
    """Yield the amendments of one facility's log as they came, and each report as it stands at the end.

    Args:
        rule: the rule.
        log: its records.
        end: log time, ms.
        closed: times in which the front door was closed, ms.
    """
    book, reports, sent = Book(), dict[str, _Known](), Sent()
    for record in log:
        payload = record.payload
        sent.take(payload, record.received)
        if not isinstance(payload, Report) or payload.type != REPORT or not sent.registered:
            continue
        model = fields_of(payload)
        if not isinstance(model, Amendment):
            continue
        known, met = reports.setdefault(payload.id, _Known()), book.meet(payload)
        earliest = min(t for t, _ in data_of(model))
        name = f"{payload.id}/{payload.revision}"
        found: tuple[Seen, ...] = ()
        if met is Met.TAKEN and sent.named(model, record.received):
            found = _take(rule, known, payload.revision, model, record.received, closed)
        yield Amended(payload.id, name, earliest, record.received, met, found)
    for report, known in reports.items():
        if known.earliest != NONE:
            yield Amended(report, "", known.earliest, end, Met.TAKEN, _proof(rule, known, end, closed))


def _take(
    rule: LatenessRule, known: _Known, revision: int, model: Amendment, received: int, closed: Sequence[tuple[int, int]]
) -> tuple[Seen, ...]:  # fmt: skip
    new = {digest: t for t, digest in data_of(model) if digest not in known.data}
    found = [Seen("first", verdict(bool(new) and revision > known.revision), float(len(new)), ">", 0.0)]
    if new and revision > known.revision:
        due = due_of(rule, min(new.values()), closed)
        found.append(Seen("late", verdict(received > due), format_instant(received), ">", format_instant(due)))
    if revision > known.revision:
        known.revision, known.data = revision, known.data | set(new)
        known.earliest = min(t for t, _ in data_of(model))
    if known.proof == NONE and has_proof(model):
        known.proof = received
    return (*found, *_proof(rule, known, received, closed))


def _proof(rule: LatenessRule, known: _Known, at: int, closed: Sequence[tuple[int, int]]) -> tuple[Seen, ...]:
    if rule.proof_by is None:
        return ()
    due, until = proof_due(rule, known.earliest, closed), at if known.proof == NONE else known.proof
    return (Seen("proof", verdict(until > due), format_instant(until), ">", format_instant(due)),)
