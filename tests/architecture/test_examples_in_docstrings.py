"""The examples in docstrings give what they print."""

from __future__ import annotations

import doctest
import importlib
from typing import TYPE_CHECKING

import pytest

from tests.architecture.test_architecture import ROOT, SOURCES

if TYPE_CHECKING:
    from pathlib import Path


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


WITH_EXAMPLES = [module_of(path) for path in SOURCES if ">>> " in path.read_text(encoding="utf-8")]


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_examples_hold(name: str) -> None:
    done = doctest.testmod(importlib.import_module(name))
    assert done.attempted > 0
    assert done.failed == 0


def test_the_rooms_have_examples() -> None:
    rooms = {name.partition(".")[0] for name in WITH_EXAMPLES}
    assert rooms == {"rules", "streams", "monitor"}
