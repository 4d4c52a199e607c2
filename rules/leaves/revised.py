"""Leaves of rules over what is posted without effect (`rules.rare.revisions`), post by post through a log."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rules.batches import Batches, digest_of
from rules.batches import Seen as BatchSeen
from rules.changes import Verdict
from rules.clocks.book import Book, Met
from rules.leaves.model import TWO, Leaf, Moment, Seen, both, verdict
from rules.leaves.sent import Sent
from rules.marks import Marks
from rules.marks import digest_of as digest_of_mark
from rules.rare.match import digest_of_batch
from rules.rare.revisions import DATUM, known_by
from rules.records import Events, Kind, Mark, Readings, Report
from rules.reports.quality import Amendment
from rules.reports.reading import fields_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rules.records import LogRecord
    from rules.rule import PostFault, RevisionRule

WORDS = {
    "number": ("its number came before with other content", "编号此前已以不同内容提交"),
    "reason": ("it revises without saying why", "修订未说明原因"),
    "batch": ("the id of its batch came before with other content", "批次号此前已以不同内容提交"),
    DATUM: ("none of the readings that it corrects can have come", "所补正的数据均不可能存在"),
}


@dataclass(frozen=True, slots=True)
class Posted:
    """A post as it came: what it is, and what of it is at fault."""

    kind: Kind
    id: str
    """What tells it from others, whatever its revision."""
    name: str
    """How evidence names it."""
    t: int
    """Its own time, ms: when a report was sent, or a mark begins; of a batch the receipt."""
    received: int
    digest: str
    leaves: tuple[Seen, ...]

    @property
    def moment(self) -> Moment:
        """Return what the leaves were."""
        return Moment(self.kind.value, self.received, self.leaves)

    @property
    def faults(self) -> list[str]:
        """Return the leaves that held."""
        return [seen.name for seen in self.leaves if seen.verdict is Verdict.TRUE]

    def known_by(self, fault: PostFault) -> str:
        """Return by what it is known again for a fault."""
        return known_by(self.kind, self.name, fault, DATUM if fault == DATUM else self.digest)


@dataclass(slots=True)
class _Books:
    reports: Book = field(default_factory=Book)
    marks: Marks = field(default_factory=Marks)
    readings: Batches = field(default_factory=Batches)
    events: Batches = field(default_factory=Batches)
    sent: Sent = field(default_factory=Sent)


def leaves_of(rule: RevisionRule) -> list[Leaf]:
    """Return the leaves of a rule, as it names them."""
    return [Leaf(name, both(*WORDS[name]), TWO) for name in rule.of]


def told_of(rule: RevisionRule, log: Iterable[LogRecord]) -> Iterator[Posted]:
    """Yield the posts of one facility's log as they came, with the leaves that are asked of each."""
    books = _Books()
    for record in log:
        payload, received = record.payload, record.received
        books.sent.take(payload, received)
        one = _post(books, payload, received)
        if one is not None and books.sent.registered:
            yield Posted(*one[:-1], leaves=tuple(seen for seen in one[-1] if seen.name in rule.of))


def _post(
    books: _Books, payload: object, received: int
) -> tuple[Kind, str, str, int, int, str, tuple[Seen, ...]] | None:  # fmt: skip
    if isinstance(payload, Report):
        return _report(books, payload, received) if books.sent.registered else None
    if isinstance(payload, Mark):
        known, digest = books.marks.known(payload.id), digest_of_mark(payload)
        books.marks.meet(payload, received)
        same = known is not None and known.revision == payload.revision
        kept = known.digest if known is not None and same else ""
        leaf = _differs("number", digest, kept)
        name = f"{payload.id}/{payload.revision}"
        return Kind.MARK, payload.id, name, payload.from_, received, digest, (leaf,)
    if isinstance(payload, Readings):
        return _batch(books.readings, Kind.READINGS, payload.batch, digest_of(payload), received)
    if isinstance(payload, Events) and books.sent.registered:
        return _batch(books.events, Kind.EVENTS, payload.batch, digest_of_batch(payload), received)
    return None


def _report(
    books: _Books, payload: Report, received: int
) -> tuple[Kind, str, str, int, int, str, tuple[Seen, ...]] | None:  # fmt: skip
    model = fields_of(payload)
    if model is None:
        return None
    met, name = books.reports.greet(payload), f"{payload.id}/{payload.revision}"
    leaves = [
        _differs("number", met.digest.hex(), met.kept.hex()),
        Seen("reason", verdict(met.met is Met.UNREASONED), payload.reason or "", "missing", ""),
    ]
    if isinstance(model, Amendment) and met.met is Met.TAKEN:
        known = books.sent.named(model, received)
        leaves.append(Seen(DATUM, verdict(not known), float(known), "<", 1.0))
    return Kind.REPORT, payload.id, name, payload.sent, received, met.digest.hex(), tuple(leaves)


def _batch(
    batches: Batches, kind: Kind, name: str, digest: bytes, received: int
) -> tuple[Kind, str, str, int, int, str, tuple[Seen, ...]]:  # fmt: skip
    seen = batches.meet_digest(name, digest, received)
    kept = b"" if seen is BatchSeen.NEW else batches.digest_of(name)
    return kind, name, name, received, received, digest.hex(), (_differs("batch", digest.hex(), kept.hex()),)


def _differs(name: str, digest: str, kept: str) -> Seen:
    return Seen(name, verdict(bool(kept) and kept != digest), digest, "!=", kept)
