"""`make test` takes a share of the examples of each property, the inner loop a smaller one, every other run takes all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from tests.conftest import INNER_LOOP, USUAL, pytest_configure
from tests.examples import examples

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def profile() -> Iterator[None]:
    name, before = settings.get_current_profile_name(), settings.default
    settings.load_profile("dev")
    yield
    settings.register_profile(name, before)
    settings.load_profile(name)


class Asked:
    def __init__(self, markexpr: str) -> None:
        self.option = self
        self.markexpr = markexpr


@pytest.mark.usefixtures("profile")
@pytest.mark.parametrize(
    ("markexpr", "share"),
    [("", 100), ("slow", 100), ("long", 100), ("not slow", USUAL), ("not slow and not kafka and not long", INNER_LOOP)],
)
def test_only_what_leaves_out_slow_suites_takes_fewer(markexpr: str, share: int) -> None:
    pytest_configure(Asked(markexpr))  # type: ignore[arg-type]  # all that is asked of a configuration
    assert (examples(100), examples(1)) == (share, 1)
    assert examples(3000) == 30 * share
    assert settings.default.deadline is None
