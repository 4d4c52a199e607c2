"""Special regimes that a facility stands under (workflow.md §7): what is registered of each, and from when to when it holds.

They are facts for people and for pages; no shipped rule asks for one. Texts of a licence say what it covers, ids say where that stands.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from pydantic import Field

from rules.errors import Fault
from rules.models import Identifier, Strict, Text
from rules.registerdays import Day

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

AreaIds = Annotated[list[Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,63}$")]], Field(max_length=2_000)]
Ids = Annotated[list[Identifier], Field(max_length=5_000)]
Line = Annotated[Text, Field(min_length=1, max_length=200)]


class _Regime(Strict):
    """What all have: an id, and the days on which it holds; no `from` is since ever, no `to` is until further notice."""

    id: Identifier
    from_: Day | None = Field(default=None, alias="from")
    """The first day, in the jurisdiction's zone."""
    to: Day | None = None
    """The last day."""


class DonorLot(Strict):
    """One link of the chain from donor to lot; the donor by a code that names nobody."""

    donor: Identifier
    lot: Identifier


class StemCellLicence(_Regime):
    """A licence of a cell product (干细胞药品许可): the tanks and rooms that are bound to it, and since when they are monitored."""

    kind: Literal["stem-cell-licence"]
    product: Identifier
    areas: AreaIds
    monitored_from: Day | None = None
    donor_lots: Annotated[list[DonorLot], Field(max_length=5_000)] | None = None


class TrialPilot(_Regime):
    """Membership in a pilot of trial institutions (试点机构), and its duties; `from` is the first day of membership."""

    kind: Literal["trial-pilot"]
    group: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,31}$")]
    """As in the label `pilot:GROUP` of workflow.md: trial-11."""
    duties: Annotated[list[Line], Field(max_length=50)] | None = None


class GreenChannelImport(_Regime):
    """An urgent import by the green channel (绿色通道进口): `id` is the approval's; lots outside of it are outside."""

    kind: Literal["green-channel-import"]
    product: Identifier
    lots: Ids
    port: Line
    areas: AreaIds | None = None
    """Where it is kept."""


class BondedZone(_Regime):
    """Drugs for rare diseases kept in a bonded zone (罕见病药品保税): zone, stock account, and where they are kept."""

    kind: Literal["rare-disease-bonded"]
    zone: Line
    account: Identifier
    products: Ids
    areas: AreaIds | None = None


class ImportedCosmeticsFiling(_Regime):
    """A filing of imported cosmetics (进口化妆品备案): `id` is the filing's; days of receipt and of completion."""

    kind: Literal["imported-cosmetics-filing"]
    agent: Line
    """Who answers for it in China."""
    product: Identifier | None = None
    received: Day
    completed: Day | None = None


Regime: TypeAlias = Annotated[
    StemCellLicence | TrialPilot | GreenChannelImport | BondedZone | ImportedCosmeticsFiling,
    Field(discriminator="kind"),
]
TITLES: dict[str, tuple[str, str]] = {
    "stem-cell-licence": ("干细胞药品许可", "Stem-cell licence"),
    "trial-pilot": ("临床试验机构试点", "Pilot of trial institutions"),
    "green-channel-import": ("绿色通道进口", "Green-channel import"),
    "rare-disease-bonded": ("罕见病药品保税", "Bonded zone for rare-disease drugs"),
    "imported-cosmetics-filing": ("进口化妆品备案", "Filing of imported cosmetics"),
}
"""What each is called, in Chinese and English."""
_ORDER = (("from", "to"), ("received", "completed"))


def regime_faults(
    regimes: list[tuple[int, dict[str, Any]]], areas: Collection[str], products: Collection[str]
) -> list[Fault]:
    """Return what stands twice, what names an area or a product that is not registered; of plain values, by their places.

    >>> [str(fault) for fault in regime_faults([(0, {"kind": "trial-pilot", "areas": ["R"]})], (), ())]
    ['/regimes/0/areas/0: unknown_area: area R is not registered']
    """
    faults, seen = [], set()
    for i, regime in regimes:
        name = (str(regime.get("kind")), str(regime.get("id")), str(regime.get("from")))
        if regime.get("id") is not None and name in seen:
            faults.append(Fault(f"/regimes/{i}/id", "stands_twice", f"{name[1]} stands twice"))
        seen.add(name)
        for place, value in _named(regime, "areas"):
            if value not in areas:
                faults.append(Fault(f"/regimes/{i}/{place}", "unknown_area", f"area {value} is not registered"))
        for place, value in [*_named(regime, "product"), *_named(regime, "products")]:
            if value not in products:
                faults.append(Fault(f"/regimes/{i}/{place}", "unknown_product", f"product {value} is not registered"))
    return faults


def backward(regime: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the pairs of members of which the second day cannot lie before the first."""
    yield from ((first, second) for first, second in _ORDER if first in regime and second in regime)


def _named(regime: dict[str, Any], member: str) -> Iterator[tuple[str, str]]:
    value = regime.get(member)
    if isinstance(value, list):
        yield from ((f"{member}/{k}", one) for k, one in enumerate(value) if isinstance(one, str))
    elif isinstance(value, str):
        yield member, value
