"""Kernels: one compiled form for each type of arguments, and a cache that knows its sources."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import rules.jit
from rules.jit import kernel


@kernel
def inner(number: int, other: int, times: int = 1) -> int:
    """Stand for a step that is called with a number that is known and with one that is not."""
    return number * 10 + other * times


@kernel
def outer(number: int) -> tuple[int, int, int]:
    """Call the step with literal numbers, with its argument, and by name."""
    return inner(1, 2), inner(number, -1), inner(number, other=3, times=2)


def test_a_number_that_stands_in_a_call_makes_no_form_of_its_own() -> None:
    assert outer(4) == (12, 39, 46)
    compiled: Any = inner
    assert len(compiled.signatures) == 2  # with `times` left out, and given
    assert not [each for each in compiled.signatures if "Literal" in repr(each)]


def test_the_same_function_still_answers_python() -> None:
    assert inner(1, 2) == 12
    assert inner(1, 2, times=2) == 14


def copied(folder: Path) -> Path:
    """Copy what the cache's name is made of."""
    here = Path(rules.jit.__file__).parent
    names = [
        "kernels.py",
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
    "name", ["kernels.py", "ring.py", "layout.py", "fields.py", "jit.py", "kinds/limit.py", "kinds/telling.py"]
)
def test_a_change_of_any_source_is_another_cache(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = rules.jit._source_hash()
    folder = copied(tmp_path / "rules")
    monkeypatch.setattr("rules.jit.__file__", str(folder / "jit.py"))
    assert rules.jit._source_hash() == before
    with (folder / name).open("a") as source:
        source.write("# another line\n")
    assert rules.jit._source_hash() != before
