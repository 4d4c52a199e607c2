"""The state of one lot: what is known of it, what was told of it; the bytes of its snapshot."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Final, TypeAlias

import msgspec
import zstandard

from rules.layout import NEVER, NONE
from rules.lots.book import Book, PackedBook
from rules.lots.facts import PRODUCT
from rules.lots.links import Links, PackedLink
from rules.lots.portions import PackedPortions, Portions
from rules.lots.scopes import PackedStanding, Standing
from rules.snapshot import LEVEL, SnapshotError

if TYPE_CHECKING:
    from rules.changes import Stage

FORMAT: Final = 1
MAGIC: Final = b"OFL1"
MAX_BODY_BYTES: Final = 64 * 1024 * 1024
"""What a snapshot may hold once it is unpacked: 25,000 rows of moves and 5,000 reports come to less than 8 MiB."""
MAX_TOLD: Final = 128
"""Alarms of one rule that are remembered of a lot: retracted ones go out first, then those that ended, oldest first."""
MAX_FORGOTTEN: Final = 5_000
"""Alarms of one rule of which only the id is remembered behind that: should one hold again, it is amended and not raised a second time."""
_ID: Final = 16
"""Digits of an id that are remembered."""
_HEAD: Final = 36

_At: TypeAlias = Annotated[int, msgspec.Meta(ge=NONE, le=NEVER)]
_Rank: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=3)]
PackedTold: TypeAlias = tuple[
    str, _At, _At, str, _Rank, str, str, str, bool, bool, list[str], Annotated[int, msgspec.Meta(ge=1)]
]
PackedFailed: TypeAlias = tuple[str, str, _At, Annotated[int, msgspec.Meta(ge=1)], str, bool]


@dataclass(slots=True)
class Told:
    """One alarm of a rule on a lot, as its changes say; instants in ms, `end` NONE while it is open."""

    alarm: str
    start: int
    end: int
    facility: str
    rank: int
    """Of its colour."""
    version: str
    packs: str
    stage: Stage
    unknown: bool = False
    """Its rule was put aside."""
    retracted: bool = False
    facilities: tuple[str, ...] = ()
    use: int = 1
    """Which alarm of this start and facility it is: behind one that an officer closed comes the second."""
    trip: str = ""
    """The trip that it is of; empty: none."""
    lot: str = ""
    """The lot that it is of, where a product's facts made it; empty: the lot of the state."""

    @property
    def key(self) -> tuple[int, str, int, str]:
        """Return what makes its id."""
        return (self.start, self.facility, self.use, self.lot or self.trip)

    @property
    def stands(self) -> bool:
        """Say whether it is open."""
        return self.end == NONE and not self.retracted

    def pack(self) -> PackedTold:
        """Return the members for a snapshot."""
        return (
            self.alarm, self.start, self.end, self.facility, self.rank, self.version, self.packs, self.stage,
            self.unknown, self.retracted, list(self.facilities), self.use,
        )  # fmt: skip

    @classmethod
    def unpack(cls, row: PackedTold) -> Told:
        """Return what packed members say."""
        return cls(*row[:7], _STAGES[row[7]], *row[8:10], tuple(row[10]), row[11])


_STAGES: Final[dict[str, Stage]] = {"draft": "draft", "shadow": "shadow", "live": "live", "retired": "retired"}


@dataclass(slots=True)
class Failed:
    """A rule that raised on a lot: the operators' alarm, and whether it is put aside; ended, it is kept for its start."""

    alarm: str
    facility: str
    start: int
    use: int
    """How often it was raised with the same start: it enters the id."""
    packs: str
    muted: bool = True


class Body(msgspec.Struct, forbid_unknown_fields=True):
    """What a snapshot holds."""

    format: int
    lot: str
    seq: Annotated[int, msgspec.Meta(ge=0)]
    received: _At
    newest: _At
    book: PackedBook
    told: list[tuple[str, list[PackedTold]]]
    failed: list[tuple[str, PackedFailed]]
    forgotten: list[tuple[str, list[str]]] = msgspec.field(default_factory=list)
    first: str = ""
    gaps: list[str] = msgspec.field(default_factory=list)
    went: bool = False
    since: Annotated[int, msgspec.Meta(ge=0)] = 0
    links: list[PackedLink] | msgspec.UnsetType = msgspec.UNSET
    """Online sales and telemetry (rules/lots/links.py); not there where none was told. So with the next two."""
    unlinked: int | msgspec.UnsetType = msgspec.UNSET
    """Dark sales for which there was no room."""
    trips: list[tuple[str, str]] | msgspec.UnsetType = msgspec.UNSET
    """The trip of each alarm that is of one, by id."""
    portions: PackedPortions | msgspec.UnsetType = msgspec.UNSET
    """Sales and serious cases of a product (rules/lots/portions.py); not there of a lot."""
    lots: list[tuple[str, str]] | msgspec.UnsetType = msgspec.UNSET
    """The lot of each alarm of a product, by id."""
    scoped: list[PackedStanding] | msgspec.UnsetType = msgspec.UNSET
    """What those who told facts are registered for (rules/lots/scopes.py); not there where no fact says so."""


@dataclass(slots=True, eq=False)
class LotState:
    """Everything that the second fold knows of one lot, or of one product (`lot` is `product <id>` then)."""

    lot: str
    seq: int = 0
    received: int = NONE
    """The newest `received` of what was folded, ms."""
    newest: int = NONE
    """The newest event or known time of its facts, ms."""
    book: Book = field(default_factory=Book)
    told: dict[str, list[Told]] = field(default_factory=dict)
    """Rule -> its alarms, by start."""
    failed: dict[str, Failed] = field(default_factory=dict)
    forgotten: dict[str, dict[str, None]] = field(default_factory=dict)
    """Rule -> its alarms of which only the id is remembered, in the order in which they went out."""
    dirty: bool = True
    first: str = ""
    """The facility that named it first."""
    went: bool = False
    """It was let go of (rules/lots/bounds.py)."""

    since: int = 0
    """The offset at which it was named first; of one that went, from which on lots that are named may be it."""

    @property
    def stream(self) -> str:
        """Return the stream of its changes: no facility's, and none of the other's."""
        of_product = self.lot.startswith(PRODUCT)
        return f"product:{self.lot.removeprefix(PRODUCT)}" if of_product else f"lot:{self.lot}"

    @property
    def subject(self) -> dict[str, str]:
        """Return what an operators' alarm on it is of."""
        of_product = self.lot.startswith(PRODUCT)
        return {"product": self.lot.removeprefix(PRODUCT)} if of_product else {"lot": self.lot}

    def left_over(self, gaps: frozenset[str], since: int) -> LotState:
        """Return what stays of a lot that is let go of: who told facts of it, or of lots before it."""
        return LotState(self.lot, first=self.first, went=True, since=since, book=Book(self.lot, gaps=gaps))

    def is_muted(self, rule: str) -> bool:
        """Say whether a rule is put aside here because it raised."""
        return rule in self.failed and self.failed[rule].muted

    def keep(self, rule: str, told: list[Told]) -> None:
        """Remember the alarms of a rule, within bounds: one that stands never goes out."""
        spare = sorted((one for one in told if not one.stands), key=lambda one: (not one.retracted, one.start))
        gone = {id(one) for one in spare[: max(0, len(told) - MAX_TOLD)]}
        if gone:
            ids = self.forgotten.setdefault(rule, {})
            ids |= dict.fromkeys(one.alarm[:_ID] for one in told if id(one) in gone)
            for old in list(ids)[: max(0, len(ids) - MAX_FORGOTTEN)]:
                del ids[old]
        kept = sorted((one for one in told if id(one) not in gone), key=lambda one: one.key)
        if kept:
            self.told[rule] = kept
        else:
            self.told.pop(rule, None)

    def recall(self, rule: str, alarm: str) -> bool:
        """Say whether an alarm was told and went out since; from now on it is remembered whole."""
        ids = self.forgotten.get(rule, {})
        if alarm[:_ID] not in ids:
            return False
        del ids[alarm[:_ID]]
        return True

    def snapshot(self) -> bytes:
        """Return the whole state. Equal states give equal bytes."""
        told = [(rule, [one.pack() for one in of]) for rule, of in sorted(self.told.items())]
        failed = [
            (rule, (f.alarm, f.facility, f.start, f.use, f.packs, f.muted)) for rule, f in sorted(self.failed.items())
        ]
        forgotten = [(rule, list(ids)) for rule, ids in sorted(self.forgotten.items()) if ids]
        links, unlinked = self.book.links.pack(), self.book.links.left_out
        trips = sorted((one.alarm, one.trip) for of in self.told.values() for one in of if one.trip)
        portions, lots = (
            self.book.portions,
            sorted((one.alarm, one.lot) for of in self.told.values() for one in of if one.lot),
        )
        body = Body(
            FORMAT, self.lot, self.seq, self.received, self.newest, self.book.pack(), told, failed, forgotten, self.first,
            sorted(self.book.gaps), self.went, self.since, links or msgspec.UNSET, unlinked or msgspec.UNSET, trips or msgspec.UNSET,
            portions.pack() if portions else msgspec.UNSET, lots or msgspec.UNSET,
            self.book.standing.pack() or msgspec.UNSET,
        )  # fmt: skip
        packed = zstandard.compress(msgspec.msgpack.encode(body), LEVEL)
        return MAGIC + hashlib.sha256(packed).digest() + packed

    @classmethod
    def restored(cls, lot: str, snapshot: bytes) -> LotState:
        """Return the state that a snapshot of a lot holds.

        Raises:
            SnapshotError: foreign bytes, a wrong checksum, a bomb, another format, another lot, or members that do not fit.
        """
        try:
            body = _BODIES.decode(_unpacked(snapshot))
            if (body.format, body.lot) != (FORMAT, lot):
                raise SnapshotError(f"a snapshot of lot {body.lot}, format {body.format}, stands under {lot}")
            told = {rule: [Told.unpack(row) for row in of] for rule, of in body.told}
            trips, lots = dict(body.trips or ()), dict(body.lots or ())
            for one in (one for of in told.values() for one in of):
                one.trip, one.lot = trips.get(one.alarm, ""), lots.get(one.alarm, "")
            failed = {rule: Failed(*row) for rule, row in body.failed}
            forgotten = {rule: dict.fromkeys(ids) for rule, ids in body.forgotten}
            book = Book.unpack(body.book, lot)
            book.gaps = frozenset(body.gaps)
            book.links = Links.unpack(body.links or [], body.unlinked or 0)
            book.standing = Standing.unpack(body.scoped or [])
            if isinstance(body.portions, tuple):
                book.portions = Portions.unpack(body.portions)
            return cls(
                lot, body.seq, body.received, body.newest, book, told, failed, forgotten, dirty=False, first=body.first,
                went=body.went, since=body.since,
            )  # fmt: skip
        except (msgspec.MsgspecError, ValueError, KeyError, TypeError, zstandard.ZstdError) as error:
            raise SnapshotError(f"snapshot of lot {lot} cannot be read: {error!r:.300}") from error


_BODIES = msgspec.msgpack.Decoder(Body)


def _unpacked(snapshot: bytes) -> bytes:
    packed = snapshot[_HEAD:]
    if snapshot[:4] != MAGIC:
        raise SnapshotError("not a snapshot of a lot")
    if hashlib.sha256(packed).digest() != snapshot[4:_HEAD]:
        raise SnapshotError("the checksum of a lot's snapshot does not fit")
    if not 0 <= zstandard.frame_content_size(packed) <= MAX_BODY_BYTES:
        raise SnapshotError(f"a lot's snapshot does not say its size, or unpacks to more than {MAX_BODY_BYTES} bytes")
    raw: bytes = zstandard.ZstdDecompressor().decompress(packed, allow_extra_data=False)
    return raw
