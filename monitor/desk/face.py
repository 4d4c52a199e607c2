"""What the strips of every page show besides alarms: whether the desk is up to date, and how many operators' alarms stand.

Alarms come as numbered steps; of this only the newest matters, so it has a mark instead: a page that shows the mark shows
what stands, and any other one must ask again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from monitor.alarms import operators
from monitor.store.session import StoreDownError

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.orm import Session

    from monitor.desk.parts import Desk

MARK = r"^[a-z0-9.:-]{1,120}$"


@dataclass(frozen=True, slots=True)
class Face:
    """What the strips show."""

    standing: str | None
    """Why the rows may be old (`Standing`); none if they are not."""
    operators: int
    told: str
    """Changes with every operators' alarm that is opened, counted or closed, and with every record that was not taken in."""

    @property
    def mark(self) -> str:
        """Return a text that differs where the strips differ."""
        return f"{self.standing or 'new'}:{self.told}"

    def data(self) -> dict[str, object]:
        """Return the event's JSON."""
        return {"standing": self.standing, "operators": self.operators, "mark": self.mark}


def face_of(desk: Desk, session: Session) -> Face:
    """Return what the strips show now."""
    count, told = operators.mark(session)
    counts, _ = desk.rejections.view()
    refused = sum(number for _, _, number in counts)
    return Face(_standing(desk), count, f"{told}.{refused}")


def watched(desk: Desk) -> Callable[[], Face | None]:
    """Return what the live stream asks: while the store is away, its part stays as it was. None before the first time."""
    last: list[Face] = []

    def look() -> Face | None:
        try:
            with desk.store.reading() as session:
                last[:] = [face_of(desk, session)]
        except StoreDownError:
            last[:] = [replace(face, standing=_standing(desk)) for face in last]
        return last[0] if last else None

    return look


def _standing(desk: Desk) -> str | None:
    old = None if desk.watch is None else desk.watch.standing()
    return None if old is None else old.value
