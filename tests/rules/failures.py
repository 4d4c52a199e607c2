"""Lets rules raise where a test says so: behind a change that they emit, in the midst of a step."""

from __future__ import annotations

import zlib
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from rules import engine, failing
from rules.changes import alarm_id
from rules.emission import Emitter
from rules.fitting import RULE_FAILED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from rules.changes import Change


class BrokenError(Exception):
    """What a broken rule raises."""


@contextmanager
def failing_at(chosen: Callable[[Change], bool]) -> Iterator[None]:
    """Let each step raise that emits a change which is `chosen`; what it is, not how often, must decide that."""
    emit, put_aside, resume = Emitter.emit, failing._put_aside, failing.resume
    quiet = [False]

    def raising(self: Emitter, *args: Any, **options: Any) -> None:
        emit(self, *args, **options)
        if not quiet[0] and chosen(self.changes[-1]):
            raise BrokenError

    def quietly(step: Callable[..., Any]) -> Callable[..., Any]:
        def taken(*args: Any, **options: Any) -> Any:  # what the monitor says of a failed rule is no step of that rule
            before, quiet[0] = quiet[0], True
            try:
                return step(*args, **options)
            finally:
                quiet[0] = before

        return taken

    with (
        patch.object(Emitter, "emit", raising),
        patch.object(failing, "_put_aside", quietly(put_aside)),
        patch.object(engine, "resume", quietly(resume)),
    ):
        yield


def by_chance(seed: int, one_in: int) -> Callable[[Change], bool]:
    """Choose one in so many changes, by what they say: the same ones each time, wherever an engine began."""

    def chosen(change: Change) -> bool:
        said = f"{seed} {change.rule} {change.change} {change.received} {change.at} {sorted(change.subject.items())}"
        return zlib.crc32(said.encode()) % one_in == 0

    return chosen


def hold_against_the_book(changes: Iterable[Change], facility: str) -> Counter[str]:
    """Hold every id against contracts.md §4, counted in a plain book, and every story against its raise.

    Returns the rules whose start was raised more than once, with how often.
    """
    book: Counter[tuple[Any, ...]] = Counter()
    open_ones: dict[str, bool] = {}
    for number, change in enumerate(changes, 1):
        assert change.seq == number
        if change.change == "raised":
            key = (change.rule, *sorted(change.subject.items()), change.start)
            book[key] += 1
            named = alarm_id(change.rule, facility, change.subject, change.start, book[key])
            assert change.alarm == named, (change.rule, change.subject, book[key])
            open_ones[change.alarm] = True
        assert open_ones.get(change.alarm), (change.rule, change.change)
        open_ones[change.alarm] = change.change != "retracted"
    return Counter({str(key[0]): times for key, times in book.items() if times > 1 and key[0] != RULE_FAILED})


def hidden_by_nothing(changes: Iterable[Change]) -> list[str]:
    """Return what stands in the end and is told to be suppressed by an alarm that does not."""
    by: dict[str, str | None] = {}
    for change in changes:
        if change.change in {"cleared", "retracted"}:
            by.pop(change.alarm, None)
        elif change.change in {"raised", "released", "suppressed"}:
            by[change.alarm] = change.by if change.change == "suppressed" else None
    return [alarm for alarm, over in by.items() if over is not None and over not in by]
