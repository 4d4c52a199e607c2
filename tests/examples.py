"""How many examples a property takes: all in `make test-full`, a share in `make test` and in the inner loop (tests/conftest.py)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import HealthCheck, Phase, given, seed, settings

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from hypothesis.strategies import SearchStrategy

WHOLE = 100
"""Hypothesis' own number, of which the profiles take their shares."""


def examples(number: int) -> int:
    """Return how many of `number` examples the profile in force takes, at least one.

    To be asked when a module is read, behind `pytest_configure`.
    """
    return max(1, number * settings.default.max_examples // WHOLE)


def until_met(
    strategy: SearchStrategy[Any],
    take: Callable[[Any], object],
    met: Callable[[], bool],
    *,
    most: int,
    at_once: int = 25,
) -> None:
    """Draw examples, always the same ones, until what is looked for was met, `most` at most."""
    for number in range(-(-most // at_once)):

        @seed(number)
        @settings(
            max_examples=at_once,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(strategy)
        def look(drawn: Any) -> None:
            take(drawn)

        look()
        if met():
            return
