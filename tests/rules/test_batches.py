"""A batch id that comes again: contracts.md §1 and settled.md ("folded as evidence without effect")."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rules import batches as module
from rules.batches import Batches, Seen, digest_of
from rules.engine import Engine
from tests.rules.byhand import BUNDLE, FACILITY, HOUR, HandLog, sensor, story
from tests.rules.logs import Row, readings

if TYPE_CHECKING:
    import pytest

    from rules.records import Readings


def batch(name: str, value: float = 5.0) -> Readings:
    return readings([Row("T1", 1, value), Row("T2", 2, float("nan"), 6)], name)


def counted(log: HandLog) -> dict[str, int]:
    engine = Engine(BUNDLE)
    for record in log.records():
        engine.fold(record)
    return engine.counters(0, FACILITY)


def test_a_batch_id_with_other_content_is_folded_without_effect_and_counted() -> None:
    log = HandLog().register(-1, sensor())
    log.rows(0.1, ("T1", [0], [5]), batch="X").rows(2.1, ("T1", [1, 2], [9, 9]), batch="X")
    assert [row[:3] for row in story(log.changes())] == [(2.1, "raised", "revision-conflict")]
    assert {k: v for k, v in counted(log).items() if k in {"rows", "batch_conflict", "batch_repeated"}} == {
        "rows": 1, "batch_conflict": 1, "batch_repeated": 0,
    }  # fmt: skip


def test_a_batch_of_rows_from_the_future_stays_refused_when_it_is_sent_again() -> None:
    log = HandLog().register(-1, sensor()).rows(1, ("T1", [1], [5]), batch="a")
    log.rows(1, ("T1", [6.5, 7.5], [9, 9]), batch="F").rows(3, ("T1", [3], [5]), batch="b")
    log.rows(8, ("T1", [6.5, 7.5], [9, 9]), batch="F")
    assert story(log.changes(), "store-out") == []
    assert {k: v for k, v in counted(log).items() if k in {"future", "batch_repeated"}} == {
        "future": 2, "batch_repeated": 1,
    }  # fmt: skip


def test_rows_from_the_future_stay_refused_when_they_are_sent_again_days_later() -> None:
    """Their id is not kept for its day alone: they stand in no horizon that would know them, and by then they lie ahead no more."""
    once = HandLog().register(-1, sensor("T1"), sensor("T2"))
    once.rows(1, ("T2", [6.5], [9]), batch="F").rows(1, ("T1", [1], [5]), batch="a")
    again = HandLog().register(-1, sensor("T1"), sensor("T2"))
    again.rows(1, ("T2", [6.5], [9]), batch="F").rows(1, ("T1", [1], [5]), batch="a")
    days = 62 * 60
    for log in (once, again):
        log.rows(days, ("T1", [days], [5]), batch="b")
    again.rows(days, ("T2", [6.5], [9]), batch="F")
    ending = 2 * days
    assert again.changes(until=ending) == once.changes(until=ending)
    assert {k: v for k, v in counted(again).items() if k in {"rows", "future", "batch_repeated"}} == {
        "rows": 2, "future": 1, "batch_repeated": 1,
    }  # fmt: skip


def test_the_same_rows_in_a_batch_of_another_name_are_rows() -> None:
    log = HandLog().register(-1, sensor()).rows(1, ("T1", [6.5, 7.5], [9, 9]), batch="F")
    log.rows(8, ("T1", [6.5, 7.5], [9, 9]), batch="G")
    assert [s[1] for s in story(log.changes(), "store-out")] == ["raised"]


def test_what_was_posted_before_a_tag_was_registered_stays_unfolded_when_it_is_sent_again() -> None:
    log = HandLog().register(-1, sensor("T2")).rows(1.1, ("T1", [0, 1], [9, 9]), batch="u")
    log.register(1.2, sensor("T1"), sensor("T2"), version=2).rows(1.3, ("T1", [0, 1], [9, 9]), batch="u")
    assert story(log.changes(), "store-out") == []


def test_a_batch_is_known_by_what_it_holds_however_it_is_spelled() -> None:
    one = batch("b")
    strange = one.value.copy()
    strange.view("<u8")[1] = 0x7FF8_0000_0000_0001  # another NaN
    assert digest_of(one) == digest_of(replace(one, value=strange, counts=one.counts.astype(np.int64)))
    assert digest_of(one) != digest_of(replace(one, tags=("T1", "T3")))
    assert digest_of(one) != digest_of(batch("b", 5.1))
    assert digest_of(one) != digest_of(replace(one, quality=np.array([1, 6], np.uint8)))


def test_memory_ends_with_the_day_and_with_the_number(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = Batches()
    assert memory.meet(batch("a"), 0) is Seen.NEW
    assert memory.meet(batch("a"), 24 * HOUR - 1) is Seen.REPEATED
    assert memory.meet(batch("a", 6.0), 24 * HOUR) is Seen.NEW
    monkeypatch.setattr(module, "KEPT", 3)
    assert [memory.meet(batch(name), 24 * HOUR) for name in "bcd"] == [Seen.NEW] * 3
    assert memory.meet(batch("a", 6.0), 24 * HOUR) is Seen.NEW
    day = 24 * HOUR
    assert [memory.name(number, day) for number in (memory.next - 1, 0, memory.next)] == ["a", None, None]
    assert [memory.name(memory.next - 1, now) for now in (2 * day - 1, 2 * day)] == ["a", None]


def test_of_what_was_refused_the_newest_are_known_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEPT_REFUSED", 2)
    memory, ahead = Batches(), [readings([Row("T1", 300_001, 5.0)], name) for name in "abc"]
    assert [memory.meet(one, 0) for one in ahead] == [Seen.NEW] * 3
    assert memory.meet(readings([Row("T1", 300_000, 5.0)], "in time"), 0) is Seen.NEW
    years = 20_000 * HOUR
    assert [memory.meet(one, years) for one in reversed(ahead)] == [Seen.REPEATED, Seen.REPEATED, Seen.NEW]
    assert memory.meet(batch("c"), years) is Seen.CONFLICT
    assert memory.digest_of("c") == digest_of(ahead[2])
    assert memory.meet(readings([Row("T1", 300_000, 5.0)], "in time"), years) is Seen.NEW


@given(
    st.lists(
        st.tuples(st.text("abc", min_size=1, max_size=3), st.integers(0, 10**9), st.sampled_from([1, 10**9])),
        max_size=30,
    )
)
def test_a_memory_is_the_same_after_a_restart(steps: list[tuple[str, int, int]]) -> None:
    memory = Batches()
    for name, at, time in sorted(steps, key=lambda step: step[1]):
        memory.meet(readings([Row("T1", time, 5.0)], name), at)
    again = Batches.unpack(memory.pack(), memory.pack_refused())
    assert again == memory
    assert again.pack() == memory.pack()
