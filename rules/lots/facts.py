"""Facts of lots: what the first fold tells the second (architecture.md, topic `offsite.lots.v1`); small, closed, canonical JSON."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from rules.canonical import canonical_bytes
from rules.instants import EARLIEST_MS, LATEST_MS
from rules.models import PRINTABLE, FacilityId, Flag, Identifier, Number, Strict, Whole
from rules.register import Day

MAX_LOT = 64
"""Characters of a lot's number: its stream is `lot:` and this, and a stream is an id."""
MAX_PLACE = 64
"""Characters that a fact keeps of where something comes from or goes; who is a facility has fewer."""
AlarmId = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
MAX_TRIP = 128
"""Characters of a trip's name, as events have them."""
LotNumber = Annotated[str, Field(pattern=r"^[\x21-\x7e]{1,64}$")]
PRODUCT = "product "
"""Before the id of a product that facts are of: no lot's number has a blank."""
MAX_PRODUCT = 64
"""Characters of a product's id of which facts are told."""
SubjectName = Annotated[str, Field(pattern=r"^(product )?[\x21-\x7e]{1,64}$")]
"""A lot by its number, or a product by `PRODUCT` and its id."""
Ms = Annotated[Whole, Field(ge=EARLIEST_MS, le=LATEST_MS)]
"""An instant, ms since the epoch."""
Quantity = Annotated[Number, Field(ge=0)]
"""Units of the product."""
Place = Annotated[str, Field(min_length=1, max_length=MAX_PLACE), PRINTABLE]
TripName = Annotated[str, Field(min_length=1, max_length=MAX_TRIP), PRINTABLE]
ScopeName = Annotated[str, Field(pattern=r"^[a-z][a-z-]{0,31}/[a-z][a-z-]{0,31}$")]
_Revision = Annotated[Whole, Field(ge=1, le=100_000)]


class Made(Strict):
    """Something of a lot was produced or imported by the facility."""

    fact: Literal["made"] = "made"
    type: Literal["produced", "imported"]
    quantity: Quantity
    expiry: Day | None = None
    product: Identifier | None = None


class Moved(Strict):
    """Something of a lot left the facility, came to it, or was destroyed there."""

    fact: Literal["moved"] = "moved"
    type: Literal["shipped", "sold", "arrived", "returned", "destroyed"]
    quantity: Quantity
    from_: Place | None = Field(default=None, alias="from")
    """A facility, an area, or words; longer words are cut."""
    to: Place | None = None
    channel: Literal["shop", "online"] | None = None
    product: Identifier | None = None


class Stop(Strict):
    """The facility came to know that a lot must not move any more."""

    fact: Literal["stop"] = "stop"
    basis: Literal["recall", "order"] | None = None
    known_at: Ms | None = None
    """None: it does not say when; at the latest when it happened (`at` of the fact)."""


class _OfReport(Strict):
    """What a report says of a lot; of the same report of the same facility the highest revision counts."""

    report: Identifier
    revision: _Revision
    named: Flag = True
    """False: this revision does not name the lot any more."""


class Notice(_OfReport):
    """A holder recalls a lot."""

    fact: Literal["notice"] = "notice"
    recall_id: Identifier
    class_: Annotated[Whole, Field(ge=1, le=3)] = Field(alias="class")
    decided_at: Ms
    notified_at: Ms


class Case(_OfReport):
    """A case of an adverse drug reaction after a lot."""

    fact: Literal["case"] = "case"
    case_id: Identifier
    seriousness: Literal["death", "serious", "other"]
    known_at: Ms
    product: Identifier | None = None


class SoldOf(Strict):
    """Something of a lot of the product was sold by the facility (ADR 0090)."""

    fact: Literal["sold-of"] = "sold-of"
    of: LotNumber
    """The lot."""
    quantity: Quantity


class CaseOf(_OfReport):
    """A serious case, or a death, after the product; a revision that says another seriousness or product names it no more."""

    fact: Literal["case-of"] = "case-of"
    case_id: Identifier
    known_at: Ms
    lots: Annotated[list[LotNumber], Field(max_length=1_000)] = Field(default_factory=list)
    """The lots that it names, sorted; none: it counts for the product alone."""


OfProduct = SoldOf | CaseOf
"""Facts of a product: its sales by lot, and its serious cases."""


class Decided(Strict):
    """An officer's decision with a code that closes: it ends the latched alarm of the lot that it names (ADR 0075)."""

    fact: Literal["decided"] = "decided"
    alarm: AlarmId
    code: Annotated[str, Field(pattern=r"^[a-z-]{1,32}$")]


class _OfTrip(Strict):
    trip: TripName | None = None
    """None: the event names none."""


class Dark(_OfTrip):
    """The facility sold something online that must stay cold, and 24 hours behind that it knows no telemetry of its store or the shipment (ADR 0076).

    The fact's `at` is these 24 hours behind the sale; its `received` is when the clock found it.
    """

    fact: Literal["dark"] = "dark"
    sold_at: Ms
    """When it was sold, event time, ms."""
    late: Flag = False
    """The sale was told more than 24 hours behind it."""


class Lit(_OfTrip):
    """The facility has telemetry of its store or a vehicle in the 24 hours behind a shipment or sale (ADR 0076): the fact's `at` is that event's time."""

    fact: Literal["lit"] = "lit"


class Entered(Strict):
    """The facility is registered from now on: what it told of the lot before counts by this fact's `scoped` (ADR 0095)."""

    fact: Literal["entered"] = "entered"


Link = Dark | Lit
"""Facts of telemetry that belongs to a shipment of the lot; that one comes again changes nothing, by what it says."""
Payload = Annotated[
    Made | Moved | Stop | Notice | Case | SoldOf | CaseOf | Decided | Dark | Lit | Entered, Field(discriminator="fact")
]


class Read(Strict):
    """The record of the log that told a fact, as evidence names it: a batch of events or readings, a report with its revision, a decision or the register with its version."""

    kind: Literal["events", "report", "decision", "readings", "register"]
    id: Annotated[str, Field(min_length=1, max_length=160)]


def product_name(product: str) -> str | None:
    """Return the name under which facts of a product stand; None: its id is too long."""
    return f"{PRODUCT}{product}" if len(product) <= MAX_PRODUCT else None


class Scoped(Strict):
    """What the facility was registered for when the fact happened (of `dark`: when it was sold)."""

    scopes: Annotated[list[ScopeName], Field(max_length=64)] | None = None
    """`field/line`, sorted; None: nobody has registered the facility."""
    since: Ms | None = None
    """Since when, ms: what the register named before that time were other scopes; None: ever."""


class LotFact(Strict):
    """One fact of one lot, or of one product, told by one facility; (facility, n) is its identity."""

    facility: FacilityId
    n: Annotated[Whole, Field(ge=1)]
    """The facility's facts are counted without gaps, apart from its changes (`seq`)."""
    lot: SubjectName
    received: Ms
    """When the record that told it was received, ms: as it stands in the log, no clock enters; of `dark` when the clock found it."""
    at: Ms
    """When it happened (event time), ms; of a notice when the chain was told, of a case when it was known, of a decision its receipt.

    An event that is stamped more than five minutes ahead of its receipt counts as of when it was received."""
    record: Read
    event: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")] | None = None
    """Digest of all that an event says: one that is posted again in another batch is the same event."""
    until: Annotated[Whole, Field(ge=1)] | None = None
    """Of several facts that one record tells of a lot: the number of the last one. The lot is judged behind that, once; None: it is alone."""
    scoped: Scoped | None = None
    """None: a worker told it that did not say so; rules then count it as of a facility that they are for."""
    told: Payload

    @model_validator(mode="after")
    def _fits(self) -> LotFact:
        of_product = self.lot.startswith(PRODUCT)
        if not isinstance(self.told, Decided) and of_product != isinstance(self.told, OfProduct):
            raise ValueError(f"{self.told.fact} is no fact of {self.lot}")
        return self

    def to_json(self) -> dict[str, Any]:
        """Return its JSON value; what is not given is left out, instants are ms."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)

    def to_bytes(self) -> bytes:
        """Return canonical JSON (RFC 8785): equal facts give equal bytes."""
        return canonical_bytes(self.to_json())

    @classmethod
    def from_bytes(cls, raw: bytes) -> LotFact:
        """Return the fact of its JSON.

        Raises:
            ValidationError: it is none; all faults at once.
        """
        return cls.model_validate_json(raw)
