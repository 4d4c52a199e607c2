"""How many examples a property takes: all in `make test-full`, a share in `make test` and in the inner loop (tests/conftest.py)."""

from __future__ import annotations

from hypothesis import settings

WHOLE = 100
"""Hypothesis' own number, of which the profiles take their shares."""


def examples(number: int) -> int:
    """Return how many of `number` examples the profile in force takes, at least one.

    To be asked when a module is read, behind `pytest_configure`.
    """
    return max(1, number * settings.default.max_examples // WHOLE)
