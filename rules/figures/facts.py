"""What figures need of one facility: out of its state, or out of its snapshot alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import msgspec
from pydantic import Field

from rules.figures.book import DROPPED, FigureBook, Sample, Step
from rules.models import Strict

if TYPE_CHECKING:
    from rules.state import FacilityState

Line = Literal["drug", "device", "cosmetics"]
LINES: tuple[Line, ...] = ("drug", "device", "cosmetics")
_OF_CLASS: dict[str, Line] = {"device": "device", "cosmetic": "cosmetics"}
"""Product classes that are no drugs."""


class _Risk(msgspec.Struct):
    grade: str
    last_visit: str | None = None


class _Scope(msgspec.Struct):
    field: str
    line: str


class _Product(msgspec.Struct):
    id: str
    of: str = msgspec.field(name="class")


class Registered(msgspec.Struct):
    """The members of a registered facility that figures ask for; a register of thousands of sensors is not checked again for them."""

    risk: _Risk | None = None
    scopes: list[_Scope] = []
    products: list[_Product] = []


_REGISTERED = msgspec.json.Decoder(Registered)


class FacilityFacts(Strict):
    """One facility. Instants in ms."""

    facility: str
    registered: bool
    """Whether any register record of it was read: samples may come from who is not registered."""
    grade: str | None
    """As it is registered now."""
    grades: list[tuple[int, str]]
    """Since when which one is registered, log time; empty words: none."""
    last_visit: str | None
    """The day that the register names ..."""
    days: list[str] = Field(default_factory=list)
    """... and those that it named before."""
    visits: list[int]
    """When it was visited on site and in full, event time, oldest first."""
    steps: list[Step]
    scopes: list[tuple[str, str]]
    """Pairs of field and line, as registered now."""
    scoped: list[tuple[int, list[tuple[str, str]]]] = Field(default_factory=list)
    """Since when which, log time; empty: they never changed."""
    lines: dict[str, Line]
    """Of its registered products, and of those that were, by id."""
    samples: list[Sample]
    """That it reports, drawn anywhere."""
    dropped: int
    """Reports of samples that are kept no more."""

    def grade_at(self, instant: int) -> str | None:
        """Return the grade that was registered at a log time, ms; None without one."""
        if not self.grades:
            return self.grade
        found = [grade for since, grade in self.grades if since <= instant]
        return (found[-1] or None) if found else None

    def scopes_at(self, instant: int) -> list[tuple[str, str]]:
        """Return the fields and lines that were registered at a log time, ms; what is older than all that is kept is the oldest."""
        found = [scopes for since, scopes in self.scoped if since <= instant]
        return found[-1] if found else self.scoped[0][1] if self.scoped else self.scopes

    def is_in(self, field: str, line: str, instant: int) -> bool:
        """Say whether it is supervised in a field and line at a log time, ms; `all` matches any."""
        return any(of in {"all", field} and to in {"all", line} for of, to in self.scopes_at(instant))

    def line_of(self, product: str, instant: int) -> Line | None:
        """Return the line of a product: as registered, else that of all its scopes at a log time (ms); None: it cannot be said."""
        scoped: set[str] = {line for _, line in self.scopes_at(instant)}
        only = next((line for line in LINES if scoped == {line}), None)
        return self.lines.get(product, only)


def facts(name: str, register: str | None, book: FigureBook) -> FacilityFacts:
    """Return what figures need of a facility.

    Args:
        name: its id.
        register: as it is registered now, JSON; None: it is not.
        book: what the fold keeps of it.

    Raises:
        msgspec.MsgspecError: that is no registered facility.
    """
    return _facts(name, None if register is None else _REGISTERED.decode(register), book)


def facts_of(state: FacilityState) -> FacilityFacts:
    """Return what figures need of a facility that was folded."""
    told: dict[str, Any] | None = None
    if state.plan is not None:
        told = state.plan.facility.model_dump(mode="json", by_alias=True, include={"risk", "scopes", "products"})
    return _facts(state.facility, None if told is None else msgspec.convert(told, Registered), state.figures)


def _facts(name: str, register: Registered | None, book: FigureBook) -> FacilityFacts:
    risk = None if register is None else register.risk
    registered = {} if register is None else {one.id: one.of for one in register.products}
    return FacilityFacts(
        facility=name,
        registered=register is not None,
        grade=None if risk is None else risk.grade,
        grades=book.grades,
        last_visit=None if risk is None else risk.last_visit,
        visits=sorted(visit.done for visit in book.visits.values() if visit.counts),
        steps=list(book.steps.values()),
        days=book.days,
        scopes=[] if register is None else [(scope.field, scope.line) for scope in register.scopes],
        scoped=book.scopes,
        lines={name: _OF_CLASS.get(of, "drug") for name, of in (book.products | registered).items()},
        samples=list(book.samples.values()),
        dropped=book.counts.get(DROPPED, 0),
    )
