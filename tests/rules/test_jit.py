"""Kernels: one compiled form for each type of arguments, and a cache that knows its sources."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numba
import pytest

import rules.jit
from rules.jit import kernel, one_form


def inner(number: int, other: int, times: int = 1) -> int:
    """Stand for a step that is called with a number that is known and with one that is not."""
    return number * 10 + other * times


def outer(number: int) -> tuple[int, int, int]:
    """Call the step with literal numbers, with its argument, and by name."""
    return inner(1, 2), inner(number, -1), inner(number, other=3, times=2)


def test_a_number_that_stands_in_a_call_makes_no_form_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    step: Any = one_form(numba.njit(inner))
    monkeypatch.setattr(f"{__name__}.inner", step)
    assert numba.njit(outer)(4) == (12, 39, 46)
    assert len(step.signatures) == 2  # with `times` left out, and given
    assert not [each for each in step.signatures if "Literal" in repr(each)]


def test_numba_alone_makes_a_form_for_each_number(monkeypatch: pytest.MonkeyPatch) -> None:
    step: Any = numba.njit(inner)  # where this is no longer so, `one_form` has no use
    monkeypatch.setattr(f"{__name__}.inner", step)
    assert numba.njit(outer)(4) == (12, 39, 46)
    assert len(step.signatures) == 3


def test_a_kernel_answers_python_too() -> None:
    step = kernel(inner)
    assert step(1, 2) == 12
    assert step(1, 2, times=2) == 14


def copied(folder: Path) -> Path:
    """Copy what the cache's name is made of."""
    here = Path(rules.jit.__file__).parent
    names = [
        "kernels.py",
        "horizon.py",
        "holes.py",
        "held.py",
        "prefetch.py",
        "rises.py",
        "rowclass.py",
        "ring.py",
        "layout.py",
        "fields.py",
        "jit.py",
        *(f"kinds/{each.name}" for each in here.glob("kinds/*.py")),
    ]
    for name in names:
        (folder / name).parent.mkdir(exist_ok=True, parents=True)
        (folder / name).write_bytes((here / name).read_bytes())
    return folder


@pytest.mark.parametrize(
    "name",
    [
        "kernels.py",
        "horizon.py",
        "holes.py",
        "held.py",
        "prefetch.py",
        "rises.py",
        "rowclass.py",
        "ring.py",
        "layout.py",
        "fields.py",
        "jit.py",
        "kinds/limit.py",
        "kinds/last_digit.py",
        "kinds/smooth.py",
        "kinds/steadiness.py",
        "kinds/telling.py",
    ],
)
def test_a_change_of_any_source_is_another_cache(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = rules.jit._source_hash()
    folder = copied(tmp_path / "rules")
    monkeypatch.setattr("rules.jit.__file__", str(folder / "jit.py"))
    assert rules.jit._source_hash() == before
    with (folder / name).open("a") as source:
        source.write("# another line\n")
    assert rules.jit._source_hash() != before
