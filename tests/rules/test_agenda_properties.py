"""What is decided in one look at an instant is what each decision, looked up by itself, would be: legal clocks, excursions, rare records.

Places and series have the same property in `test_many_properties.py`.
"""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rules import agenda
from rules.engine import Engine
from tests.examples import examples, until_met
from tests.rules import deadlinelogs, excursionlogs, rarelogs
from tests.rules.deadlinerules import PACKS
from tests.rules.test_many_properties import alone, breaking

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rules.pack import Bundle
    from rules.records import LogRecord

pytestmark = pytest.mark.long
BEHIND = 40 * 86_400_000
DRAWN = st.one_of(
    deadlinelogs.drawn().map(lambda drawn: (PACKS[drawn[0]], drawn[1])),
    excursionlogs.logs().map(lambda log: (excursionlogs.bundle(), log)),
    rarelogs.logs().map(lambda log: (rarelogs.bundle(), log)),
)
QUICK = settings(
    max_examples=examples(120), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


def folded(bundle: Bundle, log: list[LogRecord]) -> tuple[list[object], list[bytes]]:
    """Return the changes and the state of all facilities behind a log."""
    engine = Engine(bundle)
    changes: list[object] = [change for record in log for change in engine.fold(record)]
    changes += engine.advance(0, log[-1].received + BEHIND)
    return changes, [engine.snapshot(0, name) for name in sorted(engine.facilities(0))]


@given(DRAWN, st.integers(0, 3))
@QUICK
def test_what_is_decided_in_one_look_is_what_each_decision_by_itself_would_be(
    drawn: tuple[Bundle, list[LogRecord]], seed: int
) -> None:
    with breaking(seed):
        once = folded(*drawn)
        with patch.object(agenda.Agenda, "taken", alone):
            assert folded(*drawn) == once


@contextmanager
def counting(found: Counter[str]) -> Iterator[None]:
    """Count the looks of which several decisions came, with a clock or an excursion among them."""
    real = agenda.Agenda.taken

    def taken(self: agenda.Agenda, entry: agenda.Entry) -> None:
        rule = self._emitter.bundle.rules[entry.rank]
        seen: set[str] = self.__dict__.setdefault("seen", set())
        found["several"] += bool(seen)
        found[f"{rule.kind} behind {', '.join(sorted(seen))}"] += bool(seen - {rule.kind})
        seen.add(rule.kind)
        real(self, entry)

    with patch.object(agenda.Agenda, "taken", taken):
        yield


def test_random_logs_let_clocks_and_others_be_due_at_one_instant() -> None:
    found: Counter[str] = Counter()

    def take(drawn: tuple[Bundle, list[LogRecord]]) -> None:
        with counting(found):
            folded(*drawn)

    def met() -> bool:
        return found["several"] > 20 and any(
            count and name.startswith("deadline behind") for name, count in found.items()
        )

    until_met(DRAWN, take, met, most=500)
