"""What many places cost the fold, in work counted and not in time: it grows with their number, and not with its square.

The scenes are those of `bench.many_due`: of areas, legal clocks and excursions. Counted are the instructions that Python takes in `rules/`, which are the same in each run, and how often
all series and places are looked through by compiled code.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import pytest

import rules
from bench.many_scenes import SCENES
from bench.report_scenes import REPORTED
from rules import agenda, facts, kernels, places
from rules.engine import Engine
from rules.pack import default_bundle

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from bench.many_scenes import Scene

RULES = str(Path(rules.__file__).parent)
FEW, MANY = 17, 65
"""Areas of a scene, the office among them: four times as many rooms are many."""
ONE = ("door_silent", "register", "register_again", "register_silent", "packs")
"""Scenes that are one record of the facility or of all."""


def begun(scene: Scene) -> Engine:
    """Return an engine that has folded what leads to a scene."""
    engine = Engine(default_bundle())
    for record in scene.before:
        engine.fold(record)
    return engine


def instructions(scene: Scene) -> int:
    """Return how many instructions of Python the fold of a scene takes."""
    engine, taken = begun(scene), 0

    def each(_: FrameType, event: str, __: Any) -> Callable[..., Any]:
        nonlocal taken
        taken += event == "opcode"
        return each

    def called(frame: FrameType, _: str, __: Any) -> Callable[..., Any] | None:
        if not frame.f_code.co_filename.startswith(RULES):
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        return each

    before = sys.gettrace()
    sys.settrace(called)
    try:
        for record in scene.measured:
            engine.fold(record)
    finally:
        sys.settrace(before)
    return taken


def looks(scene: Scene) -> Counter[str]:
    """Return how often the fold of a scene looks at all that is due, and at all places, and how many changes it makes."""
    engine, found = begun(scene), Counter[str]()
    look, series, built = places.all_rises, kernels.next_due, facts.RegisteredFacts.__init__
    due = agenda.Agenda.__init__

    def counted(name: str, step: Callable[..., Any]) -> Callable[..., Any]:
        def taken(*args: Any, **options: Any) -> Any:
            found[name] += 1
            return step(*args, **options)

        return taken

    with (
        patch.object(places, "all_rises", counted("places", look)),
        patch.object(kernels, "next_due", counted("series", series)),
        patch.object(agenda.Agenda, "__init__", counted("agendas", due)),
        patch.object(facts.RegisteredFacts, "__init__", counted("facts", built)),
    ):
        for record in scene.measured:
            found["changes"] += len(engine.fold(record))
            found["records"] += 1
    return found


ALL = SCENES | REPORTED


@pytest.mark.parametrize("name", ALL)
def test_work_grows_with_the_number_of_areas(name: str) -> None:
    few, many = (instructions(ALL[name](number)) for number in (FEW, MANY))
    assert few > 1_000
    assert many / few < 4.3, "sixteen times as much is a square"


@pytest.mark.parametrize(
    "name",
    [
        "together",
        "back_together",
        "back_in_part",
        "door",
        "limits_by_clock",
        "limits_by_rows",
        "boxes",
        "clocks",
        "excursions",
        *ONE,
    ],
)
def test_what_is_due_at_one_instant_is_looked_up_once_however_much_it_is(name: str) -> None:
    few, many = looks(ALL[name](FEW)), looks(ALL[name](MANY))
    if name not in ONE:
        assert many["changes"] > 3 * few["changes"] > 0
    for what in ("places", "series", "agendas", "facts"):
        assert many[what] == few[what]


@pytest.mark.parametrize("name", ["one_by_one", "back_one_by_one", "silent_marked", "marked_late", "again"])
def test_what_is_due_one_after_the_other_is_looked_up_no_more_than_twice_for_each(name: str) -> None:
    found = looks(SCENES[name](MANY))
    assert 0 < max(found["places"], found["series"]) <= 2 * (found["records"] + found["agendas"])
    assert found["agendas"] <= found["changes"]


def test_the_scenes_are_within_the_contract_at_their_largest() -> None:
    """2,000 areas, 5,000 series: a facility that breaks no bound of contracts.md §2."""
    assert len(SCENES["register"](2_000).measured[0].payload.facility.areas) == 2_000
    assert len(SCENES["limits_by_clock"](1_000).before[0].payload.facility.sensors) == 4_996
