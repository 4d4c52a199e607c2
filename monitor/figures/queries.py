"""The desk's figures: added up from rows when somebody asks, with how new they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monitor.deadlines import queries as deadlines
from monitor.figures.views import Figures, FiguresAnswer, figures
from rules.figures.periods import Kind
from rules.instants import format_instant
from rules.models import Strict

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from monitor.deadlines.queries import Standing
    from monitor.figures.keeping import Shelf


class Filter(Strict):
    """Which periods of samples; as it stands in the address of `GET /v1/figures`."""

    period: Kind | None = None


def read(session: Session, shelf: Shelf, at: int) -> tuple[Figures, Standing]:
    """Return the figures at an instant (ms), and how new the rows are."""
    found = shelf.all(session)
    return figures(found, at, shelf.counted(found)), deadlines.standing(session)


def answer(session: Session, shelf: Shelf, wanted: Filter, at: int) -> FiguresAnswer:
    """Return the answer of the API at an instant, ms."""
    found, standing = read(session, shelf, at)
    told = found.model_dump() | {
        "sampling": [one for one in found.sampling if wanted.period in {None, one.kind}],
        "as_of": None if standing.as_of_ms is None else format_instant(standing.as_of_ms),
        "quarantined": standing.held,
        "unread": standing.unread,
    }
    return FiguresAnswer.model_validate(told)
