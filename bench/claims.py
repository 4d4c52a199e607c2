"""A year of one-minute readings of 50 series with a rule that compares figures, and without: CPU, memory and snapshot bytes per series.

`python -m bench.claims [DAYS [whole]]` prints JSON. Three engines fold the same messages turn by turn: packs without such a rule, with one that
keeps days, and with one that keeps hours too (`tests/rules/claims`). The packs are two shipped rules, of limits and of silences, so that a year
is soon folded; with `whole` all that is shipped. Ratios are of CPU times of that run; what is cheap is a median of five.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.figures import spread
from rules import sums
from rules.engine import Engine
from rules.excursions import figures
from rules.excursions.book import Book, Claim
from rules.kinds import summary
from rules.pack import Bundle, default_bundle, load_bundle
from rules.records import Kind, LogRecord, Readings, RegisterRecord
from rules.register import Facility
from rules.rule import CompareRule

if TYPE_CHECKING:
    from collections.abc import Callable

FACILITY, SERIES, ROWS, MINUTE, DAY = "BENCH-0001", 50, 600, 60_000, 86_400_000
BEGIN = 1_767_196_800_000
"""2026-01-01, 0:00 in China."""
REPETITIONS = 5
LOOKED_DAYS = 28
"""At the end, in which it is counted what is written beside the snapshots."""
FOLDER = Path(__file__).parent.parent / "tests" / "rules" / "claims"
DAYS_RULE, HOURS_RULE = "claims.month-figures", "claims.span-figures"


def facility() -> Facility:
    """Return one cold room with 50 sensors."""
    sensors = [
        {"tag": f"T{i}", "area": "A1", "quantity": "temperature", "unit": "Cel", "interval": "60s", "limits": {"low": 2, "high": 8},
         "resolution": 0.1, "error": 0.5}
        for i in range(SERIES)
    ]  # fmt: skip
    return Facility.model_validate(
        {
            "id": FACILITY, "name": {"zh": "测量", "en": "Bench"}, "jurisdiction": "110000", "delivery": "11h",
            "scopes": [{"field": "distribution", "line": "drug"}], "areas": [{"id": "A1", "kind": "cold-room"}], "sensors": sensors,
        }
    )  # fmt: skip


def bundles(*, is_whole: bool) -> dict[str, Bundle]:
    """Return the packs that are compared, by name."""
    whole, own = default_bundle(), load_bundle([FOLDER])
    whole = whole if is_whole else whole.only({"cold-chain.store-out", "data-integrity.gap"})
    found = {"without": whole}
    for name, rules in (("days", {DAYS_RULE}), ("hours", {DAYS_RULE, HOURS_RULE})):
        more = [rule for rule in own.rules if rule.id in {*rules, "claims.store-out"}]
        found[name] = Bundle.of([*whole.rules, *more], whole.tables.values(), (), whole.calendars.values())
    return found


def message(number: int, random: np.random.Generator) -> LogRecord:
    """Return a message of 600 rows of each series."""
    times = BEGIN + MINUTE * (ROWS * number + np.arange(ROWS, dtype=np.int64))
    values = np.round(5 + 0.5 * np.sin(times / 3e6) + random.normal(0, 0.1, SERIES * ROWS).reshape(SERIES, ROWS), 1)
    payload = Readings(
        batch=f"b{number}", tags=tuple(f"T{i}" for i in range(SERIES)), counts=np.full(SERIES, ROWS, np.int32),
        time=np.tile(times, SERIES), value=values.ravel(), quality=np.zeros(SERIES * ROWS, np.uint8),
    )  # fmt: skip
    return LogRecord(0, number + 1, int(times[-1]) + 1_000, Kind.READINGS, FACILITY, payload)


def timed(what: Callable[[], Any]) -> dict[str, float]:
    """Return CPU milliseconds of something, five times."""
    found = []
    for _ in range(REPETITIONS):
        began = time.process_time()
        what()
        found.append(1_000 * (time.process_time() - began))
    return spread(found)


def size(engine: Engine) -> dict[str, int]:
    """Return bytes per series."""
    state = engine.state_of(FACILITY)
    kept = sums.pack(state.planned, state.rings)
    return {
        "ring_and_summaries": 8 * state.rings.size // SERIES,
        "summaries_unpacked": sum(len(data) for _, _, data in kept) // SERIES,
        "snapshot_whole": len(engine.snapshot(0, FACILITY)) // SERIES,
        "snapshot_written": len(engine.apart(0, FACILITY)[0]) // SERIES,
    }


class Written:
    """What a worker writes beside the snapshots of an engine in the last days: each record when something else stands in it."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.bytes, self.records = 0, 0
        self._known: dict[str, bytes] | None = None

    def look(self, engine: Engine) -> None:
        """Count what is written now; what stands there at the first look was written before."""
        found = {one.name: one for one in engine.apart(0, FACILITY)[1]}
        known, self._known = self._known, {name: one.digest for name, one in found.items()}
        for name, one in found.items() if known is not None else ():
            if known.get(name) != one.digest:
                self.bytes, self.records = self.bytes + len(one.packed), self.records + 1


def question(engine: Engine, bundle: Bundle, name: str, begin: int, end: int) -> Callable[[], object]:
    """Return what compares a time of all 50 series."""
    rule, state = bundle.rule(name), engine.state_of(FACILITY)
    assert isinstance(rule, CompareRule)
    stated = {one.field: 5.0 for one in rule.figures}
    said = Claim(id="R", asset="A1" if rule.asset else "", begin=begin, end=end, stated=stated)
    return lambda: figures.leaves_of(rule, said, figures.measured(rule, said, Book(since=0), state))


def main() -> None:
    """Print the figures."""
    days = int(sys.argv[1]) if len(sys.argv) > 1 else 365
    is_whole = "whole" in sys.argv[2:]
    packs, messages = bundles(is_whole=is_whole), days * DAY // (ROWS * MINUTE)
    engines = {name: Engine(bundle) for name, bundle in packs.items()}
    spent = dict.fromkeys(packs, 0.0)
    for engine in engines.values():
        engine.fold(LogRecord(0, 0, BEGIN, Kind.REGISTER, FACILITY, RegisterRecord(version=1, facility=facility())))
        engine.fold(message(0, np.random.default_rng(0)))
    written, looked = {name: Written() for name in packs}, min(LOOKED_DAYS, days // 2)
    random = np.random.default_rng(1)
    for number in range(1, messages):
        record = message(number, random)
        for name, engine in engines.items():
            began = time.process_time()
            engine.fold(record)
            spent[name] += time.process_time() - began
            if number >= messages - looked * DAY // (ROWS * MINUTE):
                written[name].look(engine)
    readings = SERIES * ROWS * (messages - 1)
    end = BEGIN + (days - 1) * DAY
    json.dump(
        {
            "bench": "claims", "packs": "whole" if is_whole else "two rules", "days": days, "series": SERIES, "readings": readings,
            "entry_bytes": 8 * summary.ENTRY_WORDS, "kept": {"hours": summary.HOURS, "days": summary.DAYS},
            "ns_per_reading": {name: round(found / readings * 1e9, 1) for name, found in spent.items()},
            "ratio": {name: round(found / spent["without"], 3) for name, found in spent.items()},
            "bytes_per_series": {name: size(engine) for name, engine in engines.items()},
            "bytes_beside_per_series_and_day": {name: round(one.bytes / SERIES / looked) for name, one in written.items()},
            "records_beside_per_day": {name: round(one.records / looked, 1) for name, one in written.items()},
            "ms_to_compare": {
                "all_days": timed(question(engines["days"], packs["days"], DAYS_RULE, BEGIN, end)),
                "month_of_hours": timed(question(engines["hours"], packs["hours"], HOURS_RULE, end - 30 * DAY, end)),
            },
            "ms_of_a_snapshot": {
                name: timed(lambda engine=engine: engine.apart(0, FACILITY)) for name, engine in engines.items()
            },
            "ms_of_a_whole_snapshot": {
                name: timed(lambda engine=engine: engine.snapshot(0, FACILITY)) for name, engine in engines.items()
            },
        },
        sys.stdout, indent=2,
    )  # fmt: skip
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
