"""Every fault of what was posted as a report, a mark or events, each at a JSON pointer that leads somewhere, in bounded time.

Three looks: at the JSON alone (entries, numbers), through the model, and at what must not stand together or cannot have happened in
that order. The last one reads what it can, whatever else is wrong.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, TypeAlias

from pydantic import ValidationError

from rules.faults import FaultCode, FaultList, code_of, told
from rules.instants import EARLIEST_MS, LATEST_MS, parse_instant, start_of_day
from rules.jsontext import is_finite
from rules.readingfaults import MAX_SEQ
from rules.register import UNITS, ZONE
from rules.reports.parts import MAX_ENTRIES, MAX_MEMBERS, MAX_VALUES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic import BaseModel

    from rules.reports.parts import Choice, Fields

Path: TypeAlias = tuple[str | int, ...]


class Seen:
    """The faults of one document, and where its JSON alone is at fault: there a model says nothing more."""

    def __init__(self, value: Any) -> None:  # noqa: ANN401 - any JSON value
        self.faults = FaultList()
        self.too_many = False
        """Something has more entries than anything may have: it was not looked into, and nothing else is."""
        self._values = 0
        self._spoilt: set[Path] = set()
        self._look(value, ())

    def add(self, code: FaultCode, detail: str, *path: str | int) -> None:
        """Add a fault."""
        self.faults.add(code, detail, *path)

    def _spoil(self, code: FaultCode, detail: str, path: Path) -> None:
        self._spoilt.add(path)
        self.faults.add(code, detail, *path)

    def _look(self, value: Any, path: Path) -> None:  # noqa: ANN401 - any JSON value
        """Look at a value of JSON whose depth is bounded."""
        if isinstance(value, list | dict):
            is_entry = isinstance(value, dict) and bool(path) and isinstance(path[-1], int)
            most = MAX_MEMBERS if is_entry else MAX_ENTRIES
            self._values += len(value)
            if len(value) > most:
                self.too_many = True
                self._spoil(FaultCode.TOO_MANY, f"{len(value)}; at most {most}", path)
                return
            if self._values > MAX_VALUES:
                if () not in self._spoilt:
                    self.too_many = True
                    self._spoil(FaultCode.TOO_MANY, f"at most {MAX_VALUES} values in all", ())
                return
            for place, inner in value.items() if isinstance(value, dict) else enumerate(value):
                if isinstance(inner, list | dict | int | float):
                    self._look(inner, (*path, place))
        elif isinstance(value, float) and not is_finite(value):
            self._spoil(FaultCode.NOT_FINITE, "a finite number is needed", path)
        elif isinstance(value, int) and abs(value) > MAX_SEQ:
            self._spoil(FaultCode.OUT_OF_RANGE, f"whole numbers lie within {-MAX_SEQ} to {MAX_SEQ}", path)

    def through(self, model: type[BaseModel], value: Any, *path: str | int) -> None:  # noqa: ANN401 - any JSON value
        """Add what a model says of the part of the document that stands at `path`."""
        try:
            model.model_validate(value)
        except ValidationError as error:
            for item in error.errors(include_url=False, include_input=False):
                code = code_of(item)
                if not self.faults.has_room and not self._spoilt:
                    self.faults.counts[code.value] += 1
                    continue
                below = _place(value, item["loc"], missing=code is FaultCode.MISSING)
                if (*path, *below) in self._spoilt:
                    continue
                self.faults.add(code, told(item)[1] if self.faults.has_room else "", *path, *below)

    def choose(self, choice: Choice, members: dict[str, Any], *path: str | int) -> None:
        """Add what a choice says of the object that stands at `path`."""
        given = choice.given(members)
        if len(given) < choice.least:
            self.add(FaultCode.MISSING, f"one of {', '.join(choice.names)} is needed", *path, choice.names[0])
        for name in given[choice.most :]:
            self.add(FaultCode.NOT_TOGETHER, f"not beside {given[0]}", *path, name)


def _place(value: Any, location: tuple[str | int, ...], *, missing: bool) -> Path:  # noqa: ANN401 - any JSON value
    """Return where a model's fault lies: its own words for a key or for one of several forms are no places."""
    found: list[str | int] = []
    for part in location:
        inside = part in value if isinstance(value, dict) else isinstance(value, list) and part in range(len(value))
        if not inside:
            return (*found, part) if missing and isinstance(value, dict) else tuple(found)
        value = value[part]
        found.append(part)
    return tuple(found)


def what_cannot_be(
    model: type[Fields], fields: dict[str, Any], seen: Seen, *path: str | int, sent: int | None = None
) -> None:
    """Add what must not stand together in fields, units that no reading has, and what cannot have happened in the order that they say.

    Args:
        model: of the fields.
        fields: as posted.
        seen: the document's faults so far.
        path: where the fields stand.
        sent: the envelope's instant, ms.
    """
    for choice in model.CHOICES:
        seen.choose(choice, fields, *path)
    for name in model.UNIT_MEMBERS:
        unit = fields.get(name)
        if isinstance(unit, str) and unit.strip() and unit not in UNITS.values():
            seen.add(
                FaultCode.WRONG_UNIT,
                f"units are those of readings: {' '.join(dict.fromkeys(UNITS.values()))}",
                *path,
                name,
            )
    said = set()
    for first, second in model.ORDER:
        ends = [sent] if second == "sent" else [end for _, _, end in _spans(fields, second)]
        for place, begin, _ in _spans(fields, first):
            if place not in said and any(end is not None and begin > end for end in ends):
                said.add(place)
                seen.add(FaultCode.IMPOSSIBLE_TIME, f"lies behind {second}", *path, *place)


def _spans(fields: dict[str, Any], name: str) -> Iterator[tuple[Path, int, int]]:
    """Yield path, first and last ms of each instant under a name; `list/*/member` names one in each entry of a list."""
    head, _, member = name.partition("/*/")
    value = fields.get(head)
    if not member:
        span = _span(value, is_year=head == "year")
        if span is not None:
            yield (head,), *span
        return
    for i, entry in enumerate(value if isinstance(value, list) else []):
        span = _span(entry.get(member), is_year=False) if isinstance(entry, dict) else None
        if span is not None:
            yield (head, i, member), *span


def _span(value: Any, *, is_year: bool) -> tuple[int, int] | None:  # noqa: ANN401 - any JSON value
    """Return the first and last ms of an instant, of a day or of a year; None where it is none."""
    try:
        if is_year:
            begin, behind = date(value, 1, 1), date(value + 1, 1, 1)
        elif isinstance(value, str) and len(value) == len("2026-01-01"):
            begin = date.fromisoformat(value)
            behind = begin + timedelta(days=1)
        else:
            instant = instant_of(value)
            return None if instant is None else (instant, instant)
        return start_of_day(begin, ZONE), start_of_day(behind, ZONE) - 1
    except (TypeError, ValueError, OverflowError):
        return None


def instant_of(value: Any) -> int | None:  # noqa: ANN401 - any JSON value
    """Return the ms of an instant as it may be posted, None of anything else."""
    if type(value) is int:
        return value if EARLIEST_MS <= value <= LATEST_MS else None
    try:
        return parse_instant(value) if isinstance(value, str) else None
    except ValueError:
        return None
