"""Python's search for garbage, while the state of a worker is made and afterwards.

A restore makes millions of objects that stay. Looking among them again and again took a fifth of its CPU, and each full search of
a worker with 100,000 series would hold up the fold for as long as that takes.
"""

from __future__ import annotations

import gc
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_aside: list[bool] = []


@contextmanager
def much_is_made() -> Iterator[None]:
    """Look for no garbage until it is made, nor among it from then on: only `given_up` looks there again."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        _aside.append(True)
        gc.enable()


def given_up() -> None:
    """Look among everything again, where `much_is_made` has put something aside: it is not needed any more."""
    if _aside:
        _aside.clear()
        gc.unfreeze()
