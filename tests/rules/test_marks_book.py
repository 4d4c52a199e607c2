"""The book of marks is kept as marks come, and says what one that is made anew would."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules import marks
from rules.marks import Marks
from rules.records import Mark
from rules.register import Facility

HOUR = 3_600_000
BEGIN = 1_772_294_400_000
SERIES = [("T1", "A1"), ("T2", "A1"), ("T3", "A2"), ("T4", "A3"), ("T1", "A2")]
FLAGS = [("stopped",), ("fault", "stopped"), ("comms",), ("set_value", "maintenance")]


def mark(random: Random, number: int) -> Mark:
    """Return one of some marks, of tags or an area, in a revision that may be old."""
    named: dict[str, Any] = {"area": random.choice(["A1", "A2", "A3"])}
    if random.random() < 0.5:
        named = {"tags": random.sample(["T1", "T2", "T3", "T4"], random.choice([1, 2, 3]))}
    begin = BEGIN + random.randrange(-5, 50) * HOUR
    said = {
        "id": f"M{random.randrange(6)}", "revision": random.randrange(1, number + 2), "flag": random.choice(FLAGS)[0],
        "from": begin, "to": random.choice([None, begin, begin + HOUR, begin + 9 * HOUR]), "reason": "service", "author": "u-1",
        **named,
    }  # fmt: skip
    return Mark.model_validate(said)


def anew(of: Marks) -> Marks:
    return Marks(by_id=dict(of.by_id), counts=Counter(of.counts), stays=dict(of.stays))


def moved(random: Random, areas: dict[str, str]) -> Facility:
    """Return a register in which some sensors stand elsewhere."""
    areas |= {tag: random.choice(["A1", "A2", "A3"]) for tag in areas if random.random() < 0.5}
    sensors = [{"tag": tag, "area": area, "quantity": "temperature", "unit": "Cel"} for tag, area in areas.items()]
    return Facility.model_validate(
        {
            "id": "BOOK-0001", "name": {"zh": "测试", "en": "Book"}, "jurisdiction": "110000",
            "areas": [{"id": area, "kind": "cold-room"} for area in ("A1", "A2", "A3")], "sensors": sensors,
        }
    )  # fmt: skip


@pytest.mark.parametrize("most", [2_000, 3])
@given(seed=st.integers(0, 1 << 32))
def test_what_covers_a_series_is_what_a_new_book_says(most: int, seed: int) -> None:
    random, kept = Random(seed), Marks()  # noqa: S311 - marks, no secret
    before, marks.MAX_MARKS = marks.MAX_MARKS, most
    areas = {"T1": "A1", "T2": "A1", "T3": "A2", "T4": "A3"}
    try:
        for number in range(random.randrange(1, 25)):
            now = BEGIN + number * random.choice([HOUR, 30 * 24 * HOUR])
            kept.meet(mark(random, number), now)
            if random.random() < 0.3:
                stood = dict(areas)
                kept.move(stood, moved(random, areas), BEGIN + 2 * number * HOUR)
            if random.random() < 0.7:  # some come before anybody has asked again
                tag, area = random.choice(SERIES)
                flags = random.choice(FLAGS)
                assert kept.of(tag, area) == anew(kept).of(tag, area)
                assert kept.spans(tag, area, flags) == anew(kept).spans(tag, area, flags)
        for tag, area in SERIES:
            assert kept.of(tag, area) == anew(kept).of(tag, area)
            for flags in FLAGS:
                assert kept.spans(tag, area, flags) == anew(kept).spans(tag, area, flags)
    finally:
        marks.MAX_MARKS = before
