"""Summaries of series (rules/kinds/summary.py) outside of compiled code: read whole, carried to another plan, packed for a snapshot (ADR 0074)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from rules import formerly, horizon
from rules.kinds import summary
from rules.kinds.summary import DAY_MS, DAY_SPAN, ENTRY_WORDS, HALF, HEAD_WORDS, HOUR_MS, HOUR_SPAN
from rules.layout import AT_PROGRAM, AT_RING, RING_LEN, ROW_WORDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rules.layout import Words
    from rules.plan import Plan
    from rules.state import FacilityState

_LOWER = (1 << HALF) - 1
_SPANS = HOUR_SPAN, DAY_SPAN


class Period(NamedTuple):
    """What one series measured in an hour or a local day: times in ms, values in the unit of the sensor."""

    begin: int
    end: int
    rows: int
    """Known rows that are stamped in it."""
    known: int
    outside: int
    low: float
    high: float
    total: float
    """Of known time times rate, exp(-10,000 K / T); NaN where a value is none of a store."""


class Summed(NamedTuple):
    """All that is kept of one series: each by time."""

    hours: list[Period]
    days: list[Period]
    newest: int
    """Event time of the newest row that is in it, -1: there is none."""


def is_kept(plan: Plan, slot: int) -> bool:
    """Say whether a series has summaries."""
    return plan.number(slot, "sum_days") > 0


def other_bounds(old: Plan, old_slot: int, new: Plan, slot: int) -> tuple[float, float] | None:
    """Return the registered limits that a series had, where it goes on with its summaries and has others now; else None."""
    if not is_kept(old, old_slot) or not is_kept(new, slot):
        return None
    before = formerly.bounds_of(old, old_slot)
    return None if before == formerly.bounds_of(new, slot) else before


def _sizes(plan: Plan, slot: int) -> tuple[int, int]:
    return plan.number(slot, "sum_hours"), plan.number(slot, "sum_days")


def _words(plan: Plan, slot: int) -> int:
    hours, days = _sizes(plan, slot)
    return summary.words({"sum_hours": hours, "sum_days": days})


def block_of(plan: Plan, rings: Words, slot: int) -> Words:
    """Return the block of a series, to read or to change."""
    begin = plan.place(slot, AT_RING) + ROW_WORDS * plan.number(slot, "ring_room")
    return rings[begin : begin + _words(plan, slot)]


def with_rows(plan: Plan, words: Words, rings: Words, slot: int, rows: int) -> Words:
    """Return a copy of the block of a series that holds the `rows` oldest rows of its ring too."""
    block = block_of(plan, rings, slot).copy()
    horizon.summed(
        rows, plan.params, plan.reals, plan.place(slot, AT_PROGRAM), words, int(plan.series_at[slot]), rings,
        rings.view(np.float64), plan.place(slot, AT_RING), block, block.view(np.float64),
    )  # fmt: skip
    return block


def of(state: FacilityState, slot: int) -> Summed:
    """Return the summaries of a series with every row that has been folded: those of its horizon are closed by nothing yet."""
    plan = state.planned
    length = int(state.words[plan.series_at[slot] + RING_LEN])
    block = with_rows(plan, state.words, state.rings, slot, length)
    hours, _ = _sizes(plan, slot)
    zone, split = plan.number(slot, "sum_zone"), HEAD_WORDS + hours * ENTRY_WORDS
    return Summed(
        list(_periods(block[HEAD_WORDS:split], HOUR_MS, HOUR_SPAN, zone)),
        list(_periods(block[split:], DAY_MS, DAY_SPAN, zone)),
        int(block[summary.THROUGH]) - 1,
    )


def _periods(entries: Words, unit: int, span: int, zone: int) -> Iterator[Period]:
    rows, _ = _valid(entries, len(entries) // ENTRY_WORDS, span)
    reals = rows.view(np.float64)
    for row, real in zip(rows.tolist(), reals.tolist(), strict=True):
        end = (row[summary.PLACE] >> HALF) * unit - zone
        yield Period(
            end - unit, end, row[summary.PLACE] & _LOWER, row[summary.SPANS] >> HALF, row[summary.SPANS] & _LOWER,
            real[summary.LOW], real[summary.HIGH], real[summary.TOTAL],
        )  # fmt: skip


def _valid(entries: Words, size: int, span: int) -> tuple[Words, Words]:
    """Return the entries that are not too old, by number, shape (entries, ENTRY_WORDS), and their numbers.

    Args:
        entries: of hours or days.
        size: so many there is room for.
        span: so many become too old together: the newest `size // span` spans stay.
    """
    rows = entries.reshape(-1, ENTRY_WORDS)
    numbers = rows[:, summary.PLACE] >> HALF
    newest = (int(numbers.max(initial=0)) - 1) // span
    kept = np.flatnonzero((numbers > 0) & ((numbers - 1) // span > newest - size // span))
    kept = kept[np.argsort(numbers[kept], kind="stable")]
    return np.ascontiguousarray(rows[kept]), numbers[kept]


def carry(state: FacilityState, slot: int, old: Plan, words: Words, rings: Words, old_slot: int, rows: int) -> None:
    """Let a series keep its summaries under another plan.

    Args:
        state: with the new plan; its headers are carried already.
        slot: of the series.
        old: the plan before.
        words: its state; `rings` its rings.
        rings: see there.
        old_slot: of the series.
        rows: the oldest of its rows, which do not stand in the new ring or have left it by the old numbers: judged by the old limits.
    """
    plan = state.planned
    if not is_kept(plan, slot):
        return
    block = block_of(plan, state.rings, slot)
    now, then = plan.sensors[slot], old.sensors[old_slot]
    if is_kept(old, old_slot) and (now.quantity, now.unit) == (then.quantity, then.unit):
        before = with_rows(old, words, rings, old_slot, rows)
        put(plan, slot, block, before[:HEAD_WORDS], *_parts(before, *_sizes(old, old_slot)))
    # What has left before anybody asked for it stays unknown.
    block[summary.THROUGH] = max(int(block[summary.THROUGH]), state.of_series("gone_t", slot) + 1)


def absorb(state: FacilityState, slot: int) -> None:
    """Take all rows of a series' ring into its summaries, for the ring is given up."""
    plan = state.planned
    if is_kept(plan, slot):
        length = int(state.words[plan.series_at[slot] + RING_LEN])
        block_of(plan, state.rings, slot)[:] = with_rows(plan, state.words, state.rings, slot, length)


def _parts(block: Words, hours: int, days: int) -> tuple[Words, Words]:
    split = HEAD_WORDS + hours * ENTRY_WORDS
    return block[HEAD_WORDS:split].reshape(-1, ENTRY_WORDS), block[split:].reshape(days, ENTRY_WORDS)


def put(plan: Plan, slot: int, block: Words, head: Words, hours: Words, days: Words) -> None:
    """Fill the block of a series with a head and with entries, each at its place."""
    block[:HEAD_WORDS] = head
    for entries, part, span in zip((hours, days), _parts(block, *_sizes(plan, slot)), _SPANS, strict=True):
        if len(part) and len(entries):
            rows, numbers = _valid(entries, len(part), span)
            part[numbers % len(part)] = rows


def pack(plan: Plan, rings: Words) -> list[tuple[str, int, bytes]]:
    """Return tag, how many of its entries are hours, and head and entries as words, of each series that has any, by slot."""
    found = []
    for slot, sensor in enumerate(plan.sensors):
        if not is_kept(plan, slot):
            continue
        block = block_of(plan, rings, slot)
        if not block[summary.THROUGH]:
            continue
        parts = zip(_parts(block, *_sizes(plan, slot)), _SPANS, strict=True)
        (hours, _), (days, _) = (_valid(part, len(part), span) for part, span in parts)
        found.append((sensor.tag, len(hours), block[:HEAD_WORDS].tobytes() + hours.tobytes() + days.tobytes()))
    return found


def put_back(state: FacilityState, packed: list[tuple[str, int, bytes]]) -> None:
    """Put packed summaries back.

    Raises:
        ValueError: they are none that a fold leaves.
    """
    plan, last = state.planned, -1
    for tag, count, data in packed:
        slot, words = plan.slots.get(tag, -1), np.frombuffer(data, np.int64)
        if (
            slot <= last
            or not is_kept(plan, slot)
            or (words.size - HEAD_WORDS) % ENTRY_WORDS
            or words.size < HEAD_WORDS
        ):
            raise ValueError(f"summaries of {tag} are none that a fold leaves")
        last, entries = slot, words[HEAD_WORDS:].reshape(-1, ENTRY_WORDS)
        for part, size, span in zip((entries[:count], entries[count:]), _sizes(plan, slot), _SPANS, strict=True):
            numbers = part[:, summary.PLACE] >> HALF
            if (
                not 0 <= count <= len(entries)
                or (np.diff(numbers) <= 0).any()
                or len(_valid(part, size, span)[0]) < len(part)
            ):
                raise ValueError(f"summaries of {tag} are none that a fold leaves")
        put(plan, slot, block_of(plan, state.rings, slot), words[:HEAD_WORDS], entries[:count], entries[count:])
