"""Facilities that killed the worker three times: kept by reference, not folded, released by an operator (ADR 0021).

What killed is a record of theirs, or what was decided for them in a record that belongs to all: by the clock in a tick, or
because packs came into force.

The facts are rows of the state topic, so that whoever owns the partition next honours them. Keys, in the partition of the
log they concern:

| key | value | written by |
|---|---|---|
| `watch-p<n>` | how often which record killed its worker, at whom, and records of nobody that are passed over | the owner |
| `quarantine-<facility>` | from where the facility is not folded, with the partition's state there; none: not quarantined | the owner |
| `release-<facility>` | an operator's wish to fold what was kept | `offsite quarantine release` |

While a facility is quarantined its snapshot stays as it was at `begin`: from it, the partition's state and the log it is
folded on when it is released (streams/release.py). What its snapshot holds beyond `begin` it skips, and what was published
before it was quarantined (`published`) is not published again.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, TypeAlias, TypeVar

from pydantic import Field, ValidationError

from rules.engine import PartitionState
from rules.errors import ContractError
from rules.instants import Instant
from rules.models import FacilityId, Strict, is_facility_id
from rules.records import LogRecord, Rejected
from streams.codec import SHARED
from streams.rejected import QuarantineNotice

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

DEATHS = 3
"""So many deaths at one record, and its facility is quarantined."""
ASTRAY = 2 * DEATHS
"""So many at one record of all, never so often at the same facility, and the record is taken for what kills."""
REMEMBERED = 100
"""Records whose deaths are counted, and records passed over: the newest stay."""
NOTE_KEY = re.compile(r"^(watch-p\d+|(?:quarantine|release)-[A-Z0-9][A-Z0-9-]{1,31})$")
_log = logging.getLogger("offsite.worker")
_SHARED = {kind.value.encode() for kind in SHARED}
_OFFSET_BITS = 63
_Note = TypeVar("_Note", bound=Strict)
Count = Annotated[int, Field(ge=0)]
Source: TypeAlias = Literal["snapshot", "origin", "lost"]


class NoteError(ContractError):
    """A row about quarantine cannot be read."""

    code: ClassVar[str] = "quarantine_unreadable"
    action: ClassVar[str] = "Start the release that wrote it, or restore offsite.state.v1 from a backup."


class Watch(Strict):
    """What killed the owners of a partition."""

    version: Literal[1] = 1
    partition: Count
    deaths: dict[int, int] = Field(default_factory=dict)
    """Place (`place_of`) -> how often a worker died there."""
    skipped: list[int] = Field(default_factory=list)
    """Records that belong to no facility and killed their worker: passed over."""


class Quarantine(Strict):
    """One facility that is not folded."""

    version: Literal[1] = 1
    facility: FacilityId
    partition: Count
    begin: Count
    """The log is read from here when it is folded on; `base` is as of there, the facility's snapshot of there or later."""
    base: PartitionState
    offset: Count
    """The record that killed, or in which something of the facility did."""
    deaths: Count
    since: Instant
    """The broker's time of that record."""
    published: Count = 0
    """The changes of the facility's records before this are published."""
    source: Source = "snapshot"
    """What it is folded on from; `lost` where there is neither a good snapshot nor a known beginning."""


class Release(Strict):
    """An operator's wish; it names the record, so that an old one cannot release a later quarantine."""

    version: Literal[1] = 1
    id: Annotated[str, Field(max_length=64)]
    facility: FacilityId
    offset: Count
    by: Annotated[str, Field(max_length=128)]


def encode_note(note: Strict) -> bytes:
    """Return the JSON of a row."""
    return json.dumps(note.model_dump(mode="json"), sort_keys=True, separators=(",", ":")).encode()


def decode_note(model: type[_Note], value: bytes) -> _Note:
    """Return what a row says.

    Raises:
        NoteError: it does not say what it should.
    """
    try:
        return model.model_validate_json(value)
    except ValidationError as error:
        raise NoteError(f"{model.__name__}: {str(error)[:300]}") from error


@dataclass(frozen=True, slots=True)
class Suspect:
    """A record that has killed often enough, looked up in the log."""

    offset: int
    received: int
    facility: str
    """Empty where it belongs to no facility: what killed in a record of all is told by the crumb, not by the record."""


def place_of(offset: int, facility: str = "") -> int:
    """Return the number under which deaths are counted: the record's offset, and above it who was stepped in one of all.

    A number and no text: a release that knows offsets alone reads the row and goes by it as it always did.
    """
    mark = hashlib.blake2b(facility.encode(), digest_size=6).digest() if facility else b""
    return int.from_bytes(mark, "big") << _OFFSET_BITS | offset


def offset_of(place: int) -> int:
    """Return the offset of the record of a place.

    >>> offset_of(place_of(17)), offset_of(place_of(17, "FAC-0")), place_of(17)
    (17, 17, 17)
    """
    return place & ((1 << _OFFSET_BITS) - 1)


def suspect_in(record: LogRecord | Rejected) -> Suspect:
    """Return whose record it is that came out of the archive."""
    shared = isinstance(record, LogRecord) and record.kind in SHARED
    facility = "" if shared or not is_facility_id(record.facility) else record.facility
    return Suspect(record.offset, record.received, facility)


def suspect_of(
    offset: int, received: int, key: bytes | None, headers: Sequence[tuple[str, bytes | None]] | None
) -> Suspect:
    """Return whose record it is, by key and kind alone: its value is not touched."""
    facility = (key or b"").decode("latin-1")
    shared = dict(headers or ()).get("kind") in _SHARED
    return Suspect(offset, received, "" if shared or not is_facility_id(facility) else facility)


@dataclass(slots=True)
class Ward:
    """The quarantined facilities of one partition, as its owner knows them."""

    partition: int
    watch: Watch
    low: int = 0
    """The log begins here: no record before comes again, but for a facility that is folded out of the archive."""
    quarantined: dict[str, Quarantine] = field(default_factory=dict)
    released: dict[str, Release] = field(default_factory=dict)
    snapshots: dict[str, bytes] = field(default_factory=dict)
    """Of quarantined facilities that have one."""
    kept: dict[str, int] = field(default_factory=dict)
    """Records left unfolded since this process owns the partition, by facility."""
    answered: set[str] = field(default_factory=set)
    """Wishes that did not come off: their rows may still be there."""
    notices: list[QuarantineNotice] = field(default_factory=list)
    """What is to be told to operators."""
    _due: dict[str, bytes | None] = field(default_factory=dict)

    @classmethod
    def of(cls, partition: int, notes: Mapping[str, bytes], low: int) -> Ward:
        """Return what the state topic says.

        Deaths at records before `low` are kept too: what the log has dropped may kill once more, out of the archive.

        Raises:
            NoteError: a row cannot be read.
        """
        written = notes.get(f"watch-p{partition}")
        ward = cls(partition, Watch(partition=partition) if written is None else decode_note(Watch, written), low)
        for key, value in notes.items():
            name, _, facility = key.partition("-")
            if name == "quarantine":
                ward.quarantined[facility] = decode_note(Quarantine, value)
        ward.hear(notes)
        return ward

    @property
    def active(self) -> bool:
        """Whether any record is to be looked at before it is folded."""
        return bool(self.quarantined) or max(self.watch.skipped, default=-1) >= self.low

    def hear(self, notes: Mapping[str, bytes]) -> None:
        """Take the wishes among rows; one that cannot be read is no wish: whoever wrote it must not stop the partition."""
        for key, value in notes.items():
            if key.startswith("release-"):
                try:
                    self.wish(decode_note(Release, value))
                except NoteError as error:
                    _log.warning("partition %d: %s is passed over: %s", self.partition, key, error)

    @property
    def due(self) -> bool:
        """Whether rows are to be written."""
        return bool(self._due)

    def wish(self, release: Release) -> bool:
        """Take an operator's wish; False if it is of no quarantine that stands."""
        standing = self.quarantined.get(release.facility)
        if standing is None or standing.offset != release.offset or release.id in self.answered:
            return False
        self.released[release.facility] = release
        return True

    def died(self, offset: int, facility: str = "") -> bool:
        """Count a death; True if the record, or the facility in it, has killed often enough.

        Args:
            offset: of the record.
            facility: whom it was being folded for, where it belongs to all and is known.
        """
        place = place_of(offset, facility)
        count = self.watch.deaths.get(place, 0) + 1
        others = sorted((p for p in self.watch.deaths if p != place), key=lambda p: (offset_of(p), p))
        self._watch(deaths={p: self.watch.deaths[p] for p in others[1 - REMEMBERED :]} | {place: count})
        return count >= DEATHS or (bool(facility) and self._astray(offset) >= ASTRAY)

    def often_at(self, offset: int, facility: str) -> bool:
        """Say whether a record of all has killed often enough at one facility; else it is the record that kills."""
        return bool(facility) and self.watch.deaths.get(place_of(offset, facility), 0) >= DEATHS

    def _astray(self, offset: int) -> int:
        """Count the deaths in a record that stand for nobody: at one facility and another, none of them often."""
        return sum(n for place, n in self.watch.deaths.items() if offset_of(place) == offset and n < DEATHS)

    def admit(
        self, suspect: Suspect, begin: int, base: PartitionState, published: int = 0, source: Source = "snapshot"
    ) -> Rejected | None:
        """Quarantine the facility of a record that kills; a record of nobody is passed over and returned as rejected.

        Args:
            suspect: the record.
            begin: where the owner begins to fold: what is folded then is as of there.
            base: the partition's state at `begin`.
            published: the changes of the facility's records before this are published.
            source: what it is folded on from.
        """
        if not suspect.facility:
            deaths = sum(n for place, n in self.watch.deaths.items() if offset_of(place) == suspect.offset)
            if suspect.offset not in self.watch.skipped:
                self._watch(skipped=[*self.watch.skipped, suspect.offset][-REMEMBERED:])
            detail = f"it ended its worker {deaths} times and belongs to no facility: it is passed over"
            return Rejected(self.partition, suspect.offset, suspect.received, "", "killed", detail, b"")
        own, other = place_of(suspect.offset), place_of(suspect.offset, suspect.facility)
        deaths = max(self.watch.deaths.get(own, 0), self.watch.deaths.get(other, 0))
        standing = self.quarantined.get(suspect.facility)
        if standing is None:
            standing = Quarantine(
                facility=suspect.facility, partition=self.partition, begin=begin, base=base, offset=suspect.offset,
                deaths=deaths, since=suspect.received, published=published, source=source,
            )  # fmt: skip
            self._stand(standing)
            self.tell(standing, "held")
        else:  # it killed again while it was folded for its release
            self.refuse(suspect.facility, f"the record at offset {suspect.offset} ended the worker again")
            self._stand(standing.model_copy(update={"offset": suspect.offset, "deaths": deaths}))
        return None

    def rebase(self, facility: str, begin: int, base: PartitionState) -> None:
        """Let a facility be folded on from where its partition began; what is published of it stays so."""
        origin: Source = "origin"
        self._stand(self.quarantined[facility].model_copy(update={"begin": begin, "base": base, "source": origin}))

    def refuse(self, facility: str, why: str) -> None:
        """Say that a release did not come off: the facility stays quarantined."""
        wish = self.released.pop(facility, None)
        if wish is not None:
            self.answered.add(wish.id)
        self._due[f"release-{facility}"] = None
        self.tell(self.quarantined[facility], "refused", why)

    def discharge(self, facility: str) -> None:
        """End a quarantine: all that was kept has been folded."""
        standing = self.quarantined.pop(facility)
        self.released.pop(facility, None)
        self.snapshots.pop(facility, None)
        self._due |= {f"quarantine-{facility}": None, f"release-{facility}": None}
        settled = {place_of(standing.offset), place_of(standing.offset, facility)}
        self._watch(deaths={place: n for place, n in self.watch.deaths.items() if place not in settled})
        self.tell(standing, "released")
        self.kept.pop(facility, None)

    def keeps(self, offset: int, key: bytes | None, headers: Sequence[tuple[str, bytes | None]]) -> bool:
        """Say whether a record is left unfolded, and count it."""
        facility = (key or b"").decode("latin-1")
        if facility in self.quarantined and dict(headers).get("kind") not in _SHARED:
            self.kept[facility] = self.kept.get(facility, 0) + 1
            return True
        return offset in self.watch.skipped

    def tell(self, quarantine: Quarantine, state: Literal["held", "refused", "released"], detail: str = "") -> None:
        """Queue a notice for operators."""
        self.notices.append(
            QuarantineNotice(
                state=state,
                facility=quarantine.facility,
                partition=quarantine.partition,
                begin=quarantine.begin,
                offset=quarantine.offset,
                deaths=quarantine.deaths,
                since_ms=quarantine.since,
                detail=detail,
            )
        )

    def take_due(self) -> list[tuple[bytes, bytes | None]]:
        """Return the rows to write, each once."""
        rows = [(key.encode(), value) for key, value in self._due.items()]
        self._due.clear()
        return rows

    def _stand(self, quarantine: Quarantine) -> None:
        self.quarantined[quarantine.facility] = quarantine
        self._due[f"quarantine-{quarantine.facility}"] = encode_note(quarantine)

    def _watch(self, **changes: object) -> None:
        self.watch = self.watch.model_copy(update=changes)
        self._due[f"watch-p{self.partition}"] = encode_note(self.watch)
