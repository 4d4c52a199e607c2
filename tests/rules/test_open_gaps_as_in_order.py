"""A recorder that was out of reach sends three hours or a day of live data first, and then what it stored: the alarms are those of the log in order (ADR 0092)."""

from __future__ import annotations

from random import Random

import pytest

from rules.changes import Change, ChangeKind, Severity
from rules.engine import Engine
from tests.rules import logs, opengaplogs
from tests.rules.logs import BEGIN, Row
from tests.rules.test_engine_properties import END

MINUTE = 60_000
STEP = opengaplogs.RING * MINUTE
HOUR = 60 // opengaplogs.RING
"""Rows an hour."""
BUNDLE = opengaplogs.bundle(off_delay="8m")
"""Behind one interval the clock clears what the next row does not know of yet: in order alone, for then it goes on between them."""
ENTITY = logs.facility([("T0", "A1", opengaplogs.RING * 60)], delivery=60_000)
CALM = [(5.0, 0), (5.3, 0), (5.1, 0)]
"""Before the silence and for two hours behind it nothing is outside: no alarm stands over either border."""
SEEDS = range(10)


def drawn(seed: int, away: int, live: int) -> tuple[list[Row], list[Row], list[Row]]:
    """Return what was sent before, what was stored, and what was sent live behind that; hours."""
    random = Random(seed)  # noqa: S311 - a log, no secret
    before = [*opengaplogs.values(random, 60), *CALM * 2]
    stored = opengaplogs.values(random, away * HOUR)
    behind = [*CALM * (2 * HOUR // 3), *opengaplogs.values(random, (live - 2) * HOUR)]
    rows = [Row("T0", BEGIN + i * STEP, v, q) for i, (v, q) in enumerate([*before, *stored, *behind])]
    return rows[: len(before)], rows[len(before) : -len(behind)], rows[-len(behind) :]


def sent(rows: list[Row]) -> list[tuple[int, list[Row]]]:
    """Return rows as each is sent a second behind its time."""
    return [(row.t + 1_000, [row]) for row in rows]


def parts(rows: list[Row], begin: int, size: int, order: str, random: Random) -> list[tuple[int, list[Row]]]:
    """Return rows in batches of so many, a second apart, behind an instant."""
    found = [rows[i : i + size] for i in range(0, len(rows), size)]
    if order == "newest first":
        found.reverse()
    elif order == "any":
        random.shuffle(found)
    return [(begin + 1_000 * (i + 2), part) for i, part in enumerate(found)]


def alarms(entries: list[tuple[int, list[Row]]]) -> set[tuple[str, int, int | None, str]]:
    """Return what stands at last of all alarms of the sensor: rule, start, end, and the worst colour (what amends one tells it anew)."""
    log = logs.records(ENTITY, entries)
    engine = Engine(BUNDLE)
    changes = [change for record in log for change in engine.fold(record)]
    changes += engine.advance(0, log[-1].received + END)
    newest: dict[str, Change] = {}
    worst: dict[str, Severity] = {}
    for one in changes:
        if one.subject.get("tag"):
            newest[one.alarm] = one
            had = None if one.change is ChangeKind.AMENDED else worst.get(one.alarm)
            worst[one.alarm] = one.severity if had is None else max(had, one.severity, key=lambda colour: colour.rank)
    left = [one for one in newest.values() if one.change is not ChangeKind.RETRACTED]
    return {(one.rule, one.start, one.end, worst[one.alarm].value) for one in left}


@pytest.mark.parametrize("live", [3, 24])
@pytest.mark.parametrize(
    ("away", "size", "order"),
    [
        (6, 1, "oldest first"), (6, 7, "newest first"), (6, 10, "any"), (6, 72, "oldest first"), (30, 50, "oldest first"),
        (30, 50, "newest first"), (30, 17, "any"), (80, 100, "any"), (200, 100, "oldest first"), (200, 2400, "oldest first"),
    ],
)  # fmt: skip
def test_live_rows_first_and_then_the_stored_ones_give_the_alarms_of_the_log_in_order(
    live: int, away: int, size: int, order: str
) -> None:
    """2,400 stored rows are more than wait in a gap: those that come oldest first need not."""
    raised, seeds = 0, SEEDS if away <= 30 else SEEDS[:3]
    for seed in seeds:
        before, stored, behind = drawn(seed, away, live)
        wanted = alarms(sent([*before, *stored, *behind]))
        late = parts(stored, behind[-1].t, size, order, Random(seed))  # noqa: S311 - a log, no secret
        assert alarms([*sent(before), *sent(behind), *late]) == wanted, seed
        raised += sum(stored[0].t <= start <= stored[-1].t for _, start, _, _ in wanted)
    assert raised > len(seeds), "there was something to find"


@pytest.mark.parametrize("live", [3, 24])
def test_live_rows_between_the_parts_change_nothing(live: int) -> None:
    """Each hour a part of what is stored comes between the live rows."""
    for seed in SEEDS:
        before, stored, behind = drawn(seed, 30, live + 8)
        wanted = alarms(sent([*before, *stored, *behind]))
        entries = [*sent(before), *sent(behind)]
        size = -(-len(stored) // 8)
        for i in range(8):
            entries.append((behind[(live + i) * HOUR].t + 1_500, stored[i * size : (i + 1) * size]))
        assert alarms(sorted(entries, key=lambda entry: entry[0])) == wanted, seed


def test_what_never_comes_leaves_the_silence() -> None:
    before, stored, behind = drawn(1, 30, 24)
    came = [row for row in stored if not 100 <= (row.t - stored[0].t) // STEP < 110]
    late = parts(came, behind[-1].t, 50, "any", Random(1))  # noqa: S311 - a log, no secret
    found = {rule for rule, *_ in alarms([*sent(before), *sent(behind), *late])}
    assert "data-integrity.gap" in found
