"""What is looked up of excursions, silences and deviations is what a search through all of them finds, whatever becomes of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rules.engine import Engine
from rules.excursions import book as books
from rules.excursions.compare import answered, covers, named_by, naming, overlaps, sensors_of
from rules.excursions.index import Index
from rules.facts import in_force
from rules.layout import NONE
from tests.examples import examples
from tests.rules import excursionlogs
from tests.rules.excursionlogs import FACILITY

if TYPE_CHECKING:
    from rules.excursions.book import Book, Deviation, Excursion
    from rules.records import LogRecord
    from rules.register import Facility

ASSETS = ["T1", "T2", "T3", "A1", "A2", "FAN", "X", ""]
BUNDLE = excursionlogs.bundle()
QUICK = settings(
    max_examples=examples(40), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.lists(st.sampled_from("xyz")), st.booleans())))
def test_an_index_knows_where_everything_stands(steps: list[tuple[str, list[str], bool]]) -> None:
    index, plain = Index(), dict[str, list[str]]()
    for key, names, stays in steps:
        plain.pop(key, None)
        if stays:
            index.put(key, names)
            plain[key] = names
        else:
            index.strike(key)
        for asked in ("x", "xy", "zyx", ""):
            assert index.of(asked) == [one for one, under in plain.items() if {*asked} & {*under}]


def stands_for(asset: str, one: Excursion, facility: Facility) -> bool:
    """Say the same as `covers`, by all devices."""
    named = asset in {one.tag, one.area} and asset != ""
    return named or any(device.id == asset and device.area == one.area for device in facility.devices)


def first_of(book: Book, one: Excursion, facility: Facility) -> Deviation | None:
    found = (d for d in book.deviations.values() if stands_for(d.asset, one, facility) and overlaps(d, one))
    return next(found, None)


def agrees(book: Book, facility: Facility) -> None:
    for one in [*book.excursions.values(), *book.silences.values()]:
        assert answered(one, book, facility) is first_of(book, one, facility)
        assert book.naming(naming(one, facility)) == [
            said for said in book.deviations.values() if stands_for(said.asset, one, facility)
        ]
    for asset in ASSETS:
        wanted = [one for one in book.excursions.values() if stands_for(asset, one, facility)]
        found = book.at(named_by(asset, facility))
        assert [one for one in found if covers(asset, one, facility)] == wanted
        assert [one for one in book.silent_at([asset]) if one.tag == asset and asset] == [
            one for one in book.silences.values() if one.tag == asset and asset
        ]
        areas = {asset, *(device.area for device in facility.devices if device.id == asset)}
        for at in (NONE, excursionlogs.BEGIN, excursionlogs.BEGIN + excursionlogs.DAY):
            assert sensors_of(asset, facility, at) == [
                sensor for sensor in in_force(facility, at) if sensor.tag == asset or sensor.area in areas
            ]


@pytest.mark.parametrize("most", [2_000, 2])
@given(log=excursionlogs.logs())
@QUICK
def test_what_is_looked_up_is_what_a_search_finds(most: int, log: list[LogRecord]) -> None:
    """Behind every record, and behind a restart; also where hardly anything is kept."""
    before = books.MAX_EXCURSIONS, books.MAX_DEVIATIONS
    books.MAX_EXCURSIONS = books.MAX_DEVIATIONS = most
    engine = Engine(BUNDLE)
    try:
        for record in log:
            engine.fold(record)
            state = engine.state_of(FACILITY)
            for rule, book in state.excursions.items():
                agrees(book, state.planned.facility)
                agrees(books.unpack(book.pack(rule))[1], state.planned.facility)
    finally:
        books.MAX_EXCURSIONS, books.MAX_DEVIATIONS = before
