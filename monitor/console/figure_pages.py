"""The page of figures over all facilities. It only reads."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Request, Response

from monitor.console.deadline_pages import OLD_MS
from monitor.console.pages import frame
from monitor.console.render import language_of, page
from monitor.console.texts import text
from monitor.desk.parts import Desk, Parts, RefusedError, Signed, check_origin
from monitor.figures import queries
from rules.figures.facts import LINES
from rules.figures.periods import SHOWN, Kind
from rules.instants import parse_instant
from rules.models import Strict

if TYPE_CHECKING:
    from monitor.accounts.sessions import Person
    from monitor.figures.views import Figures, Grade, JudgedView, SamplingView, ShareView, TargetView, YearView

router = APIRouter(include_in_schema=False, dependencies=[Depends(check_origin)])
GRADES: tuple[Grade, ...] = ("A", "B", "C", "D")
UNKNOWN = "unknown"
TOLD = 2
"""Periods whose missed target is told above the table: the one that runs, and the one before."""


class Wanted(Strict):
    """What the page shows; as it stands in its address."""

    by: Kind = "month"
    year: str | None = None
    """None: the one that runs."""


@router.get("/figures")
def figures_page(request: Request, desk: Parts, person: Signed) -> Response:
    """Show the figures."""
    return page(request, "figures.html", person, page="figures", **_figures(request, desk, person))


@router.get("/figures/rows")
def figures_rows(request: Request, desk: Parts, person: Signed) -> Response:
    """Give what the page holds alone, for the live update."""
    return page(request, "_figures.html", person, **_figures(request, desk, person))


def _figures(request: Request, desk: Desk, person: Person) -> dict[str, Any]:
    given = {key: value for key, value in request.query_params.items() if value != ""}
    try:
        wanted = Wanted.model_validate(given)
    except ValueError as error:  # pydantic's is one too
        raise RefusedError(HTTPStatus.UNPROCESSABLE_ENTITY, "bad_filter") from error
    language, now = language_of(request, person), desk.clock_ms()
    with desk.store.reading() as session:
        shared = frame(session, desk)
        found, standing = queries.read(session, desk.shelf, now)
    year = next((one for one in found.years if one.year == (wanted.year or found.years[0].year)), None)
    if year is None:
        raise RefusedError(HTTPStatus.UNPROCESSABLE_ENTITY, "bad_filter")
    targets = {one.name: one for one in found.targets}
    notes = {"held": standing.held, "unread": standing.unread, "dropped": found.dropped}
    return shared | _sampling(found, wanted, targets["sampling"], language) | {
        "year": year.year,
        "year_runs": year.running,
        "years": [(one.year, _url(given | {"year": one.year}), one is year) for one in found.years],
        "bys": [(kind, _url(given | {"by": kind}), kind == wanted.by) for kind in SHOWN],
        "grades": [*((grade, getattr(found.grades, grade)) for grade in GRADES), (None, found.grades.none)],
        "visits": [_visits(year, grade) for grade in GRADES],
        "judged": [_judged(one, targets[one.target]) for one in year.judged],
        "ahead": [one for name, one in targets.items() if name != "sampling" and name not in {j.target for j in year.judged}],
        "steps": [(one.year, one.running, one.steps) for one in found.years],
        "targets": found.targets,
        "as_of": standing.as_of_ms,
        "outdated": standing.as_of_ms is not None and now - standing.as_of_ms > OLD_MS,
        "notes": [text(f"figures.{name}", language, n=n) for name, n in notes.items() if n],
        "now": now,
        "rows_url": _url(given, "/figures/rows"),
    }  # fmt: skip


def _sampling(found: Figures, wanted: Wanted, target: TargetView, language: str) -> dict[str, Any]:
    """Return the table of samples: a row a period, a column a line; and its newest rows that miss the target."""
    shown = [one for one in found.sampling if one.kind == wanted.by]
    lines = [line for line in (*LINES, None) if any(one.line == line for one in shown)]
    periods = list(dict.fromkeys((one.period, one.running) for one in shown))
    cells = {(one.period, one.line): _cell(one) for one in shown}
    names = {line: text(f"line.{line or UNKNOWN}", language) for line in lines}
    missed = [one for one in shown if one.missed and one.period in {name for name, _ in periods[:TOLD]}]
    return {
        "by": wanted.by,
        "lines": list(names.values()),
        "rates": [(name, running, [(names[line], cells[name, line]) for line in lines]) for name, running in periods],
        "missed": [(names[one.line], one.period, one.running, _cell(one)) for one in missed],
        "target": target,
    }


def _cell(one: SamplingView) -> dict[str, Any]:
    return {
        "percent": percent(one.percent),
        "samples": one.samples,
        "passed": one.passed,
        "unretested": one.unretested,
        "missed": one.missed,
    }


def _visits(year: YearView, grade: Grade) -> tuple[str, dict[str, Any], dict[str, Any]]:
    return grade, _share(year.all[grade]), _share(year.trials[grade])


def _share(share: ShareView) -> dict[str, Any]:
    return {"facilities": share.facilities, "visited": share.visited, "percent": percent(share.percent)}


def _judged(judged: JudgedView, target: TargetView) -> dict[str, Any]:
    return {
        "at": parse_instant(judged.at) - 1,
        "missed": judged.missed,
        "share": _share(judged.share),
        "target": target,
    }


def percent(value: float | None) -> str | None:
    """Return a share for people, None where there is none.

    >>> percent(98.5), percent(None)
    ('98.50 %', None)
    """
    return None if value is None else f"{value:.2f} %"


def _url(query: dict[str, str], path: str = "/figures") -> str:
    return f"{path}?{urlencode(query)}" if query else path
