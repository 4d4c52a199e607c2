"""The bytes of a facility's snapshot: magic, SHA-256 of the rest, zstd of msgpack; versioned, checked, bounded."""

from __future__ import annotations

import base64
import binascii
import hashlib
import zlib
from typing import TYPE_CHECKING, Annotated, ClassVar, TypeAlias

import msgspec
import zstandard

from rules.aside import PackedAside
from rules.batches import PackedBatches
from rules.clocks.store import PackedClocks, PackedSayings
from rules.declared import PackedDeclared
from rules.documents.store import PackedDocuments
from rules.doorstates import PackedDoors
from rules.drafts import PackedDraft
from rules.errors import OffsiteError
from rules.excursions.book import PackedBook, PackedClaim
from rules.figures.book import PackedFigures
from rules.formerly import PackedPast, Span
from rules.formerpairs import PackedFormer
from rules.layout import NEVER, NONE
from rules.lots.scopes import PackedRegistered
from rules.lots.telling import PackedTelling
from rules.lots.watches import PackedWatch
from rules.marks import PackedMark, PackedMarks
from rules.migrate import FORMAT, MigrationError, migrated
from rules.monitors import PackedMonitors
from rules.occurrence import Packed
from rules.opengap import PackedGap
from rules.rare.feeds import PackedFeed
from rules.rare.missing import PackedMissing
from rules.rare.store import PackedRare
from rules.stays import PackedStays

if TYPE_CHECKING:
    from rules.records import StateRecord

MAGIC = b"OFS2"
ZLIB_MAGIC = b"OFS1"
"""What snapshots began with while zlib packed them; they are read still."""
MAX_BODY_BYTES = 512 * 1024 * 1024
"""What a snapshot may hold once it is unpacked.

The largest facility has 5,000 sensors; a ring of 1,056 rows is 33 KiB and a sensor's instances about 5 KiB: 190 MiB; hours and days, where
a rule compares reports with all of them (rules/sums.py), are 56 KiB: 272 MiB more.
"""
LEVEL = 1
"""zstd's fastest but the negative ones: state is arrays of zeros and repeats, and a checkpoint holds up the fold.

Of a facility of 100 series with full rings zlib's fastest made twice the bytes in four times the time.
"""
Key: TypeAlias = tuple[str, str]
"""Rule and tag of an instance."""
_Instant: TypeAlias = Annotated[int, msgspec.Meta(ge=NONE, le=NEVER)]
PackedGroup: TypeAlias = tuple[
    str, str, Packed, _Instant, Annotated[int, msgspec.Meta(ge=1)], _Instant, _Instant, _Instant
]
"""A silence of a place (rules/state.py): the members of `Group`, in their order."""


class SnapshotError(OffsiteError):
    """A snapshot is broken, of a format that is not known, or not of this facility; it is rebuilt from the log instead."""

    code: ClassVar[str] = "snapshot_broken"
    action: ClassVar[str] = "Rebuild the facility from log and archive; its snapshot is not used."


class Body(msgspec.Struct, forbid_unknown_fields=True):
    """What a snapshot holds, at the newest format."""

    format: int
    facility: str
    version: int
    clock: int
    seq: int
    position: int
    """Every record of the partition before this offset is folded into the state, ticks and packs too."""
    packs: str
    register: str | None
    adopted: int | None
    registered: list[tuple[str, int]]
    left: list[tuple[str, int]]
    unknown_tags: int
    batches: PackedBatches
    """The batches that came last (rules/batches.py)."""
    repeated: int
    conflicting: int
    occurrences: list[tuple[str, str, str, list[Packed]]]
    groups: list[PackedGroup]
    aside: list[tuple[str, PackedAside]]
    """Rules that raised here and what is kept of them (rules/aside.py), sorted."""
    keys: dict[str, list[Key]]
    """Kind of rule -> its instances, in the order of the arrays."""
    layouts: dict[str, list[tuple[str, str, list[int]]]]
    """Layout -> fields: name, format, shape. A migrator finds a field by its name."""
    arrays: dict[str, tuple[str, bytes]]
    """Array -> its layout and its rows."""
    rare: PackedRare | msgspec.UnsetType = msgspec.UNSET
    """Events, decisions and checks of the register (rules/rare/store.py); not there where no rule ever asked for them."""
    declared: PackedDeclared | msgspec.UnsetType = msgspec.UNSET
    """Trips of vehicles and boxes, and fillings (rules/declared.py); not there where none was told that a rule asks for."""
    monitors: PackedMonitors | msgspec.UnsetType = msgspec.UNSET
    """When monitors were switched off (rules/monitors.py); not there where none was told of in an area that a rule asks for."""
    excursions: list[PackedBook] | msgspec.UnsetType = msgspec.UNSET
    """Excursions and deviations (rules/excursions/book.py), by rule; not there where no rule compares them."""
    clocks: PackedClocks | msgspec.UnsetType = msgspec.UNSET
    """Submitted reports and legal clocks (rules/clocks/store.py); not there where no report came and nothing is owed by the register."""
    sayings: PackedSayings | msgspec.UnsetType = msgspec.UNSET
    """What the reports say that clocks are made of (rules/clocks/store.py); not there where none is. Snapshots of before do not have it: what
    their clocks were told stays as it was told (ADR 0094)."""
    documents: PackedDocuments | msgspec.UnsetType = msgspec.UNSET
    """What submitted reports say (rules/documents/store.py); not there where no rule ever read it."""
    lots: PackedTelling | msgspec.UnsetType = msgspec.UNSET
    """What is told of lots (rules/lots/telling.py); not there where nothing ever named one."""
    shipments: list[PackedWatch] | msgspec.UnsetType = msgspec.UNSET
    """Shipments of which it is told whether telemetry belongs to them (rules/lots/watches.py), in the order in which they came; not there where there are none."""
    scoped: PackedRegistered | msgspec.UnsetType = msgspec.UNSET
    """What the facility was registered for before, and lots that wait for its register (rules/lots/scopes.py); not there where there is neither."""
    figures: PackedFigures | msgspec.UnsetType = msgspec.UNSET
    """Samples, visits and grades (rules/figures/book.py); not there where none was ever told."""
    late: list[tuple[str, int, int]] | msgspec.UnsetType = msgspec.UNSET
    """The earliest and the newest row of each series whose horizon waits for `clock` to be over, by tag; not there where none does. Before
    semantics 7 late rows were put into their places as they came, and waited there."""
    held: list[tuple[str, bytes]] | msgspec.UnsetType = msgspec.UNSET
    """Late rows that wait for `clock` to be over (rules/held.py), by tag; not there where none does."""
    drafts: list[PackedDraft] | msgspec.UnsetType = msgspec.UNSET
    """What late rows made of instances and is not told before `clock` is over (rules/drafts.py), by kind, rule and tag; not there where all is told."""
    filled: dict[str, int] | msgspec.UnsetType = msgspec.UNSET
    """Closed silence, by alarm -> the event time up to which late rows fill it (rules/late.py); not there where they fill none."""
    doors: list[tuple[str, list[tuple[_Instant, _Instant]]]] | msgspec.UnsetType = msgspec.UNSET
    """When the front door was closed behind the newest row of a series (rules/silence.py), by tag; not there where it never was."""
    past: list[PackedPast] | msgspec.UnsetType = msgspec.UNSET
    """Numbers of rules that were in force before (rules/formerly.py), by kind, rule and tag; not there where no row can be judged by any."""
    former: list[PackedFormer] | msgspec.UnsetType = msgspec.UNSET
    """What pairs were judged by before (rules/formerpairs.py), by rule and name; not there where no instant can be judged by any."""
    door_books: list[PackedDoors] | msgspec.UnsetType = msgspec.UNSET
    """What was told of the doors of pairs (rules/pairdoors.py), by rule and name; not there where nothing was told that a rule asks for ..."""
    door_counts: list[tuple[str, int]] | msgspec.UnsetType = msgspec.UNSET
    """... and how many events of doors there were, and which were not read, by name."""
    spans: list[tuple[str, list[Span]]] | msgspec.UnsetType = msgspec.UNSET
    """Registered limits that were in force before (rules/formerly.py), by tag; not there where no series with summaries can still have a row of their time."""
    gaps: list[tuple[str, list[PackedGap]]] | msgspec.UnsetType = msgspec.UNSET
    """Open gaps that have left the horizon (rules/opengaps.py), by tag; not there where there are none ..."""
    outside: list[tuple[str, list[tuple[int, int, float | None]]]] | msgspec.UnsetType = msgspec.UNSET
    """... and rows that may lie in one and wait for `clock` to be over, by tag; not there where none do."""
    unsettled: list[tuple[str, str]] | msgspec.UnsetType = msgspec.UNSET
    """Silences of which it waits for `clock` to be over which rule's alarm speaks (rules/overlap.py), sorted; not there where it does of none."""
    marks: PackedMarks | msgspec.UnsetType = msgspec.UNSET
    """What the firm declared of its series (rules/marks.py); not there where it never declared anything."""
    refused: list[tuple[str, bytes]] | msgspec.UnsetType = msgspec.UNSET
    """Ids and digests of batches with a row from the future (rules/batches.py); not there where none had one."""
    past_marks: list[PackedMark] | msgspec.UnsetType = msgspec.UNSET
    """The numbers that are known of marks which do not hold, in the order in which they came there; not there where there are none."""
    stays: list[PackedStays] | msgspec.UnsetType = msgspec.UNSET
    """Where sensors stood (rules/stays.py), by tag; not there where none has moved."""
    feeds: list[PackedFeed] | msgspec.UnsetType = msgspec.UNSET
    """Numbers of feeds (rules/rare/feeds.py), in the order in which they were touched; not there where nobody numbers what they send."""
    sent: list[tuple[str, list[tuple[str, _Instant]]]] | msgspec.UnsetType = msgspec.UNSET
    """The newest event time that came of tags that the register does not hold, by rule (rules/rare/strays.py), in the order in which they came;
    not there where none did."""
    named: list[tuple[str, _Instant, list[tuple[float | None, float | None]]]] | msgspec.UnsetType = msgspec.UNSET
    """Readings that amendments name (rules/rare/named.py), in the order in which they were named; not there where none is."""
    missing: list[PackedMissing] | msgspec.UnsetType = msgspec.UNSET
    """Which time of series is missing (rules/rare/missing.py), by one way to lay slots; not there where no rule asks how much of a month was measured ..."""
    shifted: list[PackedMissing] | msgspec.UnsetType = msgspec.UNSET
    """... and by the other; not there in a snapshot of before there were slots."""
    claims: list[tuple[str, list[PackedClaim]]] | msgspec.UnsetType = msgspec.UNSET
    """What reports state of a time (rules/excursions/book.py), by rule; not there where no rule compares it."""
    revised: list[tuple[str, list[tuple[str, int]]]] | msgspec.UnsetType = msgspec.UNSET
    """Of such reports that were revised and not compared since, the revision that was compared last, by rule; not there where there are none."""
    sums: list[tuple[str, int, bytes]] | msgspec.UnsetType = msgspec.UNSET
    """Hours and days of series (rules/sums.py), by tag; not there where no rule compares reports with any."""
    closed: list[tuple[str, int, bytes]] | msgspec.UnsetType = msgspec.UNSET
    """Kind, number and digest of the records with hours and days that are over, which stand beside this snapshot (rules/apart.py); not there in one
    that is whole."""


class _Format(msgspec.Struct):
    """The member that says how the others are to be read."""

    format: int | None = None


_FORMATS, _BODIES = msgspec.msgpack.Decoder(_Format), msgspec.msgpack.Decoder(Body)


def sealed(body: Body) -> bytes:
    """Return the snapshot of a body. Equal bodies give equal bytes.

    Raises:
        SnapshotError: it is larger than a snapshot may be: it could not be read again.
    """
    raw = msgspec.msgpack.encode(body)
    if len(raw) > MAX_BODY_BYTES:
        raise SnapshotError(f"state of {body.facility}: {len(raw)} bytes, a snapshot may hold {MAX_BODY_BYTES}")
    packed = zstandard.compress(raw, LEVEL)
    return MAGIC + hashlib.sha256(packed).digest() + packed


def open_snapshot(snapshot: bytes) -> tuple[Body, bool]:
    """Return the checked body, and whether it had an older format and was migrated.

    Raises:
        SnapshotError: foreign bytes, a wrong checksum, a bomb, an unknown format, or members that do not fit it.
    """
    try:
        raw = unpacked(snapshot)
        if _FORMATS.decode(raw).format == FORMAT:
            return _BODIES.decode(raw), False
        return msgspec.convert(migrated(msgspec.msgpack.decode(raw)), Body), True
    except MigrationError as error:
        raise SnapshotError(str(error)) from error
    except (msgspec.MsgspecError, RecursionError) as error:
        raise SnapshotError(f"a snapshot cannot be read: {str(error)[:300]}") from error


def seed_of(facility: str, seed: StateRecord, semantics: int) -> bytes:
    """Return the snapshot that a `state` record carries.

    Raises:
        SnapshotError: another engine semantics, or a checksum that does not fit.
    """
    if seed.semantics != semantics:
        raise SnapshotError(f"state of {facility}: engine semantics {seed.semantics}, this engine has {semantics}")
    try:
        snapshot = base64.b64decode(seed.snapshot, validate=True)
    except binascii.Error as error:
        raise SnapshotError(f"state of {facility}: {error}") from error
    if hashlib.sha256(snapshot).hexdigest() != seed.checksum:
        raise SnapshotError(f"state of {facility}: its checksum does not fit")
    return snapshot


def unpacked(snapshot: bytes) -> bytes:
    """Return the checked msgpack of a snapshot; no more memory is taken than a snapshot may hold.

    Raises:
        SnapshotError: foreign bytes, a wrong checksum, a bomb, or bytes that are cut off or go on behind their end.
    """
    unpack = {MAGIC: _unpacked_zstd, ZLIB_MAGIC: _unpacked_zlib}.get(snapshot[:4])
    if unpack is None:
        raise SnapshotError("not a facility snapshot")
    packed = snapshot[36:]
    if hashlib.sha256(packed).digest() != snapshot[4:36]:
        raise SnapshotError("a snapshot's checksum does not fit")
    try:
        return unpack(packed)
    except (zstandard.ZstdError, zlib.error) as error:
        raise SnapshotError(f"a snapshot cannot be read: {str(error)[:300]}") from error


def _unpacked_zstd(packed: bytes) -> bytes:
    if not 0 <= zstandard.frame_content_size(packed) <= MAX_BODY_BYTES:
        raise SnapshotError(f"a snapshot does not say its size, or unpacks to more than {MAX_BODY_BYTES} bytes")
    raw: bytes = zstandard.ZstdDecompressor().decompress(packed, allow_extra_data=False)
    return raw


def _unpacked_zlib(packed: bytes) -> bytes:
    stream = zlib.decompressobj()
    raw = stream.decompress(packed, MAX_BODY_BYTES)
    if stream.unconsumed_tail or not stream.eof:
        raise SnapshotError(f"a snapshot is cut off, or unpacks to more than {MAX_BODY_BYTES} bytes")
    if stream.unused_data:
        raise SnapshotError("something follows a snapshot's end")
    return raw


__all__ = ["FORMAT", "Body", "SnapshotError", "open_snapshot", "sealed", "seed_of", "unpacked"]
