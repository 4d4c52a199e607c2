"""What rules cost the fold: CPU per reading and bytes per series of the shipped packs, with and without the rules named.

`python -m bench.kind_cost AREA-KIND RULE...` prints JSON. Both are measured in one run, turn by turn; ratios are of medians of CPU time.
"""

from __future__ import annotations

import json
import statistics
import sys
import time

from bench.engine import BEGIN, FACILITIES, FILLED, REPETITIONS, SERIES, facility, messages
from rules.engine import Engine
from rules.pack import Bundle, default_bundle
from rules.records import Kind, LogRecord, RegisterRecord
from rules.register import AreaKind
from streams.codec import decode

Messages = list[tuple[str, list[tuple[str, bytes]], bytes, int]]


def started(bundle: Bundle, area: AreaKind, filling: Messages) -> Engine:
    """Return an engine that has folded the registers and full rings."""
    engine = Engine(bundle)
    for number in range(FACILITIES):
        entity = facility(number)
        entity = entity.model_copy(update={"areas": [one.model_copy(update={"kind": area}) for one in entity.areas]})
        record = RegisterRecord(version=1, facility=entity)
        engine.fold(LogRecord(0, number, BEGIN + 60_000 * FILLED, Kind.REGISTER, entity.id, record))
    for offset, (name, headers, value, received) in enumerate(filling, FACILITIES):
        engine.fold(decode(0, offset, received, name.encode(), headers, value))
    return engine


def measured(engine: Engine, made: Messages) -> tuple[float, int]:
    """Return CPU seconds of the fold alone, and changes made."""
    records = [
        decode(0, 2 * FACILITIES + offset, received, name.encode(), headers, value)
        for offset, (name, headers, value, received) in enumerate(made)
    ]
    began = time.process_time()
    changes = sum(len(engine.fold(record)) for record in records)
    return time.process_time() - began, changes


def size(engine: Engine) -> dict[str, int]:
    """Return bytes per series: head and tail of its instances and header, its ring, and its part of the snapshot."""
    state = engine._state(0, "F-0000")  # noqa: SLF001 - what is counted is inside
    return {
        "state_and_tails": 8 * (state.words.size + state.tails.size) // SERIES,
        "ring": 8 * state.rings.size // SERIES,
        "snapshot": len(engine.snapshot(0, "F-0000")) // SERIES,
    }


def main() -> None:
    """Print the figures."""
    area, left_out = AreaKind(sys.argv[1]), set(sys.argv[2:])
    whole = default_bundle()
    less = whole.only({rule.id for rule in whole.rules} - left_out)
    sizes = []
    for rows in (60, 600):
        made = messages(rows)
        filling, made = made[:FACILITIES], made[FACILITIES:]
        readings = rows * len(made)
        times: dict[str, list[float]] = {"with": [], "without": []}
        bytes_: dict[str, dict[str, int]] = {}
        changes: dict[str, int] = {}
        for _ in range(REPETITIONS):
            for name, bundle in (("with", whole), ("without", less)):
                engine = started(bundle, area, filling)
                spent, changes[name] = measured(engine, made)
                times[name].append(spent)
                bytes_[name] = size(engine)
        median = {name: statistics.median(found) for name, found in times.items()}
        sizes.append(
            {
                "readings_a_message": rows,
                "ns_per_reading": {name: round(spent / readings * 1e9, 1) for name, spent in median.items()},
                "ratio": round(median["with"] / median["without"], 3),
                "bytes_per_series": bytes_,
                "changes": changes,
            }
        )
    json.dump({"bench": "kind_cost", "area": area, "rules": sorted(left_out), "sizes": sizes}, sys.stdout, indent=2)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
