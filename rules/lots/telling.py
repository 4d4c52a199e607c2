"""What the first fold tells of lots: facts made of trace events, of reports and of decisions, and what it keeps of these for it.

Facts are of the log alone: packs decide nothing of them, so packs that come later find them. Of the register a return asks whether it came
from an area of the firm, or goes to one, and each fact says which scopes it names (`rules/lots/scopes.py`). Whether telemetry belongs to a shipment (`rules/lots/watches.py`) asks it where series stand, and
the clock whether 24 hours are over.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeAlias

import msgspec
from pydantic import TypeAdapter, ValidationError

from rules.batches import Batches, PackedBatches, Seen
from rules.decisions import closes
from rules.eventtypes.types import STREAMS
from rules.facts import area_in_force
from rules.lots.facts import (
    MAX_LOT,
    MAX_PLACE,
    PRODUCT,
    Case,
    CaseOf,
    Dark,
    Decided,
    Entered,
    LotFact,
    Made,
    Moved,
    Notice,
    Payload,
    Read,
    SoldOf,
    Stop,
    product_name,
)
from rules.lots.scopes import Registered
from rules.lots.watches import WITHIN_MS, Found, Watches
from rules.rare.match import copies_of, digest_of, digest_of_batch, time_of
from rules.reports.reading import fields_of
from rules.reports.recalls import RecallNotice
from rules.reports.vigilance import AdrCase

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import numpy as np
    import numpy.typing as npt

    from rules.lots.sight import Sight
    from rules.records import Decision, Event, Events, Readings, RegisterRecord, Report
    from rules.register import Facility

MAX_REPORTS: Final = 5_000
"""Reports whose lots are remembered of a facility: a revision may name others; the one that was touched longest ago goes out first."""
MAX_NAMED: Final = 50_000
"""Lots that all of them name together."""
COUNTERS: Final = (
    "lot_unread", "lot_batch_repeated", "lot_batch_conflict", "lot_report_stale", "lot_report_dropped", "online_unknown", "online_left_out",
    "product_unnamed",
)  # fmt: skip
MADE: Final = frozenset({"produced", "imported"})
MOVED: Final = frozenset({"shipped", "sold", "arrived", "returned", "destroyed"})
SENT: Final = frozenset({"shipped", "sold"})
"""Types to which telemetry may belong."""
TYPES: Final = frozenset({*MADE, *MOVED, "stop-order"})
"""Types of trace events of which facts are made."""
REPORTS: Final = frozenset({"adr-case", "recall-notice"})
"""Types of reports of which facts are made."""

PackedNamed: TypeAlias = tuple[str, Annotated[int, msgspec.Meta(ge=1)], list[str]]
PackedTelling: TypeAlias = tuple[
    Annotated[int, msgspec.Meta(ge=0)], PackedBatches, list[PackedNamed], list[tuple[str, Annotated[int, msgspec.Meta(ge=1)]]]
]  # fmt: skip
"""In a snapshot: facts told, batches of events that told some, reports (`type id`, highest revision, its lots and product), counters."""
_PAYLOAD: TypeAdapter[Payload] = TypeAdapter(Payload)


@dataclass(slots=True)
class Telling:
    """What is kept of one facility so that each thing is told once."""

    told: int = 0
    """Facts that were told: the number of the newest one."""
    batches: Batches = field(default_factory=Batches)
    """Batches of events that named lots: an id that comes again changes nothing (contracts.md §1)."""
    reports: dict[str, tuple[int, tuple[str, ...]]] = field(default_factory=dict)
    """`type id` -> highest revision and what it names, lots and the product of a serious case; the one that was touched last stands last."""
    counts: dict[str, int] = field(default_factory=dict)
    held: int = 0
    """Lots that `reports` name together; follows from it."""
    watches: Watches = field(default_factory=Watches)
    """Shipments of which it is told whether telemetry belongs to them."""
    registered: Registered = field(default_factory=Registered)
    """What the facility is registered for, now and before."""

    @property
    def is_nothing(self) -> bool:
        """Say whether nothing was ever kept: a snapshot then has no such member."""
        return not (self.told or self.reports or self.counts or self.batches.next)

    def pack(self) -> PackedTelling:
        """Return the members for a snapshot."""
        reports = [(key, revision, list(lots)) for key, (revision, lots) in self.reports.items()]
        return (self.told, self.batches.pack(), reports, sorted(self.counts.items()))

    @classmethod
    def unpack(cls, packed: PackedTelling) -> Telling:
        """Return what packed members say."""
        told, batches, reports, counts = packed
        named = {key: (revision, tuple(lots)) for key, revision, lots in reports}
        held = sum(len(lots) for _, lots in named.values())
        return cls(told, Batches.unpack(batches), named, dict(counts), held)

    def counters(self) -> dict[str, int]:
        """Return what happened to what names lots; nothing where nothing did."""
        return {} if self.is_nothing else {"lot_facts": self.told, **dict.fromkeys(COUNTERS, 0), **self.counts}

    def count(self, what: str) -> None:
        """Count one thing that was not told."""
        self.counts[what] = self.counts.get(what, 0) + 1


def of_events(
    telling: Telling, facility: str, payload: Events, received: int, register: Facility | None = None, sight: Sight | None = None
) -> list[LotFact]:  # fmt: skip
    """Return the facts of a batch of events, in its order.

    Of events that are equal each counts: the second one has a digest of its own, so a copy of the batch under another id tells nothing new.

    Args:
        telling: of the facility; it is gone on with.
        facility: who sent it.
        payload: the batch.
        received: of its record as it stands in the log, ms.
        register: what is registered of the facility: it decides no fact, only which places of a return are its own.
        sight: what is known of its telemetry; None: it is not asked whether any belongs to a shipment.
    """
    named = [event for event in payload.events if event.stream == "trace" and event.type in TYPES]
    if not named:
        return []
    seen = telling.batches.meet_digest(payload.batch, digest_of_batch(payload), received)
    if seen is not Seen.NEW:
        telling.count("lot_batch_repeated" if seen is Seen.REPEATED else "lot_batch_conflict")
        return []
    read = Read(kind="events", id=payload.batch)
    facts: list[LotFact] = []
    lit: list[Found] = []
    for event, copy in zip(named, copies_of(named), strict=True):
        said = _said(event)
        if said is None:
            telling.count("lot_unread")
            continue
        at, told = time_of(event, received), _of_event(event, said, facility, register, received)
        members: dict[str, Any] = {"at": at, "record": read, "event": digest_of(event, copy)}
        made = _fact(telling, facility, received, lot=said["lot"], told=told, **members)
        facts += [] if made is None else [made]
        if event.type == "sold" and made is not None:
            sold = _of_product(telling, facility, received, said, members)
            facts += [] if sold is None else [sold]
        if sight is not None and made is not None and event.type in SENT:
            found, counted = telling.watches.meet(event, said, at, payload.batch, sight)
            lit += [] if found is None else [found]
            if counted:
                telling.count(counted)
    return [*_until(facts), *_of_found(telling, facility, received, "events", lit)]


def _of_product(
    telling: Telling, facility: str, received: int, said: dict[str, Any], members: dict[str, Any]
) -> LotFact | None:
    """Return what a sale tells of its product; None, and counted, where it names none of at most `MAX_PRODUCT` characters."""
    if said["quantity"] <= 0:
        return None
    name = product_name(said["product"]) if "product" in said else None
    if name is None:
        telling.count("product_unnamed")
        return None
    told = SoldOf(of=said["lot"], quantity=said["quantity"])
    return _fact(telling, facility, received, lot=name, told=told, **members)


def of_readings(
    telling: Telling, facility: str, payload: Readings, index: npt.NDArray[np.int64], received: int, sight: Sight
) -> list[LotFact]:
    """Return the facts of a batch of readings that did not come before: shipments to which telemetry belongs.

    Args:
        telling: of the facility; it is gone on with.
        facility: who sent it.
        payload: the batch.
        index: slot of each row, -1 where its tag is not registered.
        received: of its record as it stands in the log, ms.
        sight: what is known of its telemetry.
    """
    if not telling.watches.open:
        return []
    return _of_found(telling, facility, received, "readings", telling.watches.read(payload, index, sight))


def of_clock(telling: Telling, facility: str) -> list[LotFact]:
    """Return the facts of what is due first: online sales of which no telemetry is known 24 hours behind them."""
    facts: list[LotFact] = []
    for found in telling.watches.decide():
        facts += _of_found(telling, facility, found.due, "events", [found])
    return facts


def _of_found(telling: Telling, facility: str, received: int, kind: str, found: Iterable[Found]) -> list[LotFact]:
    facts: list[LotFact] = []
    for one in found:
        at = one.sent + (WITHIN_MS if one.kind == "dark" else 0)
        read = {"kind": kind, "id": one.record}
        made = _fact(telling, facility, received, lot=one.lot, at=at, record=read, told=one.told())
        facts += [] if made is None else [made]
    return facts


def _until(facts: list[LotFact]) -> list[LotFact]:
    """Let the facts of one record on one lot say which of them is the last: the lot is judged behind that."""
    last = {fact.lot: fact.n for fact in facts}
    many = Counter(fact.lot for fact in facts)
    return [fact.model_copy(update={"until": last[fact.lot]}) if many[fact.lot] > 1 else fact for fact in facts]


def _fact(telling: Telling, facility: str, received: int, **members: Any) -> LotFact | None:  # noqa: ANN401 - of the model
    """Return the next fact; None, and counted, where the log holds what no door lets through (a receipt behind 2100)."""
    told = members["told"]
    scoped = telling.registered.at(told.sold_at if isinstance(told, Dark) else members["at"])
    try:
        fact = LotFact(facility=facility, n=telling.told + 1, received=received, scoped=scoped, **members)
    except ValidationError:
        telling.count("lot_unread")
        return None
    telling.told += 1
    if not fact.lot.startswith(PRODUCT):  # what is told of products does not ask who told it
        telling.registered.wait(fact.lot)
    return fact


def _said(event: Event) -> dict[str, Any] | None:
    """Return the fields of an event, None where it does not fit its model or the lot's number is too long."""
    try:
        fields = STREAMS["trace"][event.type].model.model_validate(event.fields)
    except ValidationError:
        return None
    said = fields.model_dump(by_alias=True, exclude_none=True)
    return None if len(said["lot"]) > MAX_LOT else said


def _of_event(event: Event, said: dict[str, Any], facility: str, register: Facility | None, received: int) -> Payload:
    """Return what an event tells of its lot.

    Where a return comes from or goes to, an area of the facility is the facility: by its form it could be another one.
    """
    if event.type == "stop-order":
        return Stop(basis=said.get("basis"), known_at=said.get("known_at"))
    kind, model = ("made", Made) if event.type in MADE else ("moved", Moved)
    members = {info.alias or name for name, info in model.model_fields.items()}
    kept: dict[str, Any] = {name: value for name, value in said.items() if name in members}
    for name in {"from", "to"} & kept.keys():
        kept[name] = kept[name][:MAX_PLACE]
        if event.type == "returned" and register is not None and area_in_force(register, kept[name], received):
            kept[name] = facility
    return _PAYLOAD.validate_python(kept | {"fact": kind, "type": event.type})


def of_report(telling: Telling, facility: str, payload: Report, received: int) -> list[LotFact]:
    """Return the facts of a report, by lot; none of one that is no higher revision than what came before it.

    A revision tells the lots that it names, and those that the one before named and it does not. Arguments as of `of_events`.
    """
    if payload.type not in REPORTS:
        return []
    fields = fields_of(payload)
    if not isinstance(fields, AdrCase | RecallNotice):
        telling.count("lot_unread")
        return []
    key = f"{payload.type} {payload.id}"
    before, were = telling.reports.get(key, (0, ()))
    if payload.revision <= before or (payload.revision > 1 and not (payload.reason or "").strip()):
        telling.count("lot_report_stale")
        return []
    listed = dict.fromkeys(_lots_of(fields))
    lots = tuple(sorted(lot for lot in listed if len(lot) <= MAX_LOT))
    for _ in range(len(listed) - len(lots)):
        telling.count("lot_unread")
    names = (*lots, *_products_of(telling, fields))
    if not names and not were and payload.revision == 1:
        return []
    _keep(telling, key, payload.revision, names)
    read = Read(kind="report", id=f"{payload.id}/{payload.revision}")
    at = fields.known_at if isinstance(fields, AdrCase) else fields.notified_at
    facts: list[LotFact] = []
    for lot in sorted({*names, *were}):
        if lot.startswith(PRODUCT) and isinstance(fields, AdrCase):
            known = min(at, received)  # what is known ahead of its receipt would never be forgotten
            told: Payload = CaseOf(
                report=payload.id, revision=payload.revision, named=lot in names, case_id=fields.case_id,
                known_at=known, lots=list(lots),
            )  # fmt: skip
            made = _fact(telling, facility, received, lot=lot, at=known, record=read, told=told)
        else:
            told = _of_report(payload, fields, named=lot in names)
            made = _fact(telling, facility, received, lot=lot, at=at, record=read, told=told)
        facts += [] if made is None else [made]
    return facts


def of_decision(telling: Telling, facility: str, payload: Decision, received: int) -> list[LotFact]:
    """Return the fact of a decision that names a lot and closes an alarm of it; none of any other.

    One that comes again is told again: the second fold knows it by its id. Arguments as of `of_events`.
    """
    alarm = closes(payload)
    if payload.lot is None or alarm is None:
        return []
    try:
        told = Decided(alarm=alarm, code=payload.code)
    except ValidationError:
        telling.count("lot_unread")
        return []
    read = Read(kind="decision", id=f"{payload.id}/{payload.version}")
    made = _fact(telling, facility, received, lot=payload.lot, at=received, record=read, told=told)
    return [] if made is None else [made]


def of_register(telling: Telling, payload: RegisterRecord, received: int) -> list[LotFact]:
    """Return the facts of a register that is newer: those lots hear that the facility is registered which it told facts of before it was.

    Args:
        telling: of the facility; it is gone on with.
        payload: the register.
        received: of its record as it stands in the log, ms.
    """
    facility = payload.facility
    read = Read(kind="register", id=str(payload.version))
    facts: list[LotFact] = []
    for lot in telling.registered.take(facility, received):
        made = _fact(telling, facility.id, received, lot=lot, at=received, record=read, told=Entered())
        facts += [] if made is None else [made]
    return facts


def _lots_of(fields: AdrCase | RecallNotice) -> Iterator[str]:
    if isinstance(fields, AdrCase):
        yield from fields.lots or ()
    else:
        yield from (one.lot for one in fields.lots)


def _products_of(telling: Telling, fields: AdrCase | RecallNotice) -> Iterator[str]:
    """Yield the product of a serious case, as its facts are named."""
    if isinstance(fields, AdrCase) and fields.seriousness != "other":
        name = product_name(fields.product)
        if name is None:
            telling.count("product_unnamed")
        else:
            yield name


def _of_report(payload: Report, fields: AdrCase | RecallNotice, *, named: bool) -> Notice | Case:
    if isinstance(fields, AdrCase):
        return Case(
            report=payload.id, revision=payload.revision, named=named, case_id=fields.case_id,
            seriousness=fields.seriousness, known_at=fields.known_at, product=fields.product,
        )  # fmt: skip
    return Notice.model_validate(
        {
            "report": payload.id, "revision": payload.revision, "named": named, "recall_id": fields.recall_id,
            "class": fields.class_, "decided_at": fields.decided_at, "notified_at": fields.notified_at,
        }
    )  # fmt: skip


def _keep(telling: Telling, key: str, revision: int, names: tuple[str, ...]) -> None:
    """Put a report behind all others; those that were untouched for longest go out for it."""
    telling.held += len(names) - len(telling.reports.pop(key, (0, ()))[1])
    telling.reports[key] = revision, names
    while len(telling.reports) > 1 and (len(telling.reports) > MAX_REPORTS or telling.held > MAX_NAMED):
        gone = next(iter(telling.reports))
        telling.held -= len(telling.reports.pop(gone)[1])
        telling.count("lot_report_dropped")
